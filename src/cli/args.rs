//! The command line, and how it becomes requests.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use bstr::BString;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::size::Size;
use crate::api::{Family, Options, Overwrite, Pair, Protocol, Selection, Strategy, Terms, TokenNames};
use crate::error::{Error, Kind, Result};

const EXAMPLES: &str = "\
Examples:
  git relay sync https://example.com/project.git /srv/mirror/project.git
      mirror all branches; the target is created if it does not exist
  git relay plan --tags --prune upstream backup
      show what would change, and change nothing; sides may be names of remotes
  git relay sync --branch main,dev --map main:prod <source> <target>
      carry over two branches, and one of them under another name
  git relay push <source> <target> --mirror
      plain git push, with its own options and refspecs, from any directory

Each side is whatever git takes: a URL, a path, or the name of a configured remote.
Exit codes: 0 done or up to date, 1 a ref was rejected or blocked, 2 usage, 128 fatal.";

/// Relay refs and objects from one git server to another, without a clone.
#[derive(Debug, Parser)]
#[command(name = "git-relay", bin_name = "git relay", version, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to print.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Print one JSON object instead of a table
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Count requests and bytes each way
    #[arg(long, global = true)]
    pub(super) stats: bool,
    /// Measure time, memory and CPU of the whole run
    #[arg(long, global = true)]
    pub(super) measure_memory: bool,
    /// Show progress even if standard error is no terminal
    #[arg(long, global = true, overrides_with = "no_progress")]
    pub(super) progress: bool,
    /// Show no progress
    #[arg(long, global = true)]
    pub(super) no_progress: bool,
    /// Print only errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Show refs that are up to date as well
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Bring the target in step with the source; refuse everything if one ref is blocked
    Sync(SyncArgs),
    /// Show what sync would do, without a write on either side
    Plan(SyncArgs),
    /// Seed a target that has none of the refs; fail before any transfer if it has one
    Bootstrap(BootstrapArgs),
    /// Show what each side is and offers
    Probe(ProbeArgs),
    /// Count the objects and bytes that sync would move, and store nothing
    Fetch(FetchArgs),
    /// Run plain git push in a temporary view of the source
    #[command(after_help = PUSH_EXAMPLES)]
    Push(PushArgs),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completions(CompletionsArgs),
}

const PUSH_EXAMPLES: &str = "\
Examples:
  git relay push <source> <target> --mirror --dry-run
  git relay push 'relay::<source>=><target>' --prune 'refs/heads/*'";

const COMPLETION_EXAMPLES: &str = "\
Examples:
  git relay completions bash > ~/.local/share/bash-completion/completions/git-relay
  git relay completions zsh > ~/.zfunc/_git-relay
  git relay completions fish > ~/.config/fish/completions/git-relay.fish";

/// The two sides.
#[derive(Debug, Clone, Args)]
pub(super) struct PairArgs {
    /// Where refs and objects come from; or both sides as one 'relay::<source>=><target>'
    source: String,
    /// Where they go
    target: Option<String>,
}

/// Which refs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection (default: all branches)")]
pub(super) struct SelectionArgs {
    /// Only these branches; may be repeated
    #[arg(long = "branch", value_name = "NAME", value_delimiter = ',')]
    branches: Vec<OsString>,
    /// Carry src over as dst, each a short or a full name; may be repeated
    #[arg(long = "map", value_name = "SRC:DST")]
    maps: Vec<OsString>,
    /// All tags as well
    #[arg(long)]
    tags: bool,
    /// All refs, except those that hosts keep for themselves
    #[arg(long)]
    all_refs: bool,
    /// Leave alone refs whose full name begins so; may be repeated
    #[arg(long = "exclude-ref-prefix", value_name = "PREFIX")]
    exclude: Vec<OsString>,
}

