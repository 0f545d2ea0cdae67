//! Averages samples where a picture shrinks: over rows, and along a row. The inner loops of scaling down.
//!
//! Where the processor has AVX2, many samples are made at a time; the bytes are the same without.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "a function for AVX2 may only be called where the processor has it"))]

use super::frame::{Plane, PlaneMut};
use super::scale::Crop;
use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm_add_epi32, _mm_cvtsi128_si32, _mm_madd_epi16, _mm_maddubs_epi16, _mm_packs_epi32, _mm_packus_epi16, _mm_set_epi64x, _mm_set1_epi16,
    _mm_set1_epi32, _mm_shuffle_epi8, _mm_srai_epi32,
};

/// Weights add up to 256: a sum of weighted bytes then fits 16 bits.
const WHOLE: u16 = 256;

/// Weights that a vector unit multiplies with bytes add up to 128, which is one more than it can hold in one.
const SMALL_WHOLE: u16 = 128;

/// Samples that one of a picture shrunk to half at most is made of; so many are multiplied at once.
const FEW: usize = 4;

/// Samples that are made at once, of `FEW` each, and how many bytes are loaded for them.
const GROUP: usize = 4;
const LOADED: usize = 16;

/// Different shrinkings in one picture: luma and chroma of the picture and its backdrop, across and down.
const WINDOWS_KEPT: usize = 8;

/// Shrinks planes; keeps from picture to picture what is the same.
#[derive(Default)]
pub(super) struct Shrinker {
    windows: Vec<Windows>,
    sums: Vec<u16>,
    row: Vec<u8>,
}

/// What the samples of a row, or the rows, are made of.
struct Windows {
    place: Place,
    /// The first of `taps` samples, for each.
    firsts: Vec<usize>,
    /// `taps` for each, which add up to `whole`.
    weights: Vec<u16>,
    taps: usize,
    whole: u16,
    groups: Vec<Group>,
}

/// `outputs` samples from the `size` samples after `start`, of a line of `length`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    start: f64,
    size: f64,
    outputs: usize,
    length: usize,
    is_row: bool,
}

/// Four output samples: sixteen source samples from `first` on, which of them are taken, and their weights.
struct Group {
    first: usize,
    taken: [u8; LOADED],
    weights: [u8; LOADED],
}

impl Shrinker {
    /// Fills `to` with `crop` of `from`, averaged with a triangle as wide as two output samples: down first, then across.
    pub(super) fn shrink(&mut self, from: &Plane<'_>, crop: Crop, to: &mut PlaneMut<'_>) {
        let across = self.take(Place { start: crop.left, size: crop.width, outputs: to.width, length: from.width, is_row: true });
        let down = self.take(Place { start: crop.top, size: crop.height, outputs: to.height, length: from.height, is_row: false });
        let used = across.used();
        self.row.resize(from.width, 0);
        for (y, (first, weights)) in down.firsts.iter().zip(down.weights.chunks_exact(down.taps)).enumerate() {
            let rows = |tap: usize| &from.row(first + tap)[used.clone()];
            self.sums.clear();
            self.sums.resize(used.len(), WHOLE / 2);
            for (index, weights) in weights.chunks(FEW).enumerate() {
                let at = index * FEW;
                match *weights {
                    [a, b, c, d] => add_four(&mut self.sums, [rows(at), rows(at + 1), rows(at + 2), rows(at + 3)], [a, b, c, d]),
                    _ => (at..).zip(weights).for_each(|(tap, weight)| add_one(&mut self.sums, rows(tap), *weight)),
                }
            }
            narrow(&self.sums, &mut self.row[used.clone()]);
            across.average(&self.row, to.row(y));
        }
        self.windows.extend([across, down]);
    }

    /// Takes the windows of a place out of those that are kept, or makes them.
    fn take(&mut self, place: Place) -> Windows {
        if let Some(index) = self.windows.iter().position(|windows| windows.place == place) {
            return self.windows.remove(index);
        }
        if self.windows.len() >= WINDOWS_KEPT {
            self.windows.remove(0);
        }
        Windows::new(place)
    }
}

