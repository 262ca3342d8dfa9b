//! Every way to reach a side, in any combination: ssh with a real `sshd`, git:// with a real `git daemon`, other remote
//! helpers, and what is said when a side cannot be reached.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use support::process::{Cmd, Output};
use support::repo::{Repo, assert_same_refs};
use support::{Daemon, Git, Import, Pair, Sshd, gits, scenes};

/// How a side is reached here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Http,
    Path,
    Git,
    Ssh,
}

const WAYS: [Way; 4] = [Way::Http, Way::Path, Way::Git, Way::Ssh];

/// A pair whose sides can be reached in all ways.
struct Hosts<'a> {
    pair: Pair,
    daemon: Daemon,
    sshd: Option<&'a Sshd>,
}

impl<'a> Hosts<'a> {
    fn new(git: &Git, sshd: Option<&'a Sshd>) -> Hosts<'a> {
        let pair = Pair::new(git);
        Hosts {
            daemon: Daemon::start(git, pair.world.path()),
            pair,
            sshd,
        }
    }

    fn url(&self, way: Way, repo: &Repo) -> String {
        let name = repo.path.file_name().unwrap().to_str().unwrap();
        match way {
            Way::Http => self.pair.server.url(name),
            Way::Path => repo.at(),
            Way::Git => self.daemon.url(name),
            Way::Ssh => self.sshd.unwrap().url(&repo.path),
        }
    }

    fn relay(&self, from: Way, to: Way) -> String {
        let (source, target) = (&self.pair.source, &self.pair.target);
        format!("relay::{}=>{}", self.url(from, source), self.url(to, target))
    }

    /// `git <args>` in the empty repository, able to log in.
    fn command(&self, args: &[&str]) -> Cmd {
        let command = self.pair.here.cmd();
        match self.sshd {
            Some(sshd) => command.env("GIT_SSH_COMMAND", sshd.command()),
            None => command,
        }
        .args(args)
    }

    #[track_caller]
    fn push(&self, url: &str, args: &[&str]) -> Output {
        self.pair.run(self.command(&[&["push", url], args].concat()))
    }
}

/// A first push, a difference, a refused rewind, a forced one, a deletion, nothing to do.
fn whole_life(hosts: &Hosts<'_>, from: Way, to: Way) {
    let (source, target) = (&hosts.pair.source, &hosts.pair.target);
    let url = hosts.relay(from, to);
    let push = |args: &[&str]| hosts.push(&url, args);
    scenes::fresh(&hosts.pair);
    push(&["refs/heads/*", "refs/tags/*"])
        .ok()
        .says("relay: bootstrap");
    assert_same_refs(source, target);
    scenes::grow(source, "dev", 2);
    push(&["refs/heads/*"]).ok().says("relay: incremental");
    assert_same_refs(source, target);
    let old = target.id("dev");
    source.update_refs("update refs/heads/dev refs/heads/dev~3\n");
    push(&["refs/heads/*"]).exits(1).says("non-fast-forward");
    assert_eq!(target.id("dev"), old);
    push(&["+dev", ":side"]).ok();
    assert_eq!(target.id("dev"), source.id("dev"));
    assert_eq!(target.get("refs/heads/side"), None);
    push(&["main"])
        .ok()
        .says("Everything up-to-date")
        .never_says("fatal");
    push(&["--dry-run", ":dev"]).ok().never_says("fatal");
    target.fsck();
}

#[test]
fn every_source_to_every_target() {
    for (index, git) in gits().iter().enumerate() {
        let sshd = Sshd::start(git);
        let ways = || WAYS.into_iter().filter(|way| sshd.is_some() || *way != Way::Ssh);
        for from in ways() {
            // One git goes through all pairs, the others through each way once on either side.
            for to in ways().filter(|to| index == 0 || from == *to) {
                eprintln!("--- {git}: {from:?} to {to:?}");
                whole_life(&Hosts::new(git, sshd.as_ref()), from, to);
            }
        }
    }
}

/// A pack too large to be held, which is streamed from one side to the other.
#[test]
fn large_packs_pass_between_all_streams() {
    let git = &gits()[0];
    let sshd = Sshd::start(git);
    for (from, to) in [(Way::Ssh, Way::Git), (Way::Git, Way::Ssh), (Way::Ssh, Way::Ssh)] {
        let hosts = Hosts::new(git, sshd.as_ref());
        if sshd.is_none() {
            continue;
        }
        large_history(&hosts.pair.source);
        // The view has broken off an answer; nobody shall hear the other side complain about that.
        hosts
            .push(&hosts.relay(from, to), &["refs/heads/*"])
            .ok()
            .never_says("fatal")
            .never_says("error");
        assert_same_refs(&hosts.pair.source, &hosts.pair.target);
        hosts.pair.target.fsck();
    }
}

/// Some 3 MB that do not compress.
fn large_history(repo: &Repo) {
    let mut seed = 88_172_645_463_325_252_u64;
    let mut import = Import::new();
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_be_bytes()
    })
    .take(400_000)
    .flatten()
    .collect();
    import.commit("refs/heads/main", &[], &[("noise", &noise)]);
    import.into_repo(repo);
}

