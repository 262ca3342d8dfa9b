//! Refspecs and the options of `git push`: each case is pushed by plain git from a full mirror clone too, and refs, status
//! lines and exit code must be the same.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::{Git, Pair, gits, pair, scenes};

/// One case for each git: `scene` prepares, `args` are pushed both ways.
fn same(scene: impl Fn(&Pair), args: &[&str]) {
    for git in gits() {
        let pair = prepared(git, &scene);
        pair.compare(args);
    }
}

/// The same, where git labels an update forced only because it has not seen the old object.
fn same_but_label(scene: impl Fn(&Pair), args: &[&str]) {
    for git in gits() {
        let pair = prepared(git, &scene);
        pair.compare_with(args, pair::without_forced);
    }
}

/// The same, where git calls refs that fell with the others of an atomic push rejected by the remote: a helper has no
/// other way to say it.
fn same_but_words(scene: impl Fn(&Pair), args: &[&str]) {
    for git in gits() {
        let pair = prepared(git, &scene);
        pair.compare_with(args, |status| status.replace("[remote rejected]", "[rejected]"));
    }
}

fn prepared(git: &Git, scene: &impl Fn(&Pair)) -> Pair {
    let pair = Pair::local(git);
    scene(&pair);
    pair
}

/// A test for one case: its name, how it compares, the scene, and the arguments of `git push`.
macro_rules! cases {
    ($($name:ident: $how:ident($scene:path, $($arg:literal),+);)+) => {
        $(#[test]
        fn $name() {
            $how($scene, &[$($arg),+]);
        })+
    };
}

cases! {
    all_branches_to_an_empty_target: same(scenes::fresh, "refs/heads/*");
    branches_and_tags_to_an_empty_target: same(scenes::fresh, "refs/heads/*", "refs/tags/*");
    everything_to_an_empty_target: same(scenes::fresh, "--mirror");
    all_branches: same(scenes::behind, "refs/heads/*");
    a_short_name: same(scenes::behind, "main");
    short_name_mapping_and_tags: same(scenes::behind, "main", "dev:refs/heads/stable", "refs/tags/*");
    a_mapping_to_a_short_name: same(scenes::behind, "dev:main");
    a_mapping_to_a_new_short_name: same(scenes::behind, "dev:stable");
    a_whole_namespace_elsewhere: same(scenes::behind, "refs/heads/*:refs/backup/*");
    part_of_a_namespace: same(scenes::behind, "refs/heads/feature/*:refs/heads/topic/*");
    a_negative_refspec: same(scenes::behind, "refs/heads/*", "^refs/heads/dev");
    head: same(scenes::behind, "HEAD");
    head_by_another_name: same(scenes::behind, "HEAD:refs/heads/trunk");
    a_tag_by_name: same(scenes::behind, "tag", "v2");
    a_tag_as_a_new_tag: same(scenes::behind, "v2:refs/tags/release");
    a_branch_as_a_tag: same(scenes::behind, "dev:refs/tags/nightly");
    a_tag_as_a_branch: same(scenes::behind, "v2^{}:refs/heads/from-tag");
    an_annotated_tag_as_a_branch: same(scenes::behind, "v2:refs/heads/from-tag");
    all: same(scenes::behind, "--all");
    tags: same(scenes::behind, "--tags");
    all_and_prune: same(scenes::behind, "--all", "--prune");
    prune: same(scenes::behind, "--prune", "refs/heads/*");
    prune_nothing_but_tags: same(scenes::behind, "--prune", "refs/tags/*");
    prune_under_a_mapping: same(scenes::behind, "--prune", "refs/heads/feature/*:refs/heads/topic/*");
    mirror: same_but_label(scenes::behind, "--mirror");
    dry_run: same(scenes::behind, "--dry-run", "--prune", "refs/heads/*");
    dry_run_of_a_mirror: same_but_label(scenes::behind, "--dry-run", "--mirror");
    dry_run_of_a_rejection: same(scenes::diverged, "--dry-run", "refs/heads/*");
    atomic: same(scenes::behind, "--atomic", "refs/heads/*");
    atomic_with_deletion: same(scenes::behind, "--atomic", "--prune", "refs/heads/*");
    atomic_with_a_rejection: same_but_words(scenes::diverged, "--atomic", "refs/heads/*");
    quiet: same(scenes::behind, "--quiet", "refs/heads/*");
    verbose: same(scenes::behind, "--verbose", "refs/heads/*");
    delete_by_refspec: same(scenes::behind, ":refs/heads/old");
    delete_by_short_name: same(scenes::behind, ":old");
    delete_by_option: same(scenes::behind, "--delete", "old", "v0");
    delete_what_is_not_there: same(scenes::behind, ":refs/heads/nosuch");
    delete_the_head_branch: same(scenes::behind, ":main", ":old");
    delete_and_update: same(scenes::behind, ":old", "main", "dev");
    a_source_that_is_not_there: same(scenes::behind, "nosuch");
    a_source_that_is_not_there_and_one_that_is: same(scenes::behind, "main", "nosuch:refs/heads/x");
    a_pattern_that_matches_nothing: same(scenes::behind, "refs/nothing/*");
    two_sources_for_one_target: same(scenes::behind, "main:refs/heads/x", "dev:refs/heads/x");
    matching_branches: same(scenes::behind, ":");
    no_thin: same(scenes::behind, "--no-thin", "refs/heads/*");
    nothing_new: same(scenes::crossed, "dev:main");
    forced_without_need: same_but_label(scenes::behind, "--force", "refs/heads/*");
    forced_fast_forwards: same_but_label(scenes::behind, "+refs/heads/*:refs/heads/*");
    a_lost_race_by_lease: same(scenes::behind, "--force-with-lease=main:1111111111111111111111111111111111111111", "main");
    a_lease_on_a_new_branch: same(scenes::behind, "--force-with-lease=dev:", "dev");
    a_lease_on_a_new_branch_that_exists: same(scenes::behind, "--force-with-lease=main:", "main");
    a_lease_without_a_value: same(scenes::behind, "--force-with-lease", "main");
    a_lease_and_nothing_to_do_with_it: same(scenes::behind, "--force-with-lease=nosuch:", "main");
    diverged_branches: same(scenes::diverged, "refs/heads/*");
    diverged_and_forced: same(scenes::diverged, "+refs/heads/*:refs/heads/*");
    diverged_and_mirrored: same(scenes::diverged, "--mirror");
    one_diverged_branch_forced: same(scenes::diverged, "refs/heads/*", "+main");
    a_tag_that_exists: same(scenes::diverged, "refs/tags/*");
    a_tag_that_exists_forced: same(scenes::diverged, "--force", "v1");
    tags_that_exist_forced: same(scenes::diverged, "+refs/tags/*:refs/tags/*");
    behind_by_name: same(scenes::crossed, "main");
    behind_all: same(scenes::crossed, "refs/heads/*");
    behind_forced: same(scenes::crossed, "+main");
    to_a_branch_that_is_another_here: same(scenes::behind, "main:side");
    to_a_branch_that_is_equal_here: same(scenes::behind, "dev:side");
}

