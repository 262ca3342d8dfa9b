//! Real proxies between us and the hosts: tinyproxy for HTTP, OpenSSH for SOCKS; with and without a password, by
//! configuration and by environment, and what is said when they do not want us.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use support::apache::required;
use support::process::{Cmd, Output};
use support::proxies::{HttpProxy, SocksProxy};
use support::repo::assert_same_refs;
use support::{Apache, Git, Pair, Pki, Sshd, gits, scenes};

const ALL: [&str; 2] = ["refs/heads/*", "refs/tags/*"];
const USER: (&str, &str) = ("proxy-user", "proxy-secret");
const USERINFO: &str = "proxy-user:proxy-secret";

fn pair(git: &Git) -> Pair {
    let pair = Pair::new(git);
    scenes::fresh(&pair);
    pair
}

fn push(pair: &Pair, settings: &[&str]) -> Cmd {
    let settings = settings.iter().flat_map(|setting| ["-c", setting]);
    let push = pair.here.cmd().args(settings);
    push.arg("push").arg(pair.url()).args(ALL)
}

/// `git relay plan --json`, for what it says of a failure.
fn plan(pair: &Pair, proxy: &str) -> Output {
    let setting = format!("http.proxy={proxy}");
    let plan = pair.here.cmd().args(["-c", &setting, "relay", "plan"]);
    pair.run(plan.arg(pair.source_url()).arg(pair.target_url()).arg("--json"))
}

#[test]
fn a_proxy_with_a_password_is_used_for_both_sides() {
    let Some(proxy) = HttpProxy::start(Some(USER)) else {
        return;
    };
    for git in gits() {
        let pair = pair(git);
        let setting = format!("http.proxy={}", proxy.url(USERINFO));
        let before = proxy.requests();
        let loud = push(&pair, &[&setting]).env("GIT_RELAY_LOG", "trace");
        let output = pair.run(loud).ok();
        assert_same_refs(&pair.source, &pair.target);
        assert!(proxy.requests() > before);
        assert!(output.err().contains(&proxy.address()), "the log names the proxy");
        assert!(!output.err().contains("proxy-secret"), "{output}");
        // Reading, by git's own code.
        let clone = pair.here.cmd().args(["-c", &setting, "clone", "--bare"]);
        clone.arg(pair.url()).arg("../copy.git").ok();
    }
}

#[test]
fn https_goes_through_a_proxy_too() {
    let Some(pki) = required("certificates", Pki::new()) else {
        return;
    };
    let Some(proxy) = HttpProxy::start(Some(USER)) else {
        return;
    };
    for git in gits() {
        let pair = pair(git);
        let Some(apache) = Apache::builder().tls(&pki).start(git, pair.world.path()) else {
            return;
        };
        let url = format!(
            "relay::{}=>{}",
            apache.url("source.git"),
            apache.url("target.git")
        );
        let ca = format!("http.sslCAInfo={}", pki.file("ca.pem").display());
        let before = proxy.requests();
        let push = pair.here.cmd().args(["-c", &ca, "push", &url, ALL[0], ALL[1]]);
        pair.run(
            push.env("HTTPS_PROXY", proxy.url(USERINFO))
                .env("http_proxy", "http://127.0.0.1:1"),
        )
        .ok();
        assert_same_refs(&pair.source, &pair.target);
        assert!(proxy.requests() > before);
    }
}

#[test]
fn the_environment_names_proxies_and_exceptions() {
    let Some(proxy) = HttpProxy::start(Some(USER)) else {
        return;
    };
    for git in gits() {
        for name in ["http_proxy", "all_proxy", "ALL_PROXY"] {
            let pair = pair(git);
            let before = proxy.requests();
            pair.run(push(&pair, &[]).env(name, proxy.url(USERINFO))).ok();
            assert!(proxy.requests() > before, "{name}");
        }
        let pair = pair(git);
        let before = proxy.requests();
        let push = |settings: &[&str]| push(&pair, settings).env("http_proxy", proxy.url(USERINFO));
        pair.run(push(&[]).env("no_proxy", "example.com, 127.0.0.1")).ok();
        pair.run(push(&[]).env("NO_PROXY", "127.0.0.0/8")).ok();
        // The empty value turns it off, for a URL or for all.
        pair.run(push(&["http.proxy="])).ok();
        pair.run(
            push(&[])
                .env("HTTP_PROXY", "http://127.0.0.1:1")
                .env("http_proxy", ""),
        )
        .ok();
        assert_eq!(proxy.requests(), before);
    }
}

#[test]
fn a_wrong_password_is_an_error_that_names_the_proxy_and_no_secret() {
    let Some(proxy) = HttpProxy::start(Some(USER)) else {
        return;
    };
    for git in gits() {
        let pair = pair(git);
        let output = plan(&pair, &proxy.url("proxy-user:wr0ng")).exits(128);
        let said = format!("the proxy {} refused the user name or password", proxy.address());
        output
            .clone()
            .says(&said)
            .never_says("wr0ng")
            .never_says("proxy-user:");
        assert!(
            output.out().contains("\"kind\":\"auth\"") && !output.out().contains("wr0ng"),
            "{output}"
        );
        let none = plan(&pair, &proxy.url("")).exits(128);
        none.says(&format!("the proxy {} wants authentication", proxy.address()));
        let dead = plan(&pair, "http://127.0.0.1:1")
            .exits(128)
            .says("failed to connect to the proxy 127.0.0.1:1");
        assert!(dead.out().contains("\"kind\":\"network\""), "{dead}");
        let unknown = plan(&pair, "http://name.invalid:3128").exits(128);
        unknown.says("could not resolve proxy: name.invalid");
        let odd = plan(&pair, "quic://u:wr0ng@127.0.0.1").exits(128);
        odd.says("unsupported scheme 'quic'").never_says("wr0ng");
        assert_eq!(pair.server.requests().len(), 0);
    }
}

