//! What may stand in front of a host: user names, and passwords, which nobody should see. Pure text, no parsing of the rest.

/// `text` without the secrets of the URLs in it (a relay URL that was typed wrong has two): what stands in front of the
/// host, because with http a user name can be a token. With ssh it is no secret unless a password follows.
pub fn redact(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_ssh = ends_in_ssh(&shown);
        shown.push_str("://");
        let (authority, rest) = part.split_at(part.find(['/', '?', '#']).unwrap_or(part.len()));
        match authority.rsplit_once('@') {
            Some((user, _)) if is_ssh && !user.contains(':') => shown.push_str(authority),
            Some((_, host)) => shown.extend(["***@", host]),
            None => shown.push_str(authority),
        }
        shown.push_str(rest);
    }
    shown
}

/// Whether the scheme that `text` ends with is one of those for ssh.
fn ends_in_ssh(text: &str) -> bool {
    let scheme = text
        .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+')
        .next();
    scheme.is_some_and(|scheme| scheme.contains("ssh"))
}

/// Whether `text` is a URL with a password in it.
pub(super) fn has_password(text: &str) -> bool {
    let login = userinfo(text).and_then(|userinfo| userinfo.split_once(':'));
    login.is_some_and(|(_, password)| !password.is_empty())
}

/// Whether `text` is a URL with a user name in it, which may be a token.
pub fn has_login(text: &str) -> bool {
    userinfo(text).is_some_and(|userinfo| !userinfo.is_empty())
}

fn userinfo(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@').map(|(userinfo, _)| userinfo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_stand_in_front_of_hosts_alone() {
        let found = |text: &str| (has_login(text), has_password(text));
        assert_eq!(found("https://me:p:w@h:1/x:y@z"), (true, true));
        assert_eq!(found("https://:pw@h/x"), (true, true));
        for text in ["https://me:@[::1]:8/x", "https://me@h:1/x:y@z"] {
            assert_eq!(found(text), (true, false), "{text}");
        }
        for text in ["https://h:1/x:y@z", "https://h?a:b@c", "me@h:x:y@z", "/x"] {
            assert_eq!(found(text), (false, false), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(redact("https://token@h/x?a@b"), "https://***@h/x?a@b");
        assert_eq!(redact("hop::https://u:p@h/x"), "hop::https://***@h/x");
        assert_eq!(redact("ssh://u:p@h:1/x"), "ssh://***@h:1/x");
        assert_eq!(redact("ssh://git@h/x"), "ssh://git@h/x");
        assert_eq!(redact("git@h:x"), "git@h:x");
        for (typed, shown) in [
            (
                "https://u:p@a/x=https://v:q@b/y",
                "https://***@a/x=https://***@b/y",
            ),
            ("https://u:p@a=https://v:q@b", "https://***@a=https://***@b"),
            ("ssh://git@a/x=https://v:q@b/y", "ssh://git@a/x=https://***@b/y"),
            ("https://v@b/y=ssh://git@a/x", "https://***@b/y=ssh://git@a/x"),
        ] {
            assert_eq!(redact(typed), shown);
        }
    }
}
