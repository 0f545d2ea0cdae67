//! A piece of a video: proposed with its reasons, judged by an editor, rendered.
//!
//! Editor decisions are facts of their own, not edits of a row: they are what the ranker learns from.

mod report;

use crate::artefact::{CaptionStyle, EncoderSettings, Ratio, RenderSettings};
use crate::id::VideoId;
use crate::video::{CLIP_LENGTH_MAX, CLIP_LENGTH_MIN, Failure};
use crate::{BlobRef, Decider, MediaTime, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

pub use report::{Proposal, Rendition};

/// Longest reason for a rejection, in characters.
pub const REJECTION_CHARACTERS_MAX: usize = 500;

/// What somebody wants of a clip.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Put it before an editor.
    Propose(Box<Proposal>),
    /// Take it.
    Accept,
    /// Turn it down.
    Reject {
        /// In the editor's words.
        reason: String,
    },
    /// Move its ends.
    Retrim {
        /// Where it is from now on.
        span: Span,
    },
    /// Give it other captions.
    Restyle {
        /// How they look from now on.
        style: CaptionStyle,
    },
    /// Make a rendition as it is now.
    RequestRender {
        /// Which.
        ratio: Ratio,
        /// How it is encoded.
        encoder: EncoderSettings,
    },
    /// Report a rendition.
    RecordRender {
        /// Which edit it shows.
        revision: u32,
        /// The files.
        rendition: Box<Rendition>,
    },
    /// Report that a rendition cannot be made.
    FailRender {
        /// Which edit it would show.
        revision: u32,
        /// Which.
        ratio: Ratio,
        /// Why.
        failure: Failure,
    },
    /// Forget it.
    Delete,
}

/// What happened to a clip.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Detection proposed it.
    Proposed(Box<Proposal>),
    /// An editor took it.
    Accepted,
    /// An editor turned it down.
    Rejected {
        /// In the editor's words.
        reason: String,
    },
    /// An editor moved its ends.
    Retrimmed {
        /// Where it was.
        from: Span,
        /// Where it is.
        to: Span,
    },
    /// An editor changed its captions.
    Restyled {
        /// How they look.
        style: CaptionStyle,
    },
    /// A rendition is wanted; carries all that the renderer needs.
    RenderRequested {
        /// Of which video.
        video: VideoId,
        /// Which edit: the number of retrims and restyles before it.
        revision: u32,
        /// The original.
        original: BlobRef,
        /// Its words.
        words: BlobRef,
        /// What is seen and heard in it.
        analysis: BlobRef,
        /// What to cut.
        span: Span,
        /// Aspect ratio.
        ratio: Ratio,
        /// How captions look.
        style: CaptionStyle,
        /// What else its bytes depend on.
        settings: RenderSettings,
    },
    /// A rendition was made.
    Rendered {
        /// Which edit it shows.
        revision: u32,
        /// The files.
        rendition: Rendition,
    },
    /// A rendition cannot be made.
    RenderFailed {
        /// Which edit it would show.
        revision: u32,
        /// Which.
        ratio: Ratio,
        /// Why.
        failure: Failure,
    },
    /// It is gone.
    Deleted,
}

/// A refused rule.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Error {
    /// There is no such clip.
    #[error("the clip does not exist")]
    Absent,
    /// It was deleted.
    #[error("the clip was deleted")]
    Deleted,
    /// The id is taken by another span or model.
    #[error("the clip was already proposed with another span")]
    AlreadyProposed,
    /// A rejected clip stays rejected: propose or retrim another one.
    #[error("the clip was rejected: {reason}")]
    Rejected {
        /// In the editor's words.
        reason: String,
    },
    /// An accepted clip is not rejected any more.
    #[error("the clip was already accepted")]
    AlreadyAccepted,
    /// A rejection teaches only with a reason.
    #[error("say why in 1 to {REJECTION_CHARACTERS_MAX} characters")]
    BadReason,
    /// The span leaves the video.
    #[error("the span {span} lies outside the video, which ends at {duration}")]
    SpanOutsideVideo {
        /// What was asked for.
        span: Span,
        /// How long the video is.
        duration: MediaTime,
    },
    /// Too short or too long for any platform.
    #[error("a clip lasts between {CLIP_LENGTH_MIN} and {CLIP_LENGTH_MAX}, not {length}")]
    BadLength {
        /// How long it would be.
        length: MediaTime,
    },
    /// Nothing asked for this rendition.
    #[error("no rendition in {ratio} of revision {revision} was asked for")]
    NotRequested {
        /// Which edit.
        revision: u32,
        /// Which.
        ratio: Ratio,
    },
}

/// A clip.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Clip {
    /// Before anything happened.
    #[default]
    Absent,
    /// Proposed; an editor may judge it.
    Known(Box<Known>),
    /// It is gone.
    Deleted,
}

/// What is known of a proposed clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// As detection proposed it.
    pub proposal: Proposal,
    /// Where it is now.
    pub span: Span,
    /// How captions look now.
    pub style: CaptionStyle,
    /// How many retrims and restyles there were.
    pub revision: u32,
    /// What the editor said.
    pub verdict: Verdict,
    /// Renditions that are wanted and not made yet, as (revision, ratio).
    pub requested: BTreeSet<(u32, Ratio)>,
    /// The newest rendition of each ratio with its revision.
    pub renditions: BTreeMap<Ratio, (u32, Rendition)>,
}

/// What the editor said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Open,
    /// Yes.
    Accepted,
    /// No.
    Rejected {
        /// In the editor's words.
        reason: String,
    },
}

