//! Reads what `pack` wrote. Garbage is an error that names the batch, never a panic.

use super::cursor::{Cursor, Damaged, Result};
use super::pack::{ACCEPTED, FORMAT, HAS_CAUSATION, HAS_TRACEPARENT, REJECTED};
use super::tail::{CommitKey, Known, Outline, Place, Section, StreamKey};
use crate::log::{Appended, Conflict, Expected, Verdict};
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use proto::{Metadata, StreamName};
use uuid::Uuid;

/// A batch whose names are known; commits are decoded as they are asked for.
pub(super) struct Unpacked<B> {
    number: u64,
    first_position: u64,
    data: B,
    /// Start and end of each name.
    names: Vec<(u32, u32)>,
    body: usize,
}

/// The fixed part of a commit.
pub(super) struct Commit<'a> {
    pub(super) key: CommitKey,
    pub(super) outcome: Outcome<'a>,
    /// Where the next commit starts.
    pub(super) end: usize,
}

pub(super) enum Outcome<'a> {
    Accepted {
        first_position: u64,
        events: u64,
        metadata: MetadataRef<'a>,
        /// Where its first section starts.
        sections: usize,
    },
    Rejected(Conflict),
}

pub(super) struct MetadataRef<'a> {
    at: Timestamp,
    actor: &'a str,
    correlation: Uuid,
    causation: Option<EventId>,
    traceparent: Option<&'a str>,
}

impl MetadataRef<'_> {
    pub(super) fn to_owned(&self) -> Metadata {
        Metadata {
            at: self.at,
            actor: self.actor.to_owned(),
            correlation: self.correlation,
            causation: self.causation,
            traceparent: self.traceparent.map(str::to_owned),
        }
    }
}

/// The start of one stream's events in a commit. Names are numbers of the batch's names.
pub(super) struct SectionHead {
    pub(super) stream: usize,
    pub(super) first_version: u64,
    pub(super) events: u64,
    /// Where its first event starts.
    pub(super) at: usize,
}

pub(super) struct PackedEvent<'a> {
    pub(super) id: EventId,
    pub(super) event_type: usize,
    pub(super) schema_version: u32,
    pub(super) payload: &'a [u8],
    /// Where the next event or section starts.
    pub(super) end: usize,
}

impl<B: AsRef<[u8]>> Unpacked<B> {
    pub(super) fn open(number: u64, first_position: u64, data: B) -> Result<Self> {
        let mut cursor = Cursor::new(number, data.as_ref(), 0);
        if cursor.byte()? != FORMAT {
            return Err(cursor.damaged("its layout is not known"));
        }
        let count = cursor.varint()?;
        let mut names = Vec::new();
        for _ in 0..count {
            let length = cursor.sized_bytes()?.len();
            // A batch is smaller than 4 GiB, so is every place in it.
            names.push(((cursor.at - length) as u32, cursor.at as u32));
        }
        let body = cursor.at;
        Ok(Self { number, first_position, data, names, body })
    }

    pub(super) fn data(&self) -> &B {
        &self.data
    }

    /// Returns where the first commit starts.
    pub(super) fn start(&self) -> usize {
        self.body
    }

    pub(super) fn end(&self) -> usize {
        self.data.as_ref().len()
    }

    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// Returns where a commit starts.
    pub(super) fn at(&self, place: Place) -> usize {
        self.body + place.offset()
    }

