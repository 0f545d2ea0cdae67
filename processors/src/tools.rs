//! What every processor works with.

use crate::failure::{self, Fault};
use anyhow::Context as _;
use domain::id::VideoId;
use domain::video::{self, Ingested, Known, Stage, Video};
use domain::{BlobRef, MediaTime, clip, transcript};
use media::child::{self, Limits, Request, Runner};
use proto::Event;
use runtime::blobs::Blobs;
use runtime::dispatch::{Failure as GaveUp, GIVE_UP, JobContext};
use runtime::execute::{self, AnyRefusal, TransactError, Transaction};
use runtime::log::Log;
use runtime::progress::Progress;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What every processor works with. Cheap to clone.
#[derive(Clone)]
pub struct Tools {
    /// Where media and artefacts are kept.
    pub blobs: Blobs,
    /// Where media work runs.
    pub media: Runner,
    /// Where models are kept, one folder each.
    pub models: PathBuf,
    /// Where speech is heard.
    pub device: speech::Device,
    /// What may be fetched from where.
    pub fetch: runtime::fetch::Limits,
}

impl Tools {
    /// Runs media work on its own thread; the job's cancellation kills it.
    pub(crate) async fn media<T: DeserializeOwned + Send + 'static, L: Log>(
        &self,
        request: Request,
        length: MediaTime,
        job: &JobContext<L>,
        progress: impl FnMut(f32) + Send + 'static,
    ) -> Result<T, Fault> {
        let runner = self.media.clone();
        let cancel = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&cancel);
        let mut progress = progress;
        let work = tokio::task::spawn_blocking(move || child::call(&runner, request, Limits::for_media(length), &mut progress, &cancel));
        let answer = tokio::select! {
            answer = work => answer.context("the media thread panicked")?,
            () = job.cancel.cancelled() => {
                stop.store(true, Ordering::Relaxed);
                return Err(Fault::Transient(anyhow::anyhow!("stopped while working on media")));
            }
        };
        Ok(answer?)
    }

    /// Keeps a value as a JSON blob. The same value is the same blob.
    pub(crate) async fn put_json(&self, value: &impl Serialize) -> anyhow::Result<BlobRef> {
        let bytes = serde_json::to_vec(value).context("writing JSON")?;
        Ok(self.blobs.put_bytes(bytes, "application/json").await?)
    }

    /// Reads a JSON blob.
    pub(crate) async fn get_json<T: DeserializeOwned>(&self, blob: &BlobRef) -> anyhow::Result<T> {
        let bytes = self.blobs.get_bytes(blob).await?;
        serde_json::from_slice(&bytes).with_context(|| format!("blob {} is not what its event says", blob.sha256))
    }

    /// Returns what is known of a video, or `None` when it was refused or deleted meanwhile.
    pub(crate) async fn known<L: Log>(&self, job: &JobContext<L>, video: VideoId) -> anyhow::Result<Option<Known>> {
        match execute::load::<Video>(&job.log, job.cause.workspace, video.0).await? {
            Video::Known(known) => Ok(Some(*known)),
            Video::Absent | Video::Refused { .. } | Video::Deleted => Ok(None),
        }
    }

    /// Returns what the check found of a video, or `None` when it was refused or deleted meanwhile.
    pub(crate) async fn ingested<L: Log>(&self, job: &JobContext<L>, video: VideoId) -> anyhow::Result<Option<Ingested>> {
        Ok(self.known(job, video).await?.and_then(|known| known.ingested))
    }

    /// Commits an outcome. A video or clip that was deleted or refused meanwhile needs none.
    pub(crate) async fn commit<L: Log>(&self, video: VideoId, transaction: Transaction<'_, L>) -> anyhow::Result<()> {
        match transaction.commit().await {
            Ok(_receipt) => Ok(()),
            Err(TransactError::Refused(refusal)) if is_gone(&refusal) => {
                tracing::info!(video.id = %video, %refusal, "dropped the outcome of a stage");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the outcome of a stage to its video: a report, a failure that people must hear of, or an error to try again.
    pub(crate) async fn settle<L: Log>(
        &self,
        job: &JobContext<L>,
        video: VideoId,
        stage: Stage,
        outcome: Result<video::Command, Fault>,
    ) -> anyhow::Result<()> {
        let command = match outcome {
            Ok(command) => command,
            Err(Fault::Permanent(failure)) => video::Command::FailStage { stage, failure },
            Err(Fault::Transient(error)) => return Err(error),
        };
        self.commit(video, job.transaction(0).then::<Video>(video.0, command)).await
    }

    /// Says on the video that a stage is not tried any more by itself.
    pub(crate) async fn give_up<L: Log>(&self, job: &JobContext<L>, stage: Stage, failure: &GaveUp) -> anyhow::Result<()> {
        let video = match job.cause.event()? {
            Some(Event::Transcript(transcript::Event::ChunkRequested { video, .. } | transcript::Event::ReadyToAssemble { video, .. })) => {
                video
            }
            _ => VideoId(job.cause.stream.id()),
        };
        let command = video::Command::FailStage { stage, failure: failure::gave_up(failure) };
        self.commit(video, job.transaction(GIVE_UP).then::<Video>(video.0, command)).await
    }
}

fn is_gone(refusal: &AnyRefusal) -> bool {
    let is_gone_video = matches!(refusal.downcast_ref(), Some(video::Error::Deleted | video::Error::Refused { .. }));
    is_gone_video || matches!(refusal.downcast_ref(), Some(clip::Error::Deleted))
}

/// Returns what tells watchers how far a job on `length` of a video has come; `part` tells jobs of one stage apart.
pub(crate) fn teller<L: Log>(
    job: &JobContext<L>,
    video: VideoId,
    stage: &'static str,
    part: String,
    length: MediaTime,
) -> impl FnMut(f32) + Send + use<L> {
    let (channel, workspace, started) = (job.progress.clone(), job.cause.workspace, Instant::now());
    move |fraction: f32| {
        let elapsed_s = started.elapsed().as_secs_f64();
        let done = f64::from(fraction.clamp(0.0, 1.0));
        let is_told = done > 0.0 && elapsed_s > 0.0;
        channel.send(Progress {
            workspace,
            video,
            stage,
            fraction,
            eta_ms: is_told.then(|| (elapsed_s * (1.0 - done) / done * 1e3) as u64),
            realtime_factor: (is_told && length > MediaTime::ZERO).then(|| (length.seconds() * done / elapsed_s) as f32),
            detail: part.clone(),
        });
    }
}