impl Decider for Clip {
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(&self, command: Command, _now: Timestamp) -> Result<Vec<Event>, Error> {
        match (command, self) {
            (Command::Propose(proposal), Self::Absent) => {
                check_span(proposal.span, proposal.video_duration)?;
                Ok(vec![Event::Proposed(proposal)])
            }
            (Command::Propose(proposal), Self::Known(known)) => {
                let is_same = known.proposal.span == proposal.span && known.proposal.video == proposal.video;
                if is_same { Ok(vec![]) } else { Err(Error::AlreadyProposed) }
            }
            (Command::Delete, Self::Deleted) => Ok(vec![]),
            (Command::Delete, Self::Known(_)) => Ok(vec![Event::Deleted]),
            (_, Self::Absent) => Err(Error::Absent),
            (_, Self::Deleted) => Err(Error::Deleted),
            (command, Self::Known(known)) => known.decide(command),
        }
    }

    fn evolve(self, event: &Event) -> Self {
        match (event, self) {
            (Event::Proposed(proposal), _) => Self::Known(Box::new(Known {
                span: proposal.span,
                style: proposal.style,
                proposal: (**proposal).clone(),
                revision: 0,
                verdict: Verdict::Open,
                requested: BTreeSet::new(),
                renditions: BTreeMap::new(),
            })),
            (Event::Deleted, _) => Self::Deleted,
            (event, Self::Known(known)) => Self::Known(Box::new(known.evolve(event))),
            (_, state) => state,
        }
    }
}

fn check_span(span: Span, video_duration: MediaTime) -> Result<(), Error> {
    if span.end() > video_duration {
        return Err(Error::SpanOutsideVideo { span, duration: video_duration });
    }
    let length = span.duration();
    if length < CLIP_LENGTH_MIN || length > CLIP_LENGTH_MAX { Err(Error::BadLength { length }) } else { Ok(()) }
}

impl Known {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match (command, &self.verdict) {
            (Command::Accept, Verdict::Accepted) => Ok(vec![]),
            (Command::Accept, Verdict::Open) => Ok(vec![Event::Accepted]),
            (Command::Reject { reason }, _) if reason.trim().is_empty() || reason.chars().count() > REJECTION_CHARACTERS_MAX => {
                Err(Error::BadReason)
            }
            (Command::Reject { reason }, Verdict::Open) => Ok(vec![Event::Rejected { reason }]),
            (Command::Reject { .. }, Verdict::Accepted) => Err(Error::AlreadyAccepted),
            (Command::Reject { .. }, Verdict::Rejected { .. }) => Ok(vec![]),
            (Command::RecordRender { revision, rendition }, _) => self.record(revision, *rendition),
            (Command::FailRender { revision, ratio, failure }, _) => Ok(if self.requested.contains(&(revision, ratio)) {
                vec![Event::RenderFailed { revision, ratio, failure }]
            } else {
                vec![]
            }),
            (_, Verdict::Rejected { reason }) => Err(Error::Rejected { reason: reason.clone() }),
            (Command::Retrim { span }, _) if span == self.span => Ok(vec![]),
            (Command::Retrim { span }, _) => {
                check_span(span, self.proposal.video_duration)?;
                Ok(vec![Event::Retrimmed { from: self.span, to: span }])
            }
            (Command::Restyle { style }, _) if style == self.style => Ok(vec![]),
            (Command::Restyle { style }, _) => Ok(vec![Event::Restyled { style }]),
            (Command::RequestRender { ratio, encoder }, _) => Ok(self.request(ratio, encoder)),
            (Command::Propose(_) | Command::Delete, _) => Ok(vec![]),
        }
    }

    fn request(&self, ratio: Ratio, encoder: EncoderSettings) -> Vec<Event> {
        let is_made = self.renditions.get(&ratio).is_some_and(|(revision, _)| *revision == self.revision);
        if is_made || self.requested.contains(&(self.revision, ratio)) {
            return vec![];
        }
        vec![Event::RenderRequested {
            video: self.proposal.video,
            revision: self.revision,
            original: self.proposal.original.clone(),
            words: self.proposal.words.clone(),
            analysis: self.proposal.analysis.clone(),
            span: self.span,
            ratio,
            style: self.style,
            settings: RenderSettings::full_size(ratio, encoder),
        }]
    }

    fn record(&self, revision: u32, rendition: Rendition) -> Result<Vec<Event>, Error> {
        let ratio = rendition.ratio;
        if self.renditions.get(&ratio).is_some_and(|(made, _)| *made >= revision) {
            return Ok(vec![]);
        }
        if self.requested.contains(&(revision, ratio)) {
            Ok(vec![Event::Rendered { revision, rendition }])
        } else {
            Err(Error::NotRequested { revision, ratio })
        }
    }

    fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::Accepted => self.verdict = Verdict::Accepted,
            Event::Rejected { reason } => self.verdict = Verdict::Rejected { reason: reason.clone() },
            Event::Retrimmed { to, .. } => {
                self.span = *to;
                self.revision += 1;
            }
            Event::Restyled { style } => {
                self.style = *style;
                self.revision += 1;
            }
            Event::RenderRequested { revision, ratio, .. } => {
                self.requested.insert((*revision, *ratio));
            }
            Event::Rendered { revision, rendition } => {
                self.requested.remove(&(*revision, rendition.ratio));
                self.renditions.insert(rendition.ratio, (*revision, rendition.clone()));
            }
            Event::RenderFailed { revision, ratio, .. } => {
                self.requested.remove(&(*revision, *ratio));
            }
            Event::Proposed(_) | Event::Deleted => {}
        }
        self
    }
}

#[cfg(test)]
mod tests;
