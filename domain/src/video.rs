//! The long source: what was asked for, which stages are done, and the joins between them.
//!
//! Every join is here: the second of transcript and analysis makes it ready to score, the last render completes it.
//! It is one file although it is long: half of it documents fields, and a rule is best read beside the states it guards.

use crate::artefact::{CaptionStyle, EncoderSettings, MediaFacts, Ratio};
use crate::id::{ClipId, TranscriptId};
use crate::{BlobRef, Decider, MediaTime, Timestamp};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Shortest clip that may be asked for: below it no platform accepts a video.
pub const CLIP_LENGTH_MIN: MediaTime = MediaTime::from_millis(3_000);
/// Longest clip that may be asked for: the longest that every platform's short format takes.
pub const CLIP_LENGTH_MAX: MediaTime = MediaTime::from_millis(180_000);
/// Most clips that may be asked for from one video.
pub const CLIP_COUNT_MAX: u32 = 40;

/// What the owner wants made of a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How many clips; `None` lets the length of the video decide.
    pub count: Option<u32>,
    /// Which renditions each clip gets; not empty, no ratio twice.
    pub ratios: Vec<Ratio>,
    /// How captions look.
    pub style: CaptionStyle,
    /// Shortest clip.
    pub length_min: MediaTime,
    /// Longest clip.
    pub length_max: MediaTime,
    /// Name of the model that transcribes, such as `tiny.en`.
    pub model: String,
    /// ISO 639-1 code, or `None` to detect it.
    pub language: Option<String>,
    /// How renditions are encoded, whichever process makes them.
    pub encoder: EncoderSettings,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            count: None,
            ratios: vec![Ratio::Portrait],
            style: CaptionStyle::Karaoke,
            length_min: MediaTime::from_millis(15_000),
            length_max: MediaTime::from_millis(60_000),
            model: "tiny.en".into(),
            language: None,
            encoder: EncoderSettings::default(),
        }
    }
}

/// Where a video comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Bytes that are already stored.
    Upload {
        /// The bytes.
        blob: BlobRef,
    },
    /// To be fetched.
    Url {
        /// An `http` or `https` address without credentials.
        url: String,
    },
}

/// What was made of the sound when the file was taken in, in one decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// 16 kHz mono WAV.
    pub wav: BlobRef,
    /// Loudness and prosody.
    pub measures: BlobRef,
}

/// The stages that may fail and be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Fetch, check and take in the file.
    Ingest,
    /// Hear the words.
    Transcribe,
    /// See and hear the rest.
    Analyze,
    /// Find the clips.
    Score,
    /// Make the renditions.
    Render,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 5] = [Self::Ingest, Self::Transcribe, Self::Analyze, Self::Score, Self::Render];
}

impl Stage {
    /// Returns its name, which is also its processor's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Transcribe => "transcribe",
            Self::Analyze => "analyze",
            Self::Score => "score",
            Self::Render => "render",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that is not the name of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown stage {0:?}; use ingest, transcribe, analyze, score or render")]
pub struct NotAStage(String);

impl FromStr for Stage {
    type Err = NotAStage;
    fn from_str(text: &str) -> Result<Self, NotAStage> {
        Self::ALL.into_iter().find(|stage| stage.to_string() == text).ok_or_else(|| NotAStage(text.chars().take(64).collect()))
    }
}

/// Why a stage gave up for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable code, such as `NOT_A_VIDEO`.
    pub code: String,
    /// One sentence for people: what happened and what to do.
    pub reason: String,
}

/// What somebody wants of a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take it in and make clips of it.
    Submit {
        /// Shown to people; usually the file name.
        title: String,
        /// Where it comes from.
        source: Source,
        /// A subtitle file to use instead of listening.
        subtitles: Option<BlobRef>,
        /// What is wanted.
        wish: Wish,
    },
    /// Report that it was opened and stored.
    Ingest {
        /// The stored original.
        original: BlobRef,
        /// What it is.
        facts: MediaFacts,
        /// What was made of its sound; `None` when it has none.
        sound: Option<Sound>,
    },
    /// Report that it cannot be used.
    Refuse(Failure),
    /// Report its words.
    AttachTranscript {
        /// Whose words.
        transcript: TranscriptId,
        /// The words.
        words: BlobRef,
    },
    /// Report what is seen and heard.
    RecordAnalysis {
        /// The analysis.
        analysis: BlobRef,
    },
    /// Report what detection chose.
    RecordClips {
        /// The whole detection, also what was not chosen.
        detection: BlobRef,
        /// Chosen clips, best first.
        clips: Vec<ClipId>,
        /// When nothing was chosen: which rule removed what.
        explanation: Option<String>,
    },
    /// Report that a wanted rendition was made, or never will be.
    SettleRender {
        /// Whose.
        clip: ClipId,
        /// Which.
        ratio: Ratio,
        /// Whether it was made.
        outcome: RenderOutcome,
    },
    /// Report that a stage gave up.
    FailStage {
        /// Which.
        stage: Stage,
        /// Why.
        failure: Failure,
    },
    /// Try a failed stage again.
    RetryStage {
        /// Which.
        stage: Stage,
    },
    /// Forget it and its clips.
    Delete,
}

