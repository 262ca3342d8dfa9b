//! Where secrets must never turn up: logs at any level, errors, reports, arguments of processes, other servers.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::cell::RefCell;
use std::path::PathBuf;

use support::credentials::{Helper, locked};
use support::http::basic;
use support::process::Output;
use support::proxies::HttpProxy;
use support::repo::assert_same_refs;
use support::{Options, Pair, Server, gits, scenes};

const ALL: [&str; 2] = ["refs/heads/*", "refs/tags/*"];

/// Every kind of secret there is, at the loudest: in none of the words of ours or of git about us, and no argument.
#[test]
fn no_secret_is_told_to_anybody_but_its_server() {
    for git in gits() {
        let stage = Stage::new();
        let urls = |source: &str, target: &str| {
            [
                format!("remote.s.url={source}"),
                format!("remote.t.url={target}"),
                "credential.useHttpPath=true".to_owned(),
            ]
        };
        let pair = locked(git, &basic("s-user", "s/secret"), "Bearer bearer-secret");
        let of = |url: String, userinfo: &str| url.replace("http://", &format!("http://{userinfo}@"));
        let named = urls(&of(pair.source_url(), "s-user:s%2Fsecret"), &pair.target_url());
        stage.run(&pair, &named, &["push", "relay::s=>t", ALL[0]]).ok();
        stage.run(&pair, &named, &["ls-remote", "relay::s=>t"]).ok();
        stage
            .run(
                &pair,
                &named,
                &["relay", "sync", "s", "t", "--json", "--tags", "-v"],
            )
            .ok();
        assert_same_refs(&pair.source, &pair.target);

        // Refused ones, of a URL and of a helper, and one that could not even be sent.
        let wrong = urls(&of(pair.source_url(), "s-user:wrong-of-url"), &pair.target_url());
        for args in [
            &["push", "relay::s=>t", ALL[0]][..],
            &["relay", "plan", "s", "t", "--json"],
            &["ls-remote", "relay::s=>t"],
        ] {
            stage.run(&pair, &wrong, args).exits(128);
        }
        let helper = Helper::new(&pair);
        helper.answers("source.git", "username=s-user\npassword=wrong-of-helper\n");
        let asked = format!("credential.helper={}", helper.dir.join("run").display());
        let plain = urls(&pair.source_url(), &pair.target_url());
        let asking = [&plain[..], &[asked]].concat();
        stage
            .run(&pair, &asking, &["push", "relay::s=>t", ALL[0]])
            .exits(128);

        from_a_file_and_by_a_proxy(&stage, &pair, &plain);
        stage.assert_nothing_leaked(
            &[
                "s%2Fsecret",
                "s/secret",
                "bearer-secret",
                "wrong-of-",
                "proxy-secret",
                "header-secret",
                "cookie-secret",
            ],
            &[
                basic("s-user", "s/secret"),
                basic("p-user", "proxy-secret"),
                basic("s-user", "wrong-of-url"),
            ],
        );
    }
}

/// With `.netrc`, and with a password for a proxy in between.
fn from_a_file_and_by_a_proxy(stage: &Stage, pair: &Pair, plain: &[String]) {
    std::fs::write(
        stage.home.join(".netrc"),
        "machine 127.0.0.1 login s-user password s/secret\n",
    )
    .unwrap();
    stage.run(pair, plain, &["push", "relay::s=>t", ALL[0]]).ok();
    if let Some(proxy) = HttpProxy::start(Some(("p-user", "proxy-secret"))) {
        for (userinfo, code) in [("p-user:proxy-secret", 0), ("p-user:wrong-of-proxy", 128)] {
            let through = format!("http.proxy={}", proxy.url(userinfo));
            let settings = [plain, &[through]].concat();
            stage
                .run(pair, &settings, &["push", "relay::s=>t", ALL[0]])
                .exits(code);
        }
    }
}

/// The log of others would not be so discreet, so there is no way to ask for it.
#[test]
fn the_log_is_of_our_words_alone() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        for level in ["trace,ureq=trace", "trace,ureq_proto", "loud"] {
            let push = pair.command(&["main"]).env("GIT_RELAY_LOG", level);
            let output = pair.run(push).ok();
            assert_eq!(
                output.err().matches("GIT_RELAY_LOG is none of").count(),
                1,
                "{output}"
            );
            output.never_says("ureq").never_says("relay::source");
        }
    }
}

