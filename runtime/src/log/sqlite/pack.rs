//! Packs commits into batches: the bytes of one row, which never change again.
//!
//! A batch is a version byte, the *names* that its commits refer to by number (each workspace, stream, event type and actor once), and the
//! commits. Integers are LEB128 varints unless said otherwise. A commit is
//! - the length of the rest (u32, little-endian), its kind, its workspace and id (16 bytes);
//! - accepted: its first position less the batch's, how many events, when, the actor, the correlation (16), flags, the causation (16) and
//!   the traceparent if there are; then for each stream its name, the first version, how many events, and each event: id (16), type,
//!   schema version, payload;
//! - rejected: the stream, the kind of expectation (u8) and its version, and 0 or the stream's next version then.
//!
//! What else is needed to find a commit again is gathered on the way, as an [`Outline`].

use super::tail::{CommitKey, Extent, Known, Outline, Place, Section, StreamKey};
use crate::log::{Appended, Conflict, Verdict};
use domain::id::{EventId, WorkspaceId};
use proto::{Metadata, StreamName};
use std::collections::HashMap;
use std::mem;

/// A batch with this many bytes of commits takes no further one. It bounds what is read to get one event, and what an event's payload keeps
/// in memory; more than it in a row of its own would save nothing. A commit's offset is always below it.
pub(super) const BATCH_BYTES: usize = 1 << 16;

/// The first byte of a batch. Another one means another layout.
pub(super) const FORMAT: u8 = 1;

pub(super) const ACCEPTED: u8 = 0;
pub(super) const REJECTED: u8 = 1;

pub(super) const HAS_CAUSATION: u8 = 1;
pub(super) const HAS_TRACEPARENT: u8 = 2;

/// One row of the log.
pub(super) struct Batch {
    pub(super) number: u64,
    pub(super) first_position: u64,
    pub(super) next_position: u64,
    pub(super) data: Vec<u8>,
}

/// What is stored of an event beside its place.
#[derive(Clone, Copy)]
pub(super) struct EventRef<'a> {
    pub(super) id: EventId,
    pub(super) event_type: &'a str,
    pub(super) schema_version: u32,
    pub(super) payload: &'a [u8],
}

/// The commits of one transaction on their way into batches.
pub(super) struct Packer {
    /// Number and first position of the batch that is being packed.
    number: u64,
    first_position: u64,
    next_position: u64,
    names: Names,
    body: Vec<u8>,
    done: Vec<Batch>,
    outline: Outline,
    open: Option<Open>,
}

/// The accepted commit that is being packed.
struct Open {
    key: CommitKey,
    first_position: u64,
    events: u64,
    place: Place,
    /// Where its bytes start.
    at: usize,
}

#[derive(Default)]
struct Names {
    numbers: HashMap<Box<str>, u64>,
    streams: HashMap<StreamName, u64>,
    workspaces: HashMap<WorkspaceId, u64>,
    count: u64,
    bytes: Vec<u8>,
}

impl Packer {
    /// Starts behind everything that there is.
    pub(super) fn new(after: Extent) -> Self {
        Self {
            number: after.next_batch,
            first_position: after.next_position,
            next_position: after.next_position,
            names: Names::default(),
            body: Vec::new(),
            done: Vec::new(),
            outline: Outline::default(),
            open: None,
        }
    }

    /// Returns the position of the next event.
    pub(super) fn next_position(&self) -> u64 {
        self.next_position
    }

    /// Returns what was said of a commit in this transaction.
    pub(super) fn verdict(&self, key: &CommitKey) -> Option<&Verdict> {
        self.outline.commits.get(key).map(|known| &known.verdict)
    }

    /// Begins an accepted commit of `events` events; [`Self::section`] follows for each stream, then [`Self::end`].
    pub(super) fn begin(&mut self, key: CommitKey, events: usize, metadata: &Metadata) {
        let (at, place) = self.start(ACCEPTED, key);
        let actor = self.names.text(&metadata.actor);
        let body = &mut self.body;
        varint(body, self.next_position - self.first_position);
        varint(body, events as u64);
        varint(body, metadata.at.0);
        varint(body, actor);
        body.extend_from_slice(metadata.correlation.as_bytes());
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        body.push(flag(metadata.causation.is_some(), HAS_CAUSATION) | flag(metadata.traceparent.is_some(), HAS_TRACEPARENT));
        if let Some(causation) = metadata.causation {
            body.extend_from_slice(causation.0.as_bytes());
        }
        if let Some(traceparent) = &metadata.traceparent {
            bytes(body, traceparent.as_bytes());
        }
        self.open = Some(Open { key, first_position: self.next_position, events: 0, place, at });
    }

