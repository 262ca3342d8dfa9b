//! Reading through a relay URL beyond the plain case: credentials, names, settings, policy, other helpers, large and
//! broken transfers, and callers that the helper does not know.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::history::noise;
use support::pair::Reach;
use support::process::Cmd;
use support::{Daemon, Fault, Git, Import, Options, Output, Pair, Proxy, Readings, Sshd, gits, scenes};

const HELPER: &str = env!("CARGO_BIN_EXE_git-remote-relay");

fn script(path: &Path, text: &str) -> PathBuf {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_owned()
}

/// Prompts are git's: who asks, for which URL, and what comes of the answer.
#[test]
fn prompts() {
    for git in gits() {
        let options = Options {
            auth: Some(("me", "secret")),
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options).reached(Reach::Http, Reach::Path);
        scenes::fresh(&pair);
        let answer = |word: &str| {
            let text = format!(
                "#!/bin/sh\necho \"asked: $1\" >&2\ncase $1 in User*) echo me;; *) echo {word};; esac\n"
            );
            let path = script(&pair.world.path().join(format!("ask-{word}")), &text);
            Readings::new(&pair, &[]).env("GIT_ASKPASS", path.to_str().unwrap())
        };
        let right = answer("secret");
        right.same(&["ls-remote", "URL"]).ok().says("asked: Password");
        right.same(&["clone", "-q", "URL", "work"]).ok();
        right.same_repositories("work");
        answer("wrong").same(&["ls-remote", "URL"]).exits(128);
        Readings::new(&pair, &[]).same(&["ls-remote", "URL"]).exits(128);
    }
}

/// The source may be a configured remote: its settings hold, and rewrites apply.
#[test]
fn named_sources() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let read = Readings::by(&pair, "relay::there=>/nowhere", "there");
        let read = read.env("GIT_CONFIG_COUNT", "2");
        let url = pair.source_url();
        let (base, name) = url.rsplit_once('/').unwrap();
        let read = read
            .env("GIT_CONFIG_KEY_0", "remote.there.url")
            .env("GIT_CONFIG_VALUE_0", format!("base:{name}"))
            .env("GIT_CONFIG_KEY_1", format!("url.{base}/.insteadOf"))
            .env("GIT_CONFIG_VALUE_1", "base:");
        read.same(&["ls-remote", "URL"]).ok();
        // Nobody listens on the discard port.
        let proxy = "remote.there.proxy=http://127.0.0.1:9";
        let failed = read.same(&["-c", proxy, "ls-remote", "URL"]).exits(128);
        failed.says("127.0.0.1 port 9");
    }
}

/// Outside of any repository, in one without a single object, and by an alias.
#[test]
fn from_anywhere() {
    for git in gits() {
        for reach in [Reach::Http, Reach::Path] {
            let pair = Pair::new(git).reached(reach, Reach::Path);
            scenes::fresh(&pair);
            let read = Readings::new(&pair, &["alias.list=ls-remote --tags"]);
            read.same(&["list", "URL"]).ok();
            read.same(&["init", "-q", "work"]).ok();
            read.same_in("work", &["pull", "URL", "dev"]).ok();
            read.same_repositories("work");
        }
    }
}

/// A relay is no way around git's policy when it reads, either.
#[test]
fn protocol_policy() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let smuggler = "ext::sh -c 'touch oops'";
        let relay = format!("relay::{smuggler}=>{}", pair.target.at());
        let read = |args: &[&str]| pair.run(pair.here.cmd().args(args));
        read(&["ls-remote", &relay]).exits(128).says("'ext' not allowed");
        let named = [
            "-c",
            &format!("remote.x.url={smuggler}"),
            "ls-remote",
            "relay::x=>y",
        ];
        read(&named).exits(128).says("'ext' not allowed");
        let rewritten = ["-c", "url.ext::sh -c 'touch oops' .insteadOf=https://x/"];
        let rewritten = [&rewritten[..], &["ls-remote", "relay::https://x/y=>z"]].concat();
        read(&rewritten).exits(128).says("'ext' not allowed");
        let local = format!("relay::{}=>x", pair.source.at());
        let never = ["-c", "protocol.file.allow=never", "ls-remote", &local];
        read(&never).exits(128).says("'file' not allowed");
        let only = pair.here.cmd().args(["ls-remote", &pair.url()]);
        let only = pair.run(only.env("GIT_ALLOW_PROTOCOL", "relay:https")).exits(128);
        only.says("'http' not allowed");
        assert!(!pair.here.path.join("oops").exists());
    }
}

