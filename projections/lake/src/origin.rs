//! The first event of a stream, for rows that show what an entity was when it began.
//!
//! A stream's first event never changes, so a row that shows it is the same whenever it is made.

use anyhow::Context as _;
use domain::{clip, publication, transcript};
use proto::{Event, Recorded};
use runtime::log::Log;
use std::collections::HashMap;

/// Most first events that are remembered, some 2 KB each: clips wait for their editor while others are proposed.
const REMEMBERED_MAX: usize = 4_096;

/// First events that went by or were asked for. Forgets all of them when it is full: asking again costs a read.
#[derive(Default)]
pub(crate) struct Origins(HashMap<(uuid::Uuid, String), Option<Event>>);

impl Origins {
    /// Returns the first event of `recorded`'s stream, or `None` when no row of `event` shows it.
    pub(crate) async fn of(&mut self, log: &impl Log, recorded: &Recorded, event: &Event) -> anyhow::Result<Option<Event>> {
        let key = || (recorded.workspace.0, recorded.stream.as_str().to_owned());
        if !shows_origin(event) {
            if recorded.version == 0 && may_be_shown(event) {
                self.remember(key(), Some(event.clone()));
            }
            return Ok(None);
        }
        let key = key();
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let first = log.read_stream(recorded.workspace, &recorded.stream, 0, 1).await;
        let first = first.with_context(|| format!("reading how {} began", recorded.stream))?;
        let origin = first.first().and_then(|first| first.event().ok().flatten());
        self.remember(key, origin.clone());
        Ok(origin)
    }

    fn remember(&mut self, key: (uuid::Uuid, String), origin: Option<Event>) {
        if self.0.len() >= REMEMBERED_MAX {
            self.0.clear();
        }
        self.0.insert(key, origin);
    }
}

/// Tells whether rows of later events of the stream may show this one.
fn may_be_shown(first: &Event) -> bool {
    matches!(first, Event::Clip(_) | Event::Publication(_) | Event::Transcript(_))
}

fn shows_origin(event: &Event) -> bool {
    match event {
        Event::Clip(event) => matches!(
            event,
            clip::Event::Accepted | clip::Event::Rejected { .. } | clip::Event::Retrimmed { .. } | clip::Event::Restyled { .. }
        ),
        Event::Publication(event) => !matches!(event, publication::Event::Drafted { .. }),
        Event::Transcript(event) => matches!(event, transcript::Event::ChunkTranscribed { .. }),
        Event::Workspace(_) | Event::Video(_) | Event::Model(_) | Event::Job(_) => false,
    }
}
