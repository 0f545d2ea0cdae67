//! Follows a video on the log until it is done, with a bar per stage.
//!
//! A stage that cannot even record its failure is parked; that ends the wait as well.

use crate::commands::events::Family;
use crate::engine::Store;
use domain::artefact::Ratio;
use domain::clip;
use domain::id::{ClipId, VideoId};
use domain::job;
use domain::transcript;
use domain::video::{self, Failure};
use futures::StreamExt;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::{Event, Recorded};
use runtime::consume::Surroundings;
use runtime::consumers::{Consumers, Parked};
use runtime::log::{Filter, Item, Log};
use runtime::progress::Progress;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Steps of a bar: fine enough to move every second in an hour of work.
const STEPS: u64 = 10_000;

const STAGES: [(&str, &str); 5] = [
    ("ingest", "checking the file"),
    ("transcribe", "hearing the words"),
    ("analyze", "looking at the picture"),
    ("score", "finding the clips"),
    ("render", "rendering"),
];

/// How a video ended.
pub(super) enum Ending {
    /// Clips were made, perhaps not all.
    Completed,
    /// Nothing was worth a clip.
    Nothing {
        /// Which rule removed what.
        explanation: String,
    },
    /// It cannot be used.
    Refused(Failure),
    /// A stage gave up; the same command tries it again.
    Failed(Failure),
}

/// Returns how the video ends, showing how far it is meanwhile.
pub(super) async fn until_done(store: &Store, video: VideoId, around: &Surroundings) -> anyhow::Result<Ending> {
    let mut watch = Watch::new(video);
    let mut events = store.log.read(store.log.partition(store.workspace), 0, Filter::workspace(store.workspace));
    let mut moments = Box::pin(around.progress.subscribe());
    let mut parkings = around.consumers.changes();
    let mut family = Family::of(video);
    // An earlier run's ending counts only if nothing was asked for after it, which is known at the end of the log.
    let mut ending = None;
    loop {
        tokio::select! {
            Some(item) = events.next() => match item? {
                Item::Event(event) => {
                    family.has(&event);
                    match watch.see(&event, &family)? {
                        Change::None => {}
                        Change::GoesOn => ending = None,
                        Change::Ends(end) => ending = Some(end),
                    }
                }
                Item::CaughtUp(_) => {
                    ending = ending.or(parked(&around.consumers, &family).await?);
                    if let Some(end) = ending {
                        watch.clear();
                        return Ok(end);
                    }
                }
            },
            Ok(()) = parkings.changed() => if let Some(end) = parked(&around.consumers, &family).await? {
                watch.clear();
                return Ok(end);
            },
            Some(moment) = moments.next() => watch.tell(&moment),
        }
    }
}

/// Returns the ending of a family of which something is parked that nobody tries again.
async fn parked(consumers: &Consumers, family: &Family) -> anyhow::Result<Option<Ending>> {
    let parked = consumers.parked().await?.into_iter().find(|parked| !parked.is_replaying && family.holds(&parked.stream));
    Ok(parked.map(|Parked { consumer, error, .. }| put_aside(&consumer, &error)))
}

fn put_aside(processor: &str, error: &str) -> Ending {
    let reason = format!("the stage {processor} stopped, and could not even record it: {error}");
    Ending::Failed(Failure { code: "PARKED".into(), reason })
}

enum Change {
    None,
    GoesOn,
    Ends(Ending),
}

