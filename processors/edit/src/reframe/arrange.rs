//! What each piece of a shot shows: one face, the faces together, or the whole picture. Decided by dynamic programming.

use super::crop::FACE_CORE;
use super::speaker::{self, Speaker};
use super::tracks::Track;
use super::{Crop, Scene, Stretch};

/// A piece that we cut out of a shot ourselves is never shorter: quicker changes look like mistakes.
pub(crate) const SHORTEST_SECONDS: f64 = 1.2;
/// Grid of the decision.
const STEP_SECONDS: f64 = 0.2;
/// What a change inside a shot must win: showing the speaker instead of a listener for about a second and a half.
const CHANGE_COST: f64 = 3.0;
/// What a change between face and whole picture at a cut must win: the eye expects something new there.
const CHANGE_AT_CUT_COST: f64 = 0.5;
/// A face this wide is worth a crop; the whole picture wins over one of half this width.
const GOOD_WIDTH: f64 = 0.06;
/// Part of the steps at which all faces must fit the crop together for it to be a choice.
const TOGETHER_MIN: f64 = 0.9;
/// Part of the crop that faces together may fill.
const TOGETHER_FILL: f64 = 0.92;

/// A face that is this many times as wide as every other begins to dominate its shot …
const WIDER_FROM: f64 = 1.4;
/// … and from here on it does.
const WIDER_AT: f64 = 2.0;

/// What a step is worth by what is shown.
mod worth {
    pub(super) const WHOLE: f64 = 0.5;
    pub(super) const SPEAKER: f64 = 1.0;
    /// One of several faces of the same size when nobody knows who speaks: less than the whole picture, which shows them all.
    pub(super) const ANYONE: f64 = 0.42;
    /// What a face gains that is far wider than every other: whoever speaks, it is what the shot is about.
    pub(super) const LARGEST: f64 = 0.4;
    pub(super) const LISTENER: f64 = 0.2;
    pub(super) const TOGETHER: f64 = 0.92;
}

/// What a piece shows.
#[derive(Clone, Debug)]
pub(super) enum Target<'a> {
    /// The whole picture.
    Whole,
    /// These faces, at least one.
    Faces(Vec<&'a Track>),
}

/// A run of frames with one target.
#[derive(Clone, Debug)]
pub(super) struct Piece<'a> {
    pub(super) first_frame: u64,
    pub(super) frames: u64,
    pub(super) target: Target<'a>,
}

/// The grid of one stretch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    stretch: Stretch,
    step_frames: u64,
    /// How many steps there are, at least one; the last may be shorter.
    pub(super) count: usize,
    seconds_per_step: f64,
}

impl Steps {
    fn of_stretch(stretch: Stretch, scene: &Scene<'_>) -> Self {
        let step_frames = scene.timeline.frames_in(STEP_SECONDS);
        let count = stretch.frames.div_ceil(step_frames) as usize;
        Self { stretch, step_frames, count, seconds_per_step: step_frames as f64 / scene.timeline.rate.per_second() }
    }

    /// Returns the step that a frame of the stretch belongs to.
    pub(super) fn of(&self, frame: u64) -> usize {
        ((frame.saturating_sub(self.stretch.first_frame) / self.step_frames) as usize).min(self.count - 1)
    }

    /// Returns the first frame of a step and the first one after it.
    pub(super) fn frames(&self, step: usize) -> (u64, u64) {
        (self.boundary(step), self.boundary(step + 1))
    }

    /// Returns how many steps last at least `seconds`.
    pub(super) fn at_least(&self, seconds: f64) -> usize {
        (seconds / self.seconds_per_step - 1e-9).ceil() as usize
    }

    fn boundary(&self, step: usize) -> u64 {
        (self.stretch.first_frame + step as u64 * self.step_frames).min(self.stretch.end())
    }
}

/// How the pieces before some step can end.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// What they are worth together.
    worth: f64,
    /// First step of the last one.
    first: usize,
    /// Target of the one before it.
    before: usize,
}

/// A choice for a stretch: pieces as (first step, target index), and what they are worth together.
#[derive(Clone, Debug)]
struct Route {
    worth: f64,
    pieces: Vec<(usize, usize)>,
}