    pub(super) fn commit(&self, at: usize) -> Result<Commit<'_>> {
        let mut cursor = self.cursor(at);
        let length = cursor.array::<4>()?;
        let end = cursor.at + u32::from_le_bytes(length) as usize;
        let kind = cursor.byte()?;
        let workspace = self.workspace(cursor.index()?)?;
        let key = CommitKey { workspace, id: CommitId(cursor.uuid()?) };
        let outcome = match kind {
            ACCEPTED => self.accepted(&mut cursor)?,
            REJECTED => Outcome::Rejected(self.conflict(&mut cursor)?),
            _ => return Err(cursor.damaged("a commit is of no known kind")),
        };
        if end > self.end() || cursor.at > end {
            return Err(cursor.damaged("a commit has another length"));
        }
        Ok(Commit { key, outcome, end })
    }

    fn accepted<'a>(&'a self, cursor: &mut Cursor<'a>) -> Result<Outcome<'a>> {
        let first_position = self.first_position.checked_add(cursor.varint()?).ok_or(cursor.damaged("a position is too large"))?;
        let events = cursor.varint()?;
        if events == 0 || events > self.end() as u64 || first_position > i64::MAX as u64 {
            return Err(cursor.damaged("a commit has another number of events"));
        }
        let at = Timestamp(cursor.varint()?);
        let actor = self.text(cursor.index()?)?;
        let correlation = cursor.uuid()?;
        let flags = cursor.byte()?;
        let causation = if flags & HAS_CAUSATION != 0 { Some(EventId(cursor.uuid()?)) } else { None };
        let traceparent = if flags & HAS_TRACEPARENT != 0 { Some(cursor.sized_text()?) } else { None };
        let metadata = MetadataRef { at, actor, correlation, causation, traceparent };
        Ok(Outcome::Accepted { first_position, events, metadata, sections: cursor.at })
    }

    fn conflict(&self, cursor: &mut Cursor<'_>) -> Result<Conflict> {
        let stream = self.stream(cursor.index()?)?;
        let (kind, version) = (cursor.byte()?, cursor.varint()?);
        let expected = Expected::from_parts(kind, Some(version)).ok_or(cursor.damaged("an expectation is of no known kind"))?;
        Ok(Conflict { stream, expected, actual: cursor.varint()?.checked_sub(1) })
    }

    pub(super) fn section(&self, at: usize) -> Result<SectionHead> {
        let mut cursor = self.cursor(at);
        let (stream, first_version, events) = (cursor.index()?, cursor.varint()?, cursor.varint()?);
        if events == 0 || events > self.end() as u64 || first_version > i64::MAX as u64 {
            return Err(cursor.damaged("a stream has another number of events"));
        }
        Ok(SectionHead { stream, first_version, events, at: cursor.at })
    }

    pub(super) fn event(&self, at: usize) -> Result<PackedEvent<'_>> {
        let mut cursor = self.cursor(at);
        let (id, event_type, version) = (EventId(cursor.uuid()?), cursor.index()?, cursor.varint()?);
        let schema_version = u32::try_from(version).map_err(|_| cursor.damaged("a schema version is too large"))?;
        let payload = cursor.sized_bytes()?;
        Ok(PackedEvent { id, event_type, schema_version, payload, end: cursor.at })
    }

    /// Returns a name as text.
    pub(super) fn text(&self, name: usize) -> Result<&str> {
        std::str::from_utf8(self.name(name)?).map_err(|_| self.damaged("a name is not text"))
    }

    /// Returns a name as a stream's.
    pub(super) fn stream(&self, name: usize) -> Result<StreamName> {
        self.text(name)?.parse().map_err(|_| self.damaged("a stream has no stream's name"))
    }

    /// Returns what is in the batch.
    pub(super) fn outline(&self) -> Result<Outline> {
        let (mut outline, mut at) = (Outline::default(), self.start());
        let mut streams = vec![None; self.names()];
        while at < self.end() {
            let offset = at - self.body;
            if offset >= super::pack::BATCH_BYTES {
                return Err(self.damaged("a commit starts where none can"));
            }
            let place = Place::new(self.number, offset);
            let Commit { key, outcome, end } = self.commit(at)?;
            if let Outcome::Accepted { sections, .. } = outcome {
                let mut at = sections;
                while at < end {
                    let section = self.section(at)?;
                    at = self.skip(&section)?;
                    let stream = self.remembered(&mut streams, section.stream)?;
                    let last_version = section.first_version + section.events - 1;
                    outline.sections.push((StreamKey { workspace: key.workspace, stream }, Section { last_version, place }));
                }
            }
            // A commit id that was forgotten and judged again keeps its first verdict.
            outline.commits.entry(key).or_insert(Known { verdict: outcome.verdict(), place });
            at = end;
        }
        Ok(outline)
    }

    /// Returns where a section ends.
    pub(super) fn skip(&self, section: &SectionHead) -> Result<usize> {
        let mut at = section.at;
        for _ in 0..section.events {
            at = self.event(at)?.end;
        }
        Ok(at)
    }

    fn remembered(&self, streams: &mut [Option<StreamName>], name: usize) -> Result<StreamName> {
        let known = streams.get_mut(name).ok_or_else(|| self.damaged("a name is missing"))?;
        match known {
            Some(known) => Ok(known.clone()),
            None => Ok(known.insert(self.stream(name)?).clone()),
        }
    }

    fn workspace(&self, name: usize) -> Result<WorkspaceId> {
        let id = Uuid::from_slice(self.name(name)?).map_err(|_| self.damaged("a workspace has no workspace's name"))?;
        Ok(WorkspaceId(id))
    }

    fn name(&self, name: usize) -> Result<&[u8]> {
        let (start, end) = *self.names.get(name).ok_or_else(|| self.damaged("a name is missing"))?;
        Ok(&self.data.as_ref()[start as usize..end as usize])
    }

    fn cursor(&self, at: usize) -> Cursor<'_> {
        Cursor::new(self.number, self.data.as_ref(), at)
    }

    pub(super) fn damaged(&self, what: &'static str) -> Damaged {
        Damaged::new(self.number, what)
    }
}

