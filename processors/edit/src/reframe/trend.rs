//! L1 trend filtering with bounds (Kim, Koh, Boyd, Gorinevsky 2009; Grundmann, Kwatra, Essa 2011).
//!
//! The absolute values of distance to the target, speed, change of speed and change of acceleration are weighed against one
//! another, which gives stretches of rest, of even pans and of even acceleration. Solved by iteratively reweighted least squares,
//! one banded system per round: a minute takes milliseconds.

/// Weights against one second of being off target by the whole picture, in seconds, seconds² and seconds³.
mod weight {
    pub(super) const SPEED: f64 = 1.0;
    pub(super) const SPEED_CHANGE: f64 = 3.0;
    pub(super) const ACCELERATION_CHANGE: f64 = 1.0;
    /// Cutting into the room around a face is as bad as being this many times as far off target …
    pub(super) const FACE_OUTSIDE: f64 = 100.0;
    /// … and cutting into its core this many times.
    pub(super) const CORE_OUTSIDE: f64 = 3_000.0;
    /// Keeps the system solvable where no target is seen.
    pub(super) const RIDGE: f64 = 1e-7;
}
/// Rounds of reweighting; the residuals change by less than a hundredth of a pixel after about 35.
const ROUNDS: usize = 50;
/// Residuals count as zero below this, at first …
const EPSILON_FIRST: f64 = 0.05;
/// … and at last: a hundredth of a pixel.
const EPSILON_LAST: f64 = 5e-6;
/// By how much it shrinks each round.
const EPSILON_RATIO: f64 = 0.75;

/// How far a bound gives in the first round before it pushes with all its weight, as a part of the picture.
const GIVE: f64 = 0.02;

/// Where the middle of the crop can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// What one moment asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knot {
    /// Where the middle of the crop should be; `None` where no face is seen.
    pub(super) target: Option<f64>,
    /// Where it shows the faces with some room.
    pub(super) face: Bounds,
    /// Where it shows at least their cores.
    pub(super) core: Bounds,
}

/// Half the bandwidth of the system: third differences reach three knots back.
const REACH: usize = 3;
/// Rows of a symmetric banded matrix: `[row][d]` is the entry at (`row`, `row - d`).
type Banded = Vec<[f64; REACH + 1]>;

/// Coefficients of first, second and third differences, newest knot first.
const DIFFERENCES: [&[f64]; 3] = [&[1.0, -1.0], &[1.0, -2.0, 1.0], &[1.0, -3.0, 3.0, -1.0]];

/// Returns the path with the smallest sum over all knots, `seconds` apart.
pub(super) fn solve(knots: &[Knot], seconds: f64) -> Vec<f64> {
    let mut places = first_guess(knots);
    let smoothness = [weight::SPEED, weight::SPEED_CHANGE / seconds, weight::ACCELERATION_CHANGE / (seconds * seconds)];
    let mut forces = vec![[0.0; 4]; knots.len()];
    let mut epsilon = EPSILON_FIRST;
    for _ in 0..ROUNDS {
        let mut matrix: Banded = vec![[0.0; REACH + 1]; places.len()];
        let mut right = vec![0.0; places.len()];
        for (row, knot) in knots.iter().enumerate() {
            let (stiffness, pull) = wishes(knot, places[row], &mut forces[row], seconds, epsilon);
            (matrix[row][0], right[row]) = (stiffness, pull);
        }
        for (coefficients, weight) in DIFFERENCES.into_iter().zip(smoothness) {
            let reach = coefficients.len();
            for newest in reach - 1..places.len() {
                let residual: f64 = (0..reach).map(|back| coefficients[back] * places[newest - back]).sum();
                let weight = weight / residual.abs().max(epsilon);
                for (back, left) in coefficients.iter().enumerate() {
                    for (more, other) in coefficients.iter().enumerate().skip(back) {
                        matrix[newest - back][more - back] += weight * left * other;
                    }
                }
            }
        }
        places = solve_banded(matrix, right);
        epsilon = (epsilon * EPSILON_RATIO).max(EPSILON_LAST);
    }
    places
}

