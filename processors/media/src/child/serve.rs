//! The child's side: limits itself, works, answers.

use super::{Envelope, Failure, Limits, Reply, work};
use crate::decode;
use rustix::process::{Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit};
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

/// Progress is told in steps of this size: a bar has no finer ones.
const PROGRESS_STEP: f32 = 0.01;

/// After the soft limit of processor time the kernel waits this long before it kills.
const CPU_GRACE_S: u64 = 5;

/// Serves the one request that stands on standard input: the whole `main` of the hidden subcommand.
///
/// Call it before anything else opens files, connects or starts threads.
#[must_use]
pub fn serve() -> ExitCode {
    match receive().and_then(|envelope| confine(&envelope).map(|()| envelope)) {
        Ok(envelope) => answer(envelope),
        Err(error) => {
            let reply = Reply::Failed { code: "CHILD_UNUSABLE".to_string(), message: error.to_string(), is_permanent: false };
            if send(&reply).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn receive() -> io::Result<Envelope> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Gives up what the request does not need. Done before the file is opened, so nothing hostile has run yet.
fn confine(envelope: &Envelope) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = getppid().map(|id| id.as_raw_nonzero().get());
    if parent.is_none_or(|id| i64::from(id) != i64::from(envelope.parent)) {
        return Err(io::Error::other("the parent process has ended"));
    }
    let Limits { cpu_s, memory_bytes, file_bytes, .. } = envelope.limits;
    setrlimit(Resource::Cpu, Rlimit { current: Some(cpu_s), maximum: Some(cpu_s + CPU_GRACE_S) })?;
    // Private writable memory rather than address space: libraries map far more than they touch.
    setrlimit(Resource::Data, Rlimit { current: Some(memory_bytes), maximum: Some(memory_bytes) })?;
    setrlimit(Resource::Fsize, Rlimit { current: Some(file_bytes), maximum: Some(file_bytes) })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

fn answer(envelope: Envelope) -> ExitCode {
    decode::hear();
    let mut told = 0.0;
    let mut progress = |part: f32| {
        if part - told >= PROGRESS_STEP {
            told = part;
            // A parent that no longer listens is about to kill this process.
            let _sent = send(&Reply::Progress(part));
        }
    };
    let reply = match work::perform(envelope.request, &mut progress, &AtomicBool::new(false)) {
        Ok(answer) => Reply::Done(answer),
        Err(Failure { code, message, is_permanent }) => Reply::Failed { code, message, is_permanent },
    };
    if send(&reply).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn send(reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
