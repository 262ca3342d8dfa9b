//! What users write and what git says to a remote helper.

use bstr::ByteSlice;
use git_remote_sync::url::{Address, RelayUrl, redact};

use super::checks::{assert_printable, told};
use super::command::{Command, HelperOption, PushSpec};

/// A relay URL, and each side as an address.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match RelayUrl::parse(text) {
        Ok(url) => {
            assert_eq!(format!("{}=>{}", url.source, url.targets.join("=>")), text);
            address(&url.source);
            url.targets.iter().for_each(|side| address(side));
        }
        Err(err) => {
            told(&err);
            address(text);
        }
    }
}

fn address(text: &str) {
    let shown = redact(text);
    assert_eq!(redact(&shown), shown, "hidden once, hidden for good");
    let address = match Address::parse(text) {
        Ok(address) => address,
        Err(err) => return drop(told(&err)),
    };
    // Where a local path leads only the file system knows.
    if !matches!(address, Address::Local(_)) {
        assert!(address.is_same_as(&address.clone()));
    }
    match &address {
        Address::Http(http) => {
            assert!(http.url.user().is_none() && http.url.password().is_none());
            let again = Address::parse(&address.to_string());
            assert!(again.is_ok_and(|again| again.is_same_as(&address)), "{text:?}");
        }
        Address::Ssh(ssh) => {
            assert!(
                ssh.port
                    .iter()
                    .all(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
            );
        }
        Address::Daemon(git) => {
            assert!(
                git.port
                    .iter()
                    .all(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
            );
        }
        Address::Helper(helper) => {
            // It becomes a part of the name of a program.
            assert!(
                helper
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            );
            assert!(!helper.name.starts_with('-'));
        }
        Address::Local(_) => {}
    }
}

/// Lines that git sends, and its C-style quotes.
pub fn helper_command(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        match Command::parse(line) {
            Ok(Command::Push(spec)) => {
                assert_eq!(Command::parse(&written(&spec)).ok(), Some(Command::Push(spec)));
            }
            Ok(Command::Option(HelperOption::PushOption(value))) => {
                let line = [b"option push-option ".as_slice(), &quoted(&value)].concat();
                let again = Command::parse(&line).ok();
                assert_eq!(again, Some(Command::Option(HelperOption::PushOption(value))));
            }
            Ok(_) => {}
            Err(err) => assert_printable(&told(&err)),
        }
    }
    let line = [b"option servpath ".as_slice(), &quoted(data)].concat();
    let value = HelperOption::ServicePath(data.into());
    assert_eq!(Command::parse(&line).ok(), Some(Command::Option(value)));
}

fn written(spec: &PushSpec) -> Vec<u8> {
    let force = if spec.force { "+" } else { "" };
    let src = spec.src.as_ref().map(|src| src.as_bytes()).unwrap_or_default();
    [b"push ", force.as_bytes(), src, b":", spec.dst.as_slice()].concat()
}

/// As `quote_c_style()` in git's `quote.c` writes a value that it has to quote.
fn quoted(value: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 | 0x7f.. => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}
