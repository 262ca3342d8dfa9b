//! Certificates from files: whom to trust, and our own.

use std::path::Path;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

use crate::error::{Error, Kind, Result};

/// The certificates to trust: those in the file and the directory, else the system's (`SSL_CERT_FILE`,
/// `SSL_CERT_DIR`).
pub(super) fn roots(file: Option<&Path>, dir: Option<&Path>) -> Result<Vec<Certificate<'static>>> {
    let mut found = match file.or(dir) {
        Some(_) => rustls_native_certs::load_certs_from_paths(file, dir),
        None => rustls_native_certs::load_native_certs(),
    };
    if file.is_none() && dir.is_some() {
        // As for curl, a directory comes on top of the usual file.
        found.certs.extend(rustls_native_certs::load_native_certs().certs);
    }
    if found.certs.is_empty() {
        let place = file.or(dir);
        let place = place.map_or("the system's store".into(), |path| path.display().to_string());
        let mut err = Error::new(Kind::Config, format!("found no certificates to trust in {place}"))
            .hint("http.sslCAInfo, GIT_SSL_CAINFO or SSL_CERT_FILE can name a PEM file");
        if let Some(first) = found.errors.into_iter().next() {
            err = err.caused_by(first);
        }
        return Err(err);
    }
    let certs = found.certs.iter();
    Ok(certs.map(|cert| Certificate::from_der(cert).to_owned()).collect())
}

/// Our own certificate with its chain from the PEM file `cert`, and its key from the PEM file `key`.
pub(super) fn client(cert: &Path, key: &Path) -> Result<ClientCert> {
    let chain: Vec<_> = items(cert)?
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(cert) => Some(cert),
            _ => None,
        })
        .collect();
    if chain.is_empty() {
        return Err(unusable("certificate", cert));
    }
    let key_items = items(key)?.into_iter();
    let found: Option<PrivateKey<'static>> = key_items
        .filter_map(|item| match item {
            PemItem::PrivateKey(key) => Some(key),
            _ => None,
        })
        .next();
    let found = found.ok_or_else(|| {
        unusable("private key", key).hint("it must be PEM, and must not be encrypted by a password")
    })?;
    Ok(ClientCert::new_with_certs(&chain, found))
}

fn items(path: &Path) -> Result<Vec<PemItem<'static>>> {
    let text = std::fs::read(path).map_err(|err| {
        Error::new(Kind::Config, format!("cannot read {}: {err}", path.display())).caused_by(err)
    })?;
    // What is no PEM is no item; its absence is reported.
    Ok(parse_pem(&text).filter_map(Result::ok).collect())
}

fn unusable(what: &str, path: &Path) -> Error {
    Error::new(Kind::Config, format!("found no {what} in {}", path.display()))
}