/// How a render ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderOutcome {
    /// The rendition exists.
    Rendered,
    /// It never will without another request.
    Failed,
}

/// What happened to a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody asked for clips of it.
    Submitted {
        /// Shown to people.
        title: String,
        /// Where it comes from.
        source: Source,
        /// A subtitle file to use instead of listening.
        subtitles: Option<BlobRef>,
        /// What is wanted.
        wish: Wish,
    },
    /// It was opened and stored.
    Ingested {
        /// The stored original.
        original: BlobRef,
        /// What it is.
        facts: MediaFacts,
        /// What was made of its sound; `None` when it has none.
        sound: Option<Sound>,
        /// As submitted, so that later stages need nothing else.
        subtitles: Option<BlobRef>,
        /// As submitted.
        wish: Wish,
    },
    /// It cannot be used.
    Refused(Failure),
    /// Its words are known.
    TranscriptAttached {
        /// Whose words.
        transcript: TranscriptId,
        /// The words.
        words: BlobRef,
    },
    /// What is seen and heard is known.
    Analyzed {
        /// The analysis.
        analysis: BlobRef,
    },
    /// Words and analysis are both there.
    ReadyToScore {
        /// The stored original.
        original: BlobRef,
        /// The words.
        words: BlobRef,
        /// The analysis.
        analysis: BlobRef,
        /// How long the video is.
        duration: MediaTime,
        /// As submitted.
        wish: Wish,
    },
    /// Detection chose these.
    ClipsProposed {
        /// The whole detection, also what was not chosen.
        detection: BlobRef,
        /// Chosen clips, best first.
        clips: Vec<ClipId>,
        /// Which renditions each gets.
        ratios: Vec<Ratio>,
    },
    /// Detection found nothing worth proposing.
    NothingFound {
        /// The whole detection.
        detection: BlobRef,
        /// Which rule removed what.
        explanation: String,
    },
    /// A wanted rendition was made, or never will be.
    RenderSettled {
        /// Whose.
        clip: ClipId,
        /// Which.
        ratio: Ratio,
        /// Whether it was made.
        outcome: RenderOutcome,
    },
    /// Everything that was wanted is made or has failed.
    Completed {
        /// Renditions that exist.
        rendered: u32,
        /// Renditions that failed.
        failed: u32,
    },
    /// A stage gave up.
    StageFailed {
        /// Which.
        stage: Stage,
        /// Why.
        failure: Failure,
    },
    /// A failed stage is tried again.
    StageRetried {
        /// Which.
        stage: Stage,
    },
    /// It and its clips are gone.
    Deleted,
}

/// A refused rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// There is no such video.
    #[error("the video does not exist")]
    Absent,
    /// The id is taken by another submission.
    #[error("the video was already submitted from another source or with other settings")]
    AlreadySubmitted,
    /// It was deleted.
    #[error("the video was deleted")]
    Deleted,
    /// It was refused at ingest.
    #[error("the video was refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// A stage reports before the stage that it builds on.
    #[error("the video is not ready for this step: {missing} is missing")]
    NotReady {
        /// What is missing.
        missing: &'static str,
    },
    /// A wish outside the rules.
    #[error("{0}")]
    BadWish(&'static str),
    /// Only a failed stage can be tried again.
    #[error("the stage {stage} has not failed")]
    StageNotFailed {
        /// Which.
        stage: Stage,
    },
}

/// A video.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Video {
    /// Before anything happened.
    #[default]
    Absent,
    /// Submitted; its stages come in.
    Known(Box<Known>),
    /// It cannot be used.
    Refused {
        /// Why.
        reason: String,
    },
    /// It is gone.
    Deleted,
}

