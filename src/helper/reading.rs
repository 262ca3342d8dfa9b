//! Reading through the relay: `clone`, `fetch`, `ls-remote`, … behave as with the source's own URL, because git itself
//! does the talking. We only find out who talks to the source, and get out of the way.
//!
//! - http(s), and whatever else git has a remote helper for: that helper is our child, and the conversation is passed
//!   through to it.
//! - A local repository, ssh, `git daemon`: git asks us to `connect`, and speaks to `upload-pack` itself.
//!
//! The conversation up to the first command that reads does not live here.

use std::process::Command;

use bstr::{BStr, BString, ByteSlice};

use super::child::{Child, exit_code};
use super::command::HelperOption;
use super::streams::Streams;
use super::token;
use crate::error::{Error, Kind, Result, Side, printable};
use crate::git::{Config, service};
use crate::report::{Terminal, Verbosity};
use crate::transport::handover::{self, Handover};
use crate::url::{self, Address, HttpAddress, RelayUrl};

/// The source, as git will read it.
pub(super) struct Reader {
    way: Way,
    child: Option<Child>,
}

/// Who talks to the source.
enum Way {
    /// Another remote helper, `git remote-<scheme> <remote> <url>`.
    Helper {
        scheme: String,
        remote: String,
        /// Not for a helper that looks it up by the name of the remote.
        url: Option<String>,
        /// For http: where a token may be lent.
        web: Option<Box<HttpAddress>>,
        /// Settings for the helper alone.
        settings: Vec<(String, String)>,
    },
    /// Git itself, to a service.
    Service {
        address: Box<Address>,
        /// What `--upload-pack` names.
        program: Option<BString>,
        version: usize,
    },
}

/// The name for a source that is no remote of the user's. Nobody would call a remote that.
const UNNAMED: &str = "(relay source)";

/// What git's `remote-curl.c` answers to `capabilities`, less what we can do in any case. It needs not be asked.
const CURL_CAPABILITIES: &str = "stateless-connect\nfetch\nget\ncheck-connectivity\n";

/// Of what another helper can do, we pass on what needs no part of ours.
const PASSED_CAPABILITIES: [&[u8]; 5] = [
    b"connect",
    b"stateless-connect",
    b"fetch",
    b"get",
    b"check-connectivity",
];

impl Reader {
    /// How to read the source of `url`. Names of remotes, rewrites and git's protocol policy apply.
    ///
    /// # Errors
    /// `Policy` when git's settings forbid the transport, `Usage` when the URL is none.
    pub(super) fn find(url: &RelayUrl, config: &Config) -> Result<Self> {
        let name = &url.source;
        let way = match Address::find(name, Side::Source, config)? {
            Address::Http(http) => web(name, http, config)?,
            Address::Helper(address) => Way::Helper {
                scheme: address.name,
                remote: address.remote,
                url: Some(address.url),
                web: None,
                settings: Vec::new(),
            },
            address => Way::Service {
                address: Box::new(address),
                program: None,
                version: version(config)?,
            },
        };
        Ok(Reader { way, child: None })
    }

    /// Whether git's helper for http answers, whose answers are known.
    fn is_curl(&self) -> bool {
        matches!(&self.way, Way::Helper { scheme, .. } if scheme == "http" || scheme == "https")
    }

    /// What git may ask of us for this source, one capability a line.
    ///
    /// # Errors
    /// When the source's helper does not answer.
    pub(super) fn capabilities(&mut self) -> Result<BString> {
        if let Way::Service { .. } = self.way {
            return Ok("connect\n".into());
        }
        if self.is_curl() {
            return Ok(CURL_CAPABILITIES.into());
        }
        let offered = self.child_after(&[])?.ask_for_list(b"capabilities")?;
        let passed = offered
            .lines()
            .filter(|line| PASSED_CAPABILITIES.contains(&line.strip_prefix(b"*").unwrap_or(line)));
        Ok(passed
            .flat_map(|line| [line, b"\n"].concat())
            .collect::<Vec<_>>()
            .into())
    }

    /// Answer an option as whoever talks to the source would. `ours` is the answer if it is only about us, `held` are
    /// the option lines before this one.
    ///
    /// # Errors
    /// When the source's helper has to be asked and does not answer.
    pub(super) fn option(
        &mut self,
        line: &[u8],
        option: &HelperOption,
        ours: &[u8],
        held: &[BString],
    ) -> Result<BString> {
        if let (Way::Service { program, .. }, HelperOption::ServicePath(words)) = (&mut self.way, option) {
            *program = Some(words.clone());
            return Ok("ok\n".into());
        }
        if let (Way::Service { address, .. }, HelperOption::Family(family)) = (&mut self.way, option) {
            address.restrict(*family);
        }
        if self.is_curl() && *option == HelperOption::Unknown {
            // From a git newer than this program: its helper knows better.
            self.child_after(held)?;
        }
        match &mut self.child {
            Some(child) => child.ask(line),
            None => Ok(ours.into()),
        }
    }

