//! Passwords from `~/.netrc`, as curl reads it for git (`lib/netrc.c` in curl). Parsing and one read of a file.

use std::path::PathBuf;

/// The most that is read of the file, in bytes: curl has the same limit.
const LIMIT: u64 = 128 * 1024;

/// The user name and password for `host` (without port) in the file of the user who runs us.
pub(super) fn look_up(host: &str) -> Option<(String, String)> {
    use std::io::Read;
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    let file = std::fs::File::open(PathBuf::from(home).join(".netrc")).ok()?;
    let mut text = String::new();
    file.take(LIMIT).read_to_string(&mut text).ok()?;
    find(&text, host)
}

/// The first entry for `host`, or the default entry, if it has a name and a password.
fn find(text: &str, host: &str) -> Option<(String, String)> {
    let mut words = Words(text);
    let (mut ours, mut login, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "machine" | "default" if ours && password.is_some() => break,
            "machine" => {
                ours = words.next()?.eq_ignore_ascii_case(host);
                (login, password) = (None, None);
            }
            "default" => (ours, login, password) = (true, None, None),
            "login" => login = words.next().filter(|_| ours),
            "password" => password = words.next().filter(|_| ours),
            "account" => drop(words.next()),
            "macdef" => words.skip_macro(),
            _ => {}
        }
    }
    Some((login?, password?))
}

/// Words between blanks; one in double quotes may have blanks and escapes, and `#` starts a comment.
struct Words<'a>(&'a str);

impl Words<'_> {
    /// A macro ends at an empty line.
    fn skip_macro(&mut self) {
        self.0 = self.0.split_once("\n\n").map_or("", |(_, rest)| rest);
    }

    fn quoted(&mut self) -> Option<String> {
        let mut word = String::new();
        let mut chars = self.0.char_indices().skip(1);
        while let Some((at, ch)) = chars.next() {
            match ch {
                '"' => {
                    self.0 = self.0.get(at + 1..)?;
                    return Some(word);
                }
                '\\' => word.push(match chars.next()?.1 {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => other,
                }),
                other => word.push(other),
            }
        }
        None
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            self.0 = self.0.trim_start();
            match self.0.chars().next()? {
                '#' => self.0 = self.0.split_once('\n').map_or("", |(_, rest)| rest),
                '"' => return self.quoted(),
                _ => break,
            }
        }
        let end = self.0.find(char::is_whitespace).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(word.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_for_a_host_counts() {
        let text = "# machine a login no password no\nmachine a\n\tlogin u password p\n\
            macdef init\nmachine b login m password m\n\nmachine B login \"v w\" account x password \"q\\\"#\"\n\
            machine a login u2 password p2 machine c login only default login d password e";
        let found = |host: &str| find(text, host);
        let pair = |login: &str, password: &str| Some((login.to_owned(), password.to_owned()));
        assert_eq!(found("a"), pair("u", "p"));
        assert_eq!(found("b"), pair("v w", "q\"#"));
        assert_eq!(found("elsewhere"), pair("d", "e"));
        assert_eq!(find("machine a login u", "a"), None);
        assert_eq!(find("machine a password \"p", "a"), None);
        assert_eq!(find("", "a"), None);
    }
}