/// How to go about it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Transfer")]
pub(super) struct TransferArgs {
    /// Which protocol to speak with the source
    #[arg(long, value_enum, default_value = "auto", value_name = "VERSION")]
    protocol: ProtocolArg,
    /// How the objects may go
    #[arg(long, value_enum, default_value = "auto", value_name = "ROUTE")]
    strategy: StrategyArg,
    /// Stop, with nothing changed, if the pack is larger; takes k, m and g
    #[arg(long, value_name = "BYTES")]
    max_pack_bytes: Option<Size>,
    #[command(flatten)]
    family: FamilyArgs,
    #[command(flatten)]
    tokens: TokenArgs,
}

/// How to reach both sides.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct FamilyArgs {
    /// Use only IPv4 addresses
    #[arg(short = '4', long, overrides_with = "ipv6", help_heading = "Transfer")]
    ipv4: bool,
    /// Use only IPv6 addresses
    #[arg(short = '6', long, overrides_with = "ipv4", help_heading = "Transfer")]
    ipv6: bool,
}

/// How to go about a push.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Policy")]
pub(super) struct PushPolicyArgs {
    /// All refs or none, by the target's own transaction
    #[arg(long)]
    atomic: bool,
    /// Push what can go although other refs are blocked; refusals of the target become warnings
    #[arg(long)]
    best_effort: bool,
    /// Split packs that are larger, for targets with a limit; takes k, m and g
    #[arg(long, value_name = "BYTES")]
    target_max_pack_bytes: Option<Size>,
}

/// What may be overwritten and removed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Policy")]
pub(super) struct OverwriteArgs {
    /// Overwrite what is no ancestor of the new value, and tags
    #[arg(long)]
    force: bool,
    /// The same, but only what still has the value seen at the start
    #[arg(long)]
    force_with_lease: bool,
}

/// Who we are to the two sides.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Credentials")]
pub(super) struct TokenArgs {
    /// The environment variable with the source's token, instead of GIT_RELAY_SOURCE_TOKEN
    #[arg(long, value_name = "NAME")]
    source_token_env: Option<String>,
    /// The environment variable with the target's token, instead of GIT_RELAY_TARGET_TOKEN
    #[arg(long, value_name = "NAME")]
    target_token_env: Option<String>,
}

impl TokenArgs {
    pub(super) fn names(&self) -> TokenNames {
        TokenNames {
            source: self.source_token_env.clone(),
            target: self.target_token_env.clone(),
        }
    }
}

/// `sync` and `plan`.
#[derive(Debug, Clone, Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    pub(super) pair: PairArgs,
    #[command(flatten)]
    pub(super) selection: SelectionArgs,
    #[command(flatten)]
    pub(super) overwrite: OverwriteArgs,
    /// Delete what the source lacks, inside the selected namespaces
    #[arg(long, help_heading = "Policy")]
    pub(super) prune: bool,
    /// Judge, but change nothing
    #[arg(short = 'n', long, help_heading = "Policy")]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) policy: PushPolicyArgs,
    #[command(flatten)]
    pub(super) transfer: TransferArgs,
}

/// `bootstrap`.
#[derive(Debug, Clone, Args)]
pub(super) struct BootstrapArgs {
    #[command(flatten)]
    pub(super) pair: PairArgs,
    #[command(flatten)]
    pub(super) selection: SelectionArgs,
    #[command(flatten)]
    pub(super) policy: PushPolicyArgs,
    #[command(flatten)]
    pub(super) transfer: TransferArgs,
}

/// `probe`.
#[derive(Debug, Clone, Args)]
pub(super) struct ProbeArgs {
    #[command(flatten)]
    pub(super) pair: PairArgs,
    /// Which protocol to speak with the source
    #[arg(long, value_enum, default_value = "auto", value_name = "VERSION")]
    pub(super) protocol: ProtocolArg,
    #[command(flatten)]
    pub(super) family: FamilyArgs,
    #[command(flatten)]
    pub(super) tokens: TokenArgs,
}

/// `fetch`.
#[derive(Debug, Clone, Args)]
pub(super) struct FetchArgs {
    #[command(flatten)]
    pub(super) pair: PairArgs,
    #[command(flatten)]
    pub(super) selection: SelectionArgs,
    #[command(flatten)]
    pub(super) overwrite: OverwriteArgs,
    #[command(flatten)]
    pub(super) transfer: TransferArgs,
}

