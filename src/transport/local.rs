//! A local repository: git's own `upload-pack` or `receive-pack` as a child of ours.

use std::time::Duration;

use gix_transport::Service;

use super::child::{Process, Stderr};
use super::pipe::Pipe;
use crate::error::Result;
use crate::git::service;
use crate::url::LocalAddress;

/// An `upload-pack` whose answer was abandoned can go on counting objects for minutes. A `receive-pack` is never killed:
/// it would leave its half of a push behind, or a hook half done.
const PATIENCE: Duration = Duration::from_secs(2);

/// Start `service`, asking for protocol `version` (0 for none).
///
/// # Errors
/// When it cannot be started. That there is no repository shows in the conversation.
pub(super) fn open(address: &LocalAddress, service: Service, version: usize) -> Result<Pipe> {
    let (program, patience) = match service {
        Service::UploadPack => (&address.programs.upload_pack, Some(PATIENCE)),
        Service::ReceivePack => (&address.programs.receive_pack, None),
    };
    let command = match program {
        Some(program) => service::program(program.as_ref(), &address.path, version),
        None => service::command(service, &address.path, version),
    };
    let (child, input, output) = Process::start(command, Stderr::Kept, patience)?;
    Ok(Pipe {
        input: Box::new(input),
        output: Box::new(output),
        child: Some(child),
    })
}
