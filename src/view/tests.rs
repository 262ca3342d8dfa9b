//! The view in real repositories: what git sees of it, and that nothing is left.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bstr::BString;
use gix_hash::{Kind as Hash, ObjectId};
use tempfile::TempDir;

use super::*;
use crate::git::Version;
use crate::wire::object::ObjectKind;
use crate::wire::pack::Object;

/// Everything below a directory: modes and contents by path.
type Snapshot = BTreeMap<PathBuf, (u32, Vec<u8>)>;

fn snapshot(dir: &Path) -> Snapshot {
    let mut out = Snapshot::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        out.insert(path, (meta.permissions().mode(), content));
    }
    out
}

/// Tell two snapshots apart by name, which beats a dump of both.
fn assert_same(before: &Snapshot, after: &Snapshot, when: &str) {
    let gone: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    let changed: Vec<_> = before
        .iter()
        .filter(|(path, what)| after.get(*path).is_some_and(|now| now != *what))
        .map(|(path, _)| path)
        .collect();
    assert!(
        gone.is_empty() && new.is_empty() && changed.is_empty(),
        "{when}: {gone:?} gone, {new:?} new, {changed:?} changed"
    );
}

fn init(args: &[&str]) -> TempDir {
    let tmp = tempfile::tempdir().unwrap();
    Git::here()
        .command(["init", "-q", "--bare", "-b", "main"])
        .args(args)
        .arg(tmp.path())
        .run()
        .unwrap();
    tmp
}

fn commit(format: Hash, message: &str) -> Object {
    let tree = objects::hash(format, &[b"tree 0\0"]).unwrap();
    let parent = objects::hash(format, &[b"a commit that is nowhere"]).unwrap();
    let who = "A <a@example.com> 1700000000 +0000";
    let data =
        format!("tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\n{message}\n").into_bytes();
    let header = format!("commit {}\0", data.len());
    let oid = objects::hash(format, &[header.as_bytes(), &data]).unwrap();
    Object {
        kind: ObjectKind::Commit,
        id: oid,
        data,
    }
}

/// So many branches, each with a commit of its own; the target names the first `shared` of them. HEAD is `b1`.
fn picture(format: Hash, count: usize, shared: usize) -> Picture {
    let tips: Vec<_> = (0..count).map(|at| commit(format, &at.to_string())).collect();
    let refs = tips.iter().enumerate();
    let refs = refs.map(|(at, tip)| ViewRef {
        name: format!("refs/heads/b{at}").into(),
        oid: tip.id,
    });
    Picture {
        refs: refs.collect(),
        head: Some("refs/heads/b1".into()),
        shallow: tips.iter().map(|tip| tip.id).collect(),
        named_by_target: tips.iter().take(shared).map(|tip| tip.id).collect(),
        tips,
    }
}

fn empty(git: &Git) -> Repository {
    // Children that other tests are just starting can hold on to a lock for a moment.
    match standing(git, Duration::from_secs(5)).unwrap() {
        Standing::Empty(repo) => *repo,
        other => panic!("{other:?}"),
    }
}

fn listed(git: &Git) -> Vec<(BString, ObjectId)> {
    git.list_refs().unwrap().refs
}

fn exists(git: &Git, oid: ObjectId) -> bool {
    !git.existing_objects([oid].into_iter()).unwrap().is_empty()
}

/// Reftables came with git 2.45.
fn has_reftable() -> bool {
    Git::here().version().unwrap() >= Version(2, 45, 0)
}

