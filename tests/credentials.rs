//! Who we are to a server: credential helpers, tokens in the environment, `.netrc`, headers.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::os::unix::fs::PermissionsExt;

use support::credentials::{Helper, locked};
use support::http::{Answer, basic};
use support::process::Output;
use support::repo::assert_same_refs;
use support::{Options, Pair, gits, scenes};

const ALL: [&str; 2] = ["refs/heads/*", "refs/tags/*"];

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

/// Helpers hear what the server says, all of it and in its order; where in the server only if they are to.
#[test]
fn helpers_hear_every_challenge() {
    for git in gits() {
        let challenges = ["Basic realm=\"one, two\"", "Bearer scope=\"x\""];
        let mut answer = Answer::new("GET /source.git", 401);
        let lines = challenges.map(|text| ("WWW-Authenticate".to_owned(), text.to_owned()));
        answer.headers.extend(lines);
        let options = Options {
            answers: vec![answer],
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        let helper = Helper::new(&pair);
        std::fs::write(helper.dir.join("answer-"), "username=u\npassword=p\n").unwrap();
        let setting = format!("credential.helper={}", helper.dir.join("run").display());
        let push = pair.here.cmd().args(["-c", &setting, "push"]);
        pair.run(push.arg(pair.url()).args(ALL))
            .exits(128)
            .says("authentication failed");
        let log = helper.log();
        assert!(log.contains("host=") && !log.contains("path="), "{log}");
        if git.at_least(2, 41) {
            let all = challenges.map(|text| format!("wwwauth[]={text}\n")).concat();
            assert!(log.contains(&all), "{log}");
        }
    }
}

#[test]
fn askpass_knows_passwords() {
    for git in gits() {
        let pair = locked(git, &basic("u", "from-askpass"), &basic("u", "from-askpass"));
        let script = pair.world.path().join("askpass");
        let text = "#!/bin/sh\ncase $1 in Username*) echo u ;; *) echo from-askpass ;; esac\n";
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let push = pair.command(&ALL).env("GIT_ASKPASS", &script);
        pair.run(push).ok().never_says("from-askpass");
        assert_same_refs(&pair.source, &pair.target);
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

/// The tests run with `GIT_TERMINAL_PROMPT=0`; a question that nobody answers would last until the watchdog comes.
#[test]
fn without_a_prompt_the_end_comes_at_once() {
    for git in gits() {
        let pair = locked(git, &basic("u", "p"), &basic("u", "p"));
        let output = pair.push(&ALL).exits(128);
        output
            .says("authentication required")
            .says("GIT_RELAY_SOURCE_TOKEN");
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
        let source = format!("remote.s.url={}", pair.source_url());
        let named = ["-c", &source, "-c", "remote.s.proxyAuthMethod=ntlm", "push"];
        let named = pair
            .here
            .cmd()
            .args(named)
            .arg(format!("relay::s=>{}", pair.target_url()));
        let output = pair.run(named.arg("refs/heads/*")).ok();
        assert_eq!(
            output.err().matches("http.proxyAuthMethod").count(),
            1,
            "{output}"
        );
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
