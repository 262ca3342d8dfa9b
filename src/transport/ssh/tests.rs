//! What real git hands to ssh is the measure: both run the same recording script, for many URLs and settings.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::url::Address;

/// Writes its arguments and `GIT_PROTOCOL` to `$RECORD`, but for a trial with `-G`, which succeeds if `$KNOWS_G` says so.
const RECORDER: &str = r#"#!/bin/sh
case " $* " in *" -G "*) test -n "$KNOWS_G"; exit;; esac
for arg; do printf '<%s>' "$arg" >>"$RECORD"; done
printf ' GIT_PROTOCOL=%s GIT_DIR=%s\n' "$GIT_PROTOCOL" "$GIT_DIR" >>"$RECORD"
exit 1
"#;

/// URLs of all forms, most of which name a repository.
const URLS: &[&str] = &[
    "host:path",
    "host:/abs/path",
    "host:~user/path",
    "host:/~user/path",
    "host:~/path",
    "me@host:a b/it's!.git",
    "me@host:$(touch oops)`x`",
    "host:a:b",
    "host:",
    "host:%41",
    "[::1]:path",
    "me@[::1]:path",
    "[host:2222]:path",
    "[me@host:2222]:path",
    "me@[host:2222]:path",
    "[::1]:2222:path",
    "[host]:path",
    "[host:path",
    "host:[x]:path",
    "ssh://host/path",
    "ssh://host/~user/path",
    "ssh://host/~/path",
    "ssh://host//path",
    "ssh://host/~",
    "ssh://host:2222/path",
    "ssh://host:/path",
    "ssh://host:99999/path",
    "ssh://host:x/path",
    "ssh://me@host:2222/a%20b%27c",
    "ssh://me:pw@host/path",
    "ssh://me:pw@host:2222/path",
    "ssh://me%40there@host/path",
    "ssh://[::1]/path",
    "ssh://[::1]:2222/path",
    "ssh://me@[::1]:2222/path",
    "ssh://me@[::1]/path",
    "ssh://[me@::1]:2222/path",
    "ssh://[host:2222]/path",
    "ssh://host/%zz%4",
    "ssh://host/a?b#c",
    "ssh://host",
    "ssh://host/",
    "ssh:///path",
    "git+ssh://host/path",
    "ssh+git://host:1/path",
    "SSH:x",
    "-host:path",
    "--proxy=x:path",
    "ssh://-oProxyCommand=x/path",
    "ssh://host/-path",
    "host:-path",
    "ssh://host:-1/path",
    "ssh://me@-host/path",
    "./host:path",
    "a/b:path",
];

struct Bench {
    dir: TempDir,
    family: Family,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench {
            dir: TempDir::with_prefix("relay-ssh-").unwrap(),
            family: Family::All,
        };
        for name in ["recorder", "ssh", "plink", "TortoisePlink.exe", "a b", "lib/ssh"] {
            let path = bench.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, RECORDER).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What was recorded since the last time.
    fn taken(&self) -> String {
        let path = self.path("record");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::remove_file(path).ok();
        text
    }

    /// The variables that both see.
    fn vars(&self, vars: &[(&str, &str)]) -> BTreeMap<String, String> {
        let dir = self.dir.path().display().to_string();
        let mut all: BTreeMap<_, _> = vars
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.replace("$DIR", &dir)))
            .collect();
        all.insert("RECORD".into(), format!("{dir}/record"));
        all.insert("PATH".into(), std::env::var("PATH").unwrap());
        all.insert("GIT_CONFIG_NOSYSTEM".into(), "1".into());
        all.insert("GIT_CONFIG_GLOBAL".into(), "/dev/null".into());
        all
    }

    /// What git does with `url`: what ssh got, or the reason why it got nothing.
    fn by_git(&self, url: &str, version: usize, vars: &BTreeMap<String, String>) -> String {
        // Of the commands that leave nothing behind, only `clone` has the options.
        let command: &[&str] = match self.family {
            Family::All => &["ls-remote"],
            Family::V4 => &["clone", "-q", "--ipv4"],
            Family::V6 => &["clone", "-q", "--ipv6"],
        };
        let output = Command::new("git")
            .args(["-c", &format!("protocol.version={version}")])
            .args(command)
            .args(["--", url])
            .args((self.family != Family::All).then_some("clone"))
            .env_clear()
            .envs(vars)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let record = self.taken();
        if record.is_empty() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            let first = words.lines().next().unwrap_or_default();
            return first.trim_start_matches("fatal: ").to_owned();
        }
        record
    }

    /// What we do with it.
    fn by_us(&self, url: &str, version: usize, vars: &BTreeMap<String, String>) -> String {
        let address = match Address::parse(url) {
            Ok(Address::Ssh(mut address)) => {
                address.reach.family = self.family;
                address
            }
            Ok(_) => return "not ssh".into(),
            Err(err) => return err.message().to_owned(),
        };
        let env = |name: &str| vars.get(name).map(OsString::from);
        match command(&address, Service::UploadPack, version, &env) {
            Ok(mut command) => {
                // Keeps what the command sets or removes by itself.
                let own: Vec<_> = command
                    .get_envs()
                    .map(|(name, value)| (name.to_owned(), value.map(OsStr::to_owned)))
                    .collect();
                command.env_clear().envs(vars).current_dir(self.dir.path());
                for (name, value) in own {
                    match value {
                        Some(value) => command.env(name, value),
                        None => command.env_remove(name),
                    };
                }
                command.output().unwrap();
                self.taken()
            }
            Err(err) => err.message().to_owned(),
        }
    }
}