#[test]
fn git_sees_the_view_and_nothing_is_left_of_it() {
    for format in [Hash::Sha1, Hash::Sha256] {
        let tmp = init(&[&format!("--object-format={format}")]);
        let before = snapshot(tmp.path());
        let git = Git::at(tmp.path());
        let picture = picture(format, 5, 2);
        let mut view = View::build(empty(&git), picture.clone()).unwrap();
        let expected: Vec<_> = picture
            .refs
            .iter()
            .map(|entry| (entry.name.clone(), entry.oid))
            .collect();
        assert_eq!(listed(&git), expected);
        assert_eq!(git.head_target(tmp.path()).unwrap().unwrap(), "refs/heads/b1");
        git.command(["log", "--format=%s", "--all"]).run().unwrap();
        git.command(["fsck", "--connectivity-only"])
            .or_exit(2)
            .run()
            .unwrap();
        assert!(
            std::matches!(standing(&git, Duration::ZERO).unwrap(), Standing::Unusable(why) if why.kind() == Kind::Timeout)
        );
        assert!(!recover(&git).unwrap(), "it is alive");

        assert!(view.hide().unwrap().is_empty());
        let there: Vec<_> = picture.tips.iter().map(|tip| exists(&git, tip.id)).collect();
        assert_eq!(there, [false, false, true, true, true]);
        view.show().unwrap();
        assert!(picture.tips.iter().all(|tip| exists(&git, tip.id)));

        let cleaner = view.cleaner();
        view.remove().unwrap();
        assert_same(&before, &snapshot(tmp.path()), "removed");
        cleaner.remove().unwrap();
        assert!(!recover(&git).unwrap());
        drop(empty(&git));
        assert_same(&before, &snapshot(tmp.path()), "looked at again");
    }
}

#[test]
fn tracking_refs_with_reflogs_and_odd_files_go_too() {
    let tmp = init(&[]);
    let git = Git::at(tmp.path());
    git.command(["config", "core.logAllRefUpdates", "true"])
        .run()
        .unwrap();
    git.command(["config", "remote.r.fetch", "+refs/heads/*:refs/remotes/r/*"])
        .run()
        .unwrap();
    git.command(["config", "remote.m.fetch", "+refs/*:refs/*"])
        .run()
        .unwrap();
    fs::write(
        tmp.path().join("packed-refs"),
        "# pack-refs with: peeled fully-peeled sorted \n",
    )
    .unwrap();
    let before = snapshot(tmp.path());
    let git = Git::at(tmp.path());
    let picture = picture(Hash::Sha1, 4, 4);
    let mut view = View::build(empty(&git), picture.clone()).unwrap();
    view.hide().unwrap();
    view.show().unwrap();
    let oid = picture.tips[2].id.to_string();
    for name in ["refs/remotes/r/deep/er/b2", "refs/heads/b1", "refs/heads/other"] {
        let id = ["-c", "user.name=a", "-c", "user.email=a@b"];
        git.command(id)
            .args(["update-ref", "-m", "update by push", name, &oid])
            .run()
            .unwrap();
    }
    git.command(["update-ref", "-d", "refs/heads/b3"]).run().unwrap();
    assert!(tmp.path().join("logs/HEAD").exists(), "b1 is what HEAD points to");
    view.remove().unwrap();
    assert_same(&before, &snapshot(tmp.path()), "removed");
}

#[test]
fn objects_that_were_there_stay_and_cannot_be_hidden() {
    let picture = picture(Hash::Sha1, 4, 3);
    let tmp = init(&[]);
    let git = Git::at(tmp.path());
    for tip in &picture.tips[..2] {
        git.command(["hash-object", "-t", "commit", "-w", "--stdin"])
            .input(tip.data.clone())
            .run()
            .unwrap();
    }
    let pack = git
        .command(["pack-objects", "-q"])
        .arg(tmp.path().join("objects/pack/pack"));
    pack.input(format!("{}\n", picture.tips[0].id).into_bytes())
        .run()
        .unwrap();
    git.command(["prune-packed"]).run().unwrap();
    let before = snapshot(tmp.path());
    let mut view = View::build(empty(&git), picture.clone()).unwrap();
    let mut visible = view.hide().unwrap().to_vec();
    visible.sort();
    let mut expected = vec![picture.tips[0].id, picture.tips[1].id];
    expected.sort();
    assert_eq!(visible, expected);
    assert!(!exists(&git, picture.tips[2].id));
    view.remove().unwrap();
    assert_same(&before, &snapshot(tmp.path()), "removed");
}