/// The other way to write it, the older protocol, and services under other names (`remote.<name>.uploadpack`).
#[test]
fn ssh_in_its_other_forms() {
    for git in gits() {
        let Some(sshd) = Sshd::start(git) else { return };
        let mut hosts = Hosts::new(git, Some(&sshd));
        scenes::fresh(&hosts.pair);
        let (source, target) = (hosts.pair.source.clone(), hosts.pair.target.clone());
        let (from, to) = (sshd.scp_like(&source.path), sshd.scp_like(&target.path));
        hosts.push(&format!("relay::{from}=>{to}"), &["main"]).ok();
        let push = hosts.command(&["-c", "protocol.version=0", "push"]);
        let url = format!("relay::{from}=>{to}");
        hosts.pair.run(push.args([url.as_str(), "dev"])).ok();

        let wrapper = hosts.pair.world.path().join("wrapper");
        script(&wrapper, "#!/bin/sh\necho \"$1\" >>\"$0.log\"\nexec git \"$@\"\n");
        let at = wrapper.display();
        for (name, url) in [("from", &from), ("to", &to), ("here", &target.at())] {
            hosts.pair.here.config(&format!("remote.{name}.url"), url);
            hosts
                .pair
                .here
                .config(&format!("remote.{name}.uploadpack"), &format!("{at} upload-pack"));
            hosts.pair.here.config(
                &format!("remote.{name}.receivepack"),
                &format!("{at} receive-pack"),
            );
        }
        hosts.pair.push_from(hosts.pair.here.clone());
        hosts.push("relay::from=>to", &["refs/heads/feature/*"]).ok();
        hosts.push("relay::from=>here", &["side"]).ok();
        assert_eq!(target.id("side"), source.id("side"));
        assert_eq!(target.id("feature/two"), source.id("feature/two"));
        let log = std::fs::read_to_string(format!("{at}.log")).unwrap();
        assert!(log.contains("upload-pack\n"), "{log}");
        assert_eq!(log.matches("receive-pack\n").count(), 2, "{log}");
    }
}

