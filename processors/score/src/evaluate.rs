//! How good a detection is: the usual measures of moment retrieval, ranking and segmentation, by their usual definitions.

use domain::Span;
use std::ops::Range;

/// The thresholds of mAP@avg in QVHighlights (Lei et al. 2021): .5 to .95 in steps of .05.
pub const IOU_THRESHOLDS: [f64; 10] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];

/// R1@IoU: 1 if the best prediction reaches `iou` with any true span (mean over videos: recall at 1, QVHighlights).
#[must_use]
pub fn recall_at_1(predicted: &[Span], truth: &[Span], iou: f64) -> f64 {
    let hit = predicted.first().is_some_and(|first| truth.iter().any(|span| span.iou(*first) >= iou));
    if hit { 1.0 } else { 0.0 }
}

/// Average precision at one IoU: predictions best first, each true span matched once by the best free prediction (ActivityNet),
/// area under the precision made monotone.
#[must_use]
pub fn average_precision(predicted: &[Span], truth: &[Span], iou: f64) -> f64 {
    let mut is_taken = vec![false; truth.len()];
    let mut precisions = Vec::new();
    let mut hits = 0.0;
    for (rank, span) in predicted.iter().enumerate() {
        let mut by_iou: Vec<usize> = (0..truth.len()).collect();
        by_iou.sort_by(|&a, &b| truth[b].iou(*span).total_cmp(&truth[a].iou(*span)).then(a.cmp(&b)));
        if let Some(&matched) = by_iou.iter().find(|&&at| !is_taken[at] && truth[at].iou(*span) >= iou) {
            is_taken[matched] = true;
            hits += 1.0;
            precisions.push(hits / (rank + 1) as f64);
        }
    }
    for at in (1..precisions.len()).rev() {
        precisions[at - 1] = precisions[at - 1].max(precisions[at]);
    }
    if precisions.is_empty() { 0.0 } else { precisions.iter().sum::<f64>() / truth.len() as f64 }
}

/// mAP@avg of one video: the mean of [`average_precision`] over [`IOU_THRESHOLDS`].
#[must_use]
pub fn average_precision_mean(predicted: &[Span], truth: &[Span]) -> f64 {
    IOU_THRESHOLDS.iter().map(|&iou| average_precision(predicted, truth, iou)).sum::<f64>() / IOU_THRESHOLDS.len() as f64
}

/// NDCG at `k` with gains `2^grade − 1` (Burges et al. 2005). `grades` are in predicted order; `all` are the grades there were to find.
#[must_use]
pub fn ndcg(grades: &[f64], all: &[f64], k: usize) -> f64 {
    let gain = |grades: &[f64]| -> f64 {
        let discounted = grades.iter().take(k).enumerate().map(|(rank, grade)| (grade.exp2() - 1.0) / ((rank + 2) as f64).log2());
        discounted.sum()
    };
    let mut ideal = all.to_vec();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let best = gain(&ideal);
    if best > 0.0 { gain(grades) / best } else { 0.0 }
}

/// The window of [`pk`] and [`window_diff`]: half the mean true segment, at least 2.
#[must_use]
pub fn window(truth: &[Range<usize>]) -> usize {
    let units: usize = truth.iter().map(Range::len).sum();
    ((units as f64 / truth.len().max(1) as f64 / 2.0).round() as usize).max(2)
}

/// Pk (Beeferman, Berger, Lafferty 1999): how often two units `k` apart are wrongly told to be in one segment or in two; 0 is perfect.
#[must_use]
pub fn pk(predicted: &[Range<usize>], truth: &[Range<usize>], k: usize) -> f64 {
    windows(predicted, truth, k, |a, b| (a == 0) != (b == 0))
}

/// WindowDiff (Pevzner, Hearst 2002): how often a window of `k` units holds a wrong number of boundaries; 0 is perfect.
#[must_use]
pub fn window_diff(predicted: &[Range<usize>], truth: &[Range<usize>], k: usize) -> f64 {
    windows(predicted, truth, k, |a, b| a != b)
}

fn windows(predicted: &[Range<usize>], truth: &[Range<usize>], k: usize, differs: fn(usize, usize) -> bool) -> f64 {
    let units = truth.last().map_or(0, |range| range.end);
    let Some(count) = units.checked_sub(k).filter(|count| *count > 0) else { return 0.0 };
    // A boundary lies before unit `start`; the window from `i` to `i + k` crosses it when `i < start <= i + k`.
    let crossed = |ranges: &[Range<usize>], i: usize| ranges.iter().skip(1).filter(|range| i < range.start && range.start <= i + k).count();
    let wrong = (0..count).filter(|&i| differs(crossed(predicted, i), crossed(truth, i))).count();
    wrong as f64 / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::MediaTime;

    fn span(start: u64, end: u64) -> Span {
        Span::new(MediaTime::from_millis(start), MediaTime::from_millis(end)).unwrap()
    }

    #[test]
    fn average_precision_is_the_area_under_monotone_precision() {
        let truth = [span(0, 10), span(20, 30)];
        // Hit, miss, hit: precisions 1 and 2/3.
        let predicted = [span(0, 10), span(40, 50), span(20, 30)];
        assert!((average_precision(&predicted, &truth, 0.5) - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        // Miss, hit, hit: precisions 1/2 and 2/3, made monotone 2/3 and 2/3.
        let predicted = [span(40, 50), span(0, 10), span(20, 30)];
        assert!((average_precision(&predicted, &truth, 0.5) - 2.0 / 3.0).abs() < 1e-12);
        // A second prediction of the same truth is a miss.
        let predicted = [span(0, 10), span(0, 9)];
        assert_eq!(average_precision(&predicted, &truth, 0.5), 0.5);
        assert_eq!(average_precision(&[], &truth, 0.5), 0.0);
    }

    #[test]
    fn thresholds_are_reached_from_above() {
        let truth = [span(0, 10)];
        assert_eq!(recall_at_1(&[span(0, 5)], &truth, 0.5), 1.0);
        assert_eq!(recall_at_1(&[span(0, 5)], &truth, 0.7), 0.0);
        assert_eq!(average_precision_mean(&[span(0, 10)], &truth), 1.0);
        // IoU 0.7 reaches .5, .55, .6, .65 and .7: five of ten.
        assert_eq!(average_precision_mean(&[span(0, 7)], &truth), 0.5);
    }

    #[test]
    fn ndcg_discounts_by_rank() {
        assert_eq!(ndcg(&[3.0, 2.0, 0.0], &[3.0, 2.0, 0.0], 5), 1.0);
        // 3 / log2(3) + 7 / log2(4), of 7 + 3 / log2(3).
        let expected = (3.0 / 3f64.log2() + 3.5) / (7.0 + 3.0 / 3f64.log2());
        assert!((ndcg(&[0.0, 2.0, 3.0], &[3.0, 2.0], 5) - expected).abs() < 1e-12);
        assert_eq!(ndcg(&[0.0, 4.0], &[4.0], 1), 0.0);
    }

    #[test]
    fn a_perfect_segmentation_has_no_error() {
        let truth = [0..4, 4..9, 9..12];
        assert_eq!(window(&truth), 2);
        assert_eq!((pk(&truth, &truth, 2), window_diff(&truth, &truth, 2)), (0.0, 0.0));
        // A boundary one unit late: two of the ten windows see a boundary in one and none in the other.
        let late = [0..5, 5..9, 9..12];
        assert_eq!((pk(&late, &truth, 2), window_diff(&late, &truth, 2)), (0.2, 0.2));
    }
}