impl Outcome<'_> {
    /// Returns what is told to who asks for the commit again.
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Accepted { first_position, events, .. } => {
                Verdict::Accepted(Appended { first_position, last_position: first_position + events - 1, is_repeat: true })
            }
            Self::Rejected(conflict) => Verdict::Rejected(conflict),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pack::{EventRef, Packer};
    use super::super::tail::Extent;
    use super::*;

    /// Packs an accepted and a rejected commit as batch 3, from position 500 on.
    fn packed() -> (Vec<u8>, Outline) {
        let id = |number| Uuid::from_u128(number);
        let stream = StreamName::new("clip", id(0xabc));
        let key = |number| CommitKey { workspace: WorkspaceId(id(1)), id: CommitId(id(number)) };
        let metadata = Metadata {
            at: Timestamp(1_700_000_000_000_000),
            actor: "owner".to_owned(),
            correlation: id(2),
            causation: Some(EventId(id(3))),
            traceparent: Some("00-ab".to_owned()),
        };
        let event = |number| EventRef { id: EventId(id(number)), event_type: "clip.tested", schema_version: 1, payload: b"bytes" };
        let mut packer = Packer::new(Extent { next_batch: 3, next_position: 500, indexed_below: 0 });
        packer.begin(key(10), 2, &metadata);
        packer.section(&stream, 7, [event(20), event(21)].into_iter());
        packer.end();
        packer.reject(key(11), Conflict { stream, expected: Expected::Exact(300), actual: Some(8) });
        let (mut batches, outline) = packer.into_batches();
        assert_eq!((batches.len(), batches[0].number, batches[0].first_position, batches[0].next_position), (1, 3, 500, 502));
        (batches.remove(0).data, outline)
    }

    #[test]
    fn the_bytes_of_a_batch_stay_as_they_are() {
        let uuid = |last: &str| format!("{last:0>32}");
        let stream = format!("25{}", hex::encode("clip-00000000000000000000000000000abc"));
        let names =
            [format!("10{}", uuid("1")), format!("05{}", hex::encode("owner")), stream, format!("0b{}", hex::encode("clip.tested"))];
        let event = |id: &str| format!("{}030105{}", uuid(id), hex::encode("bytes"));
        let accepted = [
            "00".to_owned() + "00" + &uuid("a") + "00" + "02" + "8080f9c0c1c48203" + "01" + &uuid("2") + "03" + &uuid("3"),
            format!("05{}", hex::encode("00-ab")),
            "02".to_owned() + "07" + "02" + &event("14") + &event("15"),
        ]
        .concat();
        let rejected = "01".to_owned() + "00" + &uuid("b") + "02" + "03" + "ac02" + "09";
        let commit = |body: &str| hex::encode(((body.len() / 2) as u32).to_le_bytes()) + body;
        let expected = "01".to_owned() + "04" + &names.concat() + &commit(&accepted) + &commit(&rejected);
        assert_eq!(hex::encode(packed().0), expected);
    }

    #[test]
    fn what_was_packed_is_in_the_outline() {
        let (data, outline) = packed();
        assert_eq!(Unpacked::open(3, 500, &*data).unwrap().outline().unwrap(), outline);
    }

    #[test]
    fn garbage_is_an_error_that_names_the_batch() {
        let whole = packed().0;
        let check = |data: &[u8]| {
            if let Err(error) = Unpacked::open(3, 500, data).and_then(|batch| batch.outline()) {
                assert!(error.to_string().starts_with("batch 3 of the log is damaged: "), "{error}");
            }
        };
        for length in 0..whole.len() {
            check(&whole[..length]);
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut data = whole.clone();
                data[length] = value;
                check(&data);
            }
        }
        assert!(Unpacked::open(3, 500, &whole[..whole.len() - 1]).unwrap().outline().is_err());
    }
}
