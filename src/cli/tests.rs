//! The command line as a whole.

use super::*;

fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["git-relay"], words].concat())
}

#[test]
fn the_definition_is_consistent() {
    command().debug_assert();
}

#[test]
fn options_may_stand_anywhere_and_a_pair_may_be_a_url() {
    let cli = parse(&["--json", "sync", "a", "--branch", "x,y", "b", "--branch=z", "-q"]).unwrap();
    assert!(cli.output.json && cli.output.quiet);
    let Command::Sync(args) = cli.command else {
        panic!()
    };
    let request = sync::request(&args, false).unwrap();
    assert_eq!(request.pair, crate::api::Pair::new("a", "b"));
    assert_eq!(request.selection.branches, ["x", "y", "z"]);
    let Command::Plan(args) = parse(&["plan", "sync::a=>b"]).unwrap().command else {
        panic!()
    };
    assert_eq!(
        sync::request(&args, false).unwrap().pair,
        crate::api::Pair::new("a", "b")
    );
}

#[test]
fn one_side_is_not_enough_where_there_must_be_two() {
    let Command::Sync(args) = parse(&["sync", "a"]).unwrap().command else {
        panic!()
    };
    let err = sync::request(&args, false).unwrap_err();
    assert!(err.message().contains("needs a target"), "{err}");
    assert!(parse(&["sync"]).is_err() && parse(&["sync", "a", "b", "c"]).is_err());
}

#[test]
fn bootstrap_creates_and_nothing_else() {
    for option in ["--force", "--force-with-lease", "--prune", "--dry-run", "-n"] {
        let err = parse(&["bootstrap", option, "a", "b"]).unwrap_err();
        assert!(err.to_string().contains(option), "{err}");
        assert_eq!(err.exit_code(), i32::from(USAGE));
    }
    assert!(parse(&["bootstrap", "--tags", "a", "b"]).is_ok());
}

#[test]
fn git_push_gets_its_words_untouched() {
    let words = ["a", "b", "--prune", "-o", "x", "--json", "--", "refs/heads/*"];
    let cli = parse(&[&["push"], &words[..]].concat()).unwrap();
    assert!(!cli.output.json);
    let Command::Push(args) = cli.command else {
        panic!()
    };
    assert_eq!(args.words, words.map(std::ffi::OsString::from));
}