/// A repository that one clones cannot make git read what its user did not ask for.
#[test]
fn submodules() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let oops = pair.world.path().join("oops");
        let smuggled = [
            format!("relay::ext::touch {}=>x", oops.display()),
            format!("relay::{}=>x", pair.source.at()),
        ];
        for (n, url) in smuggled.iter().enumerate() {
            let top = pair.world.init(&format!("top-{n}"), &[]);
            let modules = format!("[submodule \"m\"]\n\tpath = m\n\turl = {url}\n");
            std::fs::write(top.path.join(".gitmodules"), modules).unwrap();
            top.git(&["add", ".gitmodules"]).ok();
            let entry = format!("160000,{},m", pair.source.id("main"));
            top.git(&["update-index", "--add", "--cacheinfo", &entry]).ok();
            top.git(&["commit", "-q", "-m", "x"]).ok();
            let clone = |allow: &str| {
                let name = format!("{n}-{allow}");
                let clone = git
                    .cmd(pair.world.path())
                    .args(["-c", allow, "clone", "--recurse-submodules"]);
                clone.arg(top.at()).arg(name).run()
            };
            // By itself git lets no submodule use a helper that it does not know …
            clone("a.b=c").exits(1).says("'relay' not allowed");
            // … and who allows relays has not allowed everything behind them.
            clone("protocol.relay.allow=always")
                .exits(1)
                .says("not allowed for");
        }
        assert!(!oops.exists());
    }
}

/// A redirect leads only where git's own helper lets itself be led.
#[test]
fn redirects() {
    for git in gits() {
        let world = Pair::local(git);
        scenes::fresh(&world);
        let options = Options {
            redirects: vec![
                ("/renamed.git", "/source.git".to_owned()),
                ("/file.git", format!("file://{}", world.source.at())),
                ("/ext.git", "ext::sh -c false".to_owned()),
            ],
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        scenes::fresh(&pair);
        for (name, code) in [("renamed.git", 0), ("file.git", 128), ("ext.git", 128)] {
            let plain = pair.server.url(name);
            let read = Readings::by(&pair, &format!("relay::{plain}=>/x"), &plain);
            read.same(&["ls-remote", "URL"]).exits(code);
        }
    }
}

/// `--upload-pack` is obeyed where git would obey it.
#[test]
fn another_upload_pack() {
    for git in gits() {
        for reach in [Reach::Http, Reach::Path] {
            let pair = Pair::new(git).reached(reach, Reach::Path);
            scenes::fresh(&pair);
            let read = Readings::new(&pair, &[]);
            let option = "--upload-pack=git -c uploadpack.hideRefs=refs/tags upload-pack";
            let listed = read.same(&["ls-remote", option, "URL"]).ok();
            assert_eq!(listed.out().contains("refs/tags/v1"), reach == Reach::Http);
            read.same(&["ls-remote", "--upload-pack=exit 3;", "URL"]);
        }
    }
}

/// What a server says about bundles reaches git.
#[test]
fn bundle_uris() {
    for git in gits().iter().filter(|git| git.at_least(2, 40)) {
        for reach in [Reach::Http, Reach::Path] {
            let pair = Pair::new(git).reached(reach, Reach::Path);
            scenes::fresh(&pair);
            pair.source.git(&["bundle", "create", "all.bundle", "dev"]).ok();
            let uri = format!("file://{}/all.bundle", pair.source.at());
            for (key, value) in [
                ("uploadpack.advertiseBundleURIs", "true"),
                ("bundle.version", "1"),
                ("bundle.mode", "all"),
                ("bundle.one.uri", &uri),
            ] {
                pair.source.config(key, value);
            }
            let read = Readings::new(&pair, &["transfer.bundleURI=true"]);
            read.same(&["clone", "-q", "URL", "work"]).ok();
            let work = read.same_repositories("work");
            assert!(work.get("refs/bundles/dev").is_some());
        }
    }
}

/// Any other remote helper that git has: it is told the address, and talks to git itself.
#[test]
fn other_helpers() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let bin = pair.world.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let text = "#!/bin/sh\nwhile read -r word rest; do case $word in\n\
            capabilities) printf 'connect\\noption\\n\\n';;\n\
            option) echo unsupported;;\n\
            connect) echo; exec ${rest#git-} \"$2\";;\n\
            esac; done\n";
        let text = text.replace("${rest#git-}", "git ${rest#git-}");
        script(&bin.join("git-remote-foo"), &text);
        let dirs = [
            &bin,
            Path::new(HELPER).parent().unwrap(),
            git.program().parent().unwrap(),
        ];
        let path = dirs.map(|dir| dir.to_str().unwrap()).join(":") + ":/usr/bin:/bin";
        let plain = format!("foo::{}", pair.source.at());
        let read = Readings::by(&pair, &format!("relay::{plain}=>/x"), &plain).env("PATH", path);
        read.same(&["ls-remote", "URL"]).ok();
        read.same(&["clone", "-q", "URL", "work"]).ok();
        read.same_repositories("work");
        read.same_in("work", &["fetch", "URL", "refs/tags/*:refs/tags/*"])
            .ok();
        Readings::by(&pair, "relay::bar::x=>/x", "bar::x")
            .relay_only(&["ls-remote", "URL"])
            .exits(128)
            .says("'remote-bar' is not a git command");
    }
}

