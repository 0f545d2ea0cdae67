//! Whose mouth moves while somebody is heard.

use super::Scene;
use super::arrange::Steps;
use super::tracks::Track;
use domain::artefact::Prosody;

/// Mouth motion is averaged over this many steps to each side, about 1.8 s in all: a word is too short to judge.
const SMOOTHING_STEPS: usize = 4;
/// How much more of all mouth motion a challenger must have than the present speaker.
const MARGIN: f64 = 0.3;
/// A lead over the next mouth that boxes shaking on still faces give too, about twice its motion: up to it nothing is known, …
const LEAD_BY_CHANCE: f64 = 0.4;
/// … and from this one on, about five times its motion, it is clear who speaks.
const LEAD_CLEAR: f64 = 0.65;
/// Motion per step that is counted to nobody, so that a lead of next to nothing over nothing is none.
const MOTION_FLOOR: f64 = 0.002;
/// Quieter than this nobody speaks, whatever the rest of the span is like.
const SILENCE_DB: f64 = -60.0;

/// Who speaks at a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speaker {
    /// Index of the track.
    pub(super) track: usize,
    /// 0: anyone could be; 1: clearly this one.
    pub(super) clarity: f64,
}

/// Returns who speaks at every step. Where nobody is heard the last speaker stays; at first it is the widest face.
pub(super) fn at_steps(tracks: &[Track], steps: &Steps, scene: &Scene<'_>) -> Vec<Speaker> {
    if tracks.len() < 2 {
        return vec![Speaker { track: 0, clarity: 1.0 }; steps.count];
    }
    let audible = audibility(scene.levels, steps, scene);
    let motions: Vec<Vec<f64>> = tracks.iter().map(|track| motion_at_steps(track, steps)).collect();
    let hold = steps.at_least(super::arrange::SHORTEST_SECONDS);
    let (mut speaker, mut since) = (Speaker { track: 0, clarity: 0.0 }, hold);
    let mut speakers = Vec::with_capacity(steps.count);
    for step in 0..steps.count {
        let from = step.saturating_sub(SMOOTHING_STEPS);
        let to = (step + SMOOTHING_STEPS + 1).min(steps.count);
        let heard = |track: &Vec<f64>| (from..to).map(|near| track[near] * audible[near]).sum::<f64>();
        let masses: Vec<f64> = motions.iter().map(heard).collect();
        let floor = MOTION_FLOOR * audible[from..to].iter().sum::<f64>();
        let total = masses.iter().sum::<f64>() + floor;
        since += 1;
        if floor > 0.0 {
            let challenger = (0..masses.len()).fold(speaker.track, |best, track| if masses[track] > masses[best] { track } else { best });
            let is_ahead = (masses[challenger] - masses[speaker.track]) / total > MARGIN;
            if challenger != speaker.track && is_ahead && since > hold {
                (speaker.track, since) = (challenger, 0);
            }
            speaker.clarity = clarity(&masses, speaker.track, total);
        }
        speakers.push(speaker);
    }
    speakers
}

/// Returns how far the speaker is ahead of the next one, 0 to 1.
fn clarity(masses: &[f64], speaker: usize, total: f64) -> f64 {
    let others = masses.iter().enumerate().filter(|(track, _)| *track != speaker);
    let next = others.map(|(_, mass)| *mass).fold(0.0, f64::max);
    let lead = (masses[speaker] - next) / total;
    ((lead - LEAD_BY_CHANCE) / (LEAD_CLEAR - LEAD_BY_CHANCE)).clamp(0.0, 1.0)
}

/// Returns how much a mouth moved at each step, 0 where it was not seen.
fn motion_at_steps(track: &Track, steps: &Steps) -> Vec<f64> {
    let mut motion = vec![0.0_f64; steps.count];
    for sighting in &track.sightings {
        let step = steps.of(sighting.frame);
        motion[step] = motion[step].max(f64::from(sighting.mouth_motion));
    }
    motion
}

/// Returns how clearly somebody is heard at every step, 0 to 1, within this span's own quiet and loud moments.
fn audibility(levels: &Prosody, steps: &Steps, scene: &Scene<'_>) -> Vec<f64> {
    let level = |step: usize| {
        let (from, to) = steps.frames(step);
        let index = |frame: u64| (scene.timeline.source_time(frame).millis() / u64::from(levels.step_ms.max(1))) as usize;
        let window = levels.level_db.get(index(from)..index(to).min(levels.level_db.len())).unwrap_or_default();
        match window.len() {
            0 => None,
            count => Some(window.iter().map(|db| f64::from(*db)).sum::<f64>() / count as f64),
        }
    };
    let heard: Vec<Option<f64>> = (0..steps.count).map(level).collect();
    let known: Vec<f64> = heard.iter().flatten().copied().collect();
    let (quiet, loud) = percentiles(&known);
    let gate = |level: &Option<f64>| match level {
        // Without any sound track the mouths alone decide.
        None => 1.0,
        Some(db) if *db < SILENCE_DB => 0.0,
        Some(_) if loud - quiet < 1.0 => 1.0,
        Some(db) => ((db - quiet) / (loud - quiet)).clamp(0.0, 1.0),
    };
    heard.iter().map(gate).collect()
}

/// Returns the values that a fifth and four fifths of the values lie below.
fn percentiles(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| sorted.get(((sorted.len().max(1) - 1) as f64 * part).round() as usize).copied().unwrap_or(0.0);
    (at(0.2), at(0.8))
}
