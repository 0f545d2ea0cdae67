//! Groups of pictures: what encoded sizes and key frames tell about cuts before anything is decoded.
//!
//! An encoder that looks for cuts puts a key frame on each, off its regular beat. One that does not must encode the first frame
//! after a cut almost from nothing, so that frame is many times larger than its neighbours. Either way only few groups need decoding.

use crate::decode::Unit;
use domain::MediaTime;
use std::sync::{Mutex, PoisonError};

/// Key frames nearer than this to the one before are skipped when every frame is a key frame (ProRes, MJPEG).
const KEY_SPACING: MediaTime = MediaTime::from_millis(500);

/// A group as long as the longest, or as this part of all groups, ends on the regular beat.
const REGULAR_PART: f64 = 0.3;

/// A unit this many times larger than what is usual before or after it …
const SPIKE_TIMES: f64 = 4.0;

/// … and at least this part of the smaller key frame next to it may be the first after a cut.
const SPIKE_KEY_PART: f64 = 0.15;

/// Units that may be decoded after a frame and still be shown before it (B-frames), with room to spare.
const REORDERED_UNITS: usize = 8;

/// Usual is the upper quartile of this many units before and after: B-frames are small, P-frames are not.
const USUAL_UNITS: usize = 24;

/// Listens at the decoder's door: notes every unit, lets key units through.
#[derive(Default)]
pub(super) struct Doorkeeper(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    units: Vec<Unit>,
    /// Index in `units` of each key unit that was let through.
    keys: Vec<usize>,
}

/// Units from one decoded key frame to the next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub start: MediaTime,
    /// Start of the next group, or the end of the last unit.
    pub end: MediaTime,
    /// Whether its first unit is off the regular beat, as on a cut.
    pub is_off_beat: bool,
    /// The last unit inside that is as large as after a cut.
    pub spike: Option<Spike>,
}

/// A unit that is far larger than its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spike {
    /// When it is shown.
    pub at: MediaTime,
    /// How many units of the group must be decoded to see it and everything before it.
    pub units: usize,
}

impl Doorkeeper {
    /// Notes a unit and tells whether it is decoded.
    pub(super) fn admit(&self, unit: Unit) -> bool {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = notes.units.len();
        let follows_key = notes.units.last().is_some_and(|last| last.is_key);
        let is_near = notes.keys.last().is_some_and(|&key| unit.at < notes.units[key].at.plus(KEY_SPACING));
        notes.units.push(unit);
        let is_admitted = unit.is_key && !(follows_key && is_near);
        if is_admitted {
            notes.keys.push(index);
        }
        is_admitted
    }

    /// Returns the groups in order of time.
    pub(super) fn groups(&self) -> Vec<Group> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bounds: Vec<(usize, usize)> =
            notes.keys.iter().copied().zip(notes.keys.iter().skip(1).copied().chain([notes.units.len()])).collect();
        let lengths: Vec<usize> = bounds.iter().map(|(from, to)| to - from).collect();
        let end = notes.units.iter().map(|unit| unit.at).max().unwrap_or_default();
        let groups = bounds.iter().enumerate().map(|(index, &(from, to))| Group {
            start: notes.units[from].at,
            end: notes.units.get(to).map_or(end, |unit| unit.at),
            is_off_beat: index > 0 && !is_regular(lengths[index - 1], &lengths),
            spike: last_spike(&notes.units, from, to),
        });
        groups.collect()
    }
}

fn is_regular(length: usize, lengths: &[usize]) -> bool {
    let longest = lengths.iter().max().copied().unwrap_or(0);
    let same = lengths.iter().filter(|&&other| other == length).count();
    length >= longest || same as f64 >= REGULAR_PART * lengths.len() as f64
}

fn last_spike(units: &[Unit], from: usize, to: usize) -> Option<Spike> {
    let key = units.get(to).map_or(units[from].bytes, |next| next.bytes.min(units[from].bytes));
    let index = (from + 1..to).rev().find(|&index| {
        let bytes = f64::from(units[index].bytes);
        bytes >= SPIKE_KEY_PART * f64::from(key) && bytes >= SPIKE_TIMES * usual_bytes(units, index, from + 1, to)
    })?;
    Some(Spike { at: units[index].at, units: index - from + 1 + REORDERED_UNITS })
}

/// Returns the upper quartile of the sizes before unit `index` or after it, inside its group: the smaller of the two,
/// because a cut leads from a quiet shot to a busy one or the other way round.
fn usual_bytes(units: &[Unit], index: usize, from: usize, to: usize) -> f64 {
    let before = upper_quartile(&units[index.saturating_sub(USUAL_UNITS).max(from)..index]);
    let after = upper_quartile(&units[index + 1..(index + 1 + USUAL_UNITS).min(to)]);
    f64::from(before.into_iter().chain(after).min().unwrap_or(0))
}

fn upper_quartile(units: &[Unit]) -> Option<u32> {
    let mut sizes: Vec<u32> = units.iter().map(|unit| unit.bytes).collect();
    let quartile = sizes.len() * 3 / 4;
    (!sizes.is_empty()).then(|| *sizes.select_nth_unstable(quartile).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds units 40 ms apart, given as (bytes, is key).
    fn groups(units: impl IntoIterator<Item = (u32, bool)>) -> (usize, Vec<Group>) {
        let door = Doorkeeper::default();
        let times = (0..).map(|index| MediaTime(index * 40_000));
        let admitted = times.zip(units).filter(|&(at, (bytes, is_key))| door.admit(Unit { at, bytes, is_key })).count();
        (admitted, door.groups())
    }

    fn group(length: u32) -> impl Iterator<Item = (u32, bool)> {
        (0..length).map(|index| if index == 0 { (50_000, true) } else { (1_000 + index % 3 * 1_000, false) })
    }

    #[test]
    fn a_key_frame_off_the_beat_is_where_an_encoder_saw_a_cut() {
        let (_, groups) = groups(group(250).chain(group(250)).chain(group(90)).chain(group(250)));
        assert_eq!(groups.iter().map(|group| group.is_off_beat).collect::<Vec<_>>(), [false, false, false, true]);
    }

    #[test]
    fn on_a_fixed_beat_a_large_unit_betrays_the_cut() {
        let with_cut = group(50).enumerate().map(|(index, unit)| if index == 20 { (30_000, false) } else { unit });
        let (_, groups) = groups(group(50).chain(with_cut).chain(group(50)));
        assert_eq!(
            groups.iter().map(|group| (group.is_off_beat, group.spike.map(|spike| spike.units))).collect::<Vec<_>>(),
            [(false, None), (false, Some(21 + REORDERED_UNITS)), (false, None)]
        );
    }

    #[test]
    fn of_a_stream_of_key_frames_two_a_second_are_decoded() {
        let (admitted, groups) = groups((0..100).map(|_| (50_000, true)));
        assert_eq!((admitted, groups.len()), (8, 8));
        assert!(groups.iter().all(|group| !group.is_off_beat || group.start > MediaTime::ZERO));
    }
}
