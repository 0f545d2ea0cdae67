//! Reads the values that a batch is made of. What is not there is an error, never a panic.

use thiserror::Error;
use uuid::Uuid;

/// A batch holds what nobody wrote: the disk or another program changed it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("batch {batch} of the log is damaged: {what}")]
pub(super) struct Damaged {
    batch: u64,
    what: &'static str,
}

impl Damaged {
    pub(super) fn new(batch: u64, what: &'static str) -> Self {
        Self { batch, what }
    }
}

pub(super) type Result<T> = std::result::Result<T, Damaged>;

/// A place in a batch, from which values are read one after another.
pub(super) struct Cursor<'a> {
    batch: u64,
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    /// Returns a cursor at a place in the bytes of a batch, whose number is for errors.
    pub(super) fn new(batch: u64, bytes: &'a [u8], at: usize) -> Self {
        Self { batch, bytes, at }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(self.damaged("it is too short")) };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("as many bytes as were taken"))
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    pub(super) fn varint(&mut self) -> Result<u64> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(self.damaged("a number is too large"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    pub(super) fn index(&mut self) -> Result<usize> {
        usize::try_from(self.varint()?).map_err(|_| self.damaged("a number is too large"))
    }

    pub(super) fn sized_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.index()?;
        self.take(length)
    }

    pub(super) fn sized_text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.sized_bytes()?).map_err(|_| self.damaged("what should be text is not"))
    }

    pub(super) fn damaged(&self, what: &'static str) -> Damaged {
        Damaged::new(self.batch, what)
    }
}
