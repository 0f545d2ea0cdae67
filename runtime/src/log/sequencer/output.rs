//! What a sequencer writes, and how every reader puts it together again.

use crate::log::Conflict;
use domain::id::{CommitId, WorkspaceId};
use proto::Recorded;
use thiserror::Error;

/// Where an output belongs: the same for everybody who writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Offset of the record that holds the commit, on the partition of ordered commits.
    pub commit_offset: u64,
    /// Place among the outputs of the record's commits, from 0.
    pub index: u32,
}

/// What the rule made of a commit, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it belongs.
    pub place: Place,
    /// How many outputs the record's commits have.
    pub count: u32,
    /// The commit's id.
    pub commit: CommitId,
    /// What it says.
    pub body: Body,
}

/// What an output says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An event that counts.
    Event(Recorded),
    /// The commit counts for nothing.
    Rejected {
        /// Whose commit it was.
        workspace: WorkspaceId,
        /// Why.
        conflict: Conflict,
    },
}

impl Body {
    /// Returns whose it is.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        match self {
            Self::Event(event) => event.workspace,
            Self::Rejected { workspace, .. } => *workspace,
        }
    }
}

/// Outputs that cannot be: somebody lost or skipped a record, or wrote what no sequencer writes. The partition needs a person.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Disorder {
    /// An output is missing before this one.
    #[error("output {found:?} comes after {last:?}: something between them is missing")]
    Skipped {
        /// The last output before it.
        last: Option<Place>,
        /// The output that came too early.
        found: Place,
    },
    /// An event does not follow the one before it.
    #[error("an event has position {found} instead of {expected}")]
    Position {
        /// Where the next event belongs.
        expected: u64,
        /// Where it says it belongs.
        found: u64,
    },
}

/// Splits the outputs of one record, whole and in order, into those of each of its commits.
pub fn by_commit(outputs: &[Output]) -> impl Iterator<Item = &[Output]> {
    outputs.chunk_by(|one, next| one.key() == next.key())
}

/// Puts the commits of records together from outputs that may come more than once, also in parts.
///
/// Takes only what lies behind everything that it has taken. Whatever several sequencers write, and wherever each of them stops, every
/// assembler that starts at the same place returns the same commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assembler {
    last: Option<Place>,
    next_position: u64,
    pending: Vec<Output>,
}

impl Assembler {
    /// Returns an assembler that has taken everything up to the whole record that ends at `last`; the next event is at `next_position`.
    #[must_use]
    pub fn after(last: Option<Place>, next_position: u64) -> Self {
        Self { last, next_position, pending: Vec::new() }
    }

    /// Returns the position of the next event that it will take.
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.next_position
    }

    /// Tells whether an output at this place was taken already.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        self.last.is_some_and(|last| place <= last)
    }

    /// Takes an output; returns the outputs of a record's commits when this one completes them.
    ///
    /// # Errors
    /// [`Disorder`], and the assembler stays as it was.
    pub fn push(&mut self, output: Output) -> Result<Option<Vec<Output>>, Disorder> {
        let place = output.place;
        if self.has(place) {
            return Ok(None);
        }
        let follows = match self.pending.last() {
            Some(before) => place == Place { index: before.place.index + 1, ..before.place } && output.count == before.count,
            None => place.index == 0,
        };
        if !follows {
            return Err(Disorder::Skipped { last: self.last, found: place });
        }
        if let Body::Event(event) = &output.body {
            if event.position != self.next_position {
                return Err(Disorder::Position { expected: self.next_position, found: event.position });
            }
            self.next_position += 1;
        }
        self.last = Some(place);
        let is_whole = place.index + 1 == output.count;
        self.pending.push(output);
        Ok(is_whole.then(|| std::mem::take(&mut self.pending)))
    }
}