/// A lease that holds lets a diverged branch be overwritten, one that does not hold does not.
#[test]
fn leases_with_values() {
    for git in gits() {
        for diverged in [false, true] {
            let pair = prepared(git, &|pair: &Pair| match diverged {
                false => scenes::behind(pair),
                true => scenes::diverged(pair),
            });
            let stale = format!("--force-with-lease=main:{}", pair.source.id("dev"));
            pair.compare(&[&stale, "main", "dev"]).exits(1);
            let right = format!("--force-with-lease=main:{}", pair.target.id("main"));
            let output = pair.compare_with(&[&right, "main"], pair::without_forced).ok();
            assert_eq!(pair.target.id("main"), pair.source.id("main"), "{output}");
        }
    }
}

#[test]
fn a_commit_by_its_id() {
    for git in gits() {
        let pair = prepared(git, &scenes::behind);
        let by_id = format!("{}:refs/heads/by-id", pair.source.id("dev"));
        pair.compare(&[&by_id]).ok();
    }
}

/// What the target's hooks get to know.
#[test]
fn push_options_reach_the_hook() {
    for git in gits() {
        let pair = prepared(git, &scenes::behind);
        pair.compare(&["-o", "ci.skip", "main"]).exits(128);
        pair.target.config("receive.advertisePushOptions", "true");
        let script =
            "#!/bin/sh\necho \"$GIT_PUSH_OPTION_COUNT/$GIT_PUSH_OPTION_0/$GIT_PUSH_OPTION_1\" >got\n";
        pair.target.hook("pre-receive", script);
        let args = ["-o", "ci.skip", "-o", "a \"quoted\" \\ one", "main"];
        pair.compare(&args).ok();
        let got = std::fs::read_to_string(pair.target.path.join("got")).unwrap();
        assert_eq!(got, "2/ci.skip/a \"quoted\" \\ one\n");
    }
}

/// A signed push is refused where git refuses it, and `if-asked` goes on unsigned.
#[test]
fn signed_pushes() {
    for git in gits() {
        let pair = prepared(git, &scenes::behind);
        let refused = pair.push(&["--signed", "main"]);
        assert_ne!(refused.code(), 0);
        assert_ne!(pair.target.id("main"), pair.source.id("main"));
        pair.compare(&["--signed=if-asked", "main"]).ok();
    }
}

