//! Pushes between repositories on HTTP hosts: what arrives, how many requests it takes, and how many bytes.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::history::{edit, text};
use support::pair::{Reach, WAYS};
use support::repo::assert_same_refs;
use support::{Git, Import, Options, Pair, gits, scenes};

/// Both hosts as old as wanted; `only_v0` knows no protocol v2.
fn host(git: &Git, only_v0: bool) -> Pair {
    let options = Options {
        only_v0,
        ..Options::default()
    };
    Pair::with(git, &[], options)
}

/// From nothing, then only the difference, then nothing at all.
#[test]
fn bootstrap_then_difference_then_nothing() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        pair.compare(&["refs/heads/*"]).ok();
        assert_eq!(pair.source.id("main"), pair.target.id("main"));
        scenes::grow(&pair.source, "main", 2);
        pair.compare(&["refs/heads/*"]).ok();
        pair.push(&["refs/heads/*"]).ok().says("Everything up-to-date");
    }
}

#[test]
fn a_source_without_protocol_v2() {
    for git in gits() {
        let pair = host(git, true);
        scenes::behind(&pair);
        pair.compare(&["refs/heads/*", "refs/tags/*"]).ok();
        scenes::grow(&pair.source, "dev", 2);
        pair.compare(&["--prune", "refs/heads/*"]).ok();
    }
}

/// A host may say `200 OK` before it has read the request: that is no refusal, and no reason to stop sending.
#[test]
fn an_early_success_is_no_refusal() {
    for git in gits() {
        let options = Options {
            eager: true,
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        let mut import = Import::new();
        import.commit(
            "refs/heads/main",
            &[],
            &[("big", &support::history::noise(1, 3_000_000))],
        );
        import.into_repo(&pair.source);
        for _ in 0..5 {
            pair.push(&["refs/heads/*"]).ok();
            assert_same_refs(&pair.source, &pair.target);
            scenes::grow(&pair.source, "main", 1);
        }
    }
}

/// The command line's `-c protocol.version` counts as it does for git.
#[test]
fn the_protocol_can_be_chosen() {
    for git in gits() {
        for version in ["0", "1", "2"] {
            let pair = Pair::new(git);
            scenes::fresh(&pair);
            let setting = format!("protocol.version={version}");
            let push = ["-c", &setting, "push", &pair.url(), "refs/heads/*"];
            pair.run(pair.here.cmd().args(push)).ok();
            pair.target.fsck();
            let posts = pair.server.requests();
            let asked = posts
                .iter()
                .any(|r| r.git_protocol.as_deref() == Some("version=2"));
            assert_eq!(asked, version == "2", "protocol.version={version}");
        }
    }
}

/// A pack of many megabytes goes through, in chunks.
#[test]
fn a_big_pack() {
    for git in gits() {
        let pair = Pair::new(git);
        let mut import = Import::new();
        let files: Vec<_> = (0..4u32).map(|n| support::history::noise(n, 4_000_000)).collect();
        for (n, data) in files.iter().enumerate() {
            let parent = (n > 0).then(|| format!(":{n}"));
            let parents: Vec<&str> = parent.as_deref().into_iter().collect();
            import.commit("refs/heads/main", &parents, &[("big", data)]);
        }
        import.into_repo(&pair.source);
        pair.push(&["main"]).ok();
        assert_same_refs(&pair.source, &pair.target);
        pair.target.fsck();
    }
}

/// Listing each side once and looking at the tips is all that a push without news may cost.
#[test]
fn an_up_to_date_push_makes_few_requests() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        pair.push(&["refs/heads/*"]).ok();
        pair.server.forget();
        pair.push(&["refs/heads/*"]).ok().says("Everything up-to-date");
        let requests = pair.server.requests();
        let asked = |prefix: &str| requests.iter().filter(|r| r.line().starts_with(prefix)).count();
        assert_eq!(asked("GET /source.git/info/refs?service=git-upload-pack"), 1);
        let commands: Vec<_> = requests
            .iter()
            .filter_map(support::http::Request::command)
            .collect();
        assert_eq!(commands, ["ls-refs", "fetch"]);
        assert_eq!(asked("POST /source.git/git-upload-pack"), 2);
        assert_eq!(asked("GET /target.git/info/refs?service=git-receive-pack"), 1);
        assert_eq!(asked("POST /target.git"), 0);
        assert_eq!(requests.len(), 4, "{:#?}", pair.server.lines());
    }
}

/// A pair whose view costs next to nothing, so that the bytes of the pack itself can be told.
fn with_filter(git: &Git) -> Pair {
    let pair = Pair::new(git);
    pair.source.config("uploadpack.allowFilter", "true");
    pair
}

