//! `clipflow clip`: submits a video, watches its stages, and lays the clips into a folder.

mod export;
mod show;
mod watch;

use crate::cli::{self, Role, Shared, Work};
use crate::engine::{Engine, Store, encoder};
use crate::problem::Problem;
use anyhow::Context as _;
use domain::clip::{self, Clip};
use domain::id::VideoId;
use domain::video::{Command, Failure, Source, Video, Wish};
use domain::{BlobRef, MediaTime};
use indicatif::HumanDuration;
use runtime::clock::Clock;
use runtime::execute::{Context, ExecuteError, execute, load};
use runtime::ids;
use runtime::shutdown;
use std::path::Path;
use std::time::Instant;
use uuid::Uuid;
use watch::Ending;

/// Largest subtitle file that is taken in.
const SUBTITLES_BYTES_MAX: u64 = edit::subtitles::MAX_BYTES as u64;

/// How often the same file is taken in after it was refused or deleted: nobody does so by hand this often.
const SUBMISSIONS_MAX: u32 = 1_000;

/// What to do about a video without clips; why there are none is said before it.
const NO_CLIPS_ADVICE: &str = "Try other --lengths, or bring the words with --transcript.";

/// What is said when not even a failure can be recorded.
const DISK_FULL: &str = "the disk is full: free some space, then run the same command again to go on; nothing that was done is lost";

/// What to do about a stage that gave up; why it did is said before it.
const AGAIN_ADVICE: &str = "the same `clipflow clip` command tries it again and keeps what is done.";

pub(crate) async fn run(shared: &Shared, options: cli::Clip) -> anyhow::Result<()> {
    let started = Instant::now();
    let store = Store::open(shared).await?;
    let wish = wish(&options);
    let source = source(&store, &options.video).await?;
    let subtitles = match &options.transcript {
        Some(path) => Some(subtitles(&store, path).await?),
        None => None,
    };
    let first = video_id(&store, &source, subtitles.as_ref(), &wish);
    let video = not_over(&store, first).await?;
    let is_known = is_complete(&store, video).await?;
    if is_known {
        eprintln!("These clips were made before with the same settings; they are taken from {}.", shared.data.display());
    } else {
        let submission = Submission { video, name: &options.video, source, subtitles, wish };
        work(&store, shared, &options.work, submission).await?;
    }
    let clips = export::export(&store, video, &options.out).await?;
    if options.json {
        show::json(&store, &clips).await?;
    } else {
        show::table(&clips, &options.out);
        eprintln!("{} clips in {}.", clips.len(), HumanDuration(started.elapsed()));
    }
    Ok(())
}

/// What is given to the processors.
struct Submission<'a> {
    video: VideoId,
    name: &'a str,
    source: Source,
    subtitles: Option<BlobRef>,
    wish: Wish,
}

/// Runs the processors until the video is done. What the machine lacks is said before anything is submitted.
async fn work(store: &Store, shared: &Shared, work: &Work, submission: Submission<'_>) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let mut engine = Engine::start(store, shared, work, &[Role::Sequencer, Role::Workers], stop.child_token()).await?;
    let around = engine.surroundings.clone();
    let full = around.clone();
    let video = submission.video;
    let watched = async {
        submit(store, submission).await?;
        watch::until_done(store, video, &around).await
    };
    let ending = tokio::select! {
        ending = watched => ending,
        error = engine.failure() => Err(error),
        () = full.disk_full.notified() => Err(Problem::new("DISK_FULL", DISK_FULL).into()),
        () = stop.cancelled() => Err(Problem::new("STOPPED", "stopped; run the same command again to go on where it stopped").into()),
    };
    engine.stop().await?;
    match ending? {
        Ending::Completed => Ok(()),
        Ending::Nothing { explanation } => Err(Problem::new("NO_CLIPS", format!("{explanation} {NO_CLIPS_ADVICE}")).into()),
        Ending::Refused(failure) => Err(Problem::from(failure).into()),
        Ending::Failed(Failure { code, reason }) => Err(Problem::new(&code, format!("{reason}; {AGAIN_ADVICE}")).into()),
    }
}

fn wish(options: &cli::Clip) -> Wish {
    let mut ratios: Vec<_> = Vec::with_capacity(options.ratio.len());
    for ratio in &options.ratio {
        if !ratios.contains(ratio) {
            ratios.push(*ratio);
        }
    }
    Wish {
        count: options.count,
        ratios,
        style: options.style,
        length_min: MediaTime::from_seconds(options.lengths.0),
        length_max: MediaTime::from_seconds(options.lengths.1),
        model: options.model.clone(),
        language: options.language.clone(),
        encoder: encoder(&options.work),
    }
}