/// Each failure names the side and the cause.
#[test]
fn what_keeps_ssh_out_is_said() {
    let git = &gits()[0];
    let Some(sshd) = Sshd::start(git) else { return };
    let hosts = Hosts::new(git, Some(&sshd));
    scenes::fresh(&hosts.pair);
    let (source, target) = (hosts.pair.source.at(), hosts.pair.target.at());
    let there = sshd.url(&hosts.pair.source.path);
    let push = |ssh: String, url: &str| {
        let push = hosts.pair.here.cmd().env("GIT_SSH_COMMAND", ssh);
        hosts
            .pair
            .run(push.args(["push", url, "refs/heads/*"]))
            .exits(128)
    };
    let from = format!("relay::{there}=>{target}");
    push(sshd.command_of_stranger(), &from)
        .says("fatal: source ssh://")
        .says("Permission denied (publickey)");
    push(sshd.command_without_known_hosts(), &from)
        .says("fatal: source ssh://")
        .says("Host key verification failed");
    let to = format!("relay::{source}=>{there}");
    push(sshd.command_of_stranger(), &to)
        .says("fatal: target ssh://")
        .says("Permission denied (publickey)");
    let nowhere = sshd.url(&hosts.pair.world.path().join("none.git"));
    push(sshd.command(), &format!("relay::{nowhere}=>{target}"))
        .says("fatal: source ssh://")
        .says("none.git' does not appear to be a git repository");
    push(sshd.command(), &format!("relay::ssh://127.0.0.1:1/x=>{target}"))
        .says("fatal: source ssh://")
        .says("Connection refused");
    push("no-such-ssh".into(), &from)
        .says("fatal: source ssh://")
        .says("no-such-ssh");
    push(
        sshd.command(),
        &format!("relay::-oProxyCommand=touch x:y=>{target}"),
    )
    .says("strange hostname '-oProxyCommand=touch x' blocked");
    push(sshd.command(), &format!("relay::host:-y=>{target}")).says("strange pathname '-y' blocked");
}

#[test]
fn what_a_daemon_refuses_is_said() {
    for git in gits() {
        let hosts = Hosts::new(git, None);
        scenes::fresh(&hosts.pair);
        let (source, target) = (hosts.pair.source.at(), hosts.pair.target.at());
        let closed = Daemon::with(git, hosts.pair.world.path(), &[]);
        let push = |url: String| hosts.push(&url, &["refs/heads/*"]).exits(128);
        push(format!("relay::{source}=>{}", closed.url("target.git")))
            .says("fatal: target git://")
            .says("access denied");
        push(format!("relay::{}=>{target}", closed.url("none.git")))
            .says("fatal: source git://")
            .says("repository not exported");
        push(format!("relay::git://127.0.0.1:1/x=>{target}"))
            .says("fatal: source git://")
            .says("unable to connect to 127.0.0.1:1: Connection refused");
        assert!(hosts.pair.target.refs().is_empty());
    }
}

/// A source that breaks off in the middle of the pack: the target's half is broken off too, over any transport.
#[test]
fn a_source_cut_short_leaves_the_target_as_it_was() {
    let git = &gits()[0];
    let sshd = Sshd::start(git);
    for to in WAYS.into_iter().filter(|way| sshd.is_some() || *way != Way::Ssh) {
        let hosts = Hosts::new(git, sshd.as_ref());
        large_history(&hosts.pair.source);
        // Stands for ssh with a line that breaks; the real one serves the target.
        let ssh = hosts.pair.world.path().join("breaking-ssh");
        let real = sshd.as_ref().map_or_else(String::new, Sshd::command);
        script(
            &ssh,
            &format!(
                "#!/bin/sh\nfor last; do :; done\ncase $last in\n\
                 git-upload-pack*) sh -c \"$last\" | stdbuf -o0 head -c 1500000;;\n*) exec {real} \"$@\";;\nesac\n"
            ),
        );
        let url = format!(
            "relay::broken:{}=>{}",
            hosts.pair.source.at(),
            hosts.url(to, &hosts.pair.target)
        );
        let push = hosts.pair.here.cmd().env("GIT_SSH_COMMAND", ssh);
        let push = push
            .env("GIT_SSH_VARIANT", "ssh")
            .args(["push", &url, "refs/heads/*"]);
        hosts.pair.run(push).exits(1).says("fatal: source broken:");
        assert!(hosts.pair.target.refs().is_empty(), "{to:?}");
        assert!(hosts.pair.target.objects().is_empty(), "{to:?}");
    }
}

