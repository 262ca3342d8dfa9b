//! What a repository of our own takes over from the one that the user is in: the settings that say how other
//! repositories are reached.

use std::collections::HashMap;
use std::path::Path;

use bstr::{BStr, ByteSlice};

use super::os_str;

/// One line of `git config --list -z`: a key as git prints it, and its value if it has one.
type Setting<'a> = (&'a BStr, Option<&'a BStr>);

/// The settings in `here` (`git config --list -z` of the user's repository) that `there` (the same of ours) lacks, as
/// the text of a configuration file. So what both get from the user's global configuration is not doubled, and what
/// only the user's repository gets from there (`includeIf`) is not lost.
///
/// Relative paths of remotes are relative to `top`.
pub fn settings_to_inherit(here: &[u8], there: &[u8], top: Option<&Path>) -> Vec<u8> {
    let mut known: HashMap<Setting<'_>, usize> = HashMap::new();
    for setting in settings(there) {
        *known.entry(setting).or_default() += 1;
    }
    let mut file = Vec::new();
    for setting in settings(here) {
        match known.get_mut(&setting) {
            Some(count) if *count > 0 => *count -= 1,
            _ if is_about_peers(setting.0) => write(&mut file, setting, top),
            _ => {}
        }
    }
    file
}

fn settings(list: &[u8]) -> impl Iterator<Item = Setting<'_>> {
    let entries = list.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    entries.map(|entry| match entry.split_once_str(b"\n") {
        Some((key, value)) => (key.as_bstr(), Some(value.as_bstr())),
        None => (entry.as_bstr(), None),
    })
}

/// Everything else (`core.*`, `extensions.*`, `branch.*`, …) describes the user's repository itself.
fn is_about_peers(key: &BStr) -> bool {
    const SECTIONS: [&[u8]; 11] = [
        b"advice",
        b"color",
        b"credential",
        b"http",
        b"protocol",
        b"push",
        b"relay",
        b"remote",
        b"ssh",
        b"transfer",
        b"url",
    ];
    const KEYS: [&[u8]; 3] = [b"core.askpass", b"core.gitproxy", b"core.sshcommand"];
    let section = key.split_once_str(".").map(|(section, _)| section);
    section.is_some_and(|section| SECTIONS.contains(&section)) || KEYS.contains(&key.as_bytes())
}

fn write(file: &mut Vec<u8>, (key, value): Setting<'_>, top: Option<&Path>) {
    let Some((section, rest)) = key.split_once_str(".") else {
        return;
    };
    let (subsection, name) = match rest.rsplit_once_str(".") {
        Some((subsection, name)) => (Some(subsection), name),
        None => (None, rest),
    };
    file.push(b'[');
    file.extend_from_slice(section);
    if let Some(subsection) = subsection {
        file.push(b' ');
        quote(file, subsection, false);
    }
    file.extend_from_slice(b"]\n\t");
    file.extend_from_slice(name);
    if let Some(value) = value {
        file.extend_from_slice(b" = ");
        let is_place = section == b"remote" && (name == b"url" || name == b"pushurl");
        match top.filter(|_| is_place).and_then(|top| rooted(value, top)) {
            Some(path) => quote(file, &path, true),
            None => quote(file, value, true),
        }
    }
    file.push(b'\n');
}

/// git-config(1), "Syntax": names of subsections know two escapes, values some more.
fn quote(file: &mut Vec<u8>, text: &[u8], is_value: bool) {
    file.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => file.extend_from_slice(&[b'\\', *byte]),
            b'\n' if is_value => file.extend_from_slice(b"\\n"),
            b'\t' if is_value => file.extend_from_slice(b"\\t"),
            other => file.push(*other),
        }
    }
    file.push(b'"');
}

/// The whole path for one that is relative to `top`.
fn rooted(value: &BStr, top: &Path) -> Option<Vec<u8>> {
    let path = Path::new(os_str(value));
    let whole = top.join(path);
    (path.is_relative() && whole.exists()).then(|| whole.into_os_string().into_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::Git;
    use super::*;

    #[test]
    fn only_what_is_new_and_about_peers_is_taken_over() {
        let there = b"http.extraheader\nA: 1\0user.name\nme\0";
        let here =
            b"http.extraheader\nA: 1\0http.extraheader\nA: 1\0core.bare\nfalse\0core.sshcommand\nssh -4\0\
            remote.up.url\nu\0remote.up.mirror\0branch.x.remote\nup\0user.name\nme\0";
        let file = settings_to_inherit(here, there, None);
        assert_eq!(
            file.as_bstr(),
            "[http]\n\textraheader = \"A: 1\"\n[core]\n\tsshcommand = \"ssh -4\"\n\
             [remote \"up\"]\n\turl = \"u\"\n[remote \"up\"]\n\tmirror\n"
        );
    }

    /// What git reads back is what was written.
    #[test]
    fn awkward_values_survive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let list: &[u8] = b"url.a\"b\\c.d/.insteadof\n x\ty\"z\\ #;\nnext \0http.https://h.x/.proxy\n\0credential.helper\n!f() { echo \"p=1\"; }; f\0";
        std::fs::write(&path, settings_to_inherit(list, b"", None)).unwrap();
        let read = Git::here()
            .command(["config", "--list", "-z", "--file"])
            .arg(&path)
            .run()
            .unwrap();
        assert_eq!(read.as_bstr(), list.as_bstr());
    }

    #[test]
    fn paths_of_remotes_are_made_whole() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("there")).unwrap();
        let list = b"remote.a.url\nthere\0remote.b.url\nhost:there\0url.there.insteadof\nx\0";
        let file = settings_to_inherit(list, b"", Some(dir.path()));
        let text = file.as_bstr().to_string();
        assert!(
            text.contains(&format!("\"{}/there\"", dir.path().display())),
            "{text}"
        );
        assert!(
            text.contains("\"host:there\"") && text.contains("[url \"there\"]"),
            "{text}"
        );
    }
}