/// Over ssh and from `git daemon` git speaks to the service itself, too.
#[test]
fn ssh_and_git_daemon() {
    for (index, git) in gits().iter().enumerate() {
        let sshd = Sshd::start(git);
        // The other versions are only a matter of the environment, which one git shows.
        for version in [2, 0].into_iter().take(if index == 0 { 2 } else { 1 }) {
            let pair = Pair::new(git);
            scenes::fresh(&pair);
            pair.source.config("uploadpack.allowFilter", "true");
            pair.source.config("uploadpack.allowAnySHA1InWant", "true");
            let daemon = Daemon::with(git, pair.world.path(), &["--enable=upload-archive"]);
            let mut sources = vec![daemon.url("source.git")];
            if let Some(sshd) = &sshd {
                sources.push(sshd.url(&pair.source.path));
            }
            for (n, plain) in sources.iter().enumerate() {
                let read = Readings::by(&pair, &format!("relay::{plain}=>/x"), plain);
                let read = read.setting(&format!("protocol.version={version}"));
                let ssh = sshd.as_ref().map(Sshd::command).unwrap_or_default();
                whole_life(&read.env("GIT_SSH_COMMAND", ssh), &format!("work-{n}"));
            }
        }
        let pair = Pair::new(git);
        let Some(sshd) = &sshd else { continue };
        let plain = sshd.scp_like(&pair.source.path);
        let by = || Readings::by(&pair, &format!("relay::{plain}=>/x"), &plain);
        by().env("GIT_SSH_COMMAND", sshd.command())
            .same(&["ls-remote", "URL"])
            .ok();
        let read = by().env("GIT_SSH_COMMAND", sshd.command_of_stranger());
        read.same(&["ls-remote", "URL"])
            .exits(128)
            .says("Permission denied");
        let refused = read.relay_only(&["ls-remote", "relay::ssh://-oProxyCommand=touch%20oops/x=>y"]);
        refused.exits(128).says("blocked");
        let refused = read.relay_only(&["ls-remote", "relay::git://127.0.0.1:9/x=>y"]);
        refused.exits(128).says("unable to connect to 127.0.0.1:9");
    }
}