/// Stop after every single step, of building, hiding, showing and removing, and then of the recovery itself.
fn stop_everywhere(make: impl Fn() -> TempDir, exact: bool, stride: usize) {
    let mut steps = 0;
    loop {
        let tmp = make();
        let before = snapshot(tmp.path());
        let git = Git::at(tmp.path());
        fault::allow(Some(steps));
        let done = whole_push(&git);
        fault::allow(None);
        for more in 0..3 {
            fault::allow(Some(more * 3 + steps % 5));
            recover(&git).ok();
        }
        fault::allow(None);
        recover(&git).unwrap();
        assert_eq!(listed(&git), [], "stopped after {steps}");
        assert_eq!(
            git.head_target(tmp.path()).unwrap().unwrap(),
            "refs/heads/main",
            "stopped after {steps}"
        );
        let after = snapshot(tmp.path());
        let keep = |snapshot: Snapshot| -> Snapshot {
            snapshot
                .into_iter()
                .filter(|(path, _)| exact || !path.to_string_lossy().contains("/reftable"))
                .collect()
        };
        assert_same(&keep(before), &keep(after), &format!("stopped after {steps}"));
        drop(empty(&git));
        if done.is_ok() {
            assert!(steps > 40, "the push has more steps than {steps}");
            return;
        }
        steps += stride;
    }
}

fn whole_push(git: &Git) -> Result<()> {
    let Standing::Empty(repo) = standing(git, Duration::ZERO)? else {
        return Err(gone());
    };
    let picture = picture(Hash::Sha1, 4, 2);
    let oid = picture.tips[0].id.to_string();
    let mut view = View::build(*repo, picture)?;
    view.hide()?;
    view.show()?;
    let id = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "core.logAllRefUpdates=true",
    ];
    git.command(id)
        .args(["update-ref", "refs/remotes/r/x/y", &oid])
        .run()?;
    view.remove()
}

#[test]
fn a_killed_run_is_undone_wherever_it_stopped() {
    let make = || {
        let tmp = init(&[]);
        let git = Git::at(tmp.path());
        git.command(["config", "remote.r.fetch", "+refs/heads/*:refs/remotes/r/*"])
            .run()
            .unwrap();
        // A directory for loose objects that was there, and one object in it.
        git.command(["hash-object", "-w", "--stdin"]).run().unwrap();
        tmp
    };
    stop_everywhere(make, true, 1);
}

#[test]
fn a_killed_run_is_undone_with_reftables_too() {
    if !has_reftable() {
        return;
    }
    let make = || {
        let tmp = init(&["--ref-format=reftable"]);
        let git = Git::at(tmp.path());
        git.command(["config", "remote.r.fetch", "+refs/heads/*:refs/remotes/r/*"])
            .run()
            .unwrap();
        tmp
    };
    stop_everywhere(make, false, 1);
}

#[test]
fn refs_that_others_made_stay_with_the_objects() {
    for args in [[].as_slice(), &["--ref-format=reftable"]] {
        if !args.is_empty() && !has_reftable() {
            continue;
        }
        let tmp = init(args);
        let git = Git::at(tmp.path());
        let picture = picture(Hash::Sha1, 3, 1);
        let view = View::build(empty(&git), picture.clone()).unwrap();
        let oid = picture.tips[0].id;
        git.command(["update-ref", "refs/mine/x", &oid.to_string()])
            .run()
            .unwrap();
        assert_eq!(view.remove().unwrap_err().kind(), Kind::Moved);
        assert_eq!(listed(&git), [("refs/mine/x".into(), oid)]);
        assert!(exists(&git, oid));
        assert_eq!(git.head_target(tmp.path()).unwrap().unwrap(), "refs/heads/main");
        assert!(std::matches!(
            standing(&git, Duration::ZERO).unwrap(),
            Standing::HasRefs
        ));
        assert!(!recover(&git).unwrap());
    }
}

