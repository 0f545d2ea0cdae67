//! Follows the log: one task reads pages ahead, and whoever consumes decodes them, event by event.
//!
//! Decoding where events are consumed keeps them out of other cores' caches: to hand a decoded event over costs more than to decode it.

use super::Shared;
use super::cursor::Damaged;
use super::reader::{Bookmark, Page};
use super::unpack::{Commit, Outcome, SectionHead, Unpacked};
use crate::log::{Filter, Item, Reading};
use anyhow::Context as _;
use bytes::Bytes;
use domain::id::WorkspaceId;
use futures::StreamExt as _;
use proto::{Metadata, Recorded, StreamName};
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Pages that a follower may be ahead of its consumer: one ready, one being read.
const PAGES_AHEAD_MAX: usize = 2;

/// How long a follower waits before it looks for events that another process wrote; our own wake it at once.
const FOREIGN_WRITES_POLL: Duration = Duration::from_millis(250);

/// Stream names and event types that a follower remembers, about 150 bytes each.
const NAMES_MAX: usize = 100_000;

pub(super) fn follow(shared: Arc<Shared>, from: u64, filter: Filter) -> Reading {
    let (pages, received) = mpsc::channel(PAGES_AHEAD_MAX);
    let head = shared.head.clone();
    tokio::spawn(read_ahead(shared, head, from, pages));
    let mut decoder = Decoder { filter, names: Names::default(), page: None };
    let mut received = Some(received);
    futures::stream::poll_fn(move |context| {
        loop {
            let item = match (decoder.next(), &mut received) {
                (None, None) => return Poll::Ready(None),
                (Some(item), _) => item,
                (None, Some(pages)) => match ready!(pages.poll_recv(context)) {
                    None => return Poll::Ready(None),
                    Some(Ok(page)) => {
                        decoder.page = Some(Decoding::new(page));
                        continue;
                    }
                    Some(Err(error)) => Err(error),
                },
            };
            if item.is_err() {
                // Nothing comes after an error, also not what was read ahead.
                received = None;
            }
            return Poll::Ready(Some(item));
        }
    })
    .boxed()
}

/// Reads pages until the follower is dropped.
async fn read_ahead(shared: Arc<Shared>, mut head: watch::Receiver<u64>, from: u64, pages: mpsc::Sender<anyhow::Result<Page>>) {
    let mut bookmark = Bookmark { position: from, batch: None };
    let mut is_first = true;
    loop {
        head.mark_unchanged();
        let (shared, mut next) = (shared.clone(), bookmark);
        let read = move || shared.with_reader(|reader| reader.page(&mut next)).map(|page| (page, next));
        let page = tokio::task::spawn_blocking(read).await.context("a log reader panicked").and_then(|read| read);
        let (has_news, is_at_end) = match &page {
            Ok((page, next)) => {
                let has_news = page.next > bookmark.position || is_first;
                bookmark = *next;
                (has_news, page.next >= page.head)
            }
            Err(_) => (true, false),
        };
        is_first = false;
        let is_error = page.is_err();
        if has_news && pages.send(page.map(|(page, _)| page)).await.is_err() || is_error {
            return;
        }
        if is_at_end {
            tokio::select! {
                () = pages.closed() => return,
                changed = head.changed() => if changed.is_err() {
                    // The follower's consumer learns it from its next append; here nothing new can come.
                    drop(pages.send(Err(anyhow::anyhow!("the log's writer thread has stopped"))).await);
                    return;
                },
                () = tokio::time::sleep(FOREIGN_WRITES_POLL) => {}
            }
        }
    }
}

/// Turns pages into items.
struct Decoder {
    filter: Filter,
    names: Names,
    page: Option<Decoding>,
}

/// A page on its way.
struct Decoding {
    batches: std::vec::IntoIter<Unpacked<Bytes>>,
    current: Option<Batch>,
    from: u64,
    /// The head, when the page goes up to it.
    caught_up: Option<u64>,
}

/// A batch on its way.
struct Batch {
    unpacked: Unpacked<Bytes>,
    /// Names that were looked up, by their numbers.
    streams: Vec<Option<StreamName>>,
    types: Vec<Option<Arc<str>>>,
    at: usize,
    commit: Option<CommitHead>,
    section: Option<(SectionHead, StreamName)>,
    /// Of the next event.
    position: u64,
}

/// What the events of a commit share.
struct CommitHead {
    workspace: WorkspaceId,
    metadata: Metadata,
    end: usize,
}