/// How many bytes of packs a push downloads and uploads.
fn traffic(pair: &Pair, args: &[&str]) -> (u64, u64) {
    pair.server.forget();
    pair.push(args).ok();
    let requests = pair.server.requests();
    let down = requests
        .iter()
        .filter(|r| r.line() == "POST /source.git/git-upload-pack");
    let up = requests
        .iter()
        .filter(|r| r.line() == "POST /target.git/git-receive-pack");
    (down.map(|r| r.received).sum(), up.map(|r| r.sent).sum())
}

/// Three one-line edits of a 400 kB file cost a few kB, not three files.
#[test]
fn small_edits_of_a_big_file_travel_as_deltas() {
    for git in gits() {
        let pair = with_filter(git);
        let mut content = text(1, 400_000);
        let mut import = Import::new();
        import.commit("refs/heads/main", &[], &[("big.txt", &content)]);
        import.into_repo(&pair.source);
        pair.push(&["main"]).ok();
        for (n, line) in [100, 3000, 5000].into_iter().enumerate() {
            content = edit(&content, line, &format!("edit {n}"));
            let mut import = Import::since(1_650_000_000 + 100 * n as u64);
            import.commit(
                "refs/heads/main",
                &["refs/heads/main^0"],
                &[("big.txt", &content)],
            );
            import.into_repo(&pair.source);
        }
        let (down, up) = traffic(&pair, &["main"]);
        assert!(down < 20_000 && up < 12_000, "down {down}, up {up}");
        pair.target.fsck();
        assert_same_refs(&pair.source, &pair.target);
    }
}

/// A new branch costs its own commits, and a branch whose commits the target has costs nothing.
#[test]
fn what_the_target_has_is_not_sent_again() {
    for git in gits() {
        let pair = with_filter(git);
        let mut import = Import::new();
        let data = support::history::noise(3, 300_000);
        let base = import.commit("refs/heads/main", &[], &[("big", &data)]);
        import.line_of("refs/heads/main", Some(&base), "main", 20);
        import.into_repo(&pair.source);
        pair.push(&["main"]).ok();

        pair.source.git(&["branch", "topic", "main"]).ok();
        scenes::grow(&pair.source, "topic", 2);
        let (down, up) = traffic(&pair, &["topic"]);
        assert!(down < 30_000 && up < 3_000, "new branch: down {down}, up {up}");

        pair.source.git(&["branch", "same", "main~3"]).ok();
        pair.source.git(&["tag", "-a", "-m", "big", "v1", "main~5"]).ok();
        let (down, up) = traffic(&pair, &["same", "v1"]);
        assert!(down < 30_000 && up < 2_000, "known commits: down {down}, up {up}");
        pair.target.fsck();
        assert_same_refs(&pair.source, &pair.target);
    }
}

/// A deletion needs no objects, so none are asked for.
#[test]
fn deletions_ask_for_no_pack() {
    for git in gits() {
        let pair = with_filter(git);
        scenes::behind(&pair);
        let (down, up) = traffic(&pair, &[":old", ":refs/tags/v0"]);
        assert!(down < 20_000 && up < 500, "down {down}, up {up}");
        let bodies = pair.server.requests();
        let posted = bodies
            .iter()
            .find(|r| r.line() == "POST /target.git/git-receive-pack")
            .unwrap();
        let has_pack = posted.body.windows(4).any(|word| word == b"PACK");
        assert!(!has_pack, "a pack goes with deletions only");
        assert_eq!(pair.target.get("refs/heads/old"), None);
    }
}

/// New names for what the target has, by a pack without objects.
#[test]
fn names_alone() {
    for git in gits() {
        let pair = with_filter(git);
        scenes::fresh(&pair);
        pair.push(&["refs/heads/*"]).ok();
        let (_, up) = traffic(&pair, &["refs/heads/*:refs/backup/*"]);
        assert!(up < 1_500, "up {up}");
        pair.target.fsck();
        assert_eq!(pair.target.get("refs/backup/dev"), Some(pair.source.id("dev")));
    }
}

/// HTTP and local paths in all combinations, and both schemes.
#[test]
fn all_combinations_of_http_and_paths() {
    for git in gits() {
        for (from, to) in WAYS {
            let pair = Pair::new(git).reached(from, to);
            scenes::behind(&pair);
            pair.compare(&["main", "dev", ":old"]).ok();
            let url = pair.url().replacen("relay::", "sync::", 1);
            let push = pair
                .here
                .cmd()
                .args(["push", &url, "refs/heads/*", "refs/tags/*"]);
            pair.run(push).ok();
            assert_eq!(pair.target.id("feature/one"), pair.source.id("feature/one"));
            pair.target.fsck();
        }
    }
}

