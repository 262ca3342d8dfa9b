//! Who we are to a server: credential helpers, tokens in the environment, `.netrc`, headers, and where secrets must
//! never turn up.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use support::http::basic;
use support::process::{Cmd, Output};
use support::repo::assert_same_refs;
use support::{Git, Options, Pair, Server, gits, scenes};

const ALL: [&str; 2] = ["refs/heads/*", "refs/tags/*"];

/// Both sides on one host, each behind its own lock.
fn locked(git: &Git, source: &str, target: &str) -> Pair {
    let options = Options {
        locks: vec![
            ("/source.git", source.to_owned()),
            ("/target.git", target.to_owned()),
        ],
        ..Options::default()
    };
    let pair = Pair::with(git, &[], options);
    scenes::fresh(&pair);
    pair
}

/// A credential helper that notes what it is asked and told, and answers with what lies in a file.
struct Helper {
    dir: PathBuf,
}

impl Helper {
    fn new(pair: &Pair) -> Helper {
        let dir = pair.world.path().join("helper");
        std::fs::create_dir(&dir).unwrap();
        let script = format!(
            "#!/bin/sh\ncd '{}'\ninput=$(cat)\nprintf '%s\\n%s\\n' \"$1\" \"$input\" >>log\n\
             test \"$1\" = get || exit 0\npath=$(printf '%s\\n' \"$input\" | sed -n 's/^path=//p')\n\
             cat \"answer-$path\"\ntest ! -f \"next-$path\" || mv \"next-$path\" \"answer-$path\"\n",
            dir.display()
        );
        std::fs::write(dir.join("run"), script).unwrap();
        std::fs::set_permissions(dir.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(dir.join("log"), "").unwrap();
        Helper { dir }
    }

    fn answers(&self, path: &str, lines: &str) {
        std::fs::write(self.dir.join(format!("answer-{path}")), lines).unwrap();
    }

    fn answers_next(&self, path: &str, lines: &str) {
        std::fs::write(self.dir.join(format!("next-{path}")), lines).unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// What it was asked to do about `path`, in order.
    fn actions(&self, path: &str) -> Vec<String> {
        let log = self.log();
        let mut actions = Vec::new();
        let mut last = "";
        for line in log.lines() {
            match line {
                "get" | "store" | "erase" => last = line,
                line if line.strip_prefix("path=") == Some(path) => actions.push(last.to_owned()),
                _ => {}
            }
        }
        actions
    }

    /// `git push` with this helper, which gets to see paths.
    fn push(&self, pair: &Pair, args: &[&str]) -> Cmd {
        let helper = format!("credential.helper={}", self.dir.join("run").display());
        let here = pair
            .here
            .cmd()
            .args(["-c", &helper, "-c", "credential.useHttpPath=true"]);
        here.arg("push").arg(pair.url()).args(args)
    }
}

#[test]
fn each_side_gets_its_own_user_from_a_helper() {
    for git in gits() {
        let pair = locked(git, &basic("reader", "r-secret"), &basic("writer", "w:secret"));
        let helper = Helper::new(&pair);
        helper.answers("source.git", "username=reader\npassword=r-secret\n");
        helper.answers("target.git", "username=writer\npassword=w:secret\n");
        pair.run(helper.push(&pair, &ALL)).ok();
        assert_same_refs(&pair.source, &pair.target);
        for path in ["source.git", "target.git"] {
            assert_eq!(helper.actions(path), ["get", "store"], "{}", helper.log());
        }
        assert!(helper.log().contains("store\n") && helper.log().contains("password=w:secret\n"));
        if git.at_least(2, 41) {
            assert!(
                helper.log().contains("wwwauth[]=Basic realm=\"test\"\n"),
                "{}",
                helper.log()
            );
        }
    }
}

/// A pack that is streamed cannot be sent twice, so the server must have been asked before.
#[test]
fn a_streamed_upload_is_authenticated() {
    for git in gits() {
        let pair = locked(git, &basic("git", "s"), &basic("bot", "t"));
        let mut import = support::Import::new();
        let big = support::history::noise(1, 3_000_000);
        import.commit("refs/heads/main", &[], &[("big", &big)]);
        import.into_repo(&pair.source);
        let push = pair.command(&ALL).env("GIT_RELAY_SOURCE_TOKEN", "s");
        let push = push
            .env("GIT_RELAY_TARGET_TOKEN", "t")
            .env("GIT_RELAY_TARGET_USERNAME", "bot");
        pair.run(push).ok().never_says("warning");
        assert_same_refs(&pair.source, &pair.target);
    }
}

#[test]
fn a_wrong_password_is_rejected_once_and_not_sent_again() {
    for git in gits() {
        let pair = locked(git, &basic("u", "right"), &basic("u", "right"));
        let helper = Helper::new(&pair);
        helper.answers("source.git", "username=u\npassword=stale\n");
        helper.answers("target.git", "username=u\npassword=right\n");
        let output = pair.run(helper.push(&pair, &ALL)).exits(128);
        output
            .says("/source.git: authentication failed")
            .never_says("stale");
        assert_eq!(
            helper.actions("source.git"),
            ["get", "erase", "get"],
            "{}",
            helper.log()
        );
        let lines = pair.server.lines();
        assert_eq!(
            lines.iter().filter(|line| line.contains("/source.git/")).count(),
            2
        );
    }
}

#[test]
fn a_better_password_helps_after_a_wrong_one() {
    for git in gits() {
        let pair = locked(git, &basic("u", "right"), &basic("u", "right"));
        let helper = Helper::new(&pair);
        helper.answers("source.git", "username=u\npassword=right\n");
        helper.answers("target.git", "username=u\npassword=stale\n");
        helper.answers_next("target.git", "username=u\npassword=right\n");
        pair.run(helper.push(&pair, &ALL)).ok();
        assert_same_refs(&pair.source, &pair.target);
        assert_eq!(helper.actions("target.git"), ["get", "erase", "get", "store"]);
    }
}

/// Helpers may answer with other schemes than Basic since git 2.46.
#[test]
fn a_helper_may_have_a_bearer_token() {
    for git in gits() {
        let pair = locked(git, "Bearer abc.def", "Bearer abc.def");
        let helper = Helper::new(&pair);
        for path in ["source.git", "target.git"] {
            helper.answers(
                path,
                "capability[]=authtype\nauthtype=Bearer\ncredential=abc.def\n",
            );
        }
        let output = pair.run(helper.push(&pair, &ALL));
        if git.at_least(2, 46) {
            output.ok();
            assert_same_refs(&pair.source, &pair.target);
            assert_eq!(helper.actions("target.git"), ["get", "store"], "{}", helper.log());
        } else {
            output.exits(128).says("(the server offers Bearer)");
        }
        let tokens = pair.command(&ALL).env("GIT_RELAY_SOURCE_TOKEN", "abc.def");
        pair.run(tokens.env("GIT_RELAY_TARGET_TOKEN", "abc.def")).ok();
    }
}

/// Since git 2.46 a helper may need several rounds with the server, and is reminded of how far it was.
#[test]
fn a_helper_may_answer_in_stages() {
    for git in gits() {
        let pair = locked(git, "Stage three", &basic("bot", "t"));
        let script = pair.world.path().join("stages");
        let log = pair.world.path().join("stages-log");
        let text = format!(
            "#!/bin/sh\ninput=$(cat)\nprintf '%s\\n%s\\n' \"$1\" \"$input\" >>'{}'\n\
             test \"$1\" = get || exit 0\necho capability[]=authtype\necho capability[]=state\necho authtype=Stage\n\
             case $input in\n\
             *'state[]=test:2'*) echo credential=three ;;\n\
             *'state[]=test:1'*) printf 'credential=two\\nstate[]=test:2\\ncontinue=1\\n' ;;\n\
             *) printf 'credential=one\\nstate[]=test:1\\ncontinue=1\\n' ;;\nesac\n",
            log.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let setting = format!("credential.helper={}", script.display());
        let push = pair
            .here
            .cmd()
            .args(["-c", &setting, "push"])
            .arg(pair.url())
            .args(ALL);
        let push = push
            .env("GIT_RELAY_TARGET_TOKEN", "t")
            .env("GIT_RELAY_TARGET_USERNAME", "bot");
        let output = pair.run(push);
        if !git.at_least(2, 46) {
            output.exits(128);
            continue;
        }
        output.ok();
        assert_same_refs(&pair.source, &pair.target);
        let told = std::fs::read_to_string(&log).unwrap();
        let actions = told
            .lines()
            .filter(|line| ["get", "store", "erase"].contains(line));
        assert_eq!(
            actions.collect::<Vec<_>>(),
            ["get", "get", "get", "store"],
            "{told}"
        );
    }
}

/// As CI checkouts configure it: a header for one host; nobody is asked then.
#[test]
fn an_extra_header_is_enough() {
    for git in gits() {
        let pair = locked(
            git,
            &basic("x-access-token", "job"),
            &basic("x-access-token", "job"),
        );
        let key = format!("http.{}.extraheader", pair.server.url(""));
        let header = format!("AUTHORIZATION: {}", basic("x-access-token", "job"));
        let helper = Helper::new(&pair);
        let push = helper.push(&pair, &ALL).env("GIT_CONFIG_COUNT", "1");
        pair.run(
            push.env("GIT_CONFIG_KEY_0", &key)
                .env("GIT_CONFIG_VALUE_0", &header),
        )
        .ok();
        assert_same_refs(&pair.source, &pair.target);
        assert_eq!(helper.log(), "");
        // A wrong one is not mended by something else.
        let push = helper.push(&pair, &ALL).env("GIT_CONFIG_COUNT", "1");
        let push = push
            .env("GIT_CONFIG_KEY_0", &key)
            .env("GIT_CONFIG_VALUE_0", "Authorization: Basic eDp5");
        pair.run(push)
            .exits(128)
            .says("authentication failed")
            .never_says("eDp5");
        assert_eq!(helper.log(), "");
    }
}

/// Git's own code reads; the token reaches it all the same, and nobody else.
#[test]
fn a_token_is_for_reading_too() {
    for git in gits() {
        let pair = locked(git, &basic("git", "t0ken"), &basic("bot", "other"));
        let helper = Helper::new(&pair);
        let trace = pair.world.path().join("trace");
        let read = |args: &[&str]| {
            let setting = format!("credential.helper={}", helper.dir.join("run").display());
            let command = pair.here.cmd().args(["-c", &setting]).args(args);
            let command = command.env("GIT_TRACE", &trace).env("GIT_RELAY_LOG", "trace");
            command.env("GIT_TRACE_CURL", "1")
        };
        let url = pair.url();
        let token = |args: &[&str]| read(args).env("GIT_RELAY_SOURCE_TOKEN", "t0ken");
        let outputs = [
            pair.run(token(&["ls-remote", &url])).ok(),
            pair.run(token(&["clone", "--bare", &url, "../one.git"])).ok(),
            // By another name, for runners that have one already.
            pair.run(
                read(&["-c", "relay.sourceTokenEnv=CI_JOB", "ls-remote", &url])
                    .env("CI_JOB", "t0ken")
                    .env("GIT_RELAY_SOURCE_TOKEN", "not this"),
            )
            .ok(),
        ];
        assert_eq!(helper.log(), "", "no helper is asked, or told to store the token");
        pair.run(token(&["ls-remote", &url]).env("GIT_RELAY_SOURCE_USERNAME", "nobody"))
            .exits(128)
            .says("Authentication failed");
        let trace = std::fs::read_to_string(&trace).unwrap();
        for text in outputs.iter().map(Output::err).chain([trace]) {
            assert!(!text.contains("t0ken"), "{text}");
        }
        // What is no name is refused before a shell sees it.
        pair.run(token(&[
            "-c",
            "relay.sourceTokenEnv=A}$(touch x)",
            "ls-remote",
            &url,
        ]))
        .exits(128)
        .says("relay.sourceTokenEnv is not the name of an environment variable");
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

#[test]
fn tokens_may_be_in_variables_of_any_name() {
    for git in gits() {
        let pair = locked(git, &basic("git", "of-source"), &basic("bot", "of-target"));
        let run = |args: &[&str]| {
            let command = pair.world.git.cmd(pair.world.path()).arg("relay").args(args);
            let command = command
                .env("SOURCE_JOB", "of-source")
                .env("TARGET_JOB", "of-target");
            let command = command
                .env("GIT_RELAY_TARGET_USERNAME", "bot")
                .env("GIT_RELAY_LOG", "trace");
            let output = command.run();
            eprintln!("{output}");
            output.never_says("of-source").never_says("of-target")
        };
        let (source, target) = (pair.source_url(), pair.target_url());
        let names = [
            "--source-token-env",
            "SOURCE_JOB",
            "--target-token-env=TARGET_JOB",
        ];
        for command in ["probe", "plan", "fetch"] {
            run(&[&[command, &source, &target][..], &names].concat()).ok();
        }
        run(&[&["push"][..], &names, &[&source, &target, ALL[0], ALL[1]]].concat()).ok();
        assert_same_refs(&pair.source, &pair.target);
        run(&[&["sync", &source, &target][..], &names].concat()).ok();
        run(&["sync", &source, &target, "--source-token-env", "UNSET_JOB"])
            .exits(128)
            .says("relay.sourceTokenEnv names the environment variable UNSET_JOB, which is not set");
        run(&["sync", &source, &target])
            .exits(128)
            .says("authentication required");
    }
}

/// What a user should know comes with every command that connects.
#[test]
fn notices_come_with_probes_and_pushes() {
    for git in gits() {
        let pair = locked(git, &basic("u", "p"), &basic("u", "p"));
        let with_password = |url: String| url.replace("http://", "http://u:p@");
        let (source, target) = (with_password(pair.source_url()), with_password(pair.target_url()));
        for words in [
            &["probe", &source, &target][..],
            &["push", &source, &target, "refs/heads/*"],
        ] {
            let command = git.cmd(pair.world.path());
            let command = command
                .args(["-c", "http.sslVersion=tlsv1.2", "relay"])
                .args(words);
            let output = command.ok();
            assert_eq!(
                output.err().matches("has a password in it").count(),
                2,
                "{output}"
            );
            assert_eq!(output.err().matches("http.sslVersion").count(), 1, "{output}");
        }
    }
}

#[test]
fn without_a_prompt_the_end_comes_at_once() {
    for git in gits() {
        let pair = locked(git, &basic("u", "p"), &basic("u", "p"));
        let started = std::time::Instant::now();
        let output = pair.push(&ALL).exits(128);
        output
            .says("authentication required")
            .says("GIT_RELAY_SOURCE_TOKEN");
        assert!(started.elapsed().as_secs() < 10);
    }
}

/// Whoever interrupts one question is not asked the other side's.
#[test]
fn an_interrupted_question_is_the_last() {
    for git in gits() {
        let pair = locked(git, &basic("u", "p"), &basic("u", "p"));
        let (script, log) = (pair.world.path().join("askpass"), pair.world.path().join("asked"));
        let text = format!("#!/bin/sh\necho \"$1\" >>'{}'\nkill -INT $PPID\n", log.display());
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        pair.run(pair.command(&ALL).env("GIT_ASKPASS", &script))
            .exits(128);
        let asked = std::fs::read_to_string(&log).unwrap();
        assert_eq!(asked.lines().count(), 1, "{asked}");
    }
}

#[test]
fn netrc_is_read_after_the_environment_and_before_git_is_asked() {
    for git in gits() {
        let pair = locked(git, &basic("n", "from-netrc"), &basic("git", "token"));
        let home = pair.world.path().join("home");
        std::fs::create_dir(&home).unwrap();
        std::fs::write(
            home.join(".netrc"),
            "machine 127.0.0.1 login n password from-netrc\n",
        )
        .unwrap();
        let helper = Helper::new(&pair);
        let push = helper.push(&pair, &ALL).env("HOME", &home);
        pair.run(push.env("GIT_RELAY_TARGET_TOKEN", "token")).ok();
        assert_same_refs(&pair.source, &pair.target);
        assert_eq!(helper.log(), "");
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

#[test]
fn settings_without_effect_are_told_once() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let push = [
            "-c",
            "http.sslVersion=tlsv1.2",
            "push",
            &pair.url(),
            "refs/heads/*",
        ];
        let output = pair.run(pair.here.cmd().args(push)).ok();
        assert_eq!(output.err().matches("http.sslVersion").count(), 1, "{output}");
    }
}

/// Per-URL settings reach the side they are for, and `remote.<name>.proxy` the remote.
#[test]
fn settings_hold_for_their_url_alone() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let dead = dead_proxy();
        let proxy = format!(
            "http.{}/target.git.proxy={dead}",
            pair.server.url("").trim_end_matches('/')
        );
        let push = ["-c", &proxy, "push", &pair.url(), "refs/heads/*"];
        pair.run(pair.here.cmd().args(push))
            .exits(128)
            .says("fatal: target ");
        let (url, proxy) = (
            format!("remote.s.url={}", pair.source_url()),
            format!("remote.s.proxy={dead}"),
        );
        let relay = format!("relay::s=>{}", pair.target_url());
        let push = ["-c", &url, "-c", &proxy, "push", &relay, "refs/heads/*"];
        pair.run(pair.here.cmd().args(push))
            .exits(128)
            .says("fatal: source ");
    }
}

/// A URL on which nobody listens.
fn dead_proxy() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