/// What is known of the stages.
struct Watch {
    video: VideoId,
    bars: Vec<ProgressBar>,
    all: MultiProgress,
    /// How many steps each stage has, and how many are done.
    steps: HashMap<&'static str, (u64, u64)>,
    /// Fractions of steps that run, by stage and part.
    running: BTreeMap<(&'static str, String), f32>,
    /// The video's clips; the log has those of others too.
    clips: HashSet<ClipId>,
    /// Renditions that were asked for and are not settled.
    requested: HashSet<(ClipId, Ratio)>,
    rendered: HashSet<(ClipId, Ratio)>,
    failures: HashMap<(ClipId, Ratio), Failure>,
}

impl Watch {
    fn new(video: VideoId) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        let style =
            ProgressStyle::with_template("{prefix:22} {bar:32} {percent:>3} %  {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bars = STAGES.map(|(_, title)| {
            let bar = all.add(ProgressBar::new(STEPS).with_style(style.clone()).with_prefix(title));
            bar.tick();
            bar
        });
        Self {
            video,
            bars: bars.into(),
            all,
            steps: HashMap::new(),
            running: BTreeMap::new(),
            clips: HashSet::new(),
            requested: HashSet::new(),
            rendered: HashSet::new(),
            failures: HashMap::new(),
        }
    }

    fn see(&mut self, event: &Recorded, family: &Family) -> anyhow::Result<Change> {
        let is_ours = event.stream.id() == self.video.0;
        Ok(match event.event()? {
            Some(Event::Video(event)) if is_ours => self.see_video(event),
            Some(Event::Transcript(transcript::Event::Begun { video, chunks, .. })) if video == self.video => {
                self.steps.insert("transcribe", (chunks.len() as u64, 0));
                Change::None
            }
            Some(Event::Transcript(transcript::Event::ChunkTranscribed { index, .. })) => {
                self.running.remove(&("transcribe", index.to_string()));
                self.steps.entry("transcribe").or_default().1 += 1;
                self.draw("transcribe", "");
                Change::None
            }
            Some(Event::Job(job::Event::Parked(parking))) if family.holds_named(&parking.cause_stream) => {
                Change::Ends(put_aside(&parking.processor, &parking.error))
            }
            Some(Event::Job(job::Event::ReplayRequested { .. })) => Change::GoesOn,
            Some(Event::Clip(event_of_clip)) => self.see_clip(ClipId(event.stream.id()), event_of_clip),
            _ => Change::None,
        })
    }

    fn see_clip(&mut self, clip: ClipId, event: clip::Event) -> Change {
        match event {
            clip::Event::Proposed(proposal) if proposal.video == self.video => {
                self.clips.insert(clip);
            }
            clip::Event::RenderRequested { ratio, .. } if self.clips.contains(&clip) => {
                self.failures.remove(&(clip, ratio));
                self.requested.insert((clip, ratio));
                return Change::GoesOn;
            }
            clip::Event::Rendered { rendition, .. } if self.clips.contains(&clip) => {
                self.requested.remove(&(clip, rendition.ratio));
                self.rendered.insert((clip, rendition.ratio));
            }
            clip::Event::RenderFailed { ratio, failure, .. } if self.clips.contains(&clip) => {
                self.requested.remove(&(clip, ratio));
                self.failures.insert((clip, ratio), failure);
                // A rendition that fails again settles nothing new for its video, so its own event has to tell.
                if self.requested.is_empty() {
                    return Change::Ends(self.ending());
                }
            }
            _ => {}
        }
        Change::None
    }

    /// How it ends when every rendition is settled.
    fn ending(&self) -> Ending {
        match (self.rendered.is_empty(), self.failures.values().next()) {
            (false, _) => Ending::Completed,
            (true, Some(failure)) => Ending::Failed(failure.clone()),
            (true, None) => Ending::Failed(Failure { code: "RENDER_FAILED".into(), reason: "no clip could be rendered".into() }),
        }
    }

    fn see_video(&mut self, event: video::Event) -> Change {
        match event {
            video::Event::Ingested { .. } => self.finish("ingest"),
            video::Event::TranscriptAttached { .. } => self.finish("transcribe"),
            video::Event::Analyzed { .. } => self.finish("analyze"),
            video::Event::ClipsProposed { clips, ratios, .. } => {
                self.finish("score");
                self.steps.insert("render", (clips.len() as u64 * ratios.len() as u64, 0));
            }
            video::Event::RenderSettled { clip, ratio, .. } => {
                self.running.remove(&("render", format!("{clip} {ratio}")));
                self.steps.entry("render").or_default().1 += 1;
                self.draw("render", "");
            }
            video::Event::NothingFound { explanation, .. } => return Change::Ends(Ending::Nothing { explanation }),
            video::Event::Refused(failure) => return Change::Ends(Ending::Refused(failure)),
            video::Event::StageFailed { failure, .. } => return Change::Ends(Ending::Failed(failure)),
            // While several renditions are tried again, each that succeeds completes the video.
            video::Event::Completed { rendered, failed } if rendered + failed > 0 && self.requested.is_empty() => {
                self.finish("render");
                return Change::Ends(self.ending());
            }
            video::Event::StageRetried { .. } => return Change::GoesOn,
            video::Event::Submitted { .. } | video::Event::ReadyToScore { .. } | video::Event::Completed { .. } | video::Event::Deleted => {
            }
        }
        Change::None
    }

    fn tell(&mut self, moment: &Progress) {
        if moment.video != self.video {
            return;
        }
        self.running.insert((moment.stage, moment.detail.clone()), moment.fraction);
        let speed = moment.realtime_factor.map(|factor| format!("{factor:.1}x real time")).unwrap_or_default();
        self.draw(moment.stage, &speed);
    }

    /// Draws a stage's bar: its finished steps and the parts of those that run, with the time that is left at the pace so far.
    fn draw(&self, stage: &'static str, speed: &str) {
        let Some(bar) = self.bar(stage) else { return };
        let (steps, done) = self.steps.get(stage).copied().unwrap_or((1, 0));
        let running: f32 = self.running.iter().filter(|((of, _), _)| *of == stage).map(|(_, fraction)| fraction).sum();
        let fraction = ((done as f32 + running) / steps.max(1) as f32).clamp(0.0, 1.0);
        bar.set_position((fraction * STEPS as f32) as u64);
        let left = bar.elapsed().mul_f32((1.0 - fraction) / fraction.max(0.01));
        let eta = if fraction > 0.02 { format!("{} s left", Duration::as_secs(&left)) } else { String::new() };
        let count = if steps > 1 { format!("{done}/{steps}") } else { String::new() };
        let parts: Vec<_> = [count.as_str(), eta.as_str(), speed].into_iter().filter(|part| !part.is_empty()).collect();
        bar.set_message(parts.join(", "));
    }

    fn finish(&mut self, stage: &'static str) {
        self.running.retain(|(of, _), _| *of != stage);
        let Some(bar) = self.bar(stage) else { return };
        bar.set_position(STEPS);
        bar.finish_with_message("done");
        if self.all.is_hidden() {
            let title = STAGES.iter().find(|(name, _)| *name == stage).map_or(stage, |(_, title)| *title);
            eprintln!("{title}: done");
        }
    }

    fn bar(&self, stage: &str) -> Option<&ProgressBar> {
        STAGES.iter().zip(&self.bars).find(|((name, _), _)| *name == stage).map(|(_, bar)| bar)
    }

    fn clear(&self) {
        for bar in &self.bars {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::video::{Command, Source, Video, Wish};
    use domain::{BlobRef, Timestamp, blob::Digest};
    use proto::Wire as _;
    use runtime::clock::Clock;
    use runtime::execute::{Context, execute};
    use runtime::ids;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    async fn submitted(store: &Store, number: u8) -> (VideoId, Recorded) {
        let video = VideoId(Uuid::from_u128(u128::from(number)));
        let blob = BlobRef { sha256: Digest([number; 32]), bytes: 1, media_type: "video/mp4".into() };
        let command = Command::Submit { title: "talk".into(), source: Source::Upload { blob }, subtitles: None, wish: Wish::default() };
        let context = Context::request(ids::fresh_commit(), store.workspace, "owner", Timestamp(7));
        execute::<Video>(&store.log, context, video.0, command).await.unwrap();
        let mut events = store.log.read_stream(store.workspace, &Video::stream(video.0), 0, 1).await.unwrap();
        (video, events.remove(0))
    }

    #[tokio::test]
    async fn a_parked_job_of_the_video_ends_the_wait_but_not_one_of_another_video_or_one_that_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&crate::cli::Shared::for_data(folder.path())).await.unwrap();
        let around = Surroundings {
            consumers: Consumers::in_memory().unwrap(),
            positions: Default::default(),
            progress: Default::default(),
            clock: Clock::from_fn(|| Timestamp(7)),
            disk_full: Default::default(),
            shutdown: CancellationToken::new(),
        };
        let (video, event) = submitted(&store, 1).await;
        let (_other, event_of_other) = submitted(&store, 2).await;
        around.consumers.park("ingest", &event, 5, "no disk", Timestamp(7)).await.unwrap();
        around.consumers.replay_all("ingest").await.unwrap();
        around.consumers.park("ingest", &event_of_other, 5, "no disk", Timestamp(7)).await.unwrap();
        let mut waiting = Box::pin(until_done(&store, video, &around));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
        assert!(early.is_err(), "nothing of this video is given up");

        around.consumers.park("ingest", &event, 5, "no disk", Timestamp(7)).await.unwrap();
        match tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it is told").unwrap() {
            Ending::Failed(failure) => {
                assert_eq!(failure.code, "PARKED");
                assert!(failure.reason.contains("ingest") && failure.reason.contains("no disk"), "{}", failure.reason);
            }
            Ending::Completed | Ending::Nothing { .. } | Ending::Refused(_) => panic!("it ended otherwise"),
        }
    }
}
