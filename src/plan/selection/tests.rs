//! Selections on literals.

use std::collections::HashMap;

use bstr::ByteSlice;

use super::*;

fn oid(digit: char) -> ObjectId {
    ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
}

/// `name=digit` each, with `^digit` behind it for a tag object; the first branch is HEAD's.
fn advertised(refs: &[&str]) -> Arc<Advertisement> {
    let entries = refs.iter().map(|entry| {
        let (name, value) = entry.split_once('=').unwrap_or((entry, "1"));
        let (value, peeled) = value.split_once('^').unwrap_or((value, ""));
        RemoteRef {
            name: name.into(),
            oid: oid(value.chars().next().unwrap()),
            peeled: peeled.chars().next().map(oid),
        }
    });
    let mut advertisement = Advertisement {
        head: entries
            .clone()
            .find(|entry| is_branch(entry.name))
            .map(|entry| entry.name.to_owned()),
        refs: entries.collect(),
        ..Advertisement::default()
    };
    advertisement.finish(gix_hash::Kind::Sha1).unwrap();
    advertisement.into()
}

const SOURCE: [&str; 9] = [
    "refs/heads/main=1",
    "refs/heads/dev=2",
    "refs/heads/both=3",
    "refs/notes/commits=4",
    "refs/pull/1/head=5",
    "refs/relay/batch/1=6",
    "refs/tags/both=7",
    "refs/tags/v1=8^c",
    "refs/tags/v2=9",
];

fn selection() -> Selection {
    Selection {
        exclude: excluded_namespaces(&crate::git::Config::default()),
        ..Selection::default()
    }
}

fn words(list: &[&str]) -> Vec<BString> {
    list.iter().map(|word| (*word).into()).collect()
}

/// `source>target` of what is wanted, and `-name` of what goes.
fn choose(selection: &Selection, target: &[&str]) -> Vec<String> {
    let choice = select(selection, &advertised(&SOURCE), &advertised(target)).unwrap();
    let short = |name: &BStr| name.strip_prefix(b"refs/").unwrap().as_bstr().to_string();
    let wanted = choice.wanted().map(|pair| match pair.source.name == pair.target {
        true => short(pair.target),
        false => format!("{}>{}", short(pair.source.name), short(pair.target)),
    });
    wanted
        .chain(choice.prunes.iter().map(|name| format!("-{}", short(name))))
        .collect()
}

fn refused(selection: &Selection) -> String {
    let err = select(selection, &advertised(&SOURCE), &advertised(&[])).unwrap_err();
    assert_eq!(err.kind(), Kind::Usage, "{err}");
    err.to_string()
}

fn mapped(maps: &[&str]) -> Selection {
    Selection {
        maps: words(maps),
        ..selection()
    }
}

#[test]
fn without_a_word_it_is_all_branches() {
    assert_eq!(
        choose(&selection(), &[]),
        ["heads/both", "heads/dev", "heads/main"]
    );
}

#[test]
fn branches_and_maps_replace_that_and_tags_add_to_it() {
    let named = Selection {
        branches: words(&["dev", "refs/heads/main", "dev"]),
        ..selection()
    };
    assert_eq!(choose(&named, &[]), ["heads/dev", "heads/main"]);
    let tagged = Selection { tags: true, ..named };
    assert_eq!(
        choose(&tagged, &[]),
        ["heads/dev", "heads/main", "tags/both", "tags/v1", "tags/v2"]
    );
    let all_tagged = Selection {
        tags: true,
        ..selection()
    };
    assert_eq!(choose(&all_tagged, &[]).len(), 6);
}

#[test]
fn all_refs_are_all_but_the_excluded() {
    let all = Selection {
        all_refs: true,
        tags: true,
        exclude_prefixes: words(&["refs/tags/v", "refs/heads/de"]),
        ..selection()
    };
    assert_eq!(
        choose(&all, &[]),
        ["heads/both", "heads/main", "notes/commits", "tags/both"]
    );
    let nothing_configured = Selection {
        exclude: Vec::new(),
        exclude_prefixes: Vec::new(),
        ..all
    };
    let names = choose(&nothing_configured, &[]);
    assert!(names.contains(&"pull/1/head".to_owned()));
    assert!(!names.iter().any(|name| name.starts_with("relay/")));
}