fn same(bench: &Bench, url: &str, version: usize, vars: &[(&str, &str)]) {
    let vars = bench.vars(vars);
    let (git, ours) = (
        bench.by_git(url, version, &vars),
        bench.by_us(url, version, &vars),
    );
    let local = git.contains("does not appear to be a git repository");
    // Where git finds fault with the URL itself, the words need not be the same.
    let refused = |said: &str| said.contains("no path") || said.contains("not supported");
    assert!(
        git == ours || (local && ours == "not ssh") || (refused(&git) && refused(&ours)),
        "{url} {vars:?}\ngit:  {git}\nours: {ours}"
    );
    assert!(local || !git.is_empty(), "{url}: git said nothing");
}

#[test]
fn every_form_of_url_reaches_ssh_as_from_git() {
    let bench = Bench::new();
    for url in URLS {
        same(&bench, url, 2, &[("GIT_SSH", "$DIR/ssh")]);
    }
}

/// Each variant, however it comes to be known, with a port and without.
#[test]
fn every_variant_gets_the_options_that_git_gives_it() {
    let mut bench = Bench::new();
    let settings: &[&[(&str, &str)]] = &[
        &[("GIT_SSH", "$DIR/plink")],
        &[("GIT_SSH", "$DIR/TortoisePlink.exe")],
        &[("GIT_SSH", "$DIR/a b")],
        &[("GIT_SSH_COMMAND", "$DIR/ssh -v")],
        &[("GIT_SSH_COMMAND", "\"$DIR/lib/ssh\" -o 'A B'")],
        &[("GIT_SSH_COMMAND", "'$DIR/a b' -x"), ("GIT_SSH", "$DIR/plink")],
        &[("GIT_SSH_COMMAND", "$DIR/a\\ b")],
        &[("GIT_SSH_COMMAND", "X=1 $DIR/plink")],
        &[("GIT_SSH", "$DIR/recorder"), ("GIT_SSH_VARIANT", "ssh")],
        &[("GIT_SSH", "$DIR/recorder"), ("GIT_SSH_VARIANT", "simple")],
        &[("GIT_SSH", "$DIR/recorder"), ("GIT_SSH_VARIANT", "plink")],
        &[("GIT_SSH", "$DIR/recorder"), ("GIT_SSH_VARIANT", "putty")],
        &[("GIT_SSH", "$DIR/recorder"), ("GIT_SSH_VARIANT", "tortoiseplink")],
        &[("GIT_SSH", "$DIR/recorder"), ("GIT_SSH_VARIANT", "whatever")],
        &[("GIT_SSH", "$DIR/plink"), ("GIT_SSH_VARIANT", "auto")],
        &[("GIT_SSH", "$DIR/recorder")],
        &[("GIT_SSH_COMMAND", "KNOWS_G=1 $DIR/recorder")],
    ];
    for vars in settings {
        for url in ["me@host:it's", "ssh://host:2222/path"] {
            for version in [0, 2] {
                for family in [Family::All, Family::V4, Family::V6] {
                    bench.family = family;
                    same(&bench, url, version, vars);
                }
            }
        }
    }
}

#[test]
fn configuration_stands_back_behind_the_environment() {
    let bench = Bench::new();
    let Ok(Address::Ssh(plain)) = Address::parse("host:x") else {
        panic!("not ssh")
    };
    let address = SshAddress {
        command: Some("plink -q".into()),
        variant: Some("simple".into()),
        ..plain
    };
    let words = |vars: &[(&str, &str)]| {
        let vars = bench.vars(vars);
        let env = |name: &str| vars.get(name).map(OsString::from);
        let command = command(&address, Service::ReceivePack, 0, &env).unwrap();
        let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
        args.collect::<Vec<_>>().join("|")
    };
    let at_host = "host|git-receive-pack 'x'";
    assert_eq!(
        words(&[("GIT_SSH", "other")]),
        format!("-c|plink -q \"$@\"|plink -q|{at_host}")
    );
    assert_eq!(words(&[("GIT_SSH_COMMAND", "other")]), at_host);
    assert_eq!(
        words(&[("GIT_SSH_COMMAND", "other"), ("GIT_SSH_VARIANT", "ssh")]),
        at_host
    );
}

#[test]
fn other_programs_on_the_host_are_named_unquoted() {
    let programs = Programs {
        max_ref_list: None,
        upload_pack: Some("/opt/git bin/up --strict".into()),
        receive_pack: None,
    };
    let line = |service| String::from_utf8(remote_command(service, &programs, "it's".into())).unwrap();
    assert_eq!(line(Service::UploadPack), "/opt/git bin/up --strict 'it'\\''s'");
    assert_eq!(line(Service::ReceivePack), "git-receive-pack 'it'\\''s'");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let Address::Ssh(address) = Address::parse("ssh://host:2222/path").unwrap() else {
        panic!()
    };
    for (name, line) in [
        ("GIT_SSH", "/nowhere/ours"),
        ("GIT_SSH_COMMAND", "/nowhere/ours -v"),
        ("GIT_SSH_COMMAND", "no-such-ssh"),
    ] {
        let env = |wanted: &str| (wanted == name).then(|| OsString::from(line));
        let err = command(&address, Service::UploadPack, 2, &env).unwrap_err();
        assert!(
            err.message().contains(&format!("cannot run '{line}'")),
            "{name}: {err}"
        );
        assert_eq!(err.kind(), Kind::Config);
    }
}