    /// Let git and whoever talks to the source have it out, beginning with git's `command`. Returns the exit code for
    /// us to end with; what went wrong has been said.
    ///
    /// # Errors
    /// When the source cannot be reached, or the program that leads there not be started.
    pub(super) fn hand_over(mut self, command: &[u8], held: &[BString], streams: Streams) -> Result<u8> {
        match &self.way {
            Way::Service {
                address,
                program,
                version,
            } => {
                log::info!(target: "relay::source", "git talks to {address} itself");
                let archive = Some("git-upload-archive".into());
                let program = match command {
                    b"connect git-upload-pack" => program,
                    b"connect git-upload-archive" => program.as_ref().map_or(&archive, |_| program),
                    _ => return Err(unexpected(command.as_bstr())),
                };
                let way = handover::upload_pack(address, program.as_ref(), *version);
                serve(way.map_err(|err| err.on(Side::Source))?, streams)
            }
            Way::Helper { scheme, .. } => {
                log::info!(target: "relay::source", "reading through git remote-{scheme}");
                self.child_after(held)?;
                let child = self.child.ok_or_else(|| unexpected(command.as_bstr()))?;
                child.converse(command, streams)
            }
        }
    }

    /// The child, started and told the options so far.
    fn child_after(&mut self, held: &[BString]) -> Result<&mut Child> {
        let child = match self.child.take() {
            Some(child) => child,
            None => {
                let mut child = Child::start(self.command()?)?;
                for line in held {
                    let answer = child.ask(line)?;
                    log::debug!(target: "relay::source", "{line}: {}", answer.trim().as_bstr());
                }
                child
            }
        };
        Ok(self.child.insert(child))
    }

    fn command(&self) -> Result<Command> {
        match &self.way {
            Way::Helper {
                scheme,
                remote,
                url,
                web,
                settings,
            } => {
                let lent = web
                    .as_ref()
                    .map(|address| token::settings(address, |name| std::env::var(name).ok()))
                    .transpose()?;
                let settings = [settings.as_slice(), &lent.unwrap_or_default()].concat();
                Ok(service::remote_helper(scheme, remote, url.as_deref(), &settings))
            }
            Way::Service { .. } => Err(unexpected(b"a helper".as_bstr())),
        }
    }

    /// Git turned out to push: `--receive-pack` cannot be obeyed, which is what git says then.
    pub(super) fn warn_about_service_path(&self, verbosity: Verbosity) {
        if let Way::Service { program: Some(_), .. } = self.way {
            Terminal::new(verbosity).warning("setting remote service path not supported by protocol");
        }
    }
}

/// The way to a source behind http, which is `name` to the user.
fn web(name: &str, address: HttpAddress, config: &Config) -> Result<Way> {
    // With the userinfo in it, which the address keeps apart.
    let url = url::resolve(name, Side::Source, config)?;
    let (scheme, _) = url.split_once("://").unwrap_or(("http", ""));
    let scheme = scheme.to_owned();
    let configured = config.list(&format!("remote.{name}.url"));
    let of_remote = configured.first().map(|url| url.to_str_lossy());
    // A proxy can be set for each remote.
    let remote = of_remote.as_ref().map_or(url.as_str(), |_| name).to_owned();
    let web = Some(Box::new(address));
    // Arguments are for everybody to see, so git's helper has to look a URL with a secret in it up by itself.
    let (remote, url, settings) = match of_remote {
        _ if !url::has_login(&url) => (remote, Some(url), Vec::new()),
        Some(own) if RelayUrl::strip_helper(&own).is_none() => (remote, None, Vec::new()),
        _ => {
            let key = format!("remote.{UNNAMED}.url");
            (UNNAMED.to_owned(), None, vec![(key, url)])
        }
    };
    Ok(Way::Helper {
        scheme,
        remote,
        url,
        web,
        settings,
    })
}