/// The table for people, not only the one for scripts.
#[test]
fn the_printed_table_is_gits_own() {
    for git in gits() {
        for (scene, args) in [
            (
                scenes::behind as fn(&Pair),
                &["--prune", "refs/heads/*", "refs/tags/*"][..],
            ),
            (scenes::diverged, &["refs/heads/*"][..]),
            (scenes::diverged, &["refs/tags/*"][..]),
        ] {
            let pair = prepared(git, &scene);
            let mirror = pair.world.mirror(&pair.source, "m.git");
            let twin = pair.world.copy(&pair.target, "t.git");
            let plain = mirror.cmd().arg("push").arg(twin.at()).args(args).run();
            let relayed = pair.push(args);
            let by_git = plain.err().replace(&twin.at(), "<target>");
            let by_relay = relayed.err().replace(&pair.url(), "<target>");
            // The relay has one line of its own to add.
            let by_relay: String = by_relay
                .split_inclusive('\n')
                .filter(|l| !l.starts_with("relay: "))
                .collect();
            assert_eq!(by_git, by_relay);
        }
    }
}

/// Renaming `a` to `a/b` and back needs the deletion first.
#[test]
fn a_branch_becomes_a_directory_and_back() {
    for git in gits() {
        let pair = prepared(git, &scenes::fresh);
        let source = &pair.source;
        source.git(&["branch", "a", "dev"]).ok();
        pair.compare(&["refs/heads/*"]).ok();
        source.git(&["branch", "-D", "a"]).ok();
        source.git(&["branch", "a/b", "dev"]).ok();
        pair.push(&["--prune", "refs/heads/*"]).ok();
        support::repo::assert_refs(&heads(&pair.source), &heads(&pair.target));
        source.git(&["branch", "-D", "a/b"]).ok();
        source.git(&["branch", "a", "main"]).ok();
        pair.push(&["--prune", "refs/heads/*"]).ok();
        support::repo::assert_refs(&heads(&pair.source), &heads(&pair.target));
    }
}

fn heads(repo: &support::Repo) -> support::repo::Refs {
    let mut refs = repo.refs();
    refs.retain(|name, _| name.starts_with(b"refs/heads/"));
    refs
}

/// Names are bytes.
#[test]
fn names_that_are_not_utf8() {
    for git in gits() {
        let pair = prepared(git, &scenes::behind);
        let mut import = support::Import::since(1_690_000_000);
        let from = pair.source.id("dev");
        import.line_of(b"refs/heads/gr\xfc\xdfe", Some(&from), "latin", 2);
        import.line_of("refs/heads/\u{1f600}", Some(&from), "smile", 2);
        import.into_repo(&pair.source);
        pair.compare(&["refs/heads/*"]).ok();
        assert!(pair.target.refs().contains_key(&b"refs/heads/gr\xfc\xdfe"[..]));
        pair.source.git(&["branch", "-D", "\u{1f600}"]).ok();
        pair.compare(&["--prune", "refs/heads/*"]).ok();
    }
}

/// Refs outside of heads and tags, and refs that name trees and blobs.
#[test]
fn unusual_refs() {
    for git in gits() {
        let pair = prepared(git, &scenes::behind);
        let blob = pair.source.id("main:main.txt");
        let tree = pair.source.id("main^{tree}");
        let commit = pair.source.id("side");
        let lines = format!(
            "create refs/tags/blob {blob}\ncreate refs/tags/tree {tree}\ncreate refs/notes/commits {commit}\n\
             create refs/custom/deep/er {commit}\n"
        );
        pair.source.update_refs(&lines);
        pair.source
            .git(&["tag", "-a", "-m", "of a tree", "tree-tag", &tree])
            .ok();
        pair.source
            .git(&["tag", "-a", "-m", "of a tag", "tag-tag", "v1"])
            .ok();
        pair.compare(&["refs/tags/*"]).ok();
        pair.compare_with(&["--mirror"], pair::without_forced).ok();
        pair.compare(&["--mirror"]).ok();
    }
}

/// What hosts keep for themselves is neither sent nor deleted.
#[test]
fn read_only_namespaces_of_hosts_stay_out_of_a_mirror() {
    for git in gits() {
        let pair = prepared(git, &scenes::behind);
        let commit = pair.source.id("dev");
        pair.source
            .update_refs(&format!("create refs/pull/1/head {commit}\n"));
        let own = pair.target.id("main");
        pair.target
            .update_refs(&format!("create refs/merge-requests/7/head {own}\n"));
        pair.push(&["--mirror"]).ok();
        assert_eq!(pair.target.get("refs/pull/1/head"), None);
        assert_eq!(pair.target.get("refs/merge-requests/7/head"), Some(own));
        assert_eq!(pair.target.get("refs/heads/dev"), Some(commit));
        assert_eq!(pair.target.get("refs/heads/old"), None);
    }
}
