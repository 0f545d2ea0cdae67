//! Interpolates between samples: along a row, and between two rows. The inner loops of scaling.
//!
//! Where the processor has AVX2, eight samples are made at a time; the bytes are the same without.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "a function for AVX2 may only be called where the processor has it"))]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm_add_epi16, _mm_cvtsi128_si64, _mm_maddubs_epi16, _mm_packus_epi16, _mm_set_epi64x, _mm_set1_epi16, _mm_shuffle_epi8, _mm_srli_epi16,
};

/// Weights are in 1/128: products with a byte then fit 16 bits, which vector units take eight or sixteen at a time.
const WEIGHT_BITS: i32 = 7;
const ONE: u16 = 1 << WEIGHT_BITS;

/// Samples that are made at once. Enlarged, they come from ten source samples at most, so that one load of sixteen has them all.
const GROUP: usize = 8;
const LOADED: usize = 16;

/// Where one output sample comes from: `index` and its follower, the follower with `weight`/128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    pub(super) index: usize,
    pub(super) weight: u16,
}

/// Where the samples of a row come from.
#[derive(Default)]
pub(super) struct Columns {
    taps: Vec<Tap>,
    groups: Vec<Group>,
}

/// Eight output samples: sixteen source samples from `first` on, which of them are paired, and their weights.
struct Group {
    first: usize,
    pairs: [u8; LOADED],
    weights: [u8; LOADED],
}

/// Returns the tap for a place between samples of a line of `length`; the edges are repeated.
pub(super) fn tap(position: f64, length: usize) -> Tap {
    let position = position.clamp(0.0, (length - 1) as f64);
    let index = (position as usize).min(length.saturating_sub(2));
    let weight = ((position - index as f64) * f64::from(ONE)).round() as u16;
    Tap { index, weight }
}

impl Columns {
    /// Makes them for `outputs` samples from the `size` samples after `start`, of a row of `length`; `size` is not above `outputs`.
    pub(super) fn set(&mut self, start: f64, size: f64, outputs: usize, length: usize) {
        let step = size / outputs as f64;
        self.taps.clear();
        self.taps.extend((0..outputs).map(|x| tap(start + (x as f64 + 0.5) * step - 0.5, length)));
        self.groups.clear();
        if length >= LOADED {
            self.groups.extend(self.taps.chunks_exact(GROUP).map(|taps| Group::new(taps, length)));
        }
    }

    /// Fills `to` from the row `from`.
    pub(super) fn stretch(&self, from: &[u8], to: &mut [u8]) {
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            unsafe { stretch_groups(&self.groups, from, to) };
            done = self.groups.len() * GROUP;
        }
        for (to, tap) in to.iter_mut().zip(&self.taps).skip(done) {
            let (left, right) = (u16::from(from[tap.index]), u16::from(from[(tap.index + 1).min(from.len() - 1)]));
            *to = ((left * (ONE - tap.weight) + right * tap.weight + ONE / 2) >> WEIGHT_BITS) as u8;
        }
    }
}

impl Group {
    fn new(taps: &[Tap], length: usize) -> Self {
        let first = taps[0].index.min(length - LOADED);
        let mut group = Self { first, pairs: [0; LOADED], weights: [0; LOADED] };
        let places = group.pairs.chunks_exact_mut(2).zip(group.weights.chunks_exact_mut(2));
        for (tap, (pair, weights)) in taps.iter().zip(places) {
            let left = (tap.index - first) as u8;
            // A weight is a signed byte to the processor: 128 of one sample is 64 of it twice.
            let (left, right, weight) = match tap.weight {
                0 => (left, left, ONE / 2),
                ONE => (left + 1, left + 1, ONE / 2),
                weight => (left, left + 1, weight),
            };
            pair.copy_from_slice(&[left, right]);
            weights.copy_from_slice(&[(ONE - weight) as u8, weight as u8]);
        }
        group
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn stretch_groups(groups: &[Group], from: &[u8], to: &mut [u8]) {
    let load = |bytes: &[u8; LOADED]| {
        let whole = u128::from_le_bytes(*bytes);
        _mm_set_epi64x((whole >> 64) as i64, whole as i64)
    };
    let half = _mm_set1_epi16((ONE / 2) as i16);
    for (to, group) in to.chunks_exact_mut(GROUP).zip(groups) {
        let source: &[u8; LOADED] = from[group.first..].first_chunk().expect("a group starts sixteen samples before the end");
        let pairs = _mm_shuffle_epi8(load(source), load(&group.pairs));
        let sums = _mm_add_epi16(_mm_maddubs_epi16(pairs, load(&group.weights)), half);
        let samples = _mm_srli_epi16::<WEIGHT_BITS>(sums);
        to.copy_from_slice(&_mm_cvtsi128_si64(_mm_packus_epi16(samples, samples)).to_le_bytes());
    }
}

/// Fills `to` with the mean of two rows, the lower with `weight`/128.
pub(super) fn mix(upper: &[u8], lower: &[u8], weight: u16, to: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { mix_wide(upper, lower, weight, to) };
    }
    mix_all(upper, lower, weight, to);
}

/// The compiler makes sixteen samples at a time of it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn mix_wide(upper: &[u8], lower: &[u8], weight: u16, to: &mut [u8]) {
    mix_all(upper, lower, weight, to);
}

#[inline(always)]
fn mix_all(upper: &[u8], lower: &[u8], weight: u16, to: &mut [u8]) {
    let rest = ONE - weight;
    for ((to, upper), lower) in to.iter_mut().zip(upper).zip(lower) {
        *to = ((u16::from(*upper) * rest + u16::from(*lower) * weight + ONE / 2) >> WEIGHT_BITS) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `stretch` shall give, one sample at a time.
    fn one_by_one(from: &[u8], start: f64, size: f64, outputs: usize) -> Vec<u8> {
        let sample = |x: usize| {
            let tap = tap(start + (x as f64 + 0.5) * size / outputs as f64 - 0.5, from.len());
            let (left, right) = (u32::from(from[tap.index]), u32::from(from[(tap.index + 1).min(from.len() - 1)]));
            ((left * u32::from(ONE - tap.weight) + right * u32::from(tap.weight) + 64) / 128) as u8
        };
        (0..outputs).map(sample).collect()
    }

    #[test]
    fn samples_in_groups_are_those_made_one_by_one() {
        let row: Vec<u8> = (0..400_u32).map(|x| (x.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut columns = Columns::default();
        for (length, start, size, outputs) in [
            (400, 0.0, 400.0, 400),
            (400, 100.5, 200.25, 356),
            (400, 391.3, 8.7, 1_080),
            (400, -3.0, 403.0, 407),
            (17, 0.25, 16.0, 19),
            (16, 0.0, 16.0, 64),
            (15, 0.0, 15.0, 64),
            (2, 0.0, 2.0, 9),
            (1, 0.0, 1.0, 9),
        ] {
            let from = &row[..length];
            columns.set(start, size, outputs, length);
            let mut to = vec![0; outputs];
            columns.stretch(from, &mut to);
            assert_eq!(to, one_by_one(from, start, size, outputs), "{outputs} from {size} at {start} of {length}");
        }
    }

    #[test]
    fn rows_mix_by_weight_to_the_last_sample() {
        let (upper, lower) = (vec![255; 45], vec![1; 45]);
        for (weight, expected) in [(0, 255), (ONE, 1), (ONE / 2, 128), (1, 253)] {
            let mut to = vec![0; 45];
            mix(&upper, &lower, weight, &mut to);
            assert_eq!(to, vec![expected; 45], "{weight}/128");
        }
    }
}
