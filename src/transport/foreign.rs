//! A repository that another remote helper reaches: `git-remote-<name>` is run as git runs it and asked to `connect`
//! (gitremote-helpers(7)); from then on its pipes lead to the service.
//!
//! Helpers that only `fetch` and `push` keep the wire to themselves, so nothing can be relayed through them.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command};
use std::time::Duration;

use bstr::{BString, ByteSlice};
use gix_transport::Service;

use super::child::{Process, Stderr};
use super::failure;
use super::patience::{self, Patient};
use super::pipe::Pipe;
use super::stateless::WithoutResponseEnds;
use crate::error::{Error, Kind, Result, printable};
use crate::url::{Family, HelperAddress};

/// How long a helper may take to end when both pipes are closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines of a helper are short; one that sends more than this does not speak the protocol.
const LONGEST_LINE: u64 = 64 * 1024;

/// Start the helper and have it connect to `service`, asking for protocol `version` (0 for none).
///
/// # Errors
/// [`Kind::Unsupported`] when there is no such helper or it cannot connect to services; otherwise in its own words.
pub(super) fn open(address: &HelperAddress, service: Service, version: usize) -> Result<Pipe> {
    let mut command = Command::new("git");
    command
        .arg(format!("remote-{}", address.name))
        .args([&address.remote, &address.url]);
    match version {
        0 => command.env_remove("GIT_PROTOCOL"),
        version => command.env("GIT_PROTOCOL", format!("version={version}")),
    };
    let (child, input, output) = Process::start(command, Stderr::Shown, Some(PATIENCE))?;
    let limit = address.reach.silence;
    // It may have questions before it is connected.
    let at_first = limit.filter(|_| !patience::somebody_is_there());
    let mut talk = Conversation {
        name: &address.name,
        input: Patient::into_child(input, limit),
        output: BufReader::new(Patient::new(output, at_first)),
    };
    let connected = talk.connect(address, service, version);
    talk.output.get_mut().limit(limit);
    match connected {
        Ok(Connected::Stream) => Ok(Pipe {
            input: Box::new(talk.input),
            output: Box::new(talk.output),
            child: Some(child),
        }),
        Ok(Connected::Stateless) => Ok(Pipe {
            input: Box::new(talk.input),
            output: Box::new(WithoutResponseEnds::new(talk.output)),
            child: Some(child),
        }),
        Err(err) => {
            drop(talk);
            let ending = child.finish();
            let unknown = format!("'remote-{}' is not a git command", address.name);
            if ending.words.contains_str(&unknown) {
                let message = format!("unable to find remote helper for '{}'", address.name);
                let hint = format!("'git-remote-{}' must be an executable on PATH", address.name);
                return Err(Error::new(Kind::Unsupported, message).hint(hint));
            }
            Err(failure::explain(err, Some(&ending)))
        }
    }
}

/// What a helper answered to the wish to connect.
enum Connected {
    /// Its pipes are the service's.
    Stream,
    /// Each request is answered for itself, with a response-end packet behind it.
    Stateless,
}

struct Conversation<'a> {
    name: &'a str,
    input: Patient<ChildStdin>,
    output: BufReader<Patient<ChildStdout>>,
}

impl Conversation<'_> {
    fn connect(&mut self, address: &HelperAddress, service: Service, version: usize) -> Result<Connected> {
        let capabilities = self.capabilities()?;
        let offers = |name: &str| capabilities.iter().any(|capability| capability == name);
        let (verb, connected) = if offers("connect") {
            ("connect", Connected::Stream)
        } else if offers("stateless-connect") && version == 2 && service == Service::UploadPack {
            ("stateless-connect", Connected::Stateless)
        } else {
            let message = format!("the remote helper '{}' does not offer 'connect'", self.name);
            return Err(Error::new(Kind::Unsupported, message)
                .hint("it keeps the connection to itself, so nothing can be relayed through it"));
        };
        if address.reach.family != Family::All && offers("option") {
            // A helper that does not know it goes its own way, as it does under git.
            self.say(format!("option family {}\n", address.reach.family.name()).as_bytes())?;
            self.line()?;
        }
        let program = address.programs.of_service(service);
        if program != service.as_str().as_bytes() {
            self.set_service_path(program)?;
        }
        self.say(format!("{verb} {}\n", service.as_str()).as_bytes())?;
        match self.line()?.as_slice() {
            b"" => Ok(connected),
            b"fallback" => Err(Error::new(
                Kind::Unsupported,
                format!(
                    "the remote helper '{}' cannot connect to {}",
                    self.name,
                    service.as_str()
                ),
            )),
            other => Err(self.unexpected(other)),
        }
    }

    fn capabilities(&mut self) -> Result<Vec<BString>> {
        /// Far more than there are.
        const MOST: usize = 1000;
        const KNOWN: [&[u8]; 5] = [b"connect", b"stateless-connect", b"option", b"fetch", b"push"];
        self.say(b"capabilities\n")?;
        let mut capabilities = Vec::new();
        while capabilities.len() < MOST {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(capabilities);
            }
            match line.strip_prefix(b"*") {
                Some(mandatory) if !KNOWN.contains(&mandatory) => {
                    let message = format!(
                        "the remote helper '{}' insists on '{}', which is not known here",
                        self.name,
                        printable(mandatory)
                    );
                    return Err(Error::new(Kind::Unsupported, message));
                }
                Some(mandatory) => capabilities.push(mandatory.into()),
                None => capabilities.push(line),
            }
        }
        Err(self.unexpected(b"more capabilities than there are"))
    }

    /// As in git, a helper that does not know the option goes on without it.
    fn set_service_path(&mut self, program: &[u8]) -> Result<()> {
        self.say(&[b"option servpath ", program, b"\n"].concat())?;
        let answer = self.line()?;
        if answer != "ok" {
            log::warn!(target: "relay::git", "setting remote service path not supported by protocol");
        }
        Ok(())
    }

    fn say(&mut self, words: &[u8]) -> Result<()> {
        self.input
            .write_all(words)
            .and_then(|()| self.input.flush())
            .map_err(|err| Error::from_io(err, &format!("the remote helper '{}' gave up", self.name)))
    }

    fn line(&mut self) -> Result<BString> {
        let mut line = Vec::new();
        let gave_up = format!("the remote helper '{}' gave up", self.name);
        (&mut self.output)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .map_err(|err| Error::from_io(err, &gave_up))?;
        match line.strip_suffix(b"\n") {
            Some(line) => Ok(line.into()),
            None if line.is_empty() => Err(Error::new(Kind::Network, gave_up)),
            None => Err(self.unexpected(&line)),
        }
    }

    fn unexpected(&self, said: &[u8]) -> Error {
        let said = said.get(..said.len().min(200)).unwrap_or_default();
        let message = format!(
            "the remote helper '{}' unexpectedly said: '{}'",
            self.name,
            printable(said.trim())
        );
        Error::new(Kind::Peer, message)
    }
}
