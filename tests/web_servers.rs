//! A real Apache on both sides: users, TLS with an authority of our own, client certificates, redirects.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use support::apache::{Builder, required};
use support::process::{Cmd, Output};
use support::repo::assert_same_refs;
use support::{Apache, Git, Pair, Pki, gits, scenes};

const ALL: [&str; 2] = ["refs/heads/*", "refs/tags/*"];

/// A pair whose sides are behind an Apache too, which serves what is there when it starts.
struct Host {
    pair: Pair,
    apache: Apache,
}

impl Host {
    fn start(git: &Git, apache: Builder<'_>) -> Option<Host> {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let apache = apache.start(git, pair.world.path())?;
        Some(Host { pair, apache })
    }

    fn relay(&self) -> String {
        format!(
            "relay::{}=>{}",
            self.apache.url("source.git"),
            self.apache.url("target.git")
        )
    }

    /// `git <args>` in the empty repository.
    fn git(&self, args: &[&str]) -> Cmd {
        self.pair.here.cmd().args(args)
    }

    fn push(&self, settings: &[&str]) -> Cmd {
        let settings = settings.iter().flat_map(|setting| ["-c", setting]);
        let push = self.pair.here.cmd().args(settings);
        push.arg("push").arg(self.relay()).args(ALL)
    }

    fn run(&self, command: Cmd) -> Output {
        let output = self.pair.run(command);
        eprintln!("{}\n{}", self.apache.lines().join("\n"), self.apache.error_log());
        output
    }

    #[track_caller]
    fn assert_relayed(&self) {
        assert_same_refs(&self.pair.source, &self.pair.target);
        self.pair.target.fsck();
    }
}

fn pki() -> Option<Pki> {
    required("certificates", Pki::new())
}