/// Where everything is noted that anybody says.
struct Stage {
    dir: tempfile::TempDir,
    home: PathBuf,
    said: RefCell<Vec<String>>,
}

impl Stage {
    fn new() -> Stage {
        let dir = tempfile::TempDir::with_prefix("relay-secrets-").unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let cookie = "127.0.0.1\tFALSE\t/\tFALSE\t0\tname\tcookie-secret\n";
        std::fs::write(dir.path().join("cookies"), cookie).unwrap();
        Stage {
            dir,
            home,
            said: RefCell::default(),
        }
    }

    /// `git <args>` with `settings`, which come by the environment, as CI systems hand over theirs.
    fn run(&self, pair: &Pair, settings: &[String], args: &[&str]) -> Output {
        let (report, cookies) = (self.dir.path().join("report"), self.dir.path().join("cookies"));
        let common = [
            "http.extraHeader=X-Pass: header-secret".to_owned(),
            format!("http.cookieFile={}", cookies.display()),
            format!("relay.report={}", report.display()),
        ];
        let mut command = pair.here.cmd().args(args).env("HOME", &self.home);
        command = command
            .env("GIT_RELAY_LOG", "trace")
            .env("GIT_TRACE", self.dir.path().join("trace"));
        command = command.env("GIT_RELAY_TARGET_TOKEN", "bearer-secret");
        let all: Vec<_> = settings.iter().chain(&common).collect();
        command = command.env("GIT_CONFIG_COUNT", all.len().to_string());
        for (at, setting) in all.iter().enumerate() {
            let (key, value) = setting.split_once('=').unwrap();
            command = command
                .env(&format!("GIT_CONFIG_KEY_{at}"), key)
                .env(&format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        let output = pair.run(command);
        self.said.borrow_mut().extend([output.out(), output.err()]);
        self.said.borrow_mut().extend(std::fs::read_to_string(&report));
        output
    }

    fn assert_nothing_leaked(&self, secrets: &[&str], headers: &[String]) {
        let trace = std::fs::read_to_string(self.dir.path().join("trace")).unwrap();
        let said = self.said.borrow();
        let all = said.iter().chain([&trace]);
        // That the loudest was loud, and the reports were written.
        for part in [
            "git credential",
            "remote-http s",
            "GET http://",
            "\"command\":\"push\"",
        ] {
            assert!(all.clone().any(|text| text.contains(part)), "nothing says {part}");
        }
        let headers = headers.iter().map(|header| header.trim_start_matches("Basic "));
        for secret in secrets.iter().copied().chain(headers) {
            for text in all.clone() {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    }
}

/// Nothing that is secret in the log at its loudest, in git's own trace of what it runs, or in an error.
#[test]
fn secrets_are_neither_logged_nor_passed_as_arguments() {
    for git in gits() {
        let pair = locked(
            git,
            &basic("git", "token-of-source"),
            &basic("w", "word-of-target"),
        );
        let helper = Helper::new(&pair);
        helper.answers("target.git", "username=w\npassword=word-of-target\n");
        let trace = pair.world.path().join("trace");
        let loud = |args: &[&str]| {
            let push = helper
                .push(&pair, args)
                .env("GIT_RELAY_LOG", "trace")
                .env("GIT_TRACE", &trace);
            let push = push
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "http.extraHeader");
            let push = push.env("GIT_CONFIG_VALUE_0", "X-Pass: header-secret");
            push.env("GIT_RELAY_SOURCE_TOKEN", "token-of-source")
        };
        let good = pair.run(loud(&ALL)).ok();
        helper.answers("target.git", "username=w\npassword=wrong-word\n");
        let bad = pair.run(loud(&ALL)).exits(128);
        let trace = std::fs::read_to_string(trace).unwrap();
        assert!(trace.contains("git credential fill") && good.err().contains("relay::source"));
        let basics = [basic("git", "token-of-source"), basic("w", "word-of-target")];
        let basics = basics.iter().map(|value| value.trim_start_matches("Basic "));
        let secrets = ["token-of-source", "word-of-target", "header-secret", "wrong-word"];
        for secret in secrets.into_iter().chain(basics) {
            for text in [&good.err(), &good.out(), &bad.err(), &bad.out(), &trace] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    }
}

/// Git's own code gets no password as an argument, which a process list would show to everybody.
#[test]
fn a_password_in_the_configuration_is_for_reading_too() {
    for git in gits() {
        let pair = locked(git, &basic("me", "p@ss'word"), &basic("bot", "other"));
        let helper = Helper::new(&pair);
        let trace = pair.world.path().join("trace");
        let read = |userinfo: &str, args: &[&str]| {
            let url = pair
                .source_url()
                .replace("http://", &format!("http://{userinfo}@"));
            let settings = [
                format!("remote.s.url={url}"),
                format!("credential.helper={}", helper.dir.join("run").display()),
            ];
            let command = pair.here.cmd().args(["-c", &settings[0], "-c", &settings[1]]);
            let command = command.args(args).env("GIT_TRACE", &trace);
            pair.run(command.env("GIT_RELAY_LOG", "trace"))
        };
        let outputs = [
            read("me:p%40ss'word", &["ls-remote", "relay::s=>x"]).ok(),
            read(
                "me:p%40ss'word",
                &["clone", "--bare", "relay::s=>x", "../one.git"],
            )
            .ok(),
            read("me:wr0ng", &["ls-remote", "relay::s=>x"])
                .exits(128)
                .says("Authentication failed"),
        ];
        // As after reading by git itself, helpers are told what was good.
        assert!(!helper.log().contains("get\n"), "{}", helper.log());
        let trace = std::fs::read_to_string(&trace).unwrap();
        assert!(trace.contains("remote-http s\n"), "{trace}");
        for text in outputs.iter().map(Output::err).chain([trace]) {
            for secret in ["p%40ss", "p@ss", "wr0ng"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        // Typed, it stood in the arguments of git already, but need not stand in another one's.
        let typed = pair
            .url()
            .replace("relay::http://", "relay::http://me:p%40ss'word@");
        pair.run(pair.here.cmd().args(["ls-remote", &typed])).ok();
    }
}

/// Whoever is redirected elsewhere is a stranger there.
#[test]
fn secrets_stay_at_home_when_a_server_redirects() {
    for git in gits() {
        let world = support::World::new(git);
        let elsewhere = Server::start(
            git,
            world.path(),
            Options {
                auth: Some(("u", "p")),
                ..Options::default()
            },
        );
        let options = Options {
            redirects: vec![("/source.git", elsewhere.url("source.git"))],
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        let url = pair.url().replace("relay::http://", "relay::http://u:p@");
        let push = pair
            .here
            .cmd()
            .args(["-c", "http.extraHeader=Authorization: Basic dTpw", "push", &url]);
        let push = push.arg("refs/heads/*").env("GIT_RELAY_SOURCE_TOKEN", "p");
        pair.run(push)
            .exits(128)
            .says("/source.git: authentication required")
            .says("redirected");
        let requests = elsewhere.requests();
        assert!(!requests.is_empty() && requests.iter().all(|request| !request.authorized));
    }
}

/// Git prints URLs as they are.
#[test]
fn a_typed_password_works_but_is_warned_about() {
    for git in gits() {
        let pair = locked(git, &basic("u", "p"), &basic("u", "p"));
        let with_password = |url: String| url.replace("http://", "http://u:p@");
        let url = with_password(pair.url());
        let push = |args: &[&str]| pair.run(pair.here.cmd().arg("push").args(args));
        let output = push(&[&url, "refs/heads/*"]).ok().says("credential helper");
        assert_eq!(output.err().matches("warning:").count(), 2, "one for each side");
        push(&["-q", &url, "refs/heads/*"]).ok().never_says("warning");
        // From the configuration it is nobody's business.
        let (source, target) = (with_password(pair.source_url()), with_password(pair.target_url()));
        let settings = [format!("remote.s.url={source}"), format!("remote.t.url={target}")];
        let named = pair.here.cmd().args(["-c", &settings[0], "-c", &settings[1]]);
        let named = named.args(["push", "relay::s=>t", "refs/heads/*"]);
        pair.run(named).ok().never_says("warning").never_says(":p@");
    }
}