impl Windows {
    fn new(place: Place) -> Self {
        let Place { start, size, outputs, length, is_row } = place;
        let step = size / outputs as f64;
        let radius = step.max(1.0);
        let last = (length - 1) as f64;
        let covered = |output: usize| {
            let centre = (start + (output as f64 + 0.5) * step - 0.5).clamp(0.0, last);
            let (first, end) = ((centre - radius).ceil().max(0.0) as usize, (centre + radius).floor().min(last) as usize);
            let parts: Vec<f64> = (first..=end).map(|at| (1.0 - (at as f64 - centre).abs() / radius).max(0.0)).collect();
            (first, parts)
        };
        let covered: Vec<(usize, Vec<f64>)> = (0..outputs).map(covered).collect();
        let most = covered.iter().map(|(_, parts)| parts.len()).max().unwrap_or(1);
        let taps = if most <= FEW { FEW.min(length) } else { most };
        let whole = if is_row && taps == FEW { SMALL_WHOLE } else { WHOLE };
        let mut windows =
            Self { place, firsts: Vec::with_capacity(outputs), weights: vec![0; outputs * taps], taps, whole, groups: vec![] };
        for ((first, parts), weights) in covered.iter().zip(windows.weights.chunks_exact_mut(taps)) {
            // At the end of the line a window starts earlier, with nothing.
            let start = (*first).min(length - taps);
            windows.firsts.push(start);
            share_out(parts, whole, &mut weights[first - start..]);
        }
        if whole == SMALL_WHOLE && length >= LOADED {
            let places = windows.firsts.chunks_exact(GROUP).zip(windows.weights.chunks_exact(GROUP * FEW));
            windows.groups = places.map_while(|(firsts, weights)| Group::new(firsts, weights, length)).collect();
        }
        windows
    }

    /// Returns the samples that are used at all.
    fn used(&self) -> Range<usize> {
        let first = self.groups.iter().map(|group| group.first).chain(self.firsts.first().copied()).min().unwrap_or(0);
        let loaded = self.groups.iter().map(|group| group.first + LOADED);
        first..loaded.chain(self.firsts.last().map(|first| first + self.taps)).max().unwrap_or(0)
    }

    /// Fills `to` from the row `from`.
    fn average(&self, from: &[u8], to: &mut [u8]) {
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            unsafe { average_groups(&self.groups, from, to) };
            done = self.groups.len() * GROUP;
        }
        let windows = self.firsts.iter().zip(self.weights.chunks_exact(self.taps));
        for (sample, (first, weights)) in to.iter_mut().zip(windows).skip(done) {
            let sum: u32 = from[*first..].iter().zip(weights).map(|(value, weight)| u32::from(*value) * u32::from(*weight)).sum();
            *sample = ((sum + u32::from(self.whole / 2)) / u32::from(self.whole)) as u8;
        }
    }
}

/// Makes whole weights of parts. Rounding the running total, not each part, makes them add up to `whole`.
fn share_out(parts: &[f64], whole: u16, weights: &mut [u16]) {
    let sum: f64 = parts.iter().sum();
    let (mut before, mut given) = (0.0, 0);
    for (weight, part) in weights.iter_mut().zip(parts) {
        before += part / sum * f64::from(whole);
        *weight = before.round() as u16 - given;
        given += *weight;
    }
}

impl Group {
    /// `None` if sixteen samples do not hold all that it is made of.
    fn new(firsts: &[usize], weights: &[u16], length: usize) -> Option<Self> {
        let first = firsts[0].min(length - LOADED);
        let mut group = Self { first, taken: [0; LOADED], weights: [0; LOADED] };
        let places = group.taken.chunks_exact_mut(FEW).zip(group.weights.chunks_exact_mut(FEW));
        for ((start, weights), (taken, bytes)) in firsts.iter().zip(weights.chunks_exact(FEW)).zip(places) {
            let offset = start - first;
            if offset + FEW > LOADED {
                return None;
            }
            for tap in 0..FEW {
                (taken[tap], bytes[tap]) = ((offset + tap) as u8, weights[tap] as u8);
            }
            // A weight is a signed byte to the processor: 128 of one sample is 64 of it twice.
            if let Some(only) = weights.iter().position(|weight| *weight == SMALL_WHOLE) {
                let other = (only + 1) % FEW;
                taken[other] = taken[only];
                (bytes[only], bytes[other]) = ((SMALL_WHOLE / 2) as u8, (SMALL_WHOLE / 2) as u8);
            }
        }
        Some(group)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn average_groups(groups: &[Group], from: &[u8], to: &mut [u8]) {
    let load = |bytes: &[u8; LOADED]| {
        let whole = u128::from_le_bytes(*bytes);
        _mm_set_epi64x((whole >> 64) as i64, whole as i64)
    };
    let (ones, half) = (_mm_set1_epi16(1), _mm_set1_epi32(i32::from(SMALL_WHOLE / 2)));
    for (to, group) in to.chunks_exact_mut(GROUP).zip(groups) {
        let source: &[u8; LOADED] = from[group.first..].first_chunk().expect("a group starts sixteen samples before the end");
        let taken = _mm_shuffle_epi8(load(source), load(&group.taken));
        let sums = _mm_madd_epi16(_mm_maddubs_epi16(taken, load(&group.weights)), ones);
        let samples = _mm_srai_epi32::<{ SMALL_WHOLE.trailing_zeros() as i32 }>(_mm_add_epi32(sums, half));
        let words = _mm_packs_epi32(samples, samples);
        to.copy_from_slice(&_mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes());
    }
}

/// Adds four weighted rows to `sums`.
fn add_four(sums: &mut [u16], rows: [&[u8]; FEW], weights: [u16; FEW]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { add_four_wide(sums, rows, weights) };
    }
    add_four_all(sums, rows, weights);
}

/// The compiler makes sixteen sums at a time of it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_four_wide(sums: &mut [u16], rows: [&[u8]; FEW], weights: [u16; FEW]) {
    add_four_all(sums, rows, weights);
}