fn first_guess(knots: &[Knot]) -> Vec<f64> {
    let mut last = knots.iter().find_map(|knot| knot.target).unwrap_or(0.5);
    let mut guess = Vec::with_capacity(knots.len());
    for knot in knots {
        last = knot.target.unwrap_or(last);
        guess.push(last);
    }
    guess
}

/// Returns stiffness and pull of one knot: towards its target, and back inside its bounds.
///
/// Bounds are kept by the method of multipliers: `forces` holds how hard each one pushes, grows while it is crossed, and is at most
/// its weight. Reweighting them like the rest would hold every knot back that is far inside.
fn wishes(knot: &Knot, place: f64, forces: &mut [f64; 4], seconds: f64, epsilon: f64) -> (f64, f64) {
    let (mut stiffness, mut pull) = (weight::RIDGE, weight::RIDGE * place);
    if let Some(target) = knot.target {
        let near = seconds / (place - target).abs().max(epsilon);
        (stiffness, pull) = (stiffness + near, pull + near * target);
    }
    let (face, core) = (weight::FACE_OUTSIDE * seconds, weight::CORE_OUTSIDE * seconds);
    let sides = [(knot.face.high, 1.0, face), (knot.face.low, -1.0, face), (knot.core.high, 1.0, core), (knot.core.low, -1.0, core)];
    for (force, (bound, direction, most)) in forces.iter_mut().zip(sides) {
        let spring = most / GIVE;
        let pushed = *force + spring * direction * (place - bound);
        if (0.0..most).contains(&pushed) {
            (stiffness, pull) = (stiffness + spring, pull + spring * bound - *force * direction);
        } else if pushed >= most {
            // A constant push alone would throw the knot anywhere; this one has the same strength here and ends at the bound.
            let weight = most / (place - bound).abs().max(epsilon);
            (stiffness, pull) = (stiffness + weight, pull + weight * bound);
        }
        *force = pushed.clamp(0.0, most);
    }
    (stiffness, pull)
}