/// What to ask a service for. Unlike a relay, git can speak version 1.
fn version(config: &Config) -> Result<usize> {
    let version = config.number("protocol.version")?.unwrap_or(2);
    usize::try_from(version)
        .ok()
        .filter(|version| *version <= 2)
        .ok_or_else(|| {
            let message = format!("unknown value for config 'protocol.version': {version}");
            Error::new(Kind::Config, message)
        })
}

/// Answer git's `connect`. Git has not spoken to the service yet: it waits for this answer.
fn serve(way: Option<Handover>, mut streams: Streams) -> Result<u8> {
    streams.say(b"\n")?;
    match way {
        Some(Handover::Program(program)) => share(program, streams),
        Some(Handover::Streams(pipe)) => {
            streams.pass(pipe.input, pipe.output);
            Ok(0)
        }
        None => Err(unexpected(b"connect".as_bstr())),
    }
}

/// Git and the program share our streams from here on, so that nothing passes through us.
fn share(mut program: Command, streams: Streams) -> Result<u8> {
    let (rest, input, output) = streams.into_parts();
    if !rest.is_empty() {
        return Err(unexpected(rest.as_bstr()));
    }
    let status = program.stdin(input).stdout(output).status().map_err(|err| {
        let name = printable(program.get_program().as_encoded_bytes());
        Error::new(Kind::Config, format!("cannot run '{name}': {err}"))
            .on(Side::Source)
            .caused_by(err)
    })?;
    Ok(exit_code(status))
}

fn unexpected(command: &BStr) -> Error {
    let message = format!("git asked for '{}' while reading", printable(command));
    Error::new(Kind::Internal, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(source: &str, config: &[(&str, &str)]) -> Result<Reader> {
        let list: Vec<u8> = config
            .iter()
            .flat_map(|(key, value)| format!("{key}\n{value}\0").into_bytes())
            .collect();
        let url = RelayUrl::parse(&format!("{source}=>/nowhere")).unwrap();
        Reader::find(&url, &Config::parse(&list))
    }

    /// What the child is called with.
    fn arguments(source: &str, config: &[(&str, &str)]) -> Vec<String> {
        let command = find(source, config).unwrap().command().unwrap();
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        words.collect()
    }

    #[test]
    fn the_child_gets_the_name_of_a_remote_if_there_is_one() {
        let url = "https://a/x";
        assert_eq!(arguments(url, &[]), ["remote-https", url, url]);
        let config = [("remote.o.url", "gh:x"), ("url.http://a/.insteadof", "gh:")];
        assert_eq!(arguments("o", &config), ["remote-http", "o", "http://a/x"]);
    }

    #[test]
    fn no_argument_has_a_login_in_it() {
        let url = "https://me:pw@a/x";
        assert_eq!(arguments("o", &[("remote.o.url", url)]), ["remote-https", "o"]);
        let unnamed = [
            "--config-env=remote.(relay source).url=GIT_RELAY_SETTING_0",
            "remote-https",
            UNNAMED,
        ];
        assert_eq!(arguments(url, &[]), unnamed);
        let relay = format!("relay::{url}=>/x");
        assert_eq!(arguments("o", &[("remote.o.url", &relay)]), unnamed);
    }

    #[test]
    fn a_helpers_name_is_not_part_of_its_address() {
        let url = "foo::some where";
        assert_eq!(arguments(url, &[]), ["remote-foo", url, "some where"]);
        let url = "foo://h/x";
        assert_eq!(arguments(url, &[]), ["remote-foo", url, url]);
    }

    #[test]
    fn policy_comes_before_anything_is_started() {
        let refused = |source: &str, setting: (&str, &str)| {
            let err = find(source, &[setting]).err().unwrap();
            assert_eq!((err.kind(), err.side()), (Kind::Policy, Some(Side::Source)));
        };
        refused("ext::sh -c x", ("a.b", "c"));
        refused("o", ("remote.o.url", "ext::sh -c x"));
        refused("https://a/x", ("url.ext::sh -c .insteadof", "https://a/"));
        refused("/x", ("protocol.file.allow", "never"));
        refused("h:x", ("protocol.ssh.allow", "never"));
    }

    #[test]
    fn git_connects_to_services() {
        for source in ["file:///a%20b", "h:x", "git://h/x"] {
            let mut reader = find(source, &[]).unwrap();
            assert_eq!(reader.capabilities().unwrap(), "connect\n");
            let option = HelperOption::ServicePath("x y".into());
            let answer = reader.option(b"option servpath x y", &option, b"unsupported\n", &[]);
            assert_eq!(answer.unwrap(), "ok\n");
        }
        assert!(find("/x", &[("protocol.version", "3")]).is_err());
    }
}