#[inline(always)]
fn add_four_all(sums: &mut [u16], rows: [&[u8]; FEW], weights: [u16; FEW]) {
    let [a, b, c, d] = rows.map(|row| &row[..sums.len()]);
    for (index, sum) in sums.iter_mut().enumerate() {
        let weighted = |row: &[u8], weight: u16| u16::from(row[index]).wrapping_mul(weight);
        let pairs = weighted(a, weights[0]).wrapping_add(weighted(b, weights[1]));
        // All weights of a window together are 256, so that nothing wraps.
        *sum = sum.wrapping_add(pairs).wrapping_add(weighted(c, weights[2])).wrapping_add(weighted(d, weights[3]));
    }
}

fn add_one(sums: &mut [u16], row: &[u8], weight: u16) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum = sum.wrapping_add(u16::from(*value).wrapping_mul(weight));
    }
}

fn narrow(sums: &[u16], row: &mut [u8]) {
    for (value, sum) in row.iter_mut().zip(sums) {
        *value = (sum >> 8) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(start: f64, size: f64, outputs: usize, length: usize) -> Place {
        Place { start, size, outputs, length, is_row: true }
    }

    #[test]
    fn weights_add_up_at_every_place_and_size() {
        for place in [
            row(0.0, 1920.0, 68, 1920),
            row(3.3, 2000.0, 1080, 2160),
            row(10.5, 1090.0, 1080, 1920),
            row(0.0, 3.0, 2, 3),
            row(0.0, 1.0, 1, 1),
        ] {
            for place in [place, Place { is_row: false, ..place }] {
                let windows = Windows::new(place);
                assert_eq!(windows.firsts.len(), place.outputs);
                for (first, weights) in windows.firsts.iter().zip(windows.weights.chunks_exact(windows.taps)) {
                    assert_eq!(weights.iter().sum::<u16>(), windows.whole, "{place:?}");
                    assert!(first + windows.taps <= place.length, "{place:?}");
                }
            }
        }
    }

    #[test]
    fn samples_in_groups_are_those_made_one_by_one() {
        let line: Vec<u8> = (0..400_u32).map(|x| (x.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for place in [row(0.0, 400.0, 225, 400), row(100.5, 200.25, 199, 400), row(0.0, 17.0, 16, 17), row(0.0, 400.0, 400, 400)] {
            let windows = Windows::new(place);
            assert!(!windows.groups.is_empty(), "{place:?}");
            let alone = Windows { groups: vec![], ..Windows::new(place) };
            let (mut together, mut one_by_one) = (vec![0; place.outputs], vec![0; place.outputs]);
            windows.average(&line[..place.length], &mut together);
            alone.average(&line[..place.length], &mut one_by_one);
            assert_eq!(together, one_by_one, "{place:?}");
        }
    }

    #[test]
    fn four_rows_at_once_are_four_rows_one_by_one() {
        let rows: Vec<Vec<u8>> = (0..4_usize).map(|row| (0..45_usize).map(|x| (x * 37 + row * 91) as u8).collect()).collect();
        let weights = [100, 100, 50, 6];
        let (mut together, mut one_by_one) = (vec![128; 45], vec![128; 45]);
        add_four(&mut together, std::array::from_fn(|row| rows[row].as_slice()), weights);
        rows.iter().zip(weights).for_each(|(row, weight)| add_one(&mut one_by_one, row, weight));
        assert_eq!(together, one_by_one);
    }
}