/// `git-remote-<name>` that offers `connect`, by both forms of URL, on both sides.
#[test]
fn other_helpers_that_connect() {
    for git in gits() {
        let hosts = Hosts::new(git, None);
        let dir = hosts.pair.world.path();
        script(
            &dir.join("git-remote-foo"),
            "#!/bin/sh\npath=/${2#*/}\nwhile read -r command service; do case $command in\n\
             capabilities) printf 'option\\n*connect\\n\\n';;\noption) echo unsupported;;\n\
             connect) echo; exec git \"${service#git-}\" \"$path\";;\n*) exit 1;;\nesac; done\n",
        );
        scenes::fresh(&hosts.pair);
        let (source, target) = (hosts.pair.source.at(), hosts.pair.target.at());
        let push = |url: &str, arg: &str| {
            let push = hosts.command(&["push", url, arg]);
            hosts.pair.run(push.env("PATH", path_with(git, dir)))
        };
        push(&format!("relay::foo::{source}=>foo://{target}"), "refs/heads/*").ok();
        scenes::grow(&hosts.pair.source, "dev", 1);
        push(&format!("relay::foo::{source}=>foo::{target}"), "refs/heads/*").ok();
        assert_same_refs_of_heads(&hosts.pair);
        push(&format!("relay::foo::{source}-not=>{target}"), "main")
            .exits(128)
            .says("fatal: source foo::")
            .says("does not appear to be a git repository");
        push(&format!("relay::{source}=>bar::x"), "main")
            .exits(128)
            .says("fatal: target bar::x: unable to find remote helper for 'bar'");
    }
}

/// Git's own `ext::`, where it is allowed.
#[test]
fn commands_by_ext() {
    for git in gits() {
        let hosts = Hosts::new(git, None);
        scenes::fresh(&hosts.pair);
        let url = format!(
            "relay::ext::git %s {}=>ext::git %s {}",
            hosts.pair.source.at(),
            hosts.pair.target.at()
        );
        let push = hosts.command(&["-c", "protocol.ext.allow=always", "push", &url, "refs/heads/*"]);
        hosts.pair.run(push).ok();
        assert_same_refs_of_heads(&hosts.pair);
    }
}

/// A helper that offers `stateless-connect` only, such as git's own for http and those that hand over to it.
#[test]
fn other_helpers_that_connect_without_state() {
    for git in gits() {
        let hosts = Hosts::new(git, None);
        let dir = hosts.pair.world.path();
        script(
            &dir.join("git-remote-hop"),
            "#!/bin/sh\nexec git remote-http \"$1\" \"$2\"\n",
        );
        scenes::behind(&hosts.pair);
        let over = hosts.url(Way::Http, &hosts.pair.source);
        let run = |url: &str| {
            let push = hosts.command(&["push", url, "refs/heads/*"]);
            hosts.pair.run(push.env("PATH", path_with(git, dir)))
        };
        run(&format!("relay::hop::{over}=>{}", hosts.pair.target.at())).ok();
        assert_eq!(hosts.pair.target.id("dev"), hosts.pair.source.id("dev"));
        run(&format!("relay::{}=>hop::{over}", hosts.pair.source.at()))
            .exits(128)
            .says("fatal: target hop::")
            .says("does not offer 'connect'");
    }
}

#[track_caller]
fn assert_same_refs_of_heads(pair: &Pair) {
    for (name, id) in pair.source.refs() {
        if name.starts_with(b"refs/heads/") {
            assert_eq!(pair.target.refs().get(&name), Some(&id));
        }
    }
}

fn path_with(git: &Git, dir: &std::path::Path) -> std::ffi::OsString {
    let mut path = dir.as_os_str().to_owned();
    path.push(":");
    path.push(git.path());
    path
}

fn script(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}
