//! Stage 5: a clip in one aspect ratio, always from the original.

use crate::Tools;
use crate::failure::Fault;
use crate::tools::{is_last, teller};
use domain::BlobRef;
use domain::artefact::{Analysis, CaptionStyle, Captions, DecisionList, FaceSample, Loudness, MediaFacts, Transcript, Word};
use domain::clip::{self, Clip, Event, Rendition};
use domain::id::{ClipId, VideoId};
use domain::video::{self, Failure, RenderOutcome, Video};
use edit::{Timeline, cues, subtitles};
use media::child::Request;
use media::encode::Rendered;
use proto::{Recorded, Wire};
use runtime::dispatch::{JobContext, Processor};
use runtime::log::Log;
use std::path::Path;

/// Faces are looked for this often: mouths are told moving from still at five looks a second, and a camera needs no more.
const FACE_RATE_HZ: f64 = 5.0;

/// Renders clips.
pub struct Render(pub Tools);

/// A rendition to make.
pub struct Job {
    clip: ClipId,
    video: VideoId,
    revision: u32,
    original: BlobRef,
    words: BlobRef,
    analysis: BlobRef,
    wish: edit::Wish,
}

impl Processor for Render {
    const NAME: &'static str = "render";
    type Job = Job;

    fn job(&self, event: &Recorded) -> Option<Job> {
        match Clip::recorded(event).ok()?? {
            Event::RenderRequested { video, revision, original, words, analysis, span, ratio, style } => {
                let wish = edit::Wish { span, ratio, style, encoder: self.0.encoder.clone() };
                Some(Job { clip: ClipId(event.stream.id()), video, revision, original, words, analysis, wish })
            }
            _ => None,
        }
    }

    async fn run<L: Log>(&self, job: Job, context: &JobContext<L>) -> anyhow::Result<()> {
        let (command, outcome) = match self.render(&job, context).await {
            Ok(rendition) => {
                (clip::Command::RecordRender { revision: job.revision, rendition: Box::new(rendition) }, RenderOutcome::Rendered)
            }
            Err(Fault::Permanent(failure)) => (fail(&job, failure), RenderOutcome::Failed),
            Err(Fault::Transient(error)) if is_last(context) => {
                tracing::error!(error = ?error, clip.id = %job.clip, "gave up rendering");
                (fail(&job, crate::failure::gave_up(&error)), RenderOutcome::Failed)
            }
            Err(Fault::Transient(error)) => return Err(error),
        };
        let settle = video::Command::SettleRender { clip: job.clip, ratio: job.wish.ratio, outcome };
        let transaction = context.transaction(0).then::<Clip>(job.clip.0, command).then::<Video>(job.video.0, settle);
        self.0.commit(job.video, transaction).await
    }
}

fn fail(job: &Job, failure: Failure) -> clip::Command {
    clip::Command::FailRender { revision: job.revision, ratio: job.wish.ratio, failure }
}

impl Render {
    async fn render<L: Log>(&self, job: &Job, context: &JobContext<L>) -> Result<Rendition, Fault> {
        let tools = &self.0;
        let original = tools.blobs.open_local(&job.original).await?;
        let path = original.path();
        let ingested = tools.ingested(context, job.video).await?;
        let facts = ingested.ok_or_else(|| Fault::permanent("VIDEO_DELETED", "the video was deleted"))?.facts;
        let transcript: Transcript = tools.get_json(&job.words).await?;
        let words: Vec<Word> = transcript.words().cloned().collect();
        let list = self.plan(job, context, path, &facts, &words).await?;
        let (video, poster) = (tools.blobs.scratch()?, tools.blobs.scratch()?);
        let length = job.wish.span.duration();
        let request =
            Request::Render { source: path.to_owned(), facts: facts.clone(), list: Box::new(list.clone()), out: video.path.clone() };
        let _rendered: Rendered = tools
            .media(request, length, context, teller(context, job.video, Self::NAME, format!("{} {}", job.clip, job.wish.ratio), length))
            .await?;
        let request =
            Request::Poster { source: path.to_owned(), facts: facts.clone(), list: Box::new(list.clone()), out: poster.path.clone() };
        let () = tools.media(request, length, context, |_| {}).await?;
        self.keep(&list, &facts, &words, [&video.path, &poster.path]).await
    }

    async fn plan<L: Log>(
        &self,
        job: &Job,
        context: &JobContext<L>,
        path: &Path,
        facts: &MediaFacts,
        words: &[Word],
    ) -> Result<DecisionList, Fault> {
        let tools = &self.0;
        let analysis: Analysis = tools.get_json(&job.analysis).await?;
        let (span, length) = (job.wish.span, job.wish.span.duration());
        let request = Request::FacesIn { path: path.to_owned(), facts: facts.clone(), span, rate: FACE_RATE_HZ };
        let faces: Vec<FaceSample> = tools.media(request, length, context, |_| {}).await?;
        let loudness: Option<Loudness> = match facts.audio {
            Some(_) => tools.media(Request::LoudnessOf { path: path.to_owned(), span }, length, context, |_| {}).await?,
            None => None,
        };
        let source = edit::Source {
            blob: job.original.clone(),
            facts,
            shots: &analysis.shots,
            faces: &faces,
            levels: &analysis.prosody,
            words,
            loudness,
        };
        edit::plan(&source, &job.wish).map_err(|refusal| Fault::permanent("NOT_RENDERABLE", refusal))
    }

    /// Keeps the files, and writes the subtitles beside them.
    async fn keep(&self, list: &DecisionList, facts: &MediaFacts, words: &[Word], [video, poster]: [&Path; 2]) -> Result<Rendition, Fault> {
        let blobs = &self.0.blobs;
        let picture = facts.video.as_ref().ok_or_else(|| Fault::permanent("NO_PICTURE", "the video has no picture"))?;
        let timeline = Timeline::of(facts, picture, list.ranges[0]).map_err(|refusal| Fault::permanent("NOT_RENDERABLE", refusal))?;
        let cues = cues::arrange(words, &timeline, &cues::Rules::subtitle_file());
        let captions = list.captions.clone().unwrap_or(Captions { style: CaptionStyle::Clean, cues: cues.clone() });
        Ok(Rendition {
            ratio: list.picture.ratio,
            video: blobs.take_file(video, "video/mp4").await?,
            poster: blobs.take_file(poster, "image/jpeg").await?,
            srt: blobs.put_bytes(subtitles::srt(&cues), "application/x-subrip").await?,
            vtt: blobs.put_bytes(subtitles::vtt(&cues), "text/vtt").await?,
            ass: blobs.put_bytes(subtitles::ass(&captions, &list.picture), "text/x-ssa").await?,
            decisions: self.0.put_json(list).await?,
            duration: list.duration(),
        })
    }
}