fn whole_life(read: &Readings, name: &str) {
    read.same(&["ls-remote", "--symref", "URL"]).ok();
    read.same(&["clone", "-q", "--depth=1", "--no-single-branch", "URL", name])
        .ok();
    read.same_repositories(name);
    read.same_in(name, &["fetch", "-q", "--unshallow"]).ok();
    read.same_repositories(name);
    let lazy = format!("lazy-{name}");
    read.same(&["clone", "-q", "--filter=blob:none", "--no-checkout", "URL", &lazy])
        .ok();
    read.same_in(&lazy, &["cat-file", "-p", "HEAD:side.txt"]).ok();
    read.same_repositories(&lazy);
    read.same(&["archive", "--remote=URL", "main"]).ok();
    read.same_in(name, &["fetch", "URL", "nosuch"]).exits(128);
}

/// Megabytes, in both directions at once where git does that, and cut in the middle.
#[test]
fn large_and_broken() {
    for git in gits() {
        for reach in [Reach::Http, Reach::Path] {
            let pair = Pair::new(git).reached(reach, Reach::Path);
            let mut import = Import::new();
            let mut last = import.commit("refs/heads/main", &[], &[("a", &noise(1, 100_000))]);
            for n in 0..30u32 {
                last = import.commit("refs/heads/main", &[&last], &[("a", &noise(n + 2, 100_000))]);
            }
            import.line_of("refs/heads/long", Some(&last), "long", 3000);
            import.into_repo(&pair.source);
            let read = Readings::new(&pair, &[]);
            read.same(&["clone", "-q", "URL", "work"]).ok();
            read.same_repositories("work");
        }
        let pair = Pair::new(git);
        let mut import = Import::new();
        import.commit("refs/heads/main", &[], &[("a", &noise(1, 500_000))]);
        import.into_repo(&pair.source);
        let proxy = Proxy::start(pair.server.address());
        let plain = proxy.url("source.git");
        let read = Readings::by(&pair, &format!("relay::{plain}=>/x"), &plain);
        for fault in [
            Fault::CutInPack(200_000),
            Fault::FlipInPack(200_000),
            Fault::ShortPack(20),
        ] {
            proxy.arm("POST /source.git/git-upload-pack", 0, fault);
            read.relay_only(&["clone", "-q", "URL", "cut"]).exits(128);
            proxy.disarm();
            assert!(!pair.world.path().join("by-relay/cut").exists());
        }
    }
}

/// Whoever stops git stops everything: no process stays, and no stream is held open.
#[test]
fn interrupted() {
    for git in gits() {
        let pair = Pair::new(git);
        let mut import = Import::new();
        import.commit("refs/heads/main", &[], &[("a", &noise(1, 500_000))]);
        import.into_repo(&pair.source);
        let proxy = Proxy::start(pair.server.address());
        for signal in ["INT", "TERM", "KILL"] {
            proxy.arm("POST /source.git/git-upload-pack", 0, Fault::Stall(100_000));
            let url = format!("relay::{}=>/x", proxy.url("source.git"));
            let running = git
                .cmd_for_signals(pair.world.path())
                .args(["clone", "-q", &url, &format!("stopped-{signal}")])
                .spawn();
            let deadline = Instant::now() + Duration::from_secs(20);
            while !proxy.hit() {
                assert!(Instant::now() < deadline, "the fault did not happen");
                std::thread::sleep(Duration::from_millis(5));
            }
            running.signal_group(signal);
            assert_ne!(running.finish().code(), 0);
        }
    }
}

/// A push does not start the source's helper.
#[test]
fn pushing_starts_no_reader() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let push = pair.command(&["main"]).env("GIT_TRACE", "1");
        let pushed = pair.run(push).ok();
        pushed.says("remote-relay").never_says("remote-http");
        // From a local source, too, the target stays ours.
        let local = Pair::local(git);
        scenes::behind(&local);
        let push = local.command(&["--receive-pack=git receive-pack", "main"]);
        local.run(push).ok().says("remote service path not supported");
    }
}

/// `list` lists only in the old protocol; in the new one git asks for `stateless-connect` first.
fn old(command: Cmd) -> Cmd {
    let command = command.env("GIT_CONFIG_COUNT", "1");
    let command = command.env("GIT_CONFIG_KEY_0", "protocol.version");
    command.env("GIT_CONFIG_VALUE_0", "0")
}

