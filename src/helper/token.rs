//! The token of the source, for git's own http code, which does the reading: a credential helper for the source's server
//! and no other, as settings for the one command that reads. The token itself stays in its own variable.

use crate::error::{Error, Kind, Result, Side};
use crate::transport::http::token_variable;
use crate::url::HttpAddress;

/// The settings, key and value, by which a git that reads from `address` finds the token there is for it; `var` looks
/// up a variable of the environment that this git will have.
///
/// # Errors
/// `Config` when the token cannot be handed over.
pub(super) fn settings(
    address: &HttpAddress,
    var: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>> {
    let name = token_variable(Side::Source, address.token_env.as_deref());
    let Some(token) = var(&name).filter(|token| !token.is_empty()) else {
        return Ok(Vec::new());
    };
    if token.contains(['\n', '\r']) {
        let message = format!("the token in {name} has a line break in it");
        return Err(Error::new(Kind::Config, message).on(Side::Source));
    }
    let username = match var("GIT_RELAY_SOURCE_USERNAME").filter(|name| !name.is_empty()) {
        Some(_) => "\"username=$GIT_RELAY_SOURCE_USERNAME\" ",
        // The URL has one, which git knows.
        None if address
            .userinfo
            .as_ref()
            .is_some_and(|(user, _)| !user.is_empty()) =>
        {
            ""
        }
        None => "username=git ",
    };
    // Built into every shell, so that no process has the token among its arguments.
    let helper =
        format!("!f() {{ test \"$1\" != get || printf '%s\\n' {username}\"password=${name}\"; }}; f");
    // The server and not the path, as for a push: a repository may have moved on its server.
    let mut server = address.url.clone();
    server.path = "/".into();
    let key = format!("credential.{}.helper", server.to_bstring());
    // The empty value forgets the helpers before it: none of them is asked, or told to store the token.
    Ok(vec![(key.clone(), String::new()), (key, helper)])
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::git::service::with_settings;
    use crate::url::Address;

    /// What `git credential fill` finds for `asked`, and whether it was told the token in another way.
    fn filled(url: &str, asked: &str, vars: &[(&str, &str)]) -> String {
        let Address::Http(address) = Address::parse(url).unwrap() else {
            panic!()
        };
        let var = |name: &str| {
            let (_, value) = vars.iter().find(|(key, _)| *key == name)?;
            Some((*value).to_owned())
        };
        let settings = settings(&address, var).unwrap();
        let mut git = Command::new("git");
        git.args(["-c", "credential.helper=!echo password=of-another; :"]);
        with_settings(&mut git, &settings);
        git.args(["credential", "fill"]);
        git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "");
        git.env_remove("GIT_CONFIG_COUNT").envs(vars.iter().copied());
        let arguments: Vec<_> = git
            .get_args()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        assert!(!arguments.concat().contains("s3cret"));
        git.stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped());
        let mut child = git.stderr(std::process::Stdio::null()).spawn().unwrap();
        std::io::Write::write_all(
            &mut child.stdin.take().unwrap(),
            format!("url={asked}\n").as_bytes(),
        )
        .unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn the_token_goes_to_its_own_server_alone() {
        let vars = [("GIT_RELAY_SOURCE_TOKEN", "s3cret $(x)'\"\\n")];
        let url = "https://h.example:8443/a/b.git";
        let found = filled(url, url, &vars);
        assert!(
            found.contains("username=git\npassword=s3cret $(x)'\"\\n\n"),
            "{found}"
        );
        for other in [
            "https://h.example/a/b.git",
            "http://h.example:8443/a/b.git",
            "https://evil.example/a/b.git",
        ] {
            assert!(!filled(url, other, &vars).contains("s3cret"), "{other}");
        }
        for path in ["a=b/x", "~me/x.git", "a%20b?c"] {
            let url = format!("https://h/{path}");
            assert!(filled(&url, &url, &vars).contains("s3cret"), "{url}");
        }
    }

    #[test]
    fn user_names_come_from_the_environment_or_the_url() {
        let token = ("GIT_RELAY_SOURCE_TOKEN", "s3cret");
        let named = [token, ("GIT_RELAY_SOURCE_USERNAME", "bot")];
        let found = filled("https://h/x", "https://h/x", &named);
        assert!(found.contains("username=bot\npassword=s3cret\n"), "{found}");
        let found = filled("https://me@h/x", "https://me@h/x", &[token]);
        assert!(found.contains("username=me\npassword=s3cret\n"), "{found}");
    }

    #[test]
    fn a_token_of_two_lines_is_refused() {
        let Address::Http(address) = Address::parse("https://h/x").unwrap() else {
            panic!()
        };
        let broken = |name: &str| (name == "GIT_RELAY_SOURCE_TOKEN").then(|| "a\nhost=evil".to_owned());
        assert_eq!(settings(&address, broken).unwrap_err().kind(), Kind::Config);
    }
}
