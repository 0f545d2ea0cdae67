//! The parent's side: starts the child, hears it, keeps its time, and says how it ended.

use super::{ChildError, Death, Envelope, Failure, Limits, Reply, Request};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a wait looks at the clock and at the caller's wish to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// All answers together: the analysis of six hours is some 20 MB of JSON.
const ANSWER_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

/// Lines that may wait for the caller.
const LINES_WAITING: usize = 16;

/// How much of the child's standard error is kept.
const LAST_WORDS_BYTES: usize = 2_000;

/// Signals by which the kernel enforces limits.
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;
const SIGKILL: i32 = 9;

/// What allocators say before they give up.
const OUT_OF_MEMORY_WORDS: &[&str] =
    &["memory allocation of", "failed to allocate", "out of memory", "cannot allocate memory", "not enough memory"];

pub(super) fn ask(
    exe: &Path,
    arguments: &[String],
    request: Request,
    limits: Limits,
    progress: &mut dyn FnMut(f32),
    cancel: &AtomicBool,
) -> Result<serde_json::Value, ChildError> {
    let unusable = |error: std::io::Error| ChildError::Unusable(error.to_string());
    let mut command = Command::new(exe);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Reaped(command.spawn().map_err(unusable)?);
    let envelope = Envelope { request, limits, parent: std::process::id() };
    let mut line = serde_json::to_vec(&envelope).map_err(|error| ChildError::Unusable(error.to_string()))?;
    line.push(b'\n');
    let mut input = process.0.stdin.take().expect("standard input is piped");
    // A child that died at once does not read; how it died says more than the broken pipe.
    let _written = input.write_all(&line).and_then(|()| input.flush());
    drop(input);

    let lines = hear(process.0.stdout.take().expect("standard output is piped"));
    let last_words = keep_last_words(process.0.stderr.take().expect("standard error is piped"));
    let reply = attend(&lines, limits, progress, cancel);
    if reply.is_err() {
        process.kill();
    }
    let status = process.0.wait().map_err(unusable)?;
    let last_words = last_words.join().unwrap_or_default();
    match reply? {
        Some(Reply::Done(answer)) => Ok(answer),
        Some(Reply::Failed { code, message, is_permanent }) => Err(Failure { code, message, is_permanent }.into()),
        Some(Reply::Progress(_)) | None => Err(explain(status, last_words, limits)),
    }
}

/// A child that does not outlive its handle.
struct Reaped(Child);

impl Reaped {
    fn kill(&mut self) {
        // It fails only for a process that has ended already.
        let _killed = self.0.kill();
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        self.kill();
        let _status = self.0.wait();
    }
}

/// Waits for the last reply; `None` if the child ended without one.
fn attend(
    lines: &Receiver<String>,
    limits: Limits,
    progress: &mut dyn FnMut(f32),
    cancel: &AtomicBool,
) -> Result<Option<Reply>, ChildError> {
    let deadline = Instant::now() + limits.wall;
    loop {
        if cancel.load(Ordering::Relaxed) {
            return Err(ChildError::Cancelled);
        }
        if Instant::now() >= deadline {
            return Err(ChildError::TimedOut(limits.wall));
        }
        match lines.recv_timeout(LOOK_INTERVAL) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Reply::Progress(part)) => progress(part),
                Ok(reply) => return Ok(Some(reply)),
                // Some libraries chat on standard output.
                Err(_) => tracing::debug!(line, "a media process wrote a line that is no reply"),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

fn hear(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES_WAITING);
    std::thread::spawn(move || {
        let lines = BufReader::new(output.take(ANSWER_LIMIT_BYTES)).lines();
        for line in lines.map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn keep_last_words(mut errors: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut kept, mut piece) = (Vec::new(), [0; LAST_WORDS_BYTES]);
        while let Ok(count @ 1..) = errors.read(&mut piece) {
            kept.extend_from_slice(&piece[..count]);
            let excess = kept.len().saturating_sub(LAST_WORDS_BYTES);
            kept.drain(..excess);
        }
        String::from_utf8_lossy(&kept).trim().to_string()
    })
}

/// Says how a child without an answer ended.
fn explain(status: ExitStatus, last_words: String, limits: Limits) -> ChildError {
    let lower = last_words.to_lowercase();
    if OUT_OF_MEMORY_WORDS.iter().any(|words| lower.contains(words)) {
        return ChildError::Killed(Death::OutOfMemory);
    }
    match status.signal() {
        Some(SIGXCPU) => ChildError::TimedOut(Duration::from_secs(limits.cpu_s)),
        Some(SIGXFSZ) => ChildError::Killed(Death::FileTooLarge),
        // Nobody else kills it so: the kernel does, when the machine runs out of memory.
        Some(SIGKILL) => ChildError::Killed(Death::OutOfMemory),
        _ => ChildError::Killed(Death::Crashed { how: status.to_string(), last_words }),
    }
}
