//! The backend against small scripted servers on loopback.

mod auth;
mod basic;
mod server;
mod tls;
mod upload;

use std::io::{Read, Write};

use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};

use super::{Headers, HttpBackend, Options, PostBody, ResponseBody, Secret};
use crate::error::Error;
use crate::transport::Upload;

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const TAIL: &str = "/info/refs?service=git-upload-pack";

fn options() -> Options {
    Options {
        // Whatever proxy the environment names is not for loopback.
        proxy: Some(Secret::default()),
        connect_timeout: std::time::Duration::from_secs(5),
        stall_timeout: Some(std::time::Duration::from_secs(10)),
        ..Options::default()
    }
}

fn backend() -> HttpBackend {
    HttpBackend::new(options()).unwrap()
}

fn discover(http: &mut HttpBackend, base: &str) -> Result<GetResponse<Headers, ResponseBody>, Error> {
    let lines = ["User-Agent: git/oxide-0", "Git-Protocol: version=2"];
    http.get(&format!("{base}{TAIL}"), base, lines)
        .map_err(|err| Error::from_transport(err, "connecting"))
}

fn post(
    http: &mut HttpBackend,
    base: &str,
    service: &str,
    kind: PostBodyDataKind,
) -> PostResponse<Headers, ResponseBody, PostBody> {
    let lines = [
        "User-Agent: git/oxide-0".to_owned(),
        format!("Content-Type: application/x-{service}-request"),
        format!("Accept: application/x-{service}-result"),
    ];
    http.post(&format!("{base}/{service}"), base, lines, kind)
        .unwrap()
}

/// Read a response to its end: its header lines and its body.
fn finish(response: PostResponse<Headers, ResponseBody, PostBody>) -> Result<(String, Vec<u8>), Error> {
    let PostResponse {
        post_body,
        headers,
        body,
    } = response;
    drop(post_body);
    read(GetResponse { headers, body })
}

fn read(response: GetResponse<Headers, ResponseBody>) -> Result<(String, Vec<u8>), Error> {
    let GetResponse {
        mut headers,
        mut body,
    } = response;
    let (mut head, mut bytes) = (String::new(), Vec::new());
    headers
        .read_to_string(&mut head)
        .and_then(|_| body.read_to_end(&mut bytes))
        .map_err(|err| Error::from_io(err, "reading"))?;
    Ok((head, bytes))
}

/// Upload so many bytes.
fn pump(http: &HttpBackend, bytes: usize) -> Result<(), Error> {
    http.uploader().upload(&mut std::io::repeat(7).take(bytes as u64))
}

/// The end of a body, at which something happens.
struct Breaking<F>(F);

impl<F: Fn() -> Result<(), Error>> Read for Breaking<F> {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Ok((self.0)().map(|()| 0)?)
    }
}
