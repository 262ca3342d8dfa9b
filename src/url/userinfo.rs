//! What may stand in front of a host: user names, and passwords, which nobody should see. Pure text, no parsing of the rest.

/// `text` without the secrets of a URL in it: what stands in front of the host, because with http a user name can be a
/// token. With ssh it is no secret unless a password follows.
pub fn redact(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    match authority.rsplit_once('@') {
        Some((user, _)) if scheme.contains("ssh") && !user.contains(':') => text.to_owned(),
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => text.to_owned(),
    }
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
    }
}
