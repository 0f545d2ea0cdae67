//! Damage in Matroska and WebM that shows without decoding. A demuxer skips what it does not understand and goes on with the next
//! cluster, so lost seconds would only be a gap; here every element must be known, fit its parent, and agree with its checksum.

use domain::MediaTime;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Larger than any header, small enough that skipped pictures are not read.
const BUFFER_BYTES: usize = 4_096;

/// A length of only ones is unknown: a recorder did not come back to fill it in.
const UNKNOWN: u64 = u64::MAX;

/// Nanoseconds per unit of a cluster's time, unless the file says otherwise.
const USUAL_SCALE_NS: u64 = 1_000_000;

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TIME_SCALE: u32 = 0x002a_d7b1;
const CLUSTER: u32 = 0x1f43_b675;
const CLUSTER_TIME: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const CHECKSUM: u32 = 0xbf;

/// What a segment is made of: search index, facts, tracks, clusters, index, attachments, chapters, tags, padding.
const IN_SEGMENT: &[u32] = &[0x114d_9b74, INFO, 0x1654_ae6b, CLUSTER, 0x1c53_bb6b, 0x1941_a469, 0x1043_a770, 0x1254_c367, 0xec, CHECKSUM];

/// What a cluster is made of: its time, blocks and groups of them, sizes, positions, silent tracks, padding.
const IN_CLUSTER: &[u32] = &[CLUSTER_TIME, SIMPLE_BLOCK, 0xa0, 0xab, 0xa7, 0x5854, 0xaf, 0xec, CHECKSUM];

/// Returns when the first damaged part is shown; `None` if nothing is seen to be damaged. A missing end is no damage.
pub(super) fn damaged_at(path: &Path) -> io::Result<Option<MediaTime>> {
    let mut walk = Walk::open(path)?;
    while walk.place < walk.end {
        match walk.next()? {
            Step::Sound => {}
            Step::End => break,
            Step::Damage => return Ok(Some(walk.now())),
        }
    }
    walk.block_time = 0;
    Ok(walk.is_suspect.then(|| walk.now()))
}

/// What the next element showed.
enum Step {
    Sound,
    End,
    Damage,
}

/// A place in the file, and what is known there.
struct Walk {
    file: BufReader<File>,
    place: u64,
    /// Size of the file.
    end: u64,
    /// Where the open cluster ends; 0 outside of one.
    cluster_end: u64,
    scale_ns: u64,
    /// Time of the open cluster, and of the last block in it against that.
    cluster_time: u64,
    block_time: i16,
    /// Whether the open cluster disagrees with its checksum: where in it is seen going on, or not at all.
    is_suspect: bool,
}