/// The helper as a program of its own: whoever runs it, it cannot tell what will be asked.
fn helper(git: &Git, dir: &Path, url: &str, said: &str) -> Output {
    let command = git.program_in(dir, HELPER).args([url, url]);
    old(command).input(said.to_owned()).run()
}

fn in_repository(pair: &Pair, url: &str, said: &str) -> Output {
    let command: Cmd = pair.world.git.program_in(&pair.here.path, HELPER);
    let command = command.args([url, url]).env("GIT_DIR", pair.here.at());
    pair.run(old(command).input(said.to_owned()))
}

/// Everything that git may have said at once reaches the one who is asked, and options are not lost.
#[test]
fn an_unknown_caller_over_http() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let said = "capabilities\noption progress false\noption depth 1\noption object-format true\nlist\n\n";
        let out = helper(git, pair.world.path(), &pair.url()[7..], said).ok().out();
        assert!(
            out.starts_with("option\npush\nobject-format\nstateless-connect\nfetch\n"),
            "{out}"
        );
        assert!(out.contains("\n\nok\nok\nok\n:object-format sha1\n"), "{out}");
        assert!(
            out.contains(&format!("{} refs/heads/dev\n", pair.source.id("dev"))),
            "{out}"
        );
        let said = "capabilities\noption of-the-future 1\noption depth x\noption servpath x\nlist\n\n";
        let out = helper(git, pair.world.path(), &pair.url()[7..], said).ok().out();
        assert!(
            out.contains("\n\nunsupported\nerror invalid value\nunsupported\n"),
            "{out}"
        );
        assert!(out.contains("refs/heads/dev\n"), "{out}");
    }
}

/// Without knowing what git wants a view is built, and is gone before git reads; nothing that stands in its way matters.
#[test]
fn an_unknown_caller_in_an_empty_repository() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let list = "capabilities\noption progress false\nlist\n\n";
        let listed = in_repository(&pair, &pair.url()[7..], list).ok();
        assert!(listed.out().contains("refs/heads/dev\n"));
        for target in [
            "/nowhere",
            "ssh://h/x",
            "http://127.0.0.1:9/x",
            &pair.source_url(),
        ] {
            let url = format!("{}=>{target}", pair.source_url());
            let listed = in_repository(&pair, &url, list).ok();
            assert!(listed.out().contains("refs/heads/dev\n"));
        }
        let failed = in_repository(&pair, "http://127.0.0.1:9/x=>/nowhere", list);
        failed
            .exits(128)
            .says("fatal: unable to access 'http://127.0.0.1:9/x/'");
        let empty = pair.world.bare("empty.git");
        let url = format!("{}=>{}", pair.server.url("empty.git"), pair.target_url());
        assert!(empty.refs().is_empty());
        in_repository(&pair, &url, list).ok();
        let push = "capabilities\noption progress false\nlist for-push\n\n";
        let listed = in_repository(&pair, &pair.url()[7..], push).ok();
        assert!(listed.out().contains("refs/heads/old\n"));
    }
}

#[test]
fn an_unknown_caller_of_a_local_repository() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::behind(&pair);
        let said = "capabilities\noption progress false\nconnect git-upload-pack\n";
        let out = helper(git, pair.world.path(), &pair.url()[7..], said).out();
        assert!(
            out.starts_with("option\npush\nobject-format\nconnect\n\nok\n\n"),
            "{out}"
        );
        let said = "capabilities\nconnect git-receive-pack\nlist for-push\nconnect git-receive-pack\n\n";
        let out = in_repository(&pair, &pair.url()[7..], said).ok().out();
        assert!(out.contains("\n\nfallback\n"), "{out}");
        assert!(out.contains("refs/heads/old\n"), "{out}");
        assert!(out.ends_with("\n\nfallback\n"), "{out}");
        let said = "capabilities\nconnect git-shell\n";
        helper(git, pair.world.path(), &pair.url()[7..], said)
            .exits(128)
            .says("git-shell");
    }
}