impl Decoder {
    fn next(&mut self) -> Option<anyhow::Result<Item>> {
        let page = self.page.as_mut()?;
        loop {
            if let Some(batch) = &mut page.current {
                match batch.next(&self.filter, &mut self.names, page.from) {
                    Ok(Some(event)) => return Some(Ok(Item::Event(event))),
                    Ok(None) => page.current = None,
                    Err(damaged) => {
                        self.page = None;
                        return Some(Err(damaged.into()));
                    }
                }
            }
            match page.batches.next() {
                Some(batch) => page.current = Some(Batch::new(batch)),
                None => {
                    let caught_up = page.caught_up;
                    self.page = None;
                    return caught_up.map(|head| Ok(Item::CaughtUp(head)));
                }
            }
        }
    }
}

impl Decoding {
    fn new(page: Page) -> Self {
        let Page { batches, from, next, head } = page;
        Self { batches: batches.into_iter(), current: None, from, caught_up: (next == head).then_some(head) }
    }
}

impl Batch {
    fn new(unpacked: Unpacked<Bytes>) -> Self {
        let (names, at) = (unpacked.names(), unpacked.start());
        Self { unpacked, streams: vec![None; names], types: vec![None; names], at, commit: None, section: None, position: 0 }
    }

    /// Returns the next event at or above a position that passes the filter.
    fn next(&mut self, filter: &Filter, names: &mut Names, from: u64) -> Result<Option<Recorded>, Damaged> {
        loop {
            let Some(commit) = &self.commit else {
                if self.at >= self.unpacked.end() {
                    return Ok(None);
                }
                self.open_commit(filter, from)?;
                continue;
            };
            let Some((section, stream)) = &mut self.section else {
                if self.at >= commit.end {
                    self.commit = None;
                } else {
                    self.open_section(names)?;
                }
                continue;
            };
            if section.events == 0 {
                self.section = None;
                continue;
            }
            let event = self.unpacked.event(self.at)?;
            let (position, version) = (self.position, section.first_version);
            self.position += 1;
            self.at = event.end;
            section.first_version += 1;
            section.events -= 1;
            let event_type = names.event_type(&self.unpacked, &mut self.types, event.event_type)?;
            if position < from || !filter.accepts(commit.workspace, stream, event_type) {
                continue;
            }
            return Ok(Some(Recorded {
                id: event.id,
                workspace: commit.workspace,
                stream: stream.clone(),
                version,
                position,
                event_type: event_type.clone(),
                schema_version: event.schema_version,
                payload: self.unpacked.data().slice_ref(event.payload),
                metadata: commit.metadata.clone(),
            }));
        }
    }

    /// Goes on to the next commit, or over it when none of its events is wanted.
    fn open_commit(&mut self, filter: &Filter, from: u64) -> Result<(), Damaged> {
        let Commit { key, outcome, end } = self.unpacked.commit(self.at)?;
        self.at = end;
        let Outcome::Accepted { first_position, events, metadata, sections } = outcome else { return Ok(()) };
        let is_other = filter.workspace.is_some_and(|wanted| wanted != key.workspace);
        if is_other || first_position + events <= from {
            return Ok(());
        }
        self.commit = Some(CommitHead { workspace: key.workspace, metadata: metadata.to_owned(), end });
        (self.at, self.position) = (sections, first_position);
        Ok(())
    }

    fn open_section(&mut self, names: &mut Names) -> Result<(), Damaged> {
        let section = self.unpacked.section(self.at)?;
        let stream = names.stream(&self.unpacked, &mut self.streams, section.stream)?;
        self.at = section.at;
        self.section = Some((section, stream));
        Ok(())
    }
}

/// Interned names: a log repeats few of them, and a clone is cheaper than an allocation.
#[derive(Default)]
struct Names {
    streams: HashMap<Box<str>, StreamName>,
    types: HashMap<Box<str>, Arc<str>>,
}

impl Names {
    fn stream(&mut self, batch: &Unpacked<Bytes>, known: &mut [Option<StreamName>], name: usize) -> Result<StreamName, Damaged> {
        if let Some(Some(known)) = known.get(name) {
            return Ok(known.clone());
        }
        let text = batch.text(name)?;
        let stream = match self.streams.get(text) {
            Some(stream) => stream.clone(),
            None => {
                let stream = batch.stream(name)?;
                if self.streams.len() >= NAMES_MAX {
                    self.streams.clear();
                }
                self.streams.insert(text.into(), stream.clone());
                stream
            }
        };
        known[name] = Some(stream.clone());
        Ok(stream)
    }

    fn event_type<'a>(&mut self, batch: &Unpacked<Bytes>, known: &'a mut [Option<Arc<str>>], name: usize) -> Result<&'a Arc<str>, Damaged> {
        let slot = known.get_mut(name).ok_or_else(|| batch.damaged("a name is missing"))?;
        if slot.is_none() {
            let text = batch.text(name)?;
            if self.types.len() >= NAMES_MAX {
                self.types.clear();
            }
            let event_type = self.types.entry(text.into()).or_insert_with(|| text.into());
            *slot = Some(event_type.clone());
        }
        slot.as_ref().ok_or_else(|| batch.damaged("a name is missing"))
    }
}