    /// Adds the events of one stream, at least one, to the commit that was begun.
    pub(super) fn section<'a>(&mut self, stream: &StreamName, first_version: u64, events: impl ExactSizeIterator<Item = EventRef<'a>>) {
        let open = self.open.as_mut().expect("a section belongs to a commit that was begun");
        let count = events.len() as u64;
        let name = self.names.stream(stream);
        let body = &mut self.body;
        varint(body, name);
        varint(body, first_version);
        varint(body, count);
        for event in events {
            body.extend_from_slice(event.id.0.as_bytes());
            varint(body, self.names.text(event.event_type));
            varint(body, event.schema_version.into());
            bytes(body, event.payload);
        }
        open.events += count;
        self.next_position += count;
        let section = Section { last_version: first_version + count - 1, place: open.place };
        self.outline.sections.push((StreamKey { workspace: open.key.workspace, stream: stream.clone() }, section));
    }

    /// Ends the commit that was begun.
    pub(super) fn end(&mut self) -> Appended {
        let Open { key, first_position, events, place, at } = self.open.take().expect("what ends was begun");
        let appended = Appended { first_position, last_position: first_position + events - 1, is_repeat: true };
        self.finish(at, key, place, Verdict::Accepted(appended));
        Appended { is_repeat: false, ..appended }
    }

    /// Adds a commit that counts for nothing.
    pub(super) fn reject(&mut self, key: CommitKey, conflict: Conflict) {
        let (at, place) = self.start(REJECTED, key);
        let stream = self.names.stream(&conflict.stream);
        let (kind, version) = conflict.expected.to_parts();
        varint(&mut self.body, stream);
        self.body.push(kind);
        varint(&mut self.body, version.unwrap_or(0));
        varint(&mut self.body, conflict.actual.map_or(0, |last| last + 1));
        self.finish(at, key, place, Verdict::Rejected(conflict));
    }

    /// Returns the batches, in order, and what is in them.
    pub(super) fn into_batches(mut self) -> (Vec<Batch>, Outline) {
        self.close_batch();
        (self.done, self.outline)
    }

    fn start(&mut self, kind: u8, key: CommitKey) -> (usize, Place) {
        if self.body.len() >= BATCH_BYTES {
            self.close_batch();
        }
        let at = self.body.len();
        let workspace = self.names.workspace(key.workspace);
        self.body.extend_from_slice(&[0; 4]);
        self.body.push(kind);
        varint(&mut self.body, workspace);
        self.body.extend_from_slice(key.id.0.as_bytes());
        (at, Place::new(self.number, at))
    }

    fn finish(&mut self, at: usize, key: CommitKey, place: Place, verdict: Verdict) {
        let length = u32::try_from(self.body.len() - at - 4).expect("a commit is far smaller than 4 GiB");
        self.body[at..at + 4].copy_from_slice(&length.to_le_bytes());
        // A commit id that was forgotten and judged again keeps its first verdict.
        self.outline.commits.entry(key).or_insert(Known { verdict, place });
    }

    fn close_batch(&mut self) {
        if self.body.is_empty() {
            return;
        }
        let names = mem::take(&mut self.names);
        let mut data = Vec::with_capacity(8 + names.bytes.len() + self.body.len());
        data.push(FORMAT);
        varint(&mut data, names.count);
        data.extend_from_slice(&names.bytes);
        data.append(&mut self.body);
        self.done.push(Batch { number: self.number, first_position: self.first_position, next_position: self.next_position, data });
        self.number += 1;
        self.first_position = self.next_position;
    }
}

impl Names {
    fn text(&mut self, text: &str) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.add(text.as_bytes());
        self.numbers.insert(text.into(), number);
        number
    }

    fn stream(&mut self, stream: &StreamName) -> u64 {
        if let Some(number) = self.streams.get(stream) {
            return *number;
        }
        let number = self.add(stream.as_str().as_bytes());
        self.streams.insert(stream.clone(), number);
        number
    }

    fn workspace(&mut self, workspace: WorkspaceId) -> u64 {
        if let Some(number) = self.workspaces.get(&workspace) {
            return *number;
        }
        let number = self.add(workspace.0.as_bytes());
        self.workspaces.insert(workspace, number);
        number
    }

    fn add(&mut self, name: &[u8]) -> u64 {
        bytes(&mut self.bytes, name);
        self.count += 1;
        self.count - 1
    }
}

fn bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