async fn source(store: &Store, video: &str) -> anyhow::Result<Source> {
    let path = Path::new(video);
    // Any address is one, so that what may not be fetched is refused as such, and recorded.
    if video.contains("://") && !path.exists() {
        return Ok(Source::Url { url: video.into() });
    }
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        return Err(Problem::new("NOT_A_FILE", format!("{} is not a file: name a video file or an http(s) address", path.display())).into());
    }
    let blob = store.blobs.put_file(path, "application/octet-stream").await.map_err(stored)?;
    Ok(Source::Upload { blob })
}

async fn subtitles(store: &Store, path: &Path) -> anyhow::Result<BlobRef> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if metadata.len() > SUBTITLES_BYTES_MAX {
        let reason = format!("{} has more than {} MiB, which no transcript has", path.display(), SUBTITLES_BYTES_MAX >> 20);
        return Err(Problem::new("UNREADABLE_SUBTITLES", reason).into());
    }
    store.blobs.put_file(path, "text/plain").await.map_err(stored)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new("NO_SUCH_FILE", format!("{} cannot be read ({error}): check the name", path.display()))
}

fn stored(error: runtime::blobs::BlobError) -> anyhow::Error {
    match error {
        runtime::blobs::BlobError::Full => Problem::new("DISK_FULL", error.to_string()).into(),
        other => anyhow::Error::from(other).context("storing the file"),
    }
}

/// Returns the id of a submission: the same file with the same settings is the same video.
fn video_id(store: &Store, source: &Source, subtitles: Option<&BlobRef>, wish: &Wish) -> VideoId {
    let source = match source {
        Source::Upload { blob } => blob.sha256.to_string(),
        Source::Url { url } => url.clone(),
    };
    let subtitles = subtitles.map(|blob| blob.sha256);
    VideoId(Uuid::new_v5(&store.workspace.0, format!("{source} {subtitles:?} {wish:?}").as_bytes()))
}

/// Returns the first of a submission's ids that was neither refused nor deleted: whoever submits again wants it tried again,
/// because an address may work now, a missing decoder may be installed, and a deleted video may be wanted after all.
async fn not_over(store: &Store, first: VideoId) -> anyhow::Result<VideoId> {
    let mut id = first;
    for _ in 0..SUBMISSIONS_MAX {
        match load::<Video>(&store.log, store.workspace, id.0).await? {
            Video::Refused { .. } | Video::Deleted => id = VideoId(Uuid::new_v5(&id.0, b"again")),
            Video::Absent | Video::Known(_) => return Ok(id),
        }
    }
    Err(Problem::new("REFUSED", "this video was refused or deleted too often: choose another, or another folder with --data").into())
}

async fn is_complete(store: &Store, video: VideoId) -> anyhow::Result<bool> {
    match load::<Video>(&store.log, store.workspace, video.0).await? {
        Video::Known(known) => Ok(known.is_scored && known.pending.is_empty() && known.failed.is_empty() && !known.rendered.is_empty()),
        Video::Absent | Video::Refused { .. } | Video::Deleted => Ok(false),
    }
}

/// Submits the video, and asks once more for stages and renditions that failed in an earlier run.
async fn submit(store: &Store, submission: Submission<'_>) -> anyhow::Result<()> {
    let Submission { video, name, source, subtitles, wish } = submission;
    let title = Path::new(name).file_stem().map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned());
    command(store, video, Command::Submit { title, source, subtitles, wish }).await?;
    let Video::Known(known) = load::<Video>(&store.log, store.workspace, video.0).await? else { return Ok(()) };
    for stage in known.failed_stages {
        command(store, video, Command::RetryStage { stage }).await.with_context(|| format!("trying {stage} again"))?;
    }
    for (clip, ratio) in known.failed {
        let context = Context::request(ids::fresh_commit(), store.workspace, "owner", Clock::system().now());
        let request = clip::Command::RequestRender { ratio, encoder: known.wish.encoder.clone() };
        match execute::<Clip>(&store.log, context, clip.0, request).await {
            // An editor may have rejected or deleted it meanwhile.
            Ok(_) | Err(ExecuteError::Refused(_)) => {}
            Err(error) => return Err(anyhow::Error::from(error).context(format!("rendering {clip} again"))),
        }
    }
    Ok(())
}

async fn command(store: &Store, video: VideoId, command: Command) -> anyhow::Result<()> {
    let context = Context::request(ids::fresh_commit(), store.workspace, "owner", Clock::system().now());
    match execute::<Video>(&store.log, context, video.0, command).await {
        Ok(_receipt) => Ok(()),
        Err(ExecuteError::Refused(domain::video::Error::Refused { reason })) => Err(Problem::new("REFUSED", reason).into()),
        Err(ExecuteError::Refused(refusal)) => Err(Problem::new("NOT_POSSIBLE", refusal.to_string()).into()),
        Err(error) => Err(error.into()),
    }
}
