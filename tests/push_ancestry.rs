//! Is an update a fast-forward? The local repository cannot know, so the source is asked, and the answer must be git's
//! own, whatever else the target holds.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::pair::{Reach, without_forced};
use support::{Import, Options, Pair, gits, scenes};

/// Each pair over HTTP and locally; with filters at the source and without.
fn everywhere(test: impl Fn(&Pair)) {
    for git in gits() {
        for (reach, filter) in [(Reach::Http, true), (Reach::Http, false), (Reach::Path, false)] {
            let pair = Pair::new(git).reached(reach, reach);
            pair.source.config("uploadpack.allowFilter", &filter.to_string());
            test(&pair);
        }
    }
}

fn straight(pair: &Pair, commits: usize) -> Vec<String> {
    let mut import = Import::new();
    let marks = import.line_of("refs/heads/main", None, "main", commits);
    import.into_repo(&pair.source);
    marks
}

/// Push from source to target by plain git, to set a scene.
fn give(pair: &Pair, refspecs: &[&str]) {
    let target = pair.target.at();
    let push = pair.source.cmd().args(["push", "--quiet", "--force", &target]);
    push.args(refspecs).ok();
}

#[test]
fn the_new_commits_are_on_the_target_under_another_ref() {
    everywhere(|pair| {
        straight(pair, 12);
        give(pair, &["main~8:refs/heads/main", "main:refs/heads/other"]);
        pair.compare(&["main"]).ok();
    });
}

#[test]
fn new_commits_partly_on_the_target() {
    everywhere(|pair| {
        straight(pair, 12);
        give(
            pair,
            &[
                "main~8:refs/heads/main",
                "main~3:refs/tags/between",
                "main~9:refs/heads/older",
            ],
        );
        pair.compare(&["main"]).ok();
    });
}

#[test]
fn the_old_tip_is_a_branch_of_the_source() {
    everywhere(|pair| {
        straight(pair, 8);
        pair.source.git(&["branch", "prod", "main~4"]).ok();
        give(pair, &["main~4:refs/heads/main", "prod"]);
        pair.compare(&["main"]).ok();
        pair.compare(&["main:prod"]).ok();
    });
}

/// `main:prod` while `prod` is the same on both sides: git has the old object at hand and must not judge by it.
#[test]
fn an_old_tip_that_git_can_see() {
    everywhere(|pair| {
        straight(pair, 8);
        pair.source.git(&["branch", "prod", "main~4"]).ok();
        give(pair, &["prod"]);
        pair.compare(&["main:prod"]).ok();
        pair.compare(&["main", "prod:refs/heads/next"]);
    });
}

#[test]
fn the_old_tip_is_the_parent() {
    everywhere(|pair| {
        straight(pair, 3);
        give(pair, &["main~1:refs/heads/main"]);
        pair.compare(&["main"]).ok();
        scenes::grow(&pair.source, "main", 1);
        pair.compare_with(&["+main"], without_forced).ok();
    });
}

/// Many branches at different depths in one push: the have of one hides the path to another.
#[test]
fn one_have_hides_another() {
    everywhere(|pair| {
        straight(pair, 14);
        for depth in [2, 4, 6, 8, 10] {
            pair.source.git(&["branch", &format!("b{depth}"), "main"]).ok();
            give(pair, &[&format!("main~{depth}:refs/heads/b{depth}")]);
        }
        pair.compare(&["refs/heads/b*"]).ok();
    });
}

/// The same with rejections among them.
#[test]
fn fast_forwards_and_rewinds_together() {
    everywhere(|pair| {
        straight(pair, 10);
        for (name, here, there) in [("x", 4, 2), ("y", 0, 5), ("z", 6, 3), ("w", 1, 7)] {
            pair.source.git(&["branch", name, &format!("main~{here}")]).ok();
            give(pair, &[&format!("main~{there}:refs/heads/{name}")]);
        }
        let output = pair.compare(&["refs/heads/*"]).exits(1);
        assert!(
            output
                .out()
                .contains("refs/heads/x:refs/heads/x\t[rejected] (non-fast-forward)")
        );
        pair.compare_with(&["+x", "+z"], without_forced).ok();
    });
}

/// Merges: the old tip is reachable through a second parent only.
#[test]
fn through_a_second_parent() {
    everywhere(|pair| {
        let mut import = Import::new();
        let main = import.line_of("refs/heads/main", None, "main", 4);
        let side = import.line_of("refs/heads/side", Some(&main[0]), "side", 4);
        let merge = import.commit("refs/heads/main", &[&main[3], &side[3]], &[("m", b"m")]);
        import.line_of("refs/heads/main", Some(&merge), "after", 3);
        import.into_repo(&pair.source);
        give(pair, &["side~1:refs/heads/main", "main~5:refs/heads/side"]);
        pair.compare(&["main", "side"]);
        pair.compare(&["main:refs/heads/third"]).ok();
    });
}