/// Solves a symmetric, positive definite banded system by its L·D·Lᵀ factors.
fn solve_banded(mut matrix: Banded, mut right: Vec<f64>) -> Vec<f64> {
    let count = right.len();
    for row in 0..count {
        for back in (1..=REACH.min(row)).rev() {
            let column = row - back;
            let mut value = matrix[row][back];
            for further in back + 1..=REACH.min(row) {
                if further - back <= REACH {
                    value -= matrix[row][further] * matrix[column][further - back];
                }
            }
            // Kept multiplied by its pivot until the row is done.
            matrix[row][back] = value;
        }
        let mut pivot = matrix[row][0];
        for back in 1..=REACH.min(row) {
            let scaled = matrix[row][back];
            let factor = scaled / matrix[row - back][0];
            pivot -= scaled * factor;
            matrix[row][back] = factor;
        }
        matrix[row][0] = pivot;
        for back in 1..=REACH.min(row) {
            right[row] -= matrix[row][back] * right[row - back];
        }
    }
    for row in (0..count).rev() {
        let mut value = right[row] / matrix[row][0];
        for ahead in 1..=REACH.min(count - 1 - row) {
            value -= matrix[row + ahead][ahead] * right[row + ahead];
        }
        right[row] = value;
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: f64 = 1.0 / 15.0;

    /// What the solver makes small.
    fn cost(places: &[f64], knots: &[Knot]) -> f64 {
        let mut cost = 0.0;
        for (place, knot) in places.iter().zip(knots) {
            cost += SECONDS * knot.target.map_or(0.0, |target| (place - target).abs());
            for (bounds, weight) in [(knot.face, weight::FACE_OUTSIDE), (knot.core, weight::CORE_OUTSIDE)] {
                cost += weight * SECONDS * ((place - bounds.high).max(0.0) + (bounds.low - place).max(0.0));
            }
        }
        let smoothness = [weight::SPEED, weight::SPEED_CHANGE / SECONDS, weight::ACCELERATION_CHANGE / (SECONDS * SECONDS)];
        for (coefficients, weight) in DIFFERENCES.into_iter().zip(smoothness) {
            for newest in coefficients.len() - 1..places.len() {
                cost += weight * (0..coefficients.len()).map(|back| coefficients[back] * places[newest - back]).sum::<f64>().abs();
            }
        }
        cost
    }

    fn knots(path: impl Fn(f64) -> f64, room: f64, count: usize) -> Vec<Knot> {
        let around = |target: f64, room: f64| Bounds { low: target - room, high: target + room };
        let knot = |target: f64| Knot { target: Some(target), face: around(target, room), core: around(target, room * 1.5) };
        (0..count).map(|index| knot(path(index as f64 * SECONDS))).collect()
    }

    #[test]
    fn no_nearby_path_is_better_by_half_a_percent() {
        let walk = |at: f64| 0.3 + 0.4 * ((at - 3.0) / 3.0).clamp(0.0, 1.0) + 0.02 * (at * 2.0).sin();
        let knots = knots(walk, 0.09, 150);
        let places = solve(&knots, SECONDS);
        let found = cost(&places, &knots);
        for (centre, width) in (0..150).step_by(7).flat_map(|centre| [(centre, 3.0), (centre, 12.0), (centre, 40.0), (centre, 1e6)]) {
            for size in [-3e-3, -3e-4, 3e-4, 3e-3] {
                let bump = |index: usize| size * (1.0 - (index as f64 - f64::from(centre)).abs() / width).max(0.0);
                let other: Vec<f64> = places.iter().enumerate().map(|(index, place)| place + bump(index)).collect();
                assert!(cost(&other, &knots) > found * 0.995, "a bump of {size} at {centre} makes {} of {found}", cost(&other, &knots));
            }
        }
    }

    #[test]
    fn a_resting_target_gives_a_resting_camera_and_a_steady_one_a_steady_pan() {
        let rest = solve(&knots(|_| 0.4, 0.1, 60), SECONDS);
        assert!(rest.iter().all(|place| (place - 0.4).abs() < 1e-6), "{rest:?}");
        let pan = solve(&knots(|at| 0.2 + 0.03 * at, 0.1, 200), SECONDS);
        let speeds: Vec<f64> = pan.windows(2).map(|pair| (pair[1] - pair[0]) / SECONDS).collect();
        assert!(speeds[40..160].iter().all(|speed| (speed - 0.03).abs() < 1e-3), "{speeds:?}");
    }

    #[test]
    fn the_faces_stay_inside_even_when_they_run() {
        let knots = knots(|at| 0.3 + 0.4 * ((at - 4.0) / 0.7).clamp(0.0, 1.0), 0.05, 120);
        let places = solve(&knots, SECONDS);
        for (place, knot) in places.iter().zip(&knots) {
            assert!(*place > knot.core.low - 1e-3 && *place < knot.core.high + 1e-3, "{place} for {knot:?}");
        }
    }

    #[test]
    fn the_banded_system_is_solved() {
        let count = 9_usize;
        let entry = |row: usize, column: usize| match row.abs_diff(column) {
            0 => 10.0 + row as f64,
            back @ 1..=REACH => 1.0 / (back as f64 + row.max(column) as f64),
            _ => 0.0,
        };
        let expected: Vec<f64> = (0..count).map(|index| (index as f64 - 4.0) / 3.0).collect();
        let right = (0..count).map(|row| (0..count).map(|column| entry(row, column) * expected[column]).sum()).collect();
        let below = |row: usize| std::array::from_fn(|back| if back <= row { entry(row, row - back) } else { 0.0 });
        let found = solve_banded((0..count).map(below).collect(), right);
        assert!(found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found:?}");
    }
}