#[test]
fn short_names_in_maps_find_their_namespace() {
    let maps = mapped(&[
        "main:prod",
        "v1:released",
        "HEAD:refs/heads/trunk",
        "refs/notes/commits:refs/notes/other",
        "refs/pull/1/head:refs/heads/pr-1",
    ]);
    assert_eq!(
        choose(&maps, &[]),
        [
            "heads/main>heads/prod",
            "tags/v1>tags/released",
            "heads/main>heads/trunk",
            "notes/commits>notes/other",
            "pull/1/head>heads/pr-1"
        ]
    );
}

#[test]
fn usage_errors_name_the_culprit() {
    let branches = |names: &[&str]| Selection {
        branches: words(names),
        ..selection()
    };
    for (asked, told) in [
        (branches(&["main", "gone"]), "has no branch 'gone'"),
        (branches(&["a..b"]), "'a..b' is not a valid ref name"),
        (branches(&[""]), "'' is not a valid ref name"),
        (branches(&["rel/*"]), "'rel/*' is not a valid ref name"),
        (
            branches(&["refs/tags/v1"]),
            "--branch 'refs/tags/v1' is not a branch",
        ),
        (mapped(&["main"]), "--map 'main' has no ':'"),
        (mapped(&[":main"]), "--map ':main' names no source"),
        (mapped(&["main:"]), "--map 'main:' names no target"),
        (mapped(&["+main:x"]), "--map '+main:x' begins with '+'"),
        (mapped(&["gone:x"]), "has no branch or tag 'gone'"),
        (mapped(&["refs/heads/gone:x"]), "has no ref 'refs/heads/gone'"),
        (mapped(&["both:x"]), "has both a branch and a tag 'both'"),
        (mapped(&["main:x y"]), "'main:x y' is not a valid ref name"),
        (
            mapped(&["refs/notes/commits:x"]),
            "--map 'refs/notes/commits:x' needs the target's name in full",
        ),
        (
            mapped(&["main:refs/tags/x"]),
            "--map 'main:refs/tags/x' maps a branch to a tag",
        ),
        (
            mapped(&["v1:refs/heads/x"]),
            "--map 'v1:refs/heads/x' maps a tag to a branch",
        ),
        (mapped(&["main:refs/relay/x"]), "is for git relay itself"),
        (
            mapped(&["main:x", "dev:refs/heads/x"]),
            "'refs/heads/x' is the target of both 'refs/heads/main' and 'refs/heads/dev'",
        ),
        (
            mapped(&["main:x", "dev:x/y"]),
            "'refs/heads/x' and 'refs/heads/x/y' cannot both exist",
        ),
        (
            Selection {
                all_refs: true,
                ..mapped(&["main:dev"])
            },
            "'refs/heads/dev' is the target of both",
        ),
        (
            Selection {
                exclude_prefixes: words(&["tmp/"]),
                ..selection()
            },
            "--exclude-ref-prefix 'tmp/' begins no ref name",
        ),
    ] {
        let said = refused(&asked);
        assert!(said.contains(told), "{said:?} does not tell {told:?}");
    }
}

#[test]
fn pruning_stays_inside_what_is_managed() {
    let target = [
        "refs/heads/main",
        "refs/heads/old",
        "refs/notes/x",
        "refs/pull/2/head",
        "refs/relay/batch/2",
        "refs/tags/v0",
    ];
    let with = |change: fn(&mut Selection)| {
        let mut pruning = Selection {
            prune: true,
            ..selection()
        };
        change(&mut pruning);
        let mut gone = choose(&pruning, &target);
        gone.retain(|name| name.starts_with('-'));
        gone
    };
    assert_eq!(with(|_| ()), ["-heads/old"]);
    assert_eq!(with(|s| s.tags = true), ["-heads/old", "-tags/v0"]);
    assert_eq!(
        with(|s| s.all_refs = true),
        ["-heads/old", "-notes/x", "-tags/v0"]
    );
    assert_eq!(with(|s| s.branches = words(&["main"])), Vec::<String>::new());
    assert_eq!(
        with(|s| {
            s.branches = words(&["main"]);
            s.tags = true;
        }),
        ["-tags/v0"]
    );
    assert_eq!(
        with(|s| s.exclude_prefixes = words(&["refs/heads/ol"])),
        Vec::<String>::new()
    );
    assert_eq!(with(|s| s.prune = false), Vec::<String>::new());
}