/// Where uploads are refused without the user's name, the URL may carry it.
#[test]
fn a_password_in_the_url() {
    for git in gits() {
        let options = Options {
            auth: Some(("someone", "se:cret")),
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        scenes::behind(&pair);
        let with = |url: String| url.replacen("http://", "http://someone:se%3Acret@", 1);
        let url = format!("relay::{}=>{}", with(pair.source_url()), with(pair.target_url()));
        let push = pair.here.cmd().args(["push", &url, "refs/heads/*"]);
        pair.run(push).ok();
        assert_eq!(pair.target.id("main"), pair.source.id("main"));
        assert!(pair.server.requests().iter().any(|request| request.authorized));
    }
}

/// A renamed repository: the first request is redirected, and the whole base with it.
#[test]
fn redirected_repositories() {
    for git in gits() {
        let mut options = Options::default();
        options
            .redirects
            .push(("/old-source.git", "/source.git".to_owned()));
        options
            .redirects
            .push(("/old-target.git", "/target.git".to_owned()));
        let pair = Pair::with(git, &[], options);
        scenes::behind(&pair);
        let old = |name: &str| pair.server.url(name);
        let url = format!("relay::{}=>{}", old("old-source.git"), old("old-target.git"));
        let never = ["-c", "http.followRedirects=false", "push", &url, "refs/heads/*"];
        pair.run(pair.here.cmd().args(never))
            .exits(128)
            .says("the server redirects the request to")
            .says("use that URL instead");
        pair.run(pair.here.cmd().args(["push", &url, "refs/heads/*"]))
            .ok();
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
    }
}

/// Whatever a server redirects to, only http and https are spoken: no command is run, no file read, no relay begun.
#[test]
fn redirects_smuggle_nothing_in() {
    for git in gits() {
        let place = Pair::local(git);
        scenes::fresh(&place);
        let oops = place.world.path().join("oops").display().to_string();
        let options = Options {
            redirects: vec![
                ("/ext.git", format!("ext::sh -c touch%20{oops} ")),
                ("/quoted.git", format!("ext::touch {oops} http://h")),
                ("/relay.git", format!("relay::{}=>{oops}", place.source.at())),
                ("/file.git", format!("file://{}", place.source.at())),
                ("/ssh.git", format!("ssh://-oProxyCommand=touch%20{oops}/x")),
            ],
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        scenes::fresh(&pair);
        for name in ["ext.git", "quoted.git", "relay.git", "file.git", "ssh.git"] {
            let url = pair.server.url(name);
            let (from, to) = (
                format!("relay::{url}=>{}", pair.target_url()),
                format!("relay::{}=>{url}", pair.source_url()),
            );
            for relay in [&from, &to] {
                let push =
                    pair.run(
                        pair.here
                            .cmd()
                            .args(["-c", "protocol.allow=always", "push", relay, "main"]),
                    );
                push.exits(128).says("which is not an HTTP URL");
            }
            let read = ["-c", "protocol.allow=always", "ls-remote", &from];
            pair.run(pair.here.cmd().args(read)).exits(128);
        }
        assert!(pair.target.refs().is_empty() && !place.world.path().join("oops").exists());
    }
}

/// Repositories with SHA-256 ids.
#[test]
fn sha256_on_all_sides() {
    for git in gits() {
        for reach in [Reach::Http, Reach::Path] {
            let pair = Pair::with(git, &["--object-format=sha256"], Options::default()).reached(reach, reach);
            scenes::behind(&pair);
            pair.compare(&["refs/heads/*", "refs/tags/*"]).ok();
            scenes::grow(&pair.source, "dev", 3);
            pair.compare(&["--prune", "refs/heads/*"]).ok();
        }
    }
}

/// Large files of Git LFS live elsewhere: the user hears that they did not travel.
#[test]
fn lfs_content_is_warned_about_once() {
    for git in gits() {
        for filter in ["true", "false"] {
            let pair = Pair::new(git);
            pair.source
                .git(&["config", "uploadpack.allowFilter", filter])
                .ok();
            let mut import = Import::new();
            let attributes = b"*.psd filter=lfs diff=lfs merge=lfs -text\n";
            let plain = import.commit("refs/heads/main", &[], &[("a", b"1")]);
            import.commit("refs/heads/main", &[&plain], &[(".gitattributes", attributes)]);
            import.into_repo(&pair.source);
            pair.push(&["refs/heads/*"])
                .ok()
                .says("warning: ")
                .says("Git LFS");
            pair.push(&["refs/heads/*"]).ok().never_says("Git LFS");
        }
    }
}

#[test]
fn content_without_lfs_is_not_warned_about() {
    for git in gits() {
        let pair = Pair::new(git);
        let mut import = Import::new();
        import.commit("refs/heads/main", &[], &[(".gitattributes", b"*.txt text\n")]);
        import.into_repo(&pair.source);
        pair.push(&["refs/heads/*"]).ok().never_says("LFS");
    }
}
