//! Sums and peaks over runs of sentences in constant time.

use std::ops::Range;

/// Sums over any range in constant time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sums(Vec<f64>);

impl Sums {
    pub(crate) fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut total = 0.0;
        let mut sums = vec![0.0];
        for value in values {
            total += value;
            sums.push(total);
        }
        Self(sums)
    }

    pub(crate) fn of(&self, range: &Range<usize>) -> f64 {
        self.0[range.end] - self.0[range.start]
    }

    pub(crate) fn mean(&self, range: &Range<usize>) -> f64 {
        self.of(range) / range.len().max(1) as f64
    }
}

/// The place of the largest value of any range in constant time; the first of equals.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Peaks {
    values: Vec<f64>,
    /// `levels[k][i]` is the place of the largest of the `2^k` values from `i`.
    levels: Vec<Vec<usize>>,
}

impl Peaks {
    pub(crate) fn new(values: Vec<f64>) -> Self {
        let mut levels: Vec<Vec<usize>> = vec![(0..values.len()).collect()];
        let mut width = 1;
        while width * 2 <= values.len() {
            let last = &levels[levels.len() - 1];
            let next = (0..=values.len() - width * 2).map(|i| higher(&values, last[i], last[i + width])).collect();
            levels.push(next);
            width *= 2;
        }
        Self { values, levels }
    }

    /// Returns the place of the largest value in a range that is not empty.
    pub(crate) fn place(&self, range: &Range<usize>) -> usize {
        let level = range.len().max(1).ilog2() as usize;
        let row = &self.levels[level];
        higher(&self.values, row[range.start], row[range.end - (1 << level)])
    }

    pub(crate) fn value(&self, place: usize) -> f64 {
        self.values[place]
    }
}

fn higher(values: &[f64], left: usize, right: usize) -> usize {
    if values[right] > values[left] { right } else { left }
}

/// Returns the value below which a part `share` of the sorted values lies, between neighbours linearly.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

/// Returns each value's rank among all, 0 to 1; equal values share the middle of their ranks, and a constant ranks 0.5.
pub(crate) fn percentiles(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.5; values.len()];
    let mut from = 0;
    while from < order.len() {
        let equal = order[from..].iter().take_while(|&&i| values[i] == values[order[from]]).count();
        let middle = (from as f64 + equal as f64 / 2.0) / values.len() as f64;
        order[from..from + equal].iter().for_each(|&i| ranks[i] = middle);
        from += equal;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn peaks_and_sums_agree_with_a_plain_loop(values in prop::collection::vec(-5i32..5, 1..40), a in 0usize..40, b in 0usize..40) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let (a, b) = (a % values.len(), b % values.len());
            let range = a.min(b)..a.max(b) + 1;
            let peak = values[range.clone()].iter().copied().fold(f64::MIN, f64::max);
            let place = Peaks::new(values.clone()).place(&range);
            prop_assert!(range.contains(&place));
            prop_assert_eq!(values[place], peak);
            prop_assert_eq!(Sums::new(values.clone()).of(&range), values[range].iter().sum::<f64>());
        }
    }

    #[test]
    fn equal_values_share_a_percentile() {
        assert_eq!(percentiles(&[3.0, 1.0, 3.0, 7.0]), [0.5, 0.125, 0.5, 0.875]);
        assert_eq!(percentiles(&[2.0, 2.0]), [0.5, 0.5]);
        assert_eq!(quantile(&[4.0, 0.0, 2.0], 0.75), Some(3.0));
    }
}