#[test]
fn each_side_has_its_own_user() {
    for git in gits() {
        let users = Apache::builder()
            .basic("/source.git", "reader", "r-secret")
            .basic("/target.git", "writer", "w:se@cret");
        let Some(host) = Host::start(git, users) else {
            return;
        };
        let (source, target) = (
            host.apache.url_for("reader:r-secret", "source.git"),
            host.apache.url_for("writer:w%3Ase%40cret", "target.git"),
        );
        let url = format!("relay::{source}=>{target}");
        host.run(host.git(&["push", &url, ALL[0], ALL[1]])).ok();
        host.assert_relayed();
        let lines = host.apache.lines();
        assert!(lines.iter().any(|line| line.ends_with("200 reader")), "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with("200 writer")), "{lines:?}");

        // `git relay`, with tokens; then reading, by git's own code.
        let (source, target) = (host.apache.url("source.git"), host.apache.url("target.git"));
        let sync = host.git(&["relay", "sync", &source, &target, "--tags"]);
        let sync = sync
            .env("GIT_RELAY_SOURCE_TOKEN", "r-secret")
            .env("GIT_RELAY_SOURCE_USERNAME", "reader")
            .env("GIT_RELAY_TARGET_TOKEN", "w:se@cret")
            .env("GIT_RELAY_TARGET_USERNAME", "writer");
        host.run(sync).ok();
        let wrong = host.git(&["relay", "sync", &source, &target, "--json"]);
        let wrong = wrong.env("GIT_RELAY_SOURCE_TOKEN", "n0t-r1ght");
        let output = host.run(wrong).exits(128).never_says("n0t-r1ght");
        assert!(output.out().contains("\"kind\":\"auth\""), "{output}");
    }
}

#[test]
fn an_authority_of_ones_own_is_trusted_by_file_or_directory() {
    let Some(pki) = pki() else { return };
    for git in gits() {
        let Some(host) = Host::start(git, Apache::builder().tls(&pki)) else {
            return;
        };
        // Nobody knows it.
        let output = host.run(host.push(&[])).exits(128);
        output
            .says("certificate of 127.0.0.1")
            .says("unable to get local issuer certificate")
            .says("http.sslCAInfo");
        let (source, target) = (host.apache.url("source.git"), host.apache.url("target.git"));
        let output = host
            .run(host.git(&["relay", "plan", &source, &target, "--json"]))
            .exits(128);
        assert!(output.out().contains("\"kind\":\"peer\""), "{output}");
        let server = host.apache.url("");
        let setting = |name: &str, value: &str| format!("http.{server}.{name}={}", pki.file(value).display());
        for (name, value) in [("sslCAInfo", "ca.pem"), ("sslCAPath", "hashed")] {
            let setting = setting(name, value);
            host.run(host.push(&[&setting])).ok();
            host.assert_relayed();
        }
        // One that is for another URL does not count.
        let elsewhere = format!(
            "http.https://localhost.sslCAInfo={}",
            pki.file("ca.pem").display()
        );
        host.run(host.push(&[&elsewhere])).exits(128);
        host.run(host.push(&["http.sslVerify=false"])).ok();
        // Reading is git's own affair, by the same settings.
        let clone = host.git(&[
            "-c",
            &setting("sslCAInfo", "ca.pem"),
            "clone",
            "--bare",
            &host.relay(),
            "../copy",
        ]);
        clone.ok();
    }
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_for_it() {
    let Some(pki) = pki() else { return };
    for git in gits() {
        let server = Apache::builder().tls(&pki).client_certificates();
        let Some(host) = Host::start(git, server) else {
            return;
        };
        let at = |name: &str, file: &str| format!("http.{name}={}", pki.file(file).display());
        let ca = at("sslCAInfo", "ca.pem");
        let (cert, key) = (at("sslCert", "client.pem"), at("sslKey", "client.key"));
        host.run(host.push(&[&ca, &cert, &key])).ok();
        host.assert_relayed();
        let (source, target) = (host.apache.url("source.git"), host.apache.url("target.git"));
        let without = host.git(&["-c", &ca, "relay", "plan", &source, &target, "--json"]);
        let output = host
            .run(without)
            .exits(128)
            .says("wants another client certificate, or one at all");
        assert!(output.out().contains("\"kind\":\"auth\""), "{output}");
    }
}

#[test]
fn a_repository_that_has_moved_is_followed_to_its_new_base() {
    for git in gits() {
        let moved = Apache::builder().redirect("/old/", "/");
        let Some(host) = Host::start(git, moved) else {
            return;
        };
        let (source, target) = (
            host.apache.url("old/source.git"),
            host.apache.url("old/target.git"),
        );
        let url = format!("relay::{source}=>{target}");
        host.run(host.git(&["push", &url, ALL[0], ALL[1]])).ok();
        host.assert_relayed();
        // Only the first request of each side went to the old place.
        let lines = host.apache.lines();
        let old = lines.iter().filter(|line| line.contains(" /old/")).count();
        assert_eq!(old, 2, "{lines:?}");
        host.run(host.git(&["-c", "http.followRedirects=false", "push", &url, ALL[0]]))
            .exits(128)
            .says("the server redirects the request to");
    }
}

#[test]
fn a_redirect_never_leads_from_https_to_http_and_loops_end() {
    let Some(pki) = pki() else { return };
    for git in gits() {
        let Some(plain) = Host::start(git, Apache::builder()) else {
            return;
        };
        let away = Apache::builder()
            .tls(&pki)
            .redirect("/down/", &plain.apache.url(""))
            .redirect("/loop/", "/loop/loop/");
        let Some(host) = Host::start(git, away) else {
            return;
        };
        let ca = format!("http.sslCAInfo={}", pki.file("ca.pem").display());
        let plan = |path: &str| {
            let (source, target) = (host.apache.url(path), host.apache.url("target.git"));
            host.run(host.git(&["-c", &ca, "relay", "plan", &source, &target]))
        };
        plan("down/source.git")
            .exits(128)
            .says("source: ")
            .says("redirect");
        assert_eq!(plain.apache.lines(), Vec::<String>::new());
        plan("loop/source.git").exits(128).says("redirects");
    }
}

/// The size that a server allows is the server's business; what it says must be understood.
#[test]
fn a_server_that_limits_bodies_is_understood() {
    for git in gits() {
        let Some(host) = Host::start(git, Apache::builder().limit_body(1000)) else {
            return;
        };
        host.run(host.push(&[])).exits(1).says("HTTP 413");
        assert!(host.pair.target.refs().is_empty());
    }
}
