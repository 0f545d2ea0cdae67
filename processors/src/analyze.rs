//! Stage 3: what is seen, joined with what was heard at ingest.

use crate::Tools;
use crate::failure::Fault;
use crate::tools::teller;
use domain::artefact::{Analysis, MediaFacts};
use domain::id::VideoId;
use domain::video::{Command, Event, Ingested, Sound, Stage, Video};
use domain::{BlobRef, MediaTime};
use media::child::Request;
use media::listen::Heard;
use media::look::Seen;
use proto::{Recorded, Wire};
use runtime::dispatch::{Failure as GaveUp, JobContext, Processor};
use runtime::log::Log;

/// Finds shots and faces on key frames.
pub struct Analyze(pub Tools);

/// A video to look at.
pub enum Job {
    /// As ingested.
    Look {
        /// Which.
        video: VideoId,
        /// What the check found.
        ingested: Box<Ingested>,
    },
    /// Once more, after a failure.
    Again(VideoId),
}

impl Processor for Analyze {
    const NAME: &'static str = "analyze";
    type Job = Job;

    fn job(&self, event: &Recorded) -> Option<Job> {
        let video = VideoId(event.stream.id());
        match Video::recorded(event).ok()?? {
            Event::Ingested { original, facts, sound, .. } => {
                Some(Job::Look { video, ingested: Box::new(Ingested { original, facts, sound }) })
            }
            Event::StageRetried { stage: Stage::Analyze } => Some(Job::Again(video)),
            _ => None,
        }
    }

    async fn run<L: Log>(&self, job: Job, context: &JobContext<L>) -> anyhow::Result<()> {
        let tools = &self.0;
        let (video, Ingested { original, facts, sound }) = match job {
            Job::Look { video, ingested } => (video, *ingested),
            Job::Again(video) => match tools.ingested(context, video).await? {
                Some(ingested) => (video, ingested),
                None => return Ok(()),
            },
        };
        let outcome = self.look(context, video, &original, facts, sound).await;
        tools.settle(context, video, Stage::Analyze, outcome.map(|analysis| Command::RecordAnalysis { analysis })).await
    }

    async fn give_up<L: Log>(&self, failure: &GaveUp, context: &JobContext<L>) -> anyhow::Result<()> {
        self.0.give_up(context, Stage::Analyze, failure).await
    }
}

impl Analyze {
    async fn look<L: Log>(
        &self,
        context: &JobContext<L>,
        video: VideoId,
        original: &BlobRef,
        facts: MediaFacts,
        sound: Option<Sound>,
    ) -> Result<BlobRef, Fault> {
        let tools = &self.0;
        let seen = match &facts.video {
            Some(_) => {
                let file = tools.blobs.open_local(original).await?;
                let request = Request::Look { path: file.path().to_owned(), facts: facts.clone() };
                tools
                    .media::<Seen, L>(
                        request,
                        facts.duration_us,
                        context,
                        teller(context, video, Self::NAME, String::new(), facts.duration_us),
                    )
                    .await?
            }
            None => Seen { shots: vec![], key_frames: vec![] },
        };
        let heard = match sound {
            Some(sound) => tools.get_json::<Heard>(&sound.measures).await?,
            None => Heard { loudness: None, prosody: domain::artefact::Prosody::default(), duration_us: MediaTime::ZERO },
        };
        let analysis = Analysis { shots: seen.shots, key_frames: seen.key_frames, loudness: heard.loudness, prosody: heard.prosody };
        Ok(tools.put_json(&analysis).await?)
    }
}
