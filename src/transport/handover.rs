//! Conversations with `upload-pack` that git holds itself: we lead there, and that is all.
//!
//! The links beside this module are for what we say ourselves.

use std::env::var_os;
use std::io::{Read, Write};
use std::process::Command;

use bstr::BString;
use gix_transport::Service;

use super::child::Process;
use super::{daemon, ssh};
use crate::error::Result;
use crate::git::service;
use crate::url::Address;

/// Where a conversation takes place.
pub enum Handover {
    /// On the standard input and output of a program, which is still to be started. What it says on standard error is
    /// for the person.
    Program(Command),
    /// On two streams.
    Streams(Streams),
}

/// Both directions of a conversation.
pub struct Streams {
    /// What is said to the service; dropping it says that nothing more comes.
    pub input: Box<dyn Write + Send>,
    /// What the service says.
    pub output: Box<dyn Read + Send>,
    /// Leads there, and ends with the streams.
    _child: Option<Process>,
}

/// Lead to `upload-pack` for the repository at `address`, or to `program` in its place, asking for protocol `version` (0
/// for none). `None` where no byte stream leads: over http, and by other helpers.
///
/// # Errors
/// When the other side cannot be reached, or must not be.
pub fn upload_pack(address: &Address, program: Option<&BString>, version: usize) -> Result<Option<Handover>> {
    const SERVICE: Service = Service::UploadPack;
    let program = |configured: &Option<BString>| program.or(configured.as_ref()).cloned();
    Ok(Some(match address.clone() {
        Address::Local(local) => Handover::Program(match program(&local.programs.upload_pack) {
            Some(program) => service::program(program.as_ref(), &local.path, version),
            None => service::command(SERVICE, &local.path, version),
        }),
        Address::Ssh(mut host) => {
            host.programs.upload_pack = program(&host.programs.upload_pack);
            Handover::Program(ssh::command(&host, SERVICE, version, &|name| var_os(name))?)
        }
        Address::Daemon(mut host) => {
            host.programs.upload_pack = program(&host.programs.upload_pack);
            // Either end may take its time; git waits for both.
            host.reach.silence = None;
            let pipe = daemon::open(&host, SERVICE, version)?;
            Handover::Streams(Streams {
                input: pipe.input,
                output: pipe.output,
                _child: pipe.child,
            })
        }
        Address::Http(_) | Address::Helper(_) => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(url: &str, program: Option<&str>) -> Vec<String> {
        let program = program.map(BString::from);
        match upload_pack(&Address::parse(url).unwrap(), program.as_ref(), 2) {
            Ok(Some(Handover::Program(command))) => std::iter::once(command.get_program())
                .chain(command.get_args())
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            _ => panic!("{url}"),
        }
    }

    #[test]
    fn the_program_that_git_names_goes_before_gits_own() {
        assert_eq!(command("/a b", None), ["git", "upload-pack", "/a b"]);
        assert_eq!(
            command("/a b", Some("up --x")),
            ["/bin/sh", "-c", "up --x '/a b'"]
        );
        let by_ssh = command("ssh://h/a b", Some("up --x"));
        assert_eq!(by_ssh.last().unwrap(), "up --x '/a b'");
    }

    #[test]
    fn no_stream_leads_to_http_and_other_helpers() {
        for url in ["https://h/x", "foo::x"] {
            let way = upload_pack(&Address::parse(url).unwrap(), None, 2).unwrap();
            assert!(way.is_none());
        }
    }
}