/// Returns pieces that cover every frame once, in order.
pub(super) fn pieces<'a>(stretches: &[Stretch], tracked: &'a [Vec<Track>], scene: &Scene<'_>) -> Vec<Piece<'a>> {
    let grids: Vec<Steps> = stretches.iter().map(|stretch| Steps::of_stretch(*stretch, scene)).collect();
    let choices: Vec<Vec<Target<'a>>> = grids.iter().zip(tracked).map(|(steps, tracks)| targets(tracks, steps, scene.crop)).collect();
    // `reached[kind]`: the best worth of everything so far that ends in the whole picture (0) or in faces (1).
    let mut reached = [Some(0.0), Some(0.0)];
    let mut trail: Vec<[Option<(usize, Route)>; 2]> = Vec::with_capacity(grids.len());
    for (index, (steps, targets)) in grids.iter().zip(&choices).enumerate() {
        let worths = worths(targets, &tracked[index], steps, scene);
        let mut arrivals: [Option<(f64, usize, Route)>; 2] = [None, None];
        for (before, worth_before) in reached.iter().enumerate() {
            let Some(worth_before) = worth_before else { continue };
            let entry: Vec<f64> = targets.iter().map(|target| entry_cost(index, before, kind(target))).collect();
            for (target, route) in routes(&worths, &entry, steps).into_iter().enumerate() {
                let Some(route) = route else { continue };
                let arrival = &mut arrivals[kind(&targets[target])];
                let total = worth_before + route.worth;
                if arrival.as_ref().is_none_or(|(most, ..)| total > *most) {
                    *arrival = Some((total, before, route));
                }
            }
        }
        reached = [0, 1].map(|kind: usize| arrivals[kind].as_ref().map(|(worth, ..)| *worth));
        trail.push(arrivals.map(|arrival| arrival.map(|(_, before, route)| (before, route))));
    }
    let mut end = if reached[1] > reached[0] { 1 } else { 0 };
    let mut pieces = Vec::new();
    for ((steps, targets), arrivals) in grids.iter().zip(&choices).zip(&trail).rev() {
        let (before, route) = arrivals[end].as_ref().expect("a reached kind has a route");
        for (position, (first, target)) in route.pieces.iter().enumerate().rev() {
            let last = route.pieces.get(position + 1).map_or(steps.count, |(next, _)| *next);
            let first_frame = steps.boundary(*first);
            pieces.push(Piece { first_frame, frames: steps.boundary(last) - first_frame, target: targets[*target].clone() });
        }
        end = *before;
    }
    pieces.reverse();
    pieces
}

fn kind(target: &Target<'_>) -> usize {
    usize::from(matches!(target, Target::Faces(_)))
}

fn entry_cost(stretch: usize, before: usize, after: usize) -> f64 {
    if stretch == 0 || before == after { 0.0 } else { CHANGE_AT_CUT_COST }
}

fn targets<'a>(tracks: &'a [Track], steps: &Steps, crop: Crop) -> Vec<Target<'a>> {
    let mut targets = vec![Target::Whole];
    targets.extend(tracks.iter().map(|track| Target::Faces(vec![track])));
    let fit_together = (0..steps.count).filter(|step| fits_together(tracks, steps.frames(*step).0, crop)).count();
    if tracks.len() > 1 && fit_together as f64 >= TOGETHER_MIN * steps.count as f64 {
        targets.push(Target::Faces(tracks.iter().collect()));
    }
    targets
}

fn fits_together(tracks: &[Track], frame: u64, crop: Crop) -> bool {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for track in tracks {
        let Some(rect) = track.rect_at(frame) else { return false };
        let (middle, size) = crop.along(rect);
        (low, high) = (low.min(middle - size / 2.0), high.max(middle + size / 2.0));
    }
    high - low <= crop.extent * TOGETHER_FILL
}

