//! What each request means: one line per request.

use super::{Failure, Request, Survey};
use crate::decode::DecodeError;
use crate::listen::{ListenError, listen, loudness_of};
use crate::look::{faces_in, look};
use crate::poster::poster;
use crate::probe::{ProbeError, check_whole, probe};
use crate::{MissingPlugins, encode};
use serde::Serialize;
use std::sync::atomic::AtomicBool;

pub(super) fn perform(request: Request, progress: &mut dyn FnMut(f32), cancel: &AtomicBool) -> Result<serde_json::Value, Failure> {
    match request {
        Request::Probe { path, limits } => answer(probe(&path, limits)?),
        Request::CheckWhole { path, facts } => answer(check_whole(&path, &facts, progress)?),
        Request::Listen { path, wav_out } => answer(listen(&path, &wav_out, progress)?),
        Request::Look { path, facts } => answer(look(&path, &facts, progress)?),
        Request::Survey { path, facts, span, rate } => {
            let faces = faces_in(&path, &facts, span, rate, progress)?;
            let loudness = if facts.audio.is_some() { loudness_of(&path, span)? } else { None };
            answer(Survey { faces, loudness })
        }
        Request::Render { source, facts, list, out, poster: poster_out } => {
            let rendered = encode::render(&source, &facts, &list, &out, progress, cancel)?;
            poster(&source, &facts, &list, &poster_out)?;
            answer(rendered)
        }
    }
}

fn answer(value: impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|error| machine("ANSWER", error.to_string()))
}

/// A failure that the file is to blame for.
fn file(code: &str, message: String) -> Failure {
    Failure { code: code.to_string(), message, is_permanent: true }
}

/// A failure that another try may not meet.
fn machine(code: &str, message: String) -> Failure {
    Failure { code: code.to_string(), message, is_permanent: false }
}

impl From<MissingPlugins> for Failure {
    fn from(missing: MissingPlugins) -> Self {
        machine("MISSING_PLUGIN", missing.to_string())
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Refused(refusal) => file(refusal.code(), refusal.to_string()),
            ProbeError::MissingPlugins(missing) => missing.into(),
            ProbeError::Unreadable(source) => machine("UNREADABLE", format!("the file cannot be read: {source}")),
        }
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::MissingPlugins(missing) => missing.into(),
            error => file(error.code(), error.to_string()),
        }
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::Decode(error) => error.into(),
            ListenError::Write(source) => machine("UNWRITABLE", format!("writing the extracted sound failed: {source}")),
            ListenError::Meter { .. } => file("UNSUPPORTED_SOUND", error.to_string()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<DecodeError>() {
            Ok(error) => error.into(),
            Err(error) => machine("MEDIA", format!("{error:#}")),
        }
    }
}