impl Walk {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self { file, place: 0, end, cluster_end: 0, scale_ns: USUAL_SCALE_NS, cluster_time: 0, block_time: 0, is_suspect: false })
    }

    fn now(&self) -> MediaTime {
        let units = self.cluster_time.saturating_add_signed(i64::from(self.block_time));
        MediaTime(units.saturating_mul(self.scale_ns) / 1_000)
    }

    fn next(&mut self) -> io::Result<Step> {
        let is_first = self.place == 0;
        let Some((id, length)) = self.header()? else {
            return Ok(if self.place >= self.end { Step::End } else { Step::Damage });
        };
        if is_first {
            return self.skip(length); // the file's own header, which the probe has looked at
        }
        let is_in_cluster = self.place < self.cluster_end;
        if self.is_suspect && !is_in_cluster {
            self.block_time = 0;
            return Ok(Step::Damage);
        }
        let stop = length.saturating_add(self.place);
        match id {
            SEGMENT if !is_in_cluster => Ok(Step::Sound),
            // A cluster of unknown length ends where the next one begins.
            CLUSTER if !is_in_cluster || self.cluster_end == UNKNOWN => {
                (self.cluster_end, self.block_time) = (stop, 0);
                Ok(Step::Sound)
            }
            INFO if !is_in_cluster => self.read_scale(length),
            _ if is_in_cluster && IN_CLUSTER.contains(&id) => {
                if stop > self.cluster_end {
                    return Ok(Step::Damage);
                }
                self.in_cluster(id, length)
            }
            _ if (!is_in_cluster || self.cluster_end == UNKNOWN) && IN_SEGMENT.contains(&id) => {
                self.cluster_end = 0;
                self.skip(length)
            }
            _ => Ok(Step::Damage),
        }
    }

    fn in_cluster(&mut self, id: u32, length: u64) -> io::Result<Step> {
        match (id, length) {
            (CLUSTER_TIME, 1..=8) => {
                let mut bytes = [0; 8];
                let length = length as usize;
                if !self.read(&mut bytes[8 - length..])? {
                    return Ok(Step::End);
                }
                self.cluster_time = u64::from_be_bytes(bytes);
                Ok(Step::Sound)
            }
            // Track number, two bytes of time, flags; a track number above 127 takes more, and then the time is a little off.
            (SIMPLE_BLOCK, 4..) => {
                let mut head = [0; 3];
                if !self.read(&mut head)? {
                    return Ok(Step::End);
                }
                self.block_time = i16::from_be_bytes([head[1], head[2]]);
                self.skip(length - head.len() as u64)
            }
            (CHECKSUM, 4) => self.check(),
            (CLUSTER_TIME | SIMPLE_BLOCK | CHECKSUM, _) => Ok(Step::Damage),
            _ => self.skip(length),
        }
    }

    /// Compares the rest of the cluster with its checksum, and stays before it.
    fn check(&mut self) -> io::Result<Step> {
        let mut expected = [0; 4];
        if !self.read(&mut expected)? || self.cluster_end > self.end {
            return Ok(Step::End);
        }
        let mut hasher = crc32fast::Hasher::new();
        let mut rest = self.file.by_ref().take(self.cluster_end - self.place);
        loop {
            let piece = rest.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            hasher.update(piece);
            let length = piece.len();
            rest.consume(length);
        }
        self.file.seek(SeekFrom::Start(self.place))?;
        self.is_suspect = hasher.finalize() != u32::from_le_bytes(expected);
        Ok(Step::Sound)
    }

    fn read_scale(&mut self, length: u64) -> io::Result<Step> {
        let stop = self.place.saturating_add(length);
        while self.place < stop {
            let Some((id, length)) = self.header()? else { return Ok(Step::Damage) };
            let mut bytes = [0; 8];
            if id == TIME_SCALE && length <= 8 {
                if self.read(&mut bytes[8 - length as usize..])? {
                    self.scale_ns = u64::from_be_bytes(bytes);
                }
            } else if let Step::Damage | Step::End = self.skip(length)? {
                return Ok(Step::Damage);
            }
        }
        Ok(Step::Sound)
    }

    /// Reads an element's name and length; `None` where there is none.
    fn header(&mut self) -> io::Result<Option<(u32, u64)>> {
        let Some((id, _)) = self.number(4)? else { return Ok(None) };
        let Some((length, bits)) = self.number(8)? else { return Ok(None) };
        let length = length & !(1 << bits);
        let is_unknown = length == (1 << bits) - 1;
        Ok(Some((id as u32, if is_unknown { UNKNOWN } else { length })))
    }

    /// Reads a number whose leading zeros say how long it is; returns it with its marker, and where that is.
    fn number(&mut self, bytes_max: usize) -> io::Result<Option<(u64, u32)>> {
        let mut bytes = [0; 8];
        if !self.read(&mut bytes[..1])? {
            return Ok(None);
        }
        let more = bytes[0].leading_zeros() as usize;
        if more >= bytes_max || !self.read(&mut bytes[1..=more])? {
            return Ok(None);
        }
        let number = bytes[..=more].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        Ok(Some((number, 7 * (more as u32 + 1))))
    }

    /// Fills `bytes`; false, at the end of the file, if there are not as many.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        if self.place + bytes.len() as u64 > self.end {
            self.place = self.end;
            return Ok(false);
        }
        self.file.read_exact(bytes)?;
        self.place += bytes.len() as u64;
        Ok(true)
    }

    fn skip(&mut self, length: u64) -> io::Result<Step> {
        let stop = self.place.saturating_add(length);
        if stop > self.end {
            self.place = self.end;
            return Ok(Step::End);
        }
        self.file.seek_relative(i64::try_from(length).unwrap_or(i64::MAX))?;
        self.place = stop;
        Ok(Step::Sound)
    }
}