/// Returns what each target is worth at each step.
fn worths(targets: &[Target<'_>], tracks: &[Track], steps: &Steps, scene: &Scene<'_>) -> Vec<Vec<f64>> {
    let roles = roles(tracks, &speaker::at_steps(tracks, steps, scene));
    let at = |index: usize, step: usize| match &targets[index] {
        Target::Whole => worth::WHOLE,
        Target::Faces(faces) => match faces.as_slice() {
            // Single faces stand in the order of their tracks, after the whole picture.
            [face] => roles[index - 1][step] * visibility(face, steps.frames(step).0, scene.crop),
            together if together.iter().all(|face| face.rect_at(steps.frames(step).0).is_some()) => worth::TOGETHER,
            _ => 0.0,
        },
    };
    (0..targets.len()).map(|index| (0..steps.count).map(|step| at(index, step)).collect()).collect()
}

/// Returns what each track is worth at each step by whether it speaks.
fn roles(tracks: &[Track], speakers: &[Speaker]) -> Vec<Vec<f64>> {
    let role = |track: usize, speaker: &Speaker| {
        let others = tracks.iter().enumerate().filter(|(other, _)| *other != track);
        let widest_other = others.map(|(_, other)| other.width()).fold(f64::MIN_POSITIVE, f64::max);
        let anyone = worth::ANYONE
            + worth::LARGEST * ((tracks[track].width() / widest_other - WIDER_FROM) / (WIDER_AT - WIDER_FROM)).clamp(0.0, 1.0);
        let known = if speaker.track == track { worth::SPEAKER } else { worth::LISTENER };
        anyone + (known - anyone) * speaker.clarity
    };
    (0..tracks.len()).map(|track| speakers.iter().map(|speaker| role(track, speaker)).collect()).collect()
}

/// Returns how much of a face a crop can show, and whether it is worth showing, 0 to 1.
fn visibility(face: &Track, frame: u64, crop: Crop) -> f64 {
    let Some(rect) = face.rect_at(frame) else { return 0.0 };
    let (_, size) = crop.along(rect);
    let visible = (crop.extent / (size * FACE_CORE)).min(1.0);
    visible * (f64::from(rect.width) / GOOD_WIDTH).min(1.0)
}

/// Returns, for each target, the best route through a stretch that ends in it; `None` where no route of allowed pieces does.
///
/// A piece that is the whole stretch may be short, as both its ends are real cuts; every other one lasts at least the minimum.
fn routes(worths: &[Vec<f64>], entry: &[f64], steps: &Steps) -> Vec<Option<Route>> {
    let (count, states) = (steps.count, worths.len());
    let shortest = steps.at_least(SHORTEST_SECONDS);
    let sums: Vec<Vec<f64>> = worths.iter().map(|worth| prefix_sums(worth)).collect();
    let mut best: Vec<Vec<Option<Arrival>>> = vec![vec![None; states]; count + 1];
    // The best way to begin a piece in each state early enough; its worth is without the prefix sum where it begins.
    let mut start: Vec<Arrival> = (0..states).map(|state| Arrival { worth: -entry[state], first: 0, before: state }).collect();
    for step in 1..=count {
        // The last step may be shorter than the others, so a piece that ends there needs one more.
        let shortest = if step == count { shortest + 1 } else { shortest };
        if let Some(change) = step.checked_sub(shortest).filter(|change| *change > 0) {
            for state in 0..states {
                for before in (0..states).filter(|before| *before != state) {
                    let Some(arrival) = best[change][before] else { continue };
                    let worth = arrival.worth - CHANGE_COST - sums[state][change];
                    if worth > start[state].worth {
                        start[state] = Arrival { worth, first: change, before };
                    }
                }
            }
        }
        if step >= shortest || step == count {
            for state in 0..states {
                best[step][state] = Some(Arrival { worth: start[state].worth + sums[state][step], ..start[state] });
            }
        }
    }
    let route = |state: usize| best[count][state].map(|arrival| Route { worth: arrival.worth, pieces: walk_back(&best, state) });
    (0..states).map(route).collect()
}

fn walk_back(best: &[Vec<Option<Arrival>>], last: usize) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let (mut step, mut state) = (best.len() - 1, last);
    while let Some(arrival) = best[step][state] {
        pieces.push((arrival.first, state));
        if arrival.first == 0 {
            break;
        }
        (step, state) = (arrival.first, arrival.before);
    }
    pieces.reverse();
    pieces
}

fn prefix_sums(values: &[f64]) -> Vec<f64> {
    let mut sums = Vec::with_capacity(values.len() + 1);
    sums.push(0.0);
    for value in values {
        sums.push(sums[sums.len() - 1] + value);
    }
    sums
}
