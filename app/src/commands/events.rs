//! `clipflow events`: the log as CloudEvents, one line each.

use crate::cli::{Events, Shared};
use crate::engine::Store;
use domain::id::{ClipId, VideoId};
use futures::StreamExt;
use proto::{Event, Recorded, StreamName, cloudevents};
use runtime::log::{Filter, Item, Log};
use std::collections::HashSet;
use std::io::Write;
use uuid::Uuid;

pub(crate) async fn run(shared: &Shared, options: Events) -> anyhow::Result<()> {
    let store = Store::open_for_reading(shared).await?;
    let mut reading = store.log.read(store.log.partition(store.workspace), options.from, Filter::workspace(store.workspace));
    let mut family = options.video.map(Family::of);
    let mut out = std::io::stdout();
    while let Some(item) = reading.next().await {
        match item? {
            Item::Event(event) => {
                if family.as_mut().is_none_or(|family| family.has(&event)) && !print(&mut out, &event)? {
                    return Ok(());
                }
            }
            Item::CaughtUp(_) if options.follow => {}
            Item::CaughtUp(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Writes one line; false when nobody reads any more, as after `| head`.
fn print(out: &mut impl Write, event: &Recorded) -> anyhow::Result<bool> {
    match writeln!(out, "{}", cloudevents::to_json(event)).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A video with its transcript and its clips, as far as they have been seen on the log.
pub(super) struct Family {
    members: HashSet<Uuid>,
    video: VideoId,
}

impl Family {
    pub(super) fn of(video: VideoId) -> Self {
        Self { members: HashSet::from([video.0]), video }
    }

    /// Tells whether an event is of the family; those that found it must have been shown before.
    pub(super) fn has(&mut self, event: &Recorded) -> bool {
        use domain::{clip, transcript, video};
        let parent = match event.event() {
            Ok(Some(Event::Transcript(transcript::Event::Begun { video, .. } | transcript::Event::Imported { video, .. }))) => Some(video),
            Ok(Some(Event::Clip(clip::Event::Proposed(proposal)))) => Some(proposal.video),
            Ok(Some(Event::Video(video::Event::ClipsProposed { clips, .. }))) if event.stream.id() == self.video.0 => {
                self.members.extend(clips.into_iter().map(|ClipId(id)| id));
                None
            }
            _ => None,
        };
        if parent == Some(self.video) {
            self.members.insert(event.stream.id());
        }
        self.holds(&event.stream)
    }

    /// Tells whether a stream is known to be of the family.
    pub(super) fn holds(&self, stream: &StreamName) -> bool {
        self.members.contains(&stream.id())
    }

    /// The same, for a stream's name as text.
    pub(super) fn holds_named(&self, stream: &str) -> bool {
        stream.parse().is_ok_and(|stream| self.holds(&stream))
    }
}
