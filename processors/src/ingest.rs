//! Stage 1: fetch the file, check it, decode its sound once.

use crate::Tools;
use crate::failure::{self, Fault};
use crate::tools::teller;
use domain::artefact::MediaFacts;
use domain::id::VideoId;
use domain::video::{Command, Event, Sound, Source, Stage, Video};
use domain::{BlobRef, MediaTime};
use media::child::Request;
use media::listen::Heard;
use media::probe;
use proto::{Recorded, Wire};
use runtime::blobs::BlobError;
use runtime::dispatch::{Failure as GaveUp, JobContext, Processor};
use runtime::fetch::FetchError;
use runtime::log::Log;
use std::path::Path;

/// Takes a video in.
pub struct Ingest(pub Tools);

/// A submitted video.
pub enum Job {
    /// As submitted.
    Take {
        /// Which.
        video: VideoId,
        /// Where it comes from.
        source: Source,
        /// Whether its words were brought along.
        has_subtitles: bool,
    },
    /// Once more, after a failure.
    Again(VideoId),
}

impl Processor for Ingest {
    const NAME: &'static str = "ingest";
    type Job = Job;

    fn job(&self, event: &Recorded) -> Option<Job> {
        let video = VideoId(event.stream.id());
        match Video::recorded(event).ok()?? {
            Event::Submitted { source, subtitles, .. } => Some(Job::Take { video, source, has_subtitles: subtitles.is_some() }),
            Event::StageRetried { stage: Stage::Ingest } => Some(Job::Again(video)),
            _ => None,
        }
    }

    async fn run<L: Log>(&self, job: Job, context: &JobContext<L>) -> anyhow::Result<()> {
        let (video, source, has_subtitles) = match job {
            Job::Take { video, source, has_subtitles } => (video, source, has_subtitles),
            Job::Again(video) => match self.0.known(context, video).await? {
                Some(known) => (video, known.source, known.subtitles.is_some()),
                None => return Ok(()),
            },
        };
        let taken = self.take(context, video, source, has_subtitles).await;
        let command = match taken {
            // What the file is will not change: it is refused. What the machine lacks can: that is a stage that failed.
            Err(Fault::Permanent(failure)) if !failure::is_of_the_machine(&failure) => Ok(Command::Refuse(failure)),
            other => other,
        };
        self.0.settle(context, video, Stage::Ingest, command).await
    }

    async fn give_up<L: Log>(&self, failure: &GaveUp, context: &JobContext<L>) -> anyhow::Result<()> {
        self.0.give_up(context, Stage::Ingest, failure).await
    }
}

impl Ingest {
    async fn take<L: Log>(&self, context: &JobContext<L>, video: VideoId, source: Source, has_subtitles: bool) -> Result<Command, Fault> {
        let tools = &self.0;
        let original = match source {
            Source::Upload { blob } => blob,
            Source::Url { url } => self.fetch(context, video, &url).await?,
        };
        let file = tools.blobs.open_local(&original).await?;
        let probe = Request::Probe { path: file.path().to_owned(), limits: probe::Limits::default() };
        let facts: MediaFacts = tools.media(probe, MediaTime::ZERO, context, |_| {}).await?;
        check(&facts, has_subtitles)?;
        let whole = Request::CheckWhole { path: file.path().to_owned(), facts: facts.clone() };
        let () = tools.media(whole, facts.duration_us, context, |_| {}).await?;
        let sound = match &facts.audio {
            Some(_) => Some(self.listen(context, video, file.path(), &facts).await?),
            None => None,
        };
        Ok(Command::Ingest { original, facts, sound })
    }

    async fn fetch<L: Log>(&self, context: &JobContext<L>, video: VideoId, url: &str) -> Result<BlobRef, Fault> {
        let mut progress = teller(context, video, Self::NAME, "fetch".into(), MediaTime::ZERO);
        let told = move |bytes: u64, total: Option<u64>| {
            if let Some(total) = total.filter(|total| *total > 0) {
                progress(bytes as f32 / total as f32);
            }
        };
        let fetched = runtime::fetch::fetch(url, &self.0.blobs, &self.0.fetch, told).await.map_err(unfetched)?;
        Ok(self.0.blobs.take_file(&fetched.file.path, "application/octet-stream").await?)
    }

    async fn listen<L: Log>(&self, context: &JobContext<L>, video: VideoId, original: &Path, facts: &MediaFacts) -> Result<Sound, Fault> {
        let tools = &self.0;
        let wav = tools.blobs.scratch()?;
        let request = Request::Listen { path: original.to_owned(), wav_out: wav.path.clone() };
        let length = facts.duration_us;
        let heard: Heard = tools.media(request, length, context, teller(context, video, Self::NAME, String::new(), length)).await?;
        Ok(Sound { wav: tools.blobs.take_file(&wav.path, "audio/wav").await?, measures: tools.put_json(&heard).await? })
    }
}

/// What the address is to blame for stays so; a server or a connection may recover.
fn unfetched(error: FetchError) -> Fault {
    match &error {
        FetchError::NotAUrl { .. } | FetchError::Refused { .. } => {
            Fault::permanent("URL_REFUSED", format!("{error}: give the public http(s) address of a video file"))
        }
        FetchError::TooManyRedirects { .. } | FetchError::Status { status: 400..=499, .. } => {
            Fault::permanent("URL_NOT_FOUND", format!("{error}: check the address, and whether it needs a login"))
        }
        FetchError::Keep(BlobError::Full) => Fault::from(BlobError::Full),
        FetchError::TooLarge { .. } => Fault::permanent("TOO_LARGE", format!("{error}: upload a smaller version")),
        FetchError::Status { .. } | FetchError::TooSlow { .. } | FetchError::Broken { .. } | FetchError::Keep(_) => {
            Fault::Transient(error.into())
        }
    }
}

/// Refuses what is a media file but cannot become clips.
fn check(facts: &MediaFacts, has_subtitles: bool) -> Result<(), Fault> {
    if facts.video.is_none() {
        return Err(Fault::permanent("NO_PICTURE", "the file has sound but no picture: ClipFlow makes clips of videos"));
    }
    if facts.audio.is_none() && !has_subtitles {
        let reason = "the video has no sound, so nothing is said in it to choose clips by: bring its words with a subtitle file";
        return Err(Fault::permanent("NO_SOUND", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(has_picture: bool, has_sound: bool) -> MediaFacts {
        use domain::artefact::{AudioFacts, FrameRate, VideoFacts};
        let video = VideoFacts {
            codec: "h264".into(),
            width: 1920,
            height: 1080,
            frame_rate: FrameRate { numerator: 30, denominator: 1 },
            is_variable_rate: false,
            rotation_degrees: 0,
        };
        MediaFacts {
            container: "mp4".into(),
            duration_us: MediaTime::from_millis(1_000),
            video: has_picture.then_some(video),
            audio: has_sound.then(|| AudioFacts { codec: "aac".into(), channels: 2, sample_rate_hz: 48_000 }),
        }
    }

    fn code(outcome: Result<(), Fault>) -> String {
        match outcome {
            Ok(()) => "OK".into(),
            Err(Fault::Permanent(failure)) => failure.code,
            Err(Fault::Transient(error)) => error.to_string(),
        }
    }

    #[test]
    fn a_video_needs_a_picture_and_something_that_is_said() {
        assert_eq!(code(check(&facts(true, true), false)), "OK");
        assert_eq!(code(check(&facts(true, false), true)), "OK");
        assert_eq!(code(check(&facts(true, false), false)), "NO_SOUND");
        assert_eq!(code(check(&facts(false, true), false)), "NO_PICTURE");
    }
}