/// `push`.
#[derive(Debug, Clone, Args)]
pub(super) struct PushArgs {
    #[command(flatten)]
    pub(super) tokens: TokenArgs,
    /// Source and target (or both as one 'relay::<source>=><target>'), then options and refspecs for git push
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_names = ["SOURCE", "TARGET", "GIT PUSH ARGUMENTS"], num_args = 1..)]
    pub(super) words: Vec<OsString>,
}

/// `completions`.
#[derive(Debug, Clone, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum ProtocolArg {
    /// What protocol.version says
    #[default]
    Auto,
    /// Version 1
    V1,
    /// Version 2
    V2,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum StrategyArg {
    /// Whatever fits
    #[default]
    Auto,
    /// Pack bytes untouched, or not at all
    Relay,
    /// Through a temporary repository, repacked by git
    Materialized,
}

impl PairArgs {
    /// One side, or two, or a relay URL.
    pub(super) fn sides(&self) -> Result<(String, Option<String>)> {
        match &self.target {
            None if Pair::is_url(&self.source) => {
                let pair = Pair::from_url(&self.source)?;
                Ok((pair.source, Some(pair.target)))
            }
            target => Ok((self.source.clone(), target.clone())),
        }
    }

    /// Both sides.
    pub(super) fn pair(&self) -> Result<Pair> {
        match self.sides()? {
            (source, Some(target)) => Ok(Pair { source, target }),
            (source, None) => {
                let message = format!("'{}' needs a target behind it", crate::url::redact(&source));
                Err(Error::new(Kind::Usage, message).hint("git relay <command> <source> <target>"))
            }
        }
    }
}

impl SelectionArgs {
    pub(super) fn selection(&self, prune: bool) -> Selection {
        let bytes = |list: &[OsString]| -> Vec<BString> {
            list.iter().map(|word| word.clone().into_vec().into()).collect()
        };
        Selection {
            branches: bytes(&self.branches),
            maps: bytes(&self.maps),
            tags: self.tags,
            all_refs: self.all_refs,
            exclude: Vec::new(),
            exclude_prefixes: bytes(&self.exclude),
            prune,
        }
    }
}

impl OverwriteArgs {
    /// A lease is the narrower of the two.
    pub(super) fn overwrite(&self) -> Overwrite {
        match (self.force_with_lease, self.force) {
            (true, _) => Overwrite::Lease,
            (false, true) => Overwrite::Force,
            (false, false) => Overwrite::FastForward,
        }
    }
}

impl FamilyArgs {
    pub(super) fn family(self) -> Option<Family> {
        match (self.ipv4, self.ipv6) {
            (true, _) => Some(Family::V4),
            (_, true) => Some(Family::V6),
            (false, false) => None,
        }
    }
}

impl PushPolicyArgs {
    pub(super) fn best_effort(&self) -> bool {
        self.best_effort
    }

    /// The part of `options` that is about pushing.
    pub(super) fn apply(&self, options: &mut Options) {
        options.atomic = self.atomic;
        options.terms.target_max_pack_bytes = self.target_max_pack_bytes.map(|size| size.0);
    }
}

impl TransferArgs {
    pub(super) fn options(&self, progress: bool) -> Options {
        Options {
            protocol: self.protocol.into(),
            terms: Terms {
                strategy: match self.strategy {
                    StrategyArg::Auto => Strategy::Auto,
                    StrategyArg::Relay => Strategy::Relay,
                    StrategyArg::Materialized => Strategy::Materialized,
                },
                max_pack_bytes: self.max_pack_bytes.map(|size| size.0),
                ..Terms::default()
            },
            progress,
            family: self.family.family(),
            tokens: self.tokens.names(),
            ..Options::default()
        }
    }
}

impl From<ProtocolArg> for Protocol {
    fn from(arg: ProtocolArg) -> Self {
        match arg {
            ProtocolArg::Auto => Protocol::Auto,
            ProtocolArg::V1 => Protocol::V1,
            ProtocolArg::V2 => Protocol::V2,
        }
    }
}