/// What is known of a submitted video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where it comes from.
    pub source: Source,
    /// A subtitle file to use instead of listening.
    pub subtitles: Option<BlobRef>,
    /// What is wanted.
    pub wish: Wish,
    /// What the check found.
    pub ingested: Option<Ingested>,
    /// Its words.
    pub words: Option<BlobRef>,
    /// What is seen and heard.
    pub analysis: Option<BlobRef>,
    /// Whether detection has reported.
    pub is_scored: bool,
    /// Renditions that are still to come.
    pub pending: BTreeSet<(ClipId, Ratio)>,
    /// Renditions that exist.
    pub rendered: BTreeSet<(ClipId, Ratio)>,
    /// Renditions that failed.
    pub failed: BTreeSet<(ClipId, Ratio)>,
    /// Stages that gave up.
    pub failed_stages: BTreeSet<Stage>,
}

/// A checked and stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// The stored original.
    pub original: BlobRef,
    /// What it is.
    pub facts: MediaFacts,
    /// What was made of its sound; `None` when it has none.
    pub sound: Option<Sound>,
}

impl Decider for Video {
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(&self, command: Command, _now: Timestamp) -> Result<Vec<Event>, Error> {
        match (command, self) {
            (Command::Submit { title, source, subtitles, wish }, Self::Absent) => {
                check_wish(&wish)?;
                Ok(vec![Event::Submitted { title, source, subtitles, wish }])
            }
            (Command::Submit { source, subtitles, wish, .. }, Self::Known(known)) => {
                let is_same = known.source == source && known.subtitles == subtitles && known.wish == wish;
                if is_same { Ok(vec![]) } else { Err(Error::AlreadySubmitted) }
            }
            (Command::Delete, Self::Deleted) => Ok(vec![]),
            (Command::Delete, Self::Known(_) | Self::Refused { .. }) => Ok(vec![Event::Deleted]),
            (Command::Refuse(_), Self::Refused { .. }) => Ok(vec![]),
            (_, Self::Absent) => Err(Error::Absent),
            (_, Self::Deleted) => Err(Error::Deleted),
            (_, Self::Refused { reason }) => Err(Error::Refused { reason: reason.clone() }),
            (command, Self::Known(known)) => known.decide(command),
        }
    }

    fn evolve(self, event: &Event) -> Self {
        match (event, self) {
            (Event::Submitted { source, subtitles, wish, .. }, _) => Self::Known(Box::new(Known {
                source: source.clone(),
                subtitles: subtitles.clone(),
                wish: wish.clone(),
                ingested: None,
                words: None,
                analysis: None,
                is_scored: false,
                pending: BTreeSet::new(),
                rendered: BTreeSet::new(),
                failed: BTreeSet::new(),
                failed_stages: BTreeSet::new(),
            })),
            (Event::Deleted, _) => Self::Deleted,
            (Event::Refused(failure), _) => Self::Refused { reason: failure.reason.clone() },
            (event, Self::Known(known)) => Self::Known(Box::new(known.evolve(event))),
            (_, state) => state,
        }
    }
}

fn check_wish(wish: &Wish) -> Result<(), Error> {
    let distinct: BTreeSet<_> = wish.ratios.iter().collect();
    if wish.ratios.is_empty() || distinct.len() != wish.ratios.len() {
        return Err(Error::BadWish("ask for at least one aspect ratio, and for none twice"));
    }
    if wish.count.is_some_and(|count| count == 0 || count > CLIP_COUNT_MAX) {
        return Err(Error::BadWish("ask for 1 to 40 clips"));
    }
    if wish.length_min < CLIP_LENGTH_MIN || wish.length_max > CLIP_LENGTH_MAX || wish.length_min >= wish.length_max {
        return Err(Error::BadWish("clip lengths lie between 3 and 180 seconds, the shortest below the longest"));
    }
    Ok(())
}

