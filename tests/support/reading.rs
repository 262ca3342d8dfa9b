//! The same reading command by a relay URL and by the source's own URL: nothing but the URL may differ.

use super::git::Git;
use super::pair::Pair;
use super::process::Output;
use super::repo::{Repo, assert_same_refs};

/// Two directories side by side; in one the relay URL is used, in the other the plain one.
pub struct Readings<'a> {
    pub pair: &'a Pair,
    git: Git,
    relay: Repo,
    plain: Repo,
    relay_url: String,
    plain_url: String,
    env: Vec<(String, String)>,
    /// Given to every git with `-c`.
    settings: Vec<String>,
}

impl<'a> Readings<'a> {
    /// By the pair's own URLs. A path is plainly read with `file://`, since git takes short cuts with paths.
    pub fn new(pair: &'a Pair, settings: &[&str]) -> Self {
        let source = pair.source_url();
        let plain = match source.starts_with('/') {
            true => format!("file://{source}"),
            false => source,
        };
        Readings {
            settings: settings.iter().map(|s| (*s).to_owned()).collect(),
            ..Readings::by(pair, &pair.url(), &plain)
        }
    }

    /// By any two URLs.
    pub fn by(pair: &'a Pair, relay: &str, plain: &str) -> Self {
        for name in ["by-relay", "by-git"] {
            std::fs::create_dir_all(pair.world.path().join(name)).unwrap();
        }
        Readings {
            git: pair.world.git.clone(),
            relay: pair.world.open("by-relay"),
            plain: pair.world.open("by-git"),
            relay_url: relay.to_owned(),
            plain_url: plain.to_owned(),
            env: Vec::new(),
            settings: Vec::new(),
            pair,
        }
    }

    /// With `-c` for every git.
    pub fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// With a variable in the environment of every git.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    fn run(&self, repo: &Repo, url: &str, args: &[&str]) -> Output {
        let mut words: Vec<String> = Vec::new();
        for setting in &self.settings {
            words.extend(["-c".to_owned(), setting.clone()]);
        }
        words.extend(args.iter().map(|arg| arg.replace("URL", url)));
        let command = repo.cmd().args(words);
        let env = self.env.iter();
        env.fold(command, |command, (name, value)| command.env(name, value))
            .run()
    }

    /// Run `args`, with the URL in place of `URL`, in the same subdirectory of both places. Exit code, output and words
    /// must be the same. Gives what was said by the relay.
    #[track_caller]
    pub fn same_in(&self, dir: &str, args: &[&str]) -> Output {
        let at = |repo: &Repo| Repo {
            git: self.git.clone(),
            path: repo.path.join(dir),
        };
        let plain = self.run(&at(&self.plain), &self.plain_url, args);
        let relay = self.run(&at(&self.relay), &self.relay_url, args);
        eprintln!("{relay}\n{}", self.pair.server.log());
        assert!(
            plain.code() == relay.code(),
            "exit codes differ\n{plain}\n{relay}"
        );
        let (by_git, by_relay) = (self.words(&plain), self.words(&relay));
        assert!(by_git == by_relay, "words differ\n{by_git}\n{by_relay}");
        relay
    }

    /// Run `args` by the relay alone.
    pub fn relay_only(&self, args: &[&str]) -> Output {
        let output = self.run(&self.relay, &self.relay_url, args);
        eprintln!("{output}");
        output
    }

    /// The same next to each other, not in a repository.
    #[track_caller]
    pub fn same(&self, args: &[&str]) -> Output {
        self.same_in(".", args)
    }

    /// What was said, without the URL and without what counts time and speed.
    fn words(&self, output: &Output) -> String {
        let text = format!("{}{}", output.out(), output.err());
        let shown = |url: &str| url.strip_suffix(".git").unwrap_or(url).to_owned();
        let (relay, plain) = (&self.relay_url, &self.plain_url);
        let text = [relay.clone(), shown(relay), plain.clone(), shown(plain)]
            .iter()
            .fold(text, |text, url| text.replace(url.as_str(), "URL"));
        without_times(&text.replace("by-relay", "by-git"))
    }

    /// Both have the same refs, nothing broken, and the same objects.
    #[track_caller]
    pub fn same_repositories(&self, name: &str) -> Repo {
        let at = |repo: &Repo| Repo {
            git: self.git.clone(),
            path: repo.path.join(name),
        };
        let (relay, plain) = (at(&self.relay), at(&self.plain));
        assert_same_refs(&plain, &relay);
        relay.git(&["fsck", "--full", "--no-dangling"]).ok();
        let objects = |repo: &Repo| {
            let list = ["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"];
            repo.cmd().args(list).env("GIT_NO_LAZY_FETCH", "1").ok().out()
        };
        assert_eq!(objects(&plain), objects(&relay), "the objects differ");
        for file in ["shallow", "HEAD"] {
            let read = |repo: &Repo| {
                let path = repo.read(&["rev-parse", "--git-path", file]);
                std::fs::read_to_string(repo.path.join(path)).ok()
            };
            assert_eq!(read(&plain), read(&relay), "{file} differs");
        }
        relay
    }
}

/// Curl counts how long it took to fail: `after 1 ms`.
fn without_times(text: &str) -> String {
    let mut parts = text.split(" after ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        match rest.strip_prefix(" ms") {
            Some(rest) => format!("{text} after some ms{rest}"),
            None => format!("{text} after {part}"),
        }
    })
}
