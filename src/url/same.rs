//! What makes two spellings name the same repository.

use std::path::{Path, PathBuf};

use bstr::ByteSlice;

/// Hosts ignore the case of their name, a default port, a final slash, and nearly all of them a final `.git`.
pub(super) fn comparable(url: &gix_url::Url) -> (String, Option<u16>, Vec<u8>) {
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    (host, url.port_or_default(), comparable_path(&url.path))
}

/// The same for other transports. Users may see different repositories under one path, so the user counts.
pub(super) fn place_on_host(
    host: &[u8],
    port: Option<&str>,
    default: &str,
    path: &[u8],
) -> (Vec<u8>, String, Vec<u8>) {
    let user_end = host.rfind_byte(b'@').map_or(0, |at| at + 1);
    let (user, name) = host.split_at_checked(user_end).unwrap_or_default();
    let host = [user, &name.to_ascii_lowercase()].concat();
    (host, port.unwrap_or(default).to_owned(), comparable_path(path))
}

fn comparable_path(path: &[u8]) -> Vec<u8> {
    let path = path.trim_end_with(|c| c == '/');
    path.strip_suffix(b".git").unwrap_or(path).to_vec()
}

/// The directory that git's services would enter for `path` (`enter_repo` in git's `path.c`).
pub(super) fn git_dir(path: &Path) -> PathBuf {
    let suffixed = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let candidates = [
        suffixed("/.git"),
        path.to_owned(),
        suffixed(".git/.git"),
        suffixed(".git"),
    ];
    let found = candidates.into_iter().find(|dir| dir.join("HEAD").exists());
    let found = found.unwrap_or_else(|| path.to_owned());
    found.canonicalize().unwrap_or(found)
}
