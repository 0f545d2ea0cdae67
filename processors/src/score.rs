//! Stage 4: which spans become clips, and why.

use crate::Tools;
use crate::failure::Fault;
use anyhow::Context as _;
use domain::artefact::{Analysis, Candidate, Detection, Transcript};
use domain::clip::{self, Clip, Proposal};
use domain::id::{ClipId, VideoId};
use domain::video::{Command, Event, Stage, Video, Wish};
use domain::{BlobRef, MediaTime};
use proto::{Recorded, Wire};
use runtime::dispatch::{Failure as GaveUp, JobContext, Processor};
use runtime::log::Log;
use score::ranker::Linear;

/// Detects clips in words and analysis.
pub struct Score(pub Tools);

/// A video that is ready to score.
pub enum Job {
    /// As its event says.
    Detect(Box<Ready>),
    /// Once more, after a failure.
    Again(VideoId),
}

/// What detection works on.
pub struct Ready {
    video: VideoId,
    original: BlobRef,
    words: BlobRef,
    analysis: BlobRef,
    duration: MediaTime,
    wish: Wish,
}

impl Processor for Score {
    const NAME: &'static str = "score";
    type Job = Job;

    fn job(&self, event: &Recorded) -> Option<Job> {
        let video = VideoId(event.stream.id());
        match Video::recorded(event).ok()?? {
            Event::ReadyToScore { original, words, analysis, duration, wish } => {
                Some(Job::Detect(Box::new(Ready { video, original, words, analysis, duration, wish })))
            }
            Event::StageRetried { stage: Stage::Score } => Some(Job::Again(video)),
            _ => None,
        }
    }

    async fn run<L: Log>(&self, job: Job, context: &JobContext<L>) -> anyhow::Result<()> {
        let ready = match job {
            Job::Detect(ready) => *ready,
            Job::Again(video) => match self.ready_again(context, video).await? {
                Some(ready) => ready,
                None => return Ok(()),
            },
        };
        match self.detect(&ready).await {
            Ok((detection, blob)) => self.propose(context, &ready, detection, blob).await,
            Err(fault) => self.0.settle(context, ready.video, Stage::Score, Err(fault)).await,
        }
    }

    async fn give_up<L: Log>(&self, failure: &GaveUp, context: &JobContext<L>) -> anyhow::Result<()> {
        self.0.give_up(context, Stage::Score, failure).await
    }
}

impl Score {
    async fn ready_again<L: Log>(&self, context: &JobContext<L>, video: VideoId) -> anyhow::Result<Option<Ready>> {
        let Some(known) = self.0.known(context, video).await? else { return Ok(None) };
        let (Some(ingested), Some(words), Some(analysis)) = (known.ingested, known.words, known.analysis) else { return Ok(None) };
        let duration = ingested.facts.duration_us;
        Ok(Some(Ready { video, original: ingested.original, words, analysis, duration, wish: known.wish }))
    }

    async fn detect(&self, ready: &Ready) -> Result<(Detection, BlobRef), Fault> {
        let transcript: Transcript = self.0.get_json(&ready.words).await?;
        let analysis: Analysis = self.0.get_json(&ready.analysis).await?;
        let wish = score::Wish { count: ready.wish.count, min: ready.wish.length_min, max: ready.wish.length_max };
        let duration = ready.duration;
        let thinking = tokio::task::spawn_blocking(move || score::detect(&transcript, &analysis, duration, &wish, &Linear::frozen()));
        let detection = thinking.await.context("the thread that looks for clips ended")?;
        let blob = self.0.put_json(&detection).await?;
        Ok((detection, blob))
    }

    /// Proposes every chosen clip and asks for its renditions, in one commit.
    async fn propose<L: Log>(&self, context: &JobContext<L>, ready: &Ready, detection: Detection, blob: BlobRef) -> anyhow::Result<()> {
        let clips: Vec<_> = (0..).zip(&detection.chosen).map(|(index, _)| ClipId(context.new_id(index))).collect();
        let explanation = detection.chosen.is_empty().then(|| explain(&detection));
        let record = Command::RecordClips { detection: blob, clips: clips.clone(), explanation };
        let mut transaction = context.transaction(0).then::<Video>(ready.video.0, record);
        for ((rank, candidate), id) in (1..).zip(detection.chosen).zip(clips) {
            let proposal = Box::new(proposal(ready, rank, candidate, &detection.model));
            transaction = transaction.then::<Clip>(id.0, clip::Command::Propose(proposal));
            for ratio in &ready.wish.ratios {
                transaction =
                    transaction.then::<Clip>(id.0, clip::Command::RequestRender { ratio: *ratio, encoder: ready.wish.encoder.clone() });
            }
        }
        self.0.commit(ready.video, transaction).await
    }
}

fn proposal(ready: &Ready, rank: u32, candidate: Candidate, model: &str) -> Proposal {
    Proposal {
        video: ready.video,
        original: ready.original.clone(),
        video_duration: ready.duration,
        words: ready.words.clone(),
        analysis: ready.analysis.clone(),
        rank,
        span: candidate.span,
        score: candidate.score,
        title: candidate.title,
        keywords: candidate.keywords,
        contributions: candidate.contributions,
        reasons: candidate.reasons,
        model: model.into(),
        style: ready.wish.style,
    }
}

/// Says in one sentence which rules left nothing.
fn explain(detection: &Detection) -> String {
    let removals: Vec<_> = detection.removals.iter().map(|removal| removal.explanation.as_str()).collect();
    if removals.is_empty() { "no span was left".into() } else { removals.join("; ") }
}
