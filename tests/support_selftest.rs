//! The test support itself, checked with plain git: what it serves, what it breaks, and that it sees changes.

mod support;

use support::history::noise;
use support::repo::assert_same_refs;
use support::scripted::{Scripted, canned};
use support::snapshot::snapshot;
use support::{Fault, Git, Import, Options, Proxy, Repo, Server, World, gits};

/// A source with branches, a merge and tags.
fn source(world: &World) -> Repo {
    let repo = world.bare("a.git");
    let mut import = Import::new();
    let main = import.line_of("refs/heads/main", None, "main", 5);
    let side = import.line_of("refs/heads/side", Some(&main[2]), "side", 3);
    let merge = import.commit(
        "refs/heads/main",
        &[&main[4], &side[2]],
        &[("side.txt", b"side 2\n")],
    );
    import.tag("v1", &main[1]);
    import.reference("refs/tags/light", &merge);
    import.into_repo(&repo);
    repo
}

fn host(git: &Git, world: &World) -> Server {
    Server::start(git, world.path(), Options::default())
}

#[test]
fn every_protocol_is_served() {
    for git in gits() {
        let world = World::new(git);
        let source = source(&world);
        let server = host(git, &world);
        for version in ["0", "1", "2"] {
            let target = world.bare(&format!("target-{version}.git"));
            let clone = world.path().join(format!("clone-{version}"));
            let protocol = format!("protocol.version={version}");
            let command = git.cmd(world.path()).args(["-c", &protocol]);
            command
                .args(["clone", "--mirror", &server.url("a.git")])
                .arg(&clone)
                .ok();
            let clone = world.open(&format!("clone-{version}"));
            assert_same_refs(&source, &clone);
            let url = server.url(&format!("target-{version}.git"));
            clone.git(&["-c", &protocol, "push", "--mirror", &url]).ok();
            assert_same_refs(&source, &target);
            target.fsck();
        }
        let fetches = server.requests();
        let versions: Vec<_> = fetches.iter().map(|r| r.git_protocol.as_deref()).collect();
        assert!(versions.contains(&Some("version=2")), "{versions:?}");
        assert!(versions.contains(&None), "{versions:?}");
    }
}

#[test]
fn requests_are_counted() {
    for git in gits() {
        let world = World::new(git);
        source(&world);
        let server = host(git, &world);
        git.cmd(world.path())
            .args(["ls-remote", &server.url("a.git")])
            .ok();
        assert_eq!(
            server.lines(),
            [
                "GET /a.git/info/refs?service=git-upload-pack",
                "POST /a.git/git-upload-pack"
            ]
        );
        let requests = server.requests();
        assert_eq!(requests[1].command().as_deref(), Some("ls-refs"));
        assert!(requests[1].received > 100);
        server.forget();
        assert!(server.requests().is_empty());
    }
}

#[test]
fn twenty_megabytes_go_up_in_chunks() {
    for git in gits() {
        let world = World::new(git);
        let source = world.bare("big.git");
        let mut import = Import::new();
        let files: Vec<_> = (0..6).map(|n| (format!("f{n}"), noise(n, 4_000_000))).collect();
        let files: Vec<_> = files
            .iter()
            .map(|(name, data)| (name.as_str(), data.as_slice()))
            .collect();
        import.commit("refs/heads/main", &[], &files);
        import.into_repo(&source);
        let target = world.bare("target.git");
        let server = host(git, &world);
        source.git(&["push", &server.url("target.git"), "main"]).ok();
        assert_same_refs(&source, &target);
        let posted: u64 = server.requests().iter().map(|request| request.sent).sum();
        assert!(posted > 20_000_000, "{posted}");
    }
}

#[test]
fn requests_run_side_by_side() {
    let git = &gits()[0];
    let world = World::new(git);
    source(&world);
    let server = host(git, &world);
    let url = server.url("a.git");
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (world, url) = (&world, &url);
            scope.spawn(move || {
                git.cmd(world.path())
                    .args(["clone", "--bare", url, &format!("c{n}")])
                    .ok()
            });
        }
    });
}

