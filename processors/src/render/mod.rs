//! Stage 5: a clip in one aspect ratio, always from the original.

use crate::Tools;
use crate::failure::{self, Fault};
use crate::tools::teller;
use domain::BlobRef;
use domain::artefact::{Analysis, CAPTIONS_VERSION, CaptionStyle, Captions, DecisionList, MediaFacts, RenderSettings, Transcript, Word};
use domain::clip::{self, Clip, Event, Rendition};
use domain::id::{ClipId, VideoId};
use domain::video::{self, Failure, RenderOutcome, Video};
use edit::{Timeline, cues, subtitles};
use media::child::{Request, Survey};
use media::encode::Rendered;
use proto::{Recorded, Wire};
use runtime::dispatch::{Failure as GaveUp, GIVE_UP, JobContext, Processor};
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
            Event::RenderRequested { video, revision, original, words, analysis, span, ratio, style, settings } => {
                let wish = edit::Wish { span, ratio, style, settings };
                Some(Job { clip: ClipId(event.stream.id()), video, revision, original, words, analysis, wish })
            }
            _ => None,
        }
    }

    async fn run<L: Log>(&self, job: Job, context: &JobContext<L>) -> anyhow::Result<()> {
        match self.render(&job, context).await {
            Ok(rendition) => self.settle(context, 0, &job, Ok(rendition)).await,
            Err(Fault::Permanent(failure)) => self.settle(context, 0, &job, Err(failure)).await,
            Err(Fault::Transient(error)) => Err(error),
        }
    }

    async fn give_up<L: Log>(&self, failure: &GaveUp, context: &JobContext<L>) -> anyhow::Result<()> {
        let Some(job) = self.job(&context.cause) else { return Ok(()) };
        self.settle(context, GIVE_UP, &job, Err(failure::gave_up(failure))).await
    }
}

/// Refuses what would look otherwise than it was asked for.
fn check(settings: &RenderSettings) -> Result<(), Fault> {
    if settings.captions_version == CAPTIONS_VERSION {
        return Ok(());
    }
    let asked = settings.captions_version;
    let reason =
        format!("it was asked for with captions of version {asked}, this ClipFlow draws version {CAPTIONS_VERSION}: ask for it again");
    Err(Fault::permanent("OTHER_CAPTIONS", reason))
}

impl Render {
    /// Gives a rendition, or why there is none, to the clip and to the video that waits for it.
    async fn settle<L: Log>(
        &self,
        context: &JobContext<L>,
        commit: u32,
        job: &Job,
        rendition: Result<Rendition, Failure>,
    ) -> anyhow::Result<()> {
        let (revision, ratio) = (job.revision, job.wish.ratio);
        let (command, outcome) = match rendition {
            Ok(rendition) => (clip::Command::RecordRender { revision, rendition: Box::new(rendition) }, RenderOutcome::Rendered),
            Err(failure) => (clip::Command::FailRender { revision, ratio, failure }, RenderOutcome::Failed),
        };
        let settle = video::Command::SettleRender { clip: job.clip, ratio, outcome };
        let transaction = context.transaction(commit).then::<Clip>(job.clip.0, command).then::<Video>(job.video.0, settle);
        self.0.commit(job.video, transaction).await
    }

    async fn render<L: Log>(&self, job: &Job, context: &JobContext<L>) -> Result<Rendition, Fault> {
        check(&job.wish.settings)?;
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
        let request = Request::Render {
            source: path.to_owned(),
            facts: facts.clone(),
            list: Box::new(list.clone()),
            out: video.path.clone(),
            poster: poster.path.clone(),
        };
        let _rendered: Rendered = tools
            .media(request, length, context, teller(context, job.video, Self::NAME, format!("{} {}", job.clip, job.wish.ratio), length))
            .await?;
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
        let request = Request::Survey { path: path.to_owned(), facts: facts.clone(), span, rate: FACE_RATE_HZ };
        let Survey { faces, loudness } = tools.media(request, length, context, |_| {}).await?;
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