#[test]
fn what_keeps_a_repository_from_being_viewed() {
    let why = |git: &Git| match standing(git, Duration::ZERO).unwrap() {
        Standing::Unusable(why) => why.message().to_owned(),
        other => panic!("{other:?}"),
    };
    let tmp = init(&[]);
    let at = || Git::at(tmp.path());
    assert!(why(&at().with_var("GIT_QUARANTINE_PATH", "x")).contains("hook"));
    fs::write(tmp.path().join("shallow"), "").unwrap();
    assert!(why(&at()).contains("shallow"));
    fs::remove_file(tmp.path().join("shallow")).unwrap();
    fs::write(tmp.path().join("HEAD"), "ref: refs/heads/.invalid\n").unwrap();
    assert!(why(&at()).contains("cloned"));
    fs::write(tmp.path().join("HEAD"), "0".repeat(40)).unwrap();
    assert!(why(&at()).contains("detached"));
    fs::write(tmp.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
    at().command(["config", "remote.x.promisor", "true"])
        .run()
        .unwrap();
    assert!(why(&at()).contains("partial clone"));

    fs::create_dir_all(tmp.path().join("worktrees/w/refs/bisect")).unwrap();
    fs::write(tmp.path().join("refs/heads/x"), "broken").unwrap();
    assert!(std::matches!(
        standing(&at(), Duration::ZERO).unwrap(),
        Standing::HasRefs
    ));
}

#[test]
fn a_picture_that_does_not_fit_is_refused_without_a_trace() {
    let tmp = init(&[]);
    let git = Git::at(tmp.path());
    let before = snapshot(tmp.path());
    let refused = |picture: Picture| View::build(empty(&git), picture).unwrap_err();

    let err = refused(picture(Hash::Sha256, 1, 0));
    assert_eq!(
        err.message(),
        "the source names objects by sha256, this repository by sha1"
    );
    assert!(err.hint_text().unwrap().contains("--object-format=sha256"));
    let mut lacking = picture(Hash::Sha1, 2, 0);
    let missing = lacking.tips.pop().unwrap().id;
    assert_eq!(lacking.missing(), [missing]);
    assert_eq!(refused(lacking).kind(), Kind::Corrupt);
    let mut odd = picture(Hash::Sha1, 1, 0);
    odd.refs[0].name = "refs/heads/a b\nc".into();
    assert_eq!(
        refused(odd).message(),
        "git does not allow the ref name 'refs/heads/a b\\012c'"
    );
    assert_same(&before, &snapshot(tmp.path()), "refused");
}

#[test]
fn a_signal_before_the_build_prevents_it() {
    let tmp = init(&[]);
    let before = snapshot(tmp.path());
    let repo = empty(&Git::at(tmp.path()));
    repo.cleaner().remove().unwrap();
    assert!(View::build(repo, picture(Hash::Sha1, 1, 0)).is_err());
    assert_same(&before, &snapshot(tmp.path()), "interrupted");
}

#[test]
fn linked_worktrees_have_a_head_of_their_own() {
    let tmp = init(&[]);
    let main = Git::at(tmp.path());
    // Only git 2.42 and newer can make an unborn worktree, so this one is made by hand.
    let linked = tmp.path().join("worktrees/w");
    let tree = tmp.path().join("tree");
    fs::create_dir_all(&linked).unwrap();
    fs::create_dir(&tree).unwrap();
    fs::write(linked.join("HEAD"), "ref: refs/heads/other\n").unwrap();
    fs::write(linked.join("commondir"), "../..\n").unwrap();
    fs::write(
        linked.join("gitdir"),
        format!("{}\n", tree.join(".git").display()),
    )
    .unwrap();
    let before = snapshot(tmp.path());
    let git = Git::at(&linked);
    let view = View::build(empty(&git), picture(Hash::Sha1, 3, 1)).unwrap();
    assert_eq!(git.head_target(&linked).unwrap().unwrap(), "refs/heads/b1");
    assert_eq!(main.head_target(tmp.path()).unwrap().unwrap(), "refs/heads/main");
    assert_eq!(listed(&main).len(), 3);
    view.remove().unwrap();
    assert_same(&before, &snapshot(tmp.path()), "removed");

    fs::create_dir_all(linked.join("refs/bisect")).unwrap();
    fs::write(linked.join("refs/bisect/bad"), "x").unwrap();
    assert!(std::matches!(
        standing(&main, Duration::ZERO).unwrap(),
        Standing::HasRefs
    ));
}

#[test]
fn ten_thousand_refs_come_and_go() {
    for args in [[].as_slice(), &["--ref-format=reftable"]] {
        if !args.is_empty() && !has_reftable() {
            continue;
        }
        for shared in [0, 10_001] {
            let tmp = init(args);
            let git = Git::at(tmp.path());
            let picture = picture(Hash::Sha1, 10_001, shared);
            let count = || Git::at(tmp.path()).list_refs().unwrap().refs.len();
            let mut view = View::build(empty(&git), picture).unwrap();
            assert_eq!(count(), 10_001);
            view.hide().unwrap();
            view.show().unwrap();
            assert_eq!(count(), 10_001);
            view.remove().unwrap();
            assert_eq!(count(), 0);
        }
    }
}
