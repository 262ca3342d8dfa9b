//! The states of source and target that many tests start from.

use super::history::Import;
use super::pair::Pair;
use super::repo::Repo;

/// What the source of all scenes holds: `main` with a merge, `dev` and `side` off it, `feature/one` and `feature/two`,
/// the annotated tags `v1` and `v2` and the light tag `light`.
///
/// Gives the marks of the first five commits of `main`.
fn source_history(import: &mut Import) -> Vec<String> {
    let main = import.line_of("refs/heads/main", None, "main", 5);
    let side = import.line_of("refs/heads/side", Some(&main[2]), "side", 2);
    let tip = import.commit(
        "refs/heads/main",
        &[&main[4], &side[1]],
        &[("side.txt", b"side 1\n")],
    );
    import.line_of("refs/heads/dev", Some(&tip), "dev", 3);
    import.line_of("refs/heads/feature/one", Some(&main[1]), "one", 2);
    import.line_of("refs/heads/feature/two", Some(&main[3]), "two", 1);
    import.tag("v1", &main[1]);
    import.tag("v2", &tip);
    import.reference("refs/tags/light", &main[3]);
    main
}

/// The target is empty.
pub fn fresh(pair: &Pair) {
    let mut import = Import::new();
    source_history(&mut import);
    import.into_repo(&pair.source);
}

/// The target stands where the source stood earlier: `main` is three commits behind, `dev` does not exist, and there are
/// things of its own: the branch `old` (at a commit of the source) and the tag `v0`.
pub fn behind(pair: &Pair) {
    fresh(pair);
    let name = pair.target.at();
    let push = [
        "push",
        &name,
        "main~2:refs/heads/main",
        "side",
        "main~4:refs/heads/old",
    ];
    pair.source.git(&push).ok();
    pair.source
        .git(&["push", &name, "main~3:refs/tags/v0", "v1"])
        .ok();
}

/// As [`behind`], but the target has commits that the source does not know: `main` has diverged, `side` has been rewound
/// and gone on, and the tag `v1` names something else.
pub fn diverged(pair: &Pair) {
    behind(pair);
    let mut import = Import::since(1_650_000_000);
    let own = import.line_of("refs/heads/main", Some("refs/heads/main^0"), "own", 2);
    import.line_of("refs/heads/side", Some("refs/heads/old^0"), "other", 1);
    import.reference("refs/tags/v1", &own[0]);
    import.into_repo(&pair.target);
}

/// As [`behind`], but `main` of the target stands on a commit that the source has on another branch only.
pub fn crossed(pair: &Pair) {
    behind(pair);
    let dev = pair.source.id("dev");
    pair.source
        .git(&["push", &pair.target.at(), "dev:refs/heads/main"])
        .ok();
    assert_eq!(pair.target.id("main"), dev);
}

/// Add `count` commits to a branch of `repo`. Gives the new tip.
pub fn grow(repo: &Repo, branch: &str, count: usize) -> String {
    let name = format!("refs/heads/{branch}");
    let date: u64 = repo.read(&["log", "-1", "--format=%ct", &name]).parse().unwrap();
    let mut import = Import::since(date);
    let prefix = format!("{branch}-{date}").replace('/', "-");
    import.line_of(&name, Some(&format!("{name}^0")), &prefix, count);
    import.into_repo(repo);
    repo.id(&name)
}

/// As [`grow`], with commits that nobody else makes.
pub fn own_work(repo: &Repo, branch: &str, count: usize) -> String {
    let name = format!("refs/heads/{branch}");
    let mut import = Import::since(1_690_000_000);
    import.line_of(&name, Some(&format!("{name}^0")), "own-work", count);
    import.into_repo(repo);
    repo.id(&name)
}