impl Known {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Ingest { original, facts, sound } => Ok(match &self.ingested {
                Some(_) => vec![],
                None => vec![Event::Ingested { original, facts, sound, subtitles: self.subtitles.clone(), wish: self.wish.clone() }],
            }),
            Command::Refuse(_) if self.ingested.is_some() => Ok(vec![]),
            Command::Refuse(failure) => Ok(vec![Event::Refused(failure)]),
            Command::AttachTranscript { transcript, words } => {
                let ingested = self.ingested.as_ref().ok_or(Error::NotReady { missing: "the checked file" })?;
                if self.words.is_some() {
                    return Ok(vec![]);
                }
                let ready = self.analysis.clone().map(|analysis| self.ready(ingested, words.clone(), analysis));
                Ok([Event::TranscriptAttached { transcript, words }].into_iter().chain(ready).collect())
            }
            Command::RecordAnalysis { analysis } => {
                let ingested = self.ingested.as_ref().ok_or(Error::NotReady { missing: "the checked file" })?;
                if self.analysis.is_some() {
                    return Ok(vec![]);
                }
                let ready = self.words.clone().map(|words| self.ready(ingested, words, analysis.clone()));
                Ok([Event::Analyzed { analysis }].into_iter().chain(ready).collect())
            }
            Command::RecordClips { detection, clips, explanation } => self.record_clips(detection, clips, explanation),
            Command::SettleRender { clip, ratio, outcome } => Ok(self.settle(clip, ratio, outcome)),
            Command::FailStage { stage, .. } if self.failed_stages.contains(&stage) || self.is_done(stage) => Ok(vec![]),
            Command::FailStage { stage, failure } => Ok(vec![Event::StageFailed { stage, failure }]),
            Command::RetryStage { stage } if self.failed_stages.contains(&stage) => Ok(vec![Event::StageRetried { stage }]),
            Command::RetryStage { stage } => Err(Error::StageNotFailed { stage }),
            Command::Submit { .. } | Command::Delete => Ok(vec![]),
        }
    }

    /// Tells whether a stage has reported; it cannot fail any more, whatever else goes wrong in its job. Each render reports for itself.
    fn is_done(&self, stage: Stage) -> bool {
        match stage {
            Stage::Ingest => self.ingested.is_some(),
            Stage::Transcribe => self.words.is_some(),
            Stage::Analyze => self.analysis.is_some(),
            Stage::Score => self.is_scored,
            Stage::Render => false,
        }
    }

    fn ready(&self, ingested: &Ingested, words: BlobRef, analysis: BlobRef) -> Event {
        let Ingested { original, facts, .. } = ingested;
        Event::ReadyToScore { original: original.clone(), words, analysis, duration: facts.duration_us, wish: self.wish.clone() }
    }

    fn record_clips(&self, detection: BlobRef, clips: Vec<ClipId>, explanation: Option<String>) -> Result<Vec<Event>, Error> {
        if self.words.is_none() || self.analysis.is_none() {
            return Err(Error::NotReady { missing: "the transcript or the analysis" });
        }
        if self.is_scored {
            return Ok(vec![]);
        }
        if clips.is_empty() {
            let explanation = explanation.unwrap_or_else(|| "no span was left".into());
            return Ok(vec![Event::NothingFound { detection, explanation }, Event::Completed { rendered: 0, failed: 0 }]);
        }
        Ok(vec![Event::ClipsProposed { detection, clips, ratios: self.wish.ratios.clone() }])
    }

    /// A rendition that the video does not wait for, such as one in another ratio that an editor asked for, changes nothing here.
    fn settle(&self, clip: ClipId, ratio: Ratio, outcome: RenderOutcome) -> Vec<Event> {
        let key = (clip, ratio);
        if self.rendered.contains(&key) || (outcome == RenderOutcome::Failed && self.failed.contains(&key)) {
            return vec![];
        }
        if !self.pending.contains(&key) && !self.failed.contains(&key) {
            return vec![];
        }
        let settled = Event::RenderSettled { clip, ratio, outcome };
        let after = self.clone().evolve(&settled);
        let mut events = vec![settled];
        if after.pending.is_empty() {
            events.push(Event::Completed { rendered: after.rendered.len() as u32, failed: after.failed.len() as u32 });
        }
        events
    }

    fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::Ingested { original, facts, sound, .. } => {
                self.ingested = Some(Ingested { original: original.clone(), facts: facts.clone(), sound: sound.clone() });
            }
            Event::TranscriptAttached { words, .. } => self.words = Some(words.clone()),
            Event::Analyzed { analysis } => self.analysis = Some(analysis.clone()),
            Event::ClipsProposed { clips, ratios, .. } => {
                self.is_scored = true;
                self.pending = clips.iter().flat_map(|clip| ratios.iter().map(|ratio| (*clip, *ratio))).collect();
            }
            Event::NothingFound { .. } => self.is_scored = true,
            Event::RenderSettled { clip, ratio, outcome } => {
                let key = (*clip, *ratio);
                self.pending.remove(&key);
                match outcome {
                    RenderOutcome::Rendered => {
                        self.failed.remove(&key);
                        self.rendered.insert(key);
                    }
                    RenderOutcome::Failed => {
                        self.failed.insert(key);
                    }
                }
            }
            Event::StageFailed { stage, .. } => {
                self.failed_stages.insert(*stage);
            }
            Event::StageRetried { stage } => {
                self.failed_stages.remove(stage);
            }
            Event::Submitted { .. } | Event::Refused(_) | Event::ReadyToScore { .. } | Event::Completed { .. } | Event::Deleted => {}
        }
        self
    }
}

#[cfg(test)]
mod tests;
