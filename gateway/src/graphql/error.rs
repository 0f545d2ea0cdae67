//! Errors of GraphQL fields: a refused rule has a stable code, everything else is `INTERNAL` without detail.

use async_graphql::{Error, ErrorExtensions as _};
use domain::{clip, job, video};
use runtime::execute::TransactError;
use std::fmt::Display;
use std::str::FromStr;

/// Returns an error with a stable code.
pub(crate) fn refusal(code: &'static str, message: impl Display) -> Error {
    Error::new(message.to_string()).extend_with(|_, extensions| extensions.set("code", code))
}

/// Logs `error` and returns one that tells nothing of it.
pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Error {
    let error = error.into();
    tracing::error!(error = ?error, "field failed");
    refusal("INTERNAL", "something went wrong here; the server's log says what")
}

/// Returns the id that `text` names.
pub(crate) fn id<T: FromStr<Err: Display>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|problem| refusal("BAD_ID", problem))
}

/// Returns why commands had no effect.
pub(crate) fn not_executed(error: TransactError) -> Error {
    match error {
        TransactError::Refused(rule) => match (rule.downcast_ref::<clip::Error>(), rule.downcast_ref::<video::Error>()) {
            (Some(error), _) => refusal(clip_code(error), error),
            (_, Some(error)) => refusal(video_code(error), error),
            (None, None) => match rule.downcast_ref::<job::Error>() {
                Some(error) => refusal(job_code(*error), error),
                None => refusal("REFUSED", rule),
            },
        },
        TransactError::Conflict(_) => refusal("CONFLICT", "others changed the same thing again and again; try again"),
        TransactError::Full(_) => refusal("DISK_FULL", "the disk that holds the log is full: free some space, nothing was lost"),
        TransactError::Log(error) => internal(error),
    }
}

fn clip_code(error: &clip::Error) -> &'static str {
    match error {
        clip::Error::Absent => "CLIP_NOT_FOUND",
        clip::Error::Deleted => "CLIP_DELETED",
        clip::Error::AlreadyProposed => "CLIP_ALREADY_PROPOSED",
        clip::Error::Rejected { .. } => "CLIP_REJECTED",
        clip::Error::AlreadyAccepted => "CLIP_ALREADY_ACCEPTED",
        clip::Error::BadReason => "BAD_REASON",
        clip::Error::SpanOutsideVideo { .. } => "SPAN_OUTSIDE_VIDEO",
        clip::Error::BadLength { .. } => "BAD_CLIP_LENGTH",
        clip::Error::NotRequested { .. } => "RENDITION_NOT_REQUESTED",
    }
}

fn job_code(error: job::Error) -> &'static str {
    match error {
        job::Error::Absent => "JOB_NOT_PARKED",
        job::Error::AlreadyFinished => "JOB_ALREADY_FINISHED",
    }
}

fn video_code(error: &video::Error) -> &'static str {
    match error {
        video::Error::Absent => "VIDEO_NOT_FOUND",
        video::Error::AlreadySubmitted => "VIDEO_ALREADY_SUBMITTED",
        video::Error::Deleted => "VIDEO_DELETED",
        video::Error::Refused { .. } => "VIDEO_REFUSED",
        video::Error::NotReady { .. } => "VIDEO_NOT_READY",
        video::Error::BadWish(_) => "BAD_WISH",
        video::Error::StageNotFailed { .. } => "STAGE_NOT_FAILED",
    }
}