#[test]
fn an_empty_source_prunes_nothing_and_says_so() {
    let all = Selection {
        prune: true,
        all_refs: true,
        ..selection()
    };
    let target = advertised(&["refs/heads/main"]);
    let err = select(&all, &Arc::default(), &target).unwrap_err();
    assert_eq!((err.kind(), err.side()), (Kind::Peer, Some(Side::Source)));
    assert!(err.message().contains("is empty"));
    let only_tags = advertised(&["refs/tags/v1"]);
    let branches = Selection {
        prune: true,
        ..selection()
    };
    let err = select(&branches, &only_tags, &target).unwrap_err();
    assert!(err.message().contains("has no branches"), "{err}");
}

#[test]
fn updates_carry_the_targets_values_and_what_may_be_overwritten() {
    let target = advertised(&["refs/heads/main=a", "refs/heads/old=b"]);
    let pruning = Selection {
        branches: words(&["main", "dev"]),
        tags: true,
        prune: true,
        ..selection()
    };
    let source = advertised(&SOURCE);
    let choice = select(&pruning, &source, &target).unwrap();
    let none = Obstacles::new();
    let updates = choice.updates(&target, Overwrite::Lease, &none);
    let [main, dev] = [0, 1].map(|number| updates.get(number).unwrap());
    assert_eq!((main.old, main.new), (Some(oid('a')), Some(oid('1'))));
    assert_eq!(main.lease, Some(Some(oid('a'))));
    assert_eq!((dev.old, dev.lease), (None, Some(None)));
    let tag = updates.iter().find(|u| u.target == "refs/tags/v1").unwrap();
    assert_eq!((tag.new, tag.new_commit), (Some(oid('8')), Some(oid('c'))));
    assert!(
        choice
            .updates(&target, Overwrite::Force, &none)
            .iter()
            .all(|u| u.force && u.lease.is_none())
    );
    let obstacles = Obstacles::from([("refs/heads/dev".into(), "refs/heads/dev/x".into())]);
    let others = choice.updates(&target, Overwrite::FastForward, &obstacles);
    assert!(others.iter().all(|update| update.target != "refs/heads/dev"));
    assert_eq!(others.len() + 1, updates.len());
    assert!(choice.manages("refs/tags/new".into()));
    assert!(!choice.manages("refs/heads/old".into()));
}

#[test]
fn names_are_bytes() {
    let name = b"refs/heads/gr\xfcn".as_bstr();
    let entry = RemoteRef {
        name,
        oid: oid('1'),
        peeled: None,
    };
    let source = Advertisement {
        refs: [entry].into_iter().collect(),
        ..Advertisement::default()
    };
    let named = Selection {
        branches: vec![b"gr\xfcn".into()],
        ..selection()
    };
    let choice = select(&named, &source.into(), &Advertisement::default()).unwrap();
    assert_eq!(choice.wanted().next().unwrap().target, name);
}

#[test]
fn refs_in_the_way_are_found_unless_they_are_pruned() {
    let source = advertised(&["refs/heads/a", "refs/heads/b/c", "refs/heads/new"]);
    let target = advertised(&["refs/heads/a/x", "refs/heads/b", "refs/heads/ne"]);
    let found = |prune: bool| {
        let all = Selection { prune, ..selection() };
        let choice = select(&all, &source, &target).unwrap();
        choice.obstacles(&target)
    };
    let expected = [
        ("refs/heads/a", "refs/heads/a/x"),
        ("refs/heads/b/c", "refs/heads/b"),
    ];
    let expected = expected.map(|(name, other)| (name.into(), other.into()));
    assert_eq!(found(false), HashMap::from(expected));
    assert_eq!(found(true), HashMap::new());
}
