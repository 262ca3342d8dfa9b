//! Certificates that last as long as a test: an authority, a server on this machine, and a client, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A certificate authority and what it has signed, as PEM files.
pub struct Pki {
    dir: TempDir,
}

impl Pki {
    /// `Err` says what is missing on this machine.
    pub fn new() -> Result<Pki, String> {
        let dir = TempDir::with_prefix("relay-pki-").unwrap();
        let pki = Pki { dir };
        pki.make(&["ca", "-x509", "-subj", "/CN=Test CA"])?;
        let signed = |name: &str, extension: &str| {
            let subject = format!("/CN={name}");
            let (ca, key) = (pki.file("ca.pem"), pki.file("ca.key"));
            let (ca, key) = (ca.to_str().unwrap(), key.to_str().unwrap());
            pki.make(&[
                name,
                "-x509",
                "-subj",
                &subject,
                "-CA",
                ca,
                "-CAkey",
                key,
                "-addext",
                extension,
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
        };
        signed("server", "subjectAltName=IP:127.0.0.1,DNS:localhost")?;
        signed("client", "extendedKeyUsage=clientAuth")?;
        // The directory that OpenSSL, and so git's curl, wants for `http.sslCAPath`.
        let hashed = pki.file("hashed");
        std::fs::create_dir(&hashed).unwrap();
        let hash = openssl(&[
            "x509",
            "-noout",
            "-hash",
            "-in",
            pki.file("ca.pem").to_str().unwrap(),
        ])?;
        std::fs::copy(pki.file("ca.pem"), hashed.join(format!("{}.0", hash.trim()))).unwrap();
        Ok(pki)
    }

    /// `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`, or the directory `hashed` with the authority
    /// alone.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `openssl req` for a new key and certificate with the name that `args` begin with.
    fn make(&self, args: &[&str]) -> Result<(), String> {
        let (name, args) = args.split_first().unwrap();
        let (key, cert) = (
            self.file(&format!("{name}.key")),
            self.file(&format!("{name}.pem")),
        );
        let common = [
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ];
        let files = ["-keyout", key.to_str().unwrap(), "-out", cert.to_str().unwrap()];
        openssl(&[&common, args, &files].concat()).map(drop)
    }
}

/// Its standard output.
pub fn openssl(args: &[&str]) -> Result<String, String> {
    let output = Command::new("openssl")
        .args(args)
        .output()
        .map_err(|err| format!("cannot run openssl: {err} (package openssl)"))?;
    if !output.status.success() {
        return Err(format!(
            "openssl {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
