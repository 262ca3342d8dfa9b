//! Header lines and header values: reading, comparing, showing. No I/O.

use ureq::http::Response;
use ureq::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::url;
use crate::error::{Error, Kind, Result};

/// Split a line `Name: value`.
pub(super) fn parse_header(line: &str) -> Result<(HeaderName, HeaderValue)> {
    // The value may be a secret: it is not repeated.
    let name = line.split(':').next().unwrap_or_default();
    let invalid = || {
        let name = crate::error::printable(name.as_bytes());
        Error::new(Kind::Config, format!("invalid HTTP header '{name}'"))
    };
    let (name, value) = line.split_once(':').ok_or_else(invalid)?;
    Ok((
        HeaderName::try_from(name.trim()).map_err(|_| invalid())?,
        HeaderValue::try_from(value.trim()).map_err(|_| invalid())?,
    ))
}

/// A header of the user's, which may well be a secret.
pub(super) fn secret_header(line: &str) -> Result<(HeaderName, HeaderValue)> {
    let (name, mut value) = parse_header(line)?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// A URL (or other text of a server) for a log or a message.
pub(super) fn shown(text: &str) -> String {
    crate::error::printable(url::without_userinfo(text).as_bytes())
}

/// Where a redirect leads; `None` if it is none.
pub(super) fn location<T>(response: &Response<T>, url: &str) -> Option<String> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(header::LOCATION).filter(|_| redirects)?;
    url::resolve(url, location.to_str().ok()?)
}

/// The values of the `WWW-Authenticate` headers, in order.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
}

/// The content type as git compares it: lower case, no blanks, no parameters (`extract_content_type()` in `http.c`).
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.map(|value| String::from_utf8_lossy(value.as_bytes()));
    value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|ch| !ch.is_whitespace())
        .map(|ch| ch.to_ascii_lowercase())
        .collect()
}

/// The header as gix reads it: lines `name: value`, the content type as it was compared.
pub(super) fn head_lines(headers: &HeaderMap, content_type: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        let value = if name == header::CONTENT_TYPE {
            content_type.as_bytes()
        } else {
            value.as_bytes()
        };
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        // gix reads the lines as text and gives up on the first that is none.
        lines.extend_from_slice(String::from_utf8_lossy(value).as_bytes());
        lines.push(b'\n');
    }
    lines
}