/// A credential helper that answers with a password and notes what it is told.
fn helper(pair: &Pair, password: &str) -> (String, PathBuf) {
    let (script, log) = (
        pair.world.path().join("helper"),
        pair.world.path().join("helper-log"),
    );
    let text = format!(
        "#!/bin/sh\ninput=$(cat)\nprintf '%s\\n%s\\n' \"$1\" \"$input\" >>'{}'\ntest \"$1\" = get || exit 0\necho password={password}\n",
        log.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::remove_file(&log).ok();
    (format!("credential.helper={}", script.display()), log)
}

/// Git asks for the password of a proxy whose URL has a user name alone, before it says a word to the proxy.
#[test]
fn a_helper_knows_the_password_of_a_proxy() {
    let Some(proxy) = HttpProxy::start(Some(USER)) else {
        return;
    };
    for git in gits() {
        let pair = pair(git);
        let setting = format!("http.proxy={}", proxy.url("proxy-user"));
        let (good, log) = helper(&pair, "proxy-secret");
        pair.run(push(&pair, &[&setting, &good])).ok();
        assert_same_refs(&pair.source, &pair.target);
        let told = std::fs::read_to_string(&log).unwrap();
        let asked = format!("protocol=http\nhost={}\nusername=proxy-user\n", proxy.address());
        assert!(told.starts_with("get\n"), "{told}");
        assert!(told.contains(&asked), "{told}");
        assert!(told.contains("store\n") && !told.contains("erase\n"), "{told}");
        // Git asks for the same, in its own words.
        let (good, log) = helper(&pair, "proxy-secret");
        let list = pair.here.cmd().args(["-c", &setting, "-c", &good, "ls-remote"]);
        list.arg(pair.source_url()).ok();
        let by_git = std::fs::read_to_string(&log).unwrap();
        assert!(
            by_git.contains(&format!(
                "protocol=http\nhost={}\nusername=proxy-user\n",
                proxy.address()
            )),
            "{by_git}"
        );

        let (bad, log) = helper(&pair, "stale-secret");
        pair.run(push(&pair, &[&setting, &bad]))
            .exits(128)
            .says("refused the user name or password")
            .never_says("stale-secret");
        let told = std::fs::read_to_string(&log).unwrap();
        assert!(told.contains("erase\n") && !told.contains("store\n"), "{told}");
        pair.run(push(&pair, &[&setting]))
            .exits(128)
            .says("there is no password for the proxy");
    }
}

#[test]
fn socks_proxies_of_every_version_work() {
    for git in gits() {
        let Some(sshd) = Sshd::start(git) else { return };
        let proxy = SocksProxy::start(&sshd);
        for scheme in ["socks", "socks4", "socks4a", "socks5", "socks5h"] {
            let pair = pair(git);
            let setting = format!("http.proxy={scheme}://{}", proxy.address());
            let loud = push(&pair, &[&setting]).env("GIT_RELAY_LOG", "debug");
            pair.run(loud).ok().says(&proxy.address());
            assert_same_refs(&pair.source, &pair.target);
        }
        let pair = pair(git);
        let dead = plan(&pair, "socks5://127.0.0.1:1").exits(128);
        dead.says("failed to connect to the proxy 127.0.0.1:1");
        let (through, nobody) = (
            format!("http.proxy=socks5://{}", proxy.address()),
            "http://127.0.0.1:1/x.git",
        );
        let url = format!("relay::{nobody}=>{}", pair.target_url());
        let push = pair.here.cmd().args(["-c", &through, "push", &url, ALL[0]]);
        let hung_up = format!(
            "the proxy {} hung up instead of making the connection",
            proxy.address()
        );
        pair.run(push).exits(128).says(&hung_up);
    }
}

/// TLS through SOCKS, and a name that only the proxy can look up.
#[test]
fn socks_carries_tls_and_names() {
    let Some(pki) = required("certificates", Pki::new()) else {
        return;
    };
    for git in gits() {
        let Some(sshd) = Sshd::start(git) else { return };
        let proxy = SocksProxy::start(&sshd);
        let pair = pair(git);
        let Some(apache) = Apache::builder().tls(&pki).start(git, pair.world.path()) else {
            return;
        };
        let side = |name: &str| apache.url(name).replace("127.0.0.1", "localhost");
        let url = format!("relay::{}=>{}", side("source.git"), side("target.git"));
        let ca = format!("http.sslCAInfo={}", pki.file("ca.pem").display());
        let push = pair.here.cmd().args(["-c", &ca, "push", &url, ALL[0], ALL[1]]);
        pair.run(push.env("ALL_PROXY", format!("socks5h://{}", proxy.address())))
            .ok();
        assert_same_refs(&pair.source, &pair.target);
    }
}