/// Two lines whose commits are all of the same second.
#[test]
fn commits_of_the_same_second() {
    everywhere(|pair| {
        let mut import = Import::new();
        let mut tips: [Option<String>; 2] = [None, None];
        let root = import.commit("refs/heads/root", &[], &[("root", b"root")]);
        for n in 0..6u32 {
            for (side, tip) in tips.iter_mut().enumerate() {
                import.set_clock(1_600_000_000);
                let parent = tip.clone().unwrap_or_else(|| root.clone());
                let content = format!("{side} {n}");
                let name = format!("refs/heads/side{side}");
                *tip = Some(import.commit(name, &[&parent], &[("f", content.as_bytes())]));
            }
        }
        import.into_repo(&pair.source);
        give(
            pair,
            &[
                "side0~2:refs/heads/side0",
                "side1:refs/heads/other",
                "side1~3:refs/heads/mixed",
            ],
        );
        pair.compare(&["side0"]).ok();
        pair.compare(&["side0:mixed"]).exits(1);
        pair.compare(&["side1:mixed"]).ok();
    });
}

/// Dates that run backwards make walks by date go astray.
#[test]
fn dates_that_run_backwards() {
    everywhere(|pair| {
        let mut import = Import::new();
        let mut parent: Option<String> = None;
        for n in 0..10u64 {
            import.set_clock(1_600_000_000 - 10_000 * n);
            let parents: Vec<&str> = parent.as_deref().into_iter().collect();
            let content = format!("{n}");
            parent = Some(import.commit("refs/heads/main", &parents, &[("f", content.as_bytes())]));
        }
        import.into_repo(&pair.source);
        give(
            pair,
            &[
                "main~5:refs/heads/main",
                "main~2:refs/heads/near",
                "main~8:refs/heads/far",
            ],
        );
        pair.compare(&["main"]).ok();
        pair.compare(&["main:near"]);
        pair.compare(&["main:far"]).ok();
    });
}

/// What the source does not know at all: `fetch first`, forced or not.
#[test]
fn an_old_value_that_the_source_does_not_know() {
    everywhere(|pair| {
        scenes::diverged(pair);
        let output = pair.compare(&["main", "dev"]).exits(1);
        assert!(output.out().contains("[rejected] (fetch first)"), "{output}");
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
        pair.compare(&["+main"]).ok();
    });
}

/// What the source knows, but has rewound: `non-fast-forward`.
#[test]
fn an_old_value_that_the_source_has_elsewhere() {
    everywhere(|pair| {
        scenes::crossed(pair);
        let output = pair.compare(&["main"]).exits(1);
        assert!(output.out().contains("[rejected] (non-fast-forward)"), "{output}");
        pair.compare(&["+main"]).ok();
    });
}

/// A history without a common commit.
#[test]
fn unrelated_histories() {
    everywhere(|pair| {
        straight(pair, 4);
        let mut import = Import::since(1_500_000_000);
        import.line_of("refs/heads/main", None, "stranger", 3);
        import.into_repo(&pair.target);
        pair.compare(&["main"]).exits(1);
        pair.compare(&["+main"]).ok();
    });
}

#[test]
fn tags_are_not_moved_without_force() {
    everywhere(|pair| {
        scenes::behind(pair);
        pair.source.git(&["tag", "-f", "v1", "main"]).ok();
        pair.source.git(&["tag", "-f", "v0", "side"]).ok();
        let output = pair.compare(&["refs/tags/*"]).exits(1);
        assert!(output.out().contains("[rejected] (already exists)"), "{output}");
        pair.compare_with(&["+v1", "+v0"], without_forced).ok();
    });
}

/// A source that hides some refs, and with them the way to the old value.
#[test]
fn hidden_refs_at_the_source() {
    for git in gits() {
        let mut options = Options::default();
        options
            .config
            .push(("uploadpack.hideRefs", "refs/heads/hidden".to_owned()));
        let pair = Pair::with(git, &[], options);
        straight(&pair, 6);
        pair.source.git(&["branch", "hidden", "main~1"]).ok();
        let mut import = Import::since(1_650_000_000);
        import.line_of("refs/heads/hidden", Some("refs/heads/hidden^0"), "hidden", 2);
        import.into_repo(&pair.source);
        give(&pair, &["hidden:refs/heads/main"]);
        let before = pair.target.id("main");
        pair.push(&["main"]).exits(1).says("rejected");
        assert_eq!(pair.target.id("main"), before);
        pair.push(&["+main"]).ok();
        assert_eq!(pair.target.id("main"), pair.source.id("main"));
        pair.target.fsck();
    }
}

/// Long histories are judged too, and only once: the traffic of a fast-forward over many commits stays near its pack.
#[test]
fn a_long_fast_forward() {
    for git in gits() {
        let pair = Pair::new(git);
        pair.source.config("uploadpack.allowFilter", "true");
        straight(&pair, 3000);
        give(&pair, &["main~2500:refs/heads/main"]);
        pair.compare(&["main"]).ok();
    }
}
