//! The CGI side of the host: a request's head as the environment of `git http-backend`, and the backend's head as a response's.
//!
//! Bodies are streamed by `http.rs`.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use super::git::Git;
use super::http::Options;
use super::http1::Head;

/// `git http-backend` with the environment that a web server makes of a request.
pub fn command(git: &Git, root: &Path, options: &Options, head: &Head) -> Command {
    let (method, path) = head.request();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut command = git.http_backend();
    command
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", percent_decode(path))
        .env("QUERY_STRING", query)
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("GIT_CONFIG_COUNT", options.config.len().to_string());
    for (n, (key, value)) in options.config.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{n}"), key);
        command.env(format!("GIT_CONFIG_VALUE_{n}"), value);
    }
    if !options.read_only {
        command.env("REMOTE_USER", "test");
    }
    let passed = [
        ("content-type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ];
    for (header, variable) in passed {
        if let Some(value) = head.get(header)
            && !(options.only_v0 && header == "git-protocol")
        {
            command.env(variable, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A CGI's headers, with `Status:` made the first line.
pub fn read_head(stdout: &mut impl BufRead) -> io::Result<Head> {
    // What a web server says when the program died without a word.
    let mut input = io::Cursor::new("HTTP/1.1 200 OK\r\n").chain(stdout);
    let mut head = match Head::read(&mut input) {
        Ok(Some(head)) => head,
        _ => Head {
            first: "HTTP/1.1 500 Internal Server Error".to_owned(),
            headers: Vec::new(),
        },
    };
    if let Some(status) = head.get("status") {
        head.first = format!("HTTP/1.1 {status}");
        head.remove("status");
    }
    Ok(head)
}

fn percent_decode(path: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let code = (byte == b'%').then(|| [bytes.next(), bytes.next()]);
        match code {
            Some([Some(high), Some(low)]) => {
                let hex = [high, low].map(char::from).iter().collect::<String>();
                out.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
