//! `git relay push`.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use super::args::PushArgs;
use super::output::Output;
use crate::api::{self, Pair};
use crate::error::{Error, Kind, Result};

/// What the run cannot go on after.
const FATAL: u8 = 128;

pub(super) fn run(args: &PushArgs, output: &Output) -> ExitCode {
    let (pair, arguments) = match split(&args.words) {
        Ok(parts) => parts,
        Err(err) => return output.usage(&err),
    };
    match api::push(&pair, arguments, &args.tokens.names()) {
        Ok(code) => ExitCode::from(code),
        Err(err) => {
            output.fatal(&err, &pair);
            ExitCode::from(if err.kind() == Kind::Usage { 2 } else { FATAL })
        }
    }
}

/// The pair, and the rest for git.
fn split(words: &[OsString]) -> Result<(Pair, &[OsString])> {
    let text = |word: &OsStr| -> Result<String> {
        let text = word.to_str().ok_or_else(|| usage("a side is not UTF-8"))?;
        if text.starts_with('-') {
            return Err(usage(&format!("'{text}' stands where a side is expected"))
                .hint("source and target come first, then options and refspecs for git push"));
        }
        Ok(text.to_owned())
    };
    match words {
        [url, rest @ ..] if url.to_str().is_some_and(Pair::is_url) => {
            Ok((Pair::from_url(&text(url)?)?, rest))
        }
        [source, target, rest @ ..] => Ok((Pair::new(text(source)?, text(target)?), rest)),
        _ => Err(usage("name a source and a target").hint("git relay push <source> <target> <refspec>…")),
    }
}

fn usage(message: &str) -> Error {
    Error::new(Kind::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sides_come_first() {
        let words = |list: &[&str]| -> Vec<OsString> { list.iter().map(OsString::from).collect() };
        let all = words(&["a", "b", "-n", "x:y"]);
        let (pair, rest) = split(&all).unwrap();
        assert_eq!((pair, rest), (Pair::new("a", "b"), &all[2..]));
        let all = words(&["relay::a=>b", "--mirror"]);
        let (pair, rest) = split(&all).unwrap();
        assert_eq!((pair, rest), (Pair::new("a", "b"), &all[1..]));
        assert!(split(&words(&["--mirror", "a", "b"])).is_err());
        assert!(split(&words(&["a"])).is_err());
        assert!(split(&words(&["a", "--mirror"])).is_err());
    }
}