#[test]
fn faults_break_what_they_should() {
    let faults = [
        Fault::CutInPack(4),
        Fault::CutInPack(100),
        Fault::CutBeforeEnd(10),
        Fault::FlipInPack(60),
        Fault::FlipInPack(-1),
        Fault::ShortPack(20),
    ];
    for git in gits() {
        let world = World::new(git);
        let source = source(&world);
        let server = host(git, &world);
        let proxy = Proxy::start(server.address());
        for (n, fault) in faults.into_iter().enumerate() {
            proxy.arm("POST /a.git/git-upload-pack", 0, fault);
            let broken = format!("broken-{n}");
            let command = git
                .cmd(world.path())
                .args(["clone", "--mirror", &proxy.url("a.git")]);
            let output = command.arg(&broken).run();
            assert!(proxy.hit() && output.code() != 0, "{fault:?}: {output}");
        }
        // The fault strikes once; and without one the proxy is not in the way.
        let command = git
            .cmd(world.path())
            .args(["clone", "--mirror", &proxy.url("a.git")]);
        command.arg("whole").ok();
        assert_same_refs(&source, &world.open("whole"));
    }
}

#[test]
fn a_broken_upload_ends_the_backend() {
    for git in gits() {
        let world = World::new(git);
        let source = source(&world);
        let target = world.bare("target.git");
        let server = host(git, &world);
        let proxy = Proxy::start(server.address());
        proxy.arm("POST /target.git/git-receive-pack", 0, Fault::CutRequest(1500));
        let push = [
            "-c",
            "http.postBuffer=1000",
            "push",
            "--mirror",
            &proxy.url("target.git"),
        ];
        let output = source.git(&push);
        assert!(output.code() != 0 && proxy.hit(), "{output}");
        assert!(server.requests().len() >= 2);
        assert!(target.refs().is_empty());
        source.git(&push).ok();
        assert_same_refs(&source, &target);
    }
}

#[test]
fn answers_redirects_and_passwords() {
    for git in gits() {
        let world = World::new(git);
        let source = source(&world);
        let options = Options {
            auth: Some(("u", "p")),
            ..Options::default()
        };
        let server = Server::start(git, world.path(), options);
        let ls = |url: &str| git.cmd(world.path()).args(["ls-remote", url]).run();
        assert_eq!(ls(&server.url("a.git")).code(), 128);
        let with_password = server.url("a.git").replace("http://", "http://u:p@");
        ls(&with_password).ok();

        let mut options = Options::default();
        options.redirects.push(("/old.git", "/a.git".to_owned()));
        options
            .answers
            .push(support::http::Answer::new("GET /no.git", 403));
        let server = Server::start(git, world.path(), options);
        let listed = ls(&server.url("old.git")).ok();
        assert!(listed.out().contains(&source.id("main")));
        ls(&server.url("no.git")).exits(128).says("403");
        ls(&server.url("nothing.git")).exits(128).says("not found");
    }
}

#[test]
fn a_scripted_server_plays_in_order() {
    let git = &gits()[0];
    let world = World::new(git);
    let scripted = Scripted::start([
        canned(200, "text/html", b"<html>\n<p>\n"),
        canned(500, "text/plain", b"no"),
    ]);
    let ls = || {
        git.cmd(world.path())
            .args(["ls-remote", &scripted.url("x")])
            .run()
    };
    ls().exits(128).says("not valid: is this a git repository?");
    ls().exits(128).says("500");
    assert_eq!(scripted.got().len(), 2);
}

#[test]
fn a_snapshot_sees_files_refs_and_head() {
    for git in gits() {
        let world = World::new(git);
        let mut formats = vec!["files"];
        if git.has_reftable() {
            formats.push("reftable");
        }
        for format in formats {
            let option = format!("--ref-format={format}");
            let options: &[&str] = match format {
                "files" => &["--bare"],
                _ => &["--bare", &option],
            };
            let repo = world.init(&format!("{format}.git"), options);
            let before = snapshot(&repo);
            before.assert_unchanged(&repo);
            let changed = || std::panic::catch_unwind(|| before.assert_unchanged(&repo)).is_err();
            repo.git(&["symbolic-ref", "HEAD", "refs/heads/other"]).ok();
            assert!(changed());
            repo.git(&["symbolic-ref", "HEAD", "refs/heads/main"]).ok();
            before.assert_unchanged(&repo);
            let tree = repo.read(&["hash-object", "-w", "-t", "tree", "/dev/null"]);
            assert!(changed());
            std::fs::remove_dir_all(repo.path.join("objects").join(&tree[..2])).unwrap();
            std::fs::write(repo.path.join("shallow"), "").unwrap();
            assert!(changed());
            std::fs::remove_file(repo.path.join("shallow")).unwrap();
            before.assert_unchanged(&repo);
        }
    }
}
