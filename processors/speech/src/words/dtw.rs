//! Median filter and dynamic time warping, on plain numbers.

/// Replaces each number of a row by the median of the seven around it; the edges are mirrored. Rows of three or less stay.
pub(super) fn median_filter(row: &mut [f32]) {
    const REACH: usize = 3;
    let length = row.len();
    if length <= REACH {
        return;
    }
    let mut padded = Vec::with_capacity(length + 2 * REACH);
    padded.extend((1..=REACH).rev().map(|index| row[index]));
    padded.extend_from_slice(row);
    padded.extend((1..=REACH).map(|index| row[length - 1 - index]));
    // Whole rows go through a sorting network, so that the compiler makes vector code of it.
    let mut lanes: [&[f32]; 7] = [&[]; 7];
    for (offset, lane) in lanes.iter_mut().enumerate() {
        *lane = &padded[offset..offset + length];
    }
    for (index, value) in row.iter_mut().enumerate() {
        *value = median_of_seven(std::array::from_fn(|lane| lanes[lane][index]));
    }
}

/// Devillard's network of 13 exchanges.
#[inline(always)]
fn median_of_seven(mut values: [f32; 7]) -> f32 {
    const EXCHANGES: [(usize, usize); 13] =
        [(0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4)];
    for (low, high) in EXCHANGES {
        let (a, b) = (values[low], values[high]);
        values[low] = if a < b { a } else { b };
        values[high] = if a < b { b } else { a };
    }
    values[3]
}

/// Returns for each row of `gain` (rows × columns) the column at which the path of largest gain enters it.
///
/// The path goes from the first cell to the last, by one row, one column or both at a time; ties go as in the reference.
pub(super) fn entries(gain: &[f32], columns: usize) -> Vec<usize> {
    if columns == 0 || gain.is_empty() {
        return vec![];
    }
    let rows = gain.len() / columns;
    let moves = cheapest_moves(gain, rows, columns);
    let mut entries = vec![0; rows];
    let (mut row, mut column) = (rows, columns);
    while row > 0 || column > 0 {
        if row > 0 {
            // Walking backwards, the last write is the earliest column.
            entries[row - 1] = column.saturating_sub(1);
        }
        match moves[row * (columns + 1) + column] {
            Move::Both => (row, column) = (row - 1, column - 1),
            Move::Row => row -= 1,
            Move::Column => column -= 1,
        }
    }
    entries
}

#[derive(Clone, Copy)]
enum Move {
    Both,
    Row,
    Column,
}

/// Returns the last move of the cheapest path to each cell, with a row and a column before the first.
fn cheapest_moves(gain: &[f32], rows: usize, columns: usize) -> Vec<Move> {
    let width = columns + 1;
    let mut moves = vec![Move::Column; (rows + 1) * width];
    let mut above = vec![f32::INFINITY; width];
    above[0] = 0.0;
    let mut current = vec![f32::INFINITY; width];
    for row in 1..=rows {
        current[0] = f32::INFINITY;
        moves[row * width] = Move::Row;
        let gains = &gain[(row - 1) * columns..row * columns];
        for column in 1..=columns {
            let (both, up, left) = (above[column - 1], above[column], current[column - 1]);
            let (before, step) = if both < up && both < left {
                (both, Move::Both)
            } else if up < both && up < left {
                (up, Move::Row)
            } else {
                (left, Move::Column)
            };
            current[column] = before - gains[column - 1];
            moves[row * width + column] = step;
        }
        std::mem::swap(&mut above, &mut current);
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_seven_is_the_middle_one() {
        let mut state = 1u32;
        for _ in 0..2_000 {
            let values: [f32; 7] = std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 28) as f32
            });
            let mut sorted = values;
            sorted.sort_by(f32::total_cmp);
            assert_eq!(median_of_seven(values), sorted[3], "{values:?}");
        }
    }

    #[test]
    fn a_median_filter_removes_a_spike_and_mirrors_the_edges() {
        let mut row = [0.0, 0.0, 9.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        median_filter(&mut row);
        assert_eq!(row, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let mut short = [3.0, 1.0];
        median_filter(&mut short);
        assert_eq!(short, [3.0, 1.0]);
    }

    #[test]
    fn the_path_follows_the_largest_gain() {
        // As in real weights, what is not looked at lies below the mean; with zeros there would be ties.
        let gain = [
            1.0, 1.0, -1.0, -1.0, -1.0, -1.0, //
            -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, //
            -1.0, -1.0, -1.0, 1.0, 1.0, 1.0,
        ];
        assert_eq!(entries(&gain, 6), [0, 2, 3]);
    }

    #[test]
    fn one_row_is_entered_at_the_first_column() {
        assert_eq!(entries(&[0.0, 5.0, 0.0], 3), [0]);
        assert!(entries(&[], 0).is_empty());
    }
}
