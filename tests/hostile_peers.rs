//! Servers that want to hurt: endless lists, bombs, escape sequences. The answer is an error in a few words, soon.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::io::Write;

use support::pair::WAYS;
use support::process::{Cmd, Output};
use support::scripted::{Canned, Scripted};
use support::{Pair, gits, scenes};

fn canned(status: &str, headers: &[&str], body: &[u8]) -> Canned {
    let mut all = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        all += &format!("{header}\r\n");
    }
    [all.as_bytes(), b"\r\n", body].concat()
}

fn pkt(line: &str) -> Vec<u8> {
    format!("{:04x}{line}", line.len() + 4).into_bytes()
}

fn gzip(bytes: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    bytes.for_each(|bytes| encoder.write_all(&bytes).unwrap());
    encoder.finish().unwrap()
}

fn advertisement(service: &str) -> String {
    format!("Content-Type: application/x-{service}-advertisement")
}

/// `git relay plan` with a server that says `response` on one side, and the other in order.
fn plan(pair: &Pair, source: &str, target: &str) -> Output {
    let plan = pair.here.cmd().args(["relay", "plan", source, target, "--json"]);
    let output = plan.run();
    eprintln!("{output}");
    output.exits(128).never_says("panicked")
}

/// One ref after the other, some hundred million bytes of them from very few on the wire.
fn many_refs() -> Vec<u8> {
    let lines = 1_500_000 / 1000;
    let block: Vec<u8> = (0..1000)
        .flat_map(|_| pkt(&format!("{} refs/heads/{}\n", "1".repeat(40), "x".repeat(20))))
        .collect();
    let first = pkt(&format!("{} HEAD\0report-status delete-refs\n", "1".repeat(40)));
    gzip(std::iter::once(first).chain((0..lines).map(|_| block.clone())))
}

#[test]
fn a_list_of_refs_is_bounded_on_both_sides_and_over_every_transport() {
    for git in gits() {
        for (from, to) in WAYS {
            let pair = Pair::new(git).reached(from, to);
            scenes::behind(&pair);
            let push = |limit: &str| -> Cmd {
                let setting = format!("relay.maxRefListSize={limit}");
                pair.here
                    .cmd()
                    .args(["-c", &setting, "push", &pair.url(), "refs/heads/dev"])
            };
            for (limit, code) in [("50", 128), ("1m", 0), ("0", 0)] {
                let output = pair.run(push(limit)).exits(code);
                if code != 0 {
                    output
                        .says("its list of refs is longer than 50 bytes")
                        .says("relay.maxRefListSize");
                }
            }
            pair.run(push("-1")).exits(128).says("relay.maxRefListSize");
        }
    }
}

#[test]
fn a_bomb_of_refs_is_given_up_at_the_limit() {
    let pair = Pair::new(&gits()[0]);
    scenes::fresh(&pair);
    let bomb = many_refs();
    for (service, is_source) in [("git-upload-pack", true), ("git-receive-pack", false)] {
        let start = [pkt(&format!("# service={service}\n")), b"0000".to_vec()].concat();
        let first = gzip(std::iter::once(start));
        // A gzip stream may have several members.
        let body = [first, bomb.clone()].concat();
        assert!(body.len() < 2_000_000);
        let header = advertisement(service);
        let response = canned("200 OK", &[&header, "Content-Encoding: gzip"], &body);
        let server = Scripted::start([response]);
        let url = server.url("r.git");
        let output = match is_source {
            true => plan(&pair, &url, &pair.target_url()),
            false => plan(&pair, &pair.source_url(), &url),
        };
        assert!(output.out().contains("\"kind\":\"limit\""), "{output}");
        output.says("its list of refs is longer than 67108864 bytes");
    }
}

#[test]
fn headers_and_packet_lines_are_bounded() {
    let pair = Pair::new(&gits()[0]);
    scenes::fresh(&pair);
    let header = format!("X-Long: {}", "x".repeat(1 << 20));
    let server = Scripted::start([canned("200 OK", &[&header], b"")]);
    let output = plan(&pair, &server.url("r.git"), &pair.target_url());
    output.says("too many response headers");
    let headers = vec!["X-Many: 1"; 20_000];
    let server = Scripted::start([canned("200 OK", &headers, b"")]);
    let output = plan(&pair, &server.url("r.git"), &pair.target_url());
    assert!(
        output.out().contains("\"kind\":\"limit\"") || output.out().contains("\"kind\":\"peer\""),
        "{output}"
    );
    // A length that no packet line has, and what is no length.
    for body in [
        "fff5".to_owned() + &"x".repeat(1 << 17),
        "zzzz".to_owned(),
        "0003".to_owned(),
    ] {
        let header = advertisement("git-upload-pack");
        let server = Scripted::start([canned("200 OK", &[&header], body.as_bytes())]);
        let output = plan(&pair, &server.url("r.git"), &pair.target_url());
        assert!(output.out().contains("\"kind\":\"peer\""), "{output}");
    }
}

/// What a terminal would obey is shown instead: in headers, bodies, redirects and `ERR` lines.
#[test]
fn escape_sequences_are_shown() {
    let pair = Pair::new(&gits()[0]);
    scenes::fresh(&pair);
    let evil = "\x1b]0;owned\x07\x1b[2J";
    let upload_pack = advertisement("git-upload-pack");
    let mut error = pkt("# service=git-upload-pack\n");
    error.extend_from_slice(b"0000");
    error.extend_from_slice(&pkt(&format!("ERR {evil}\n")));
    let name = [
        &pkt("# service=git-upload-pack\n")[..],
        b"0000",
        &pkt(&format!("{} refs/heads/{evil}\0\n", "1".repeat(40))),
        b"0000",
    ]
    .concat();
    for response in [
        canned("500 Oops", &["Content-Type: text/plain"], evil.as_bytes()),
        canned("200 OK", &[&format!("Content-Type: text/{evil}")], b"x"),
        canned(
            "302 Found",
            &[&format!(
                "Location: http://h/{evil}/info/refs?service=git-upload-pack"
            )],
            b"",
        ),
        canned("401 No", &[&format!("WWW-Authenticate: {evil}")], b""),
        canned("200 OK", &[&upload_pack], &error),
        canned("200 OK", &[&upload_pack], &name),
    ] {
        let server = Scripted::start([response]);
        let plan = pair
            .here
            .cmd()
            .args(["relay", "plan", &server.url("r.git"), &pair.target_url()]);
        let output = plan.env("GIT_RELAY_LOG", "trace").run().exits(128);
        assert!(
            !output.stderr.contains(&0x1b) && !output.stdout.contains(&0x1b),
            "{output}"
        );
        assert!(!output.stderr.contains(&7), "{output}");
    }
}

/// The page says which test covers what; a test that is renamed must be renamed there.
#[test]
fn the_tests_that_the_security_page_names_exist() {
    fn sources(dir: &std::path::Path, into: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|end| end == "rs") {
                into.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    sources(&root.join("src"), &mut code);
    sources(&root.join("tests"), &mut code);
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let section = page.split("## Known weaknesses of others").nth(1).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(2);
    let mut named = 0;
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(code.contains(&format!("fn {name}()")), "{name} is no test");
            named += 1;
        }
    }
    assert!(named > 15, "{named}");
}
