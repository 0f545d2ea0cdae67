//! Whose mouth moves while somebody is heard.

use super::Scene;
use super::arrange::Steps;
use super::tracks::Track;
use domain::artefact::Prosody;

/// Mouth motion is averaged over this many steps to each side, about 0.8 s in all: a syllable is too short to judge.
const SMOOTHING_STEPS: usize = 2;
/// How much more of the speech a challenger must have than the present speaker.
const MARGIN: f64 = 0.15;
/// Part of the pooled range that every face's own range is widened to, so that the noise of a still face is not taken for speech.
const POOLED_RANGE: f64 = 0.5;
/// Quieter than this nobody speaks, whatever the rest of the span is like.
const SILENCE_DB: f64 = -60.0;

/// Returns the index of the speaking track at every step. Where nobody is heard the last speaker stays; at first it is the widest.
pub(super) fn at_steps(tracks: &[Track], steps: &Steps, scene: &Scene<'_>) -> Vec<usize> {
    if tracks.len() < 2 {
        return vec![0; steps.count];
    }
    let audible = audibility(scene.levels, steps, scene);
    let activity = activities(tracks, steps);
    let hold = steps.at_least(super::arrange::SHORTEST_SECONDS);
    let (mut speaker, mut since) = (0, hold);
    let mut speakers = Vec::with_capacity(steps.count);
    for step in 0..steps.count {
        let from = step.saturating_sub(SMOOTHING_STEPS);
        let to = (step + SMOOTHING_STEPS + 1).min(steps.count);
        let heard = |track: &Vec<f64>| (from..to).map(|near| track[near] * audible[near]).sum::<f64>();
        let masses: Vec<f64> = activity.iter().map(heard).collect();
        let total: f64 = masses.iter().sum();
        let challenger = (0..masses.len()).fold(speaker, |best, track| if masses[track] > masses[best] { track } else { best });
        let is_clear = total > 0.0 && (masses[challenger] - masses[speaker]) / total > MARGIN;
        if challenger != speaker && is_clear && since >= hold {
            (speaker, since) = (challenger, 0);
        } else {
            since += 1;
        }
        speakers.push(speaker);
    }
    speakers
}

/// Returns mouth motion per track and step, about 0 to 1.5, against the quiet and the lively moments of that mouth.
fn activities(tracks: &[Track], steps: &Steps) -> Vec<Vec<f64>> {
    let motions: Vec<Vec<f64>> = tracks.iter().map(|track| motion_at_steps(track, steps)).collect();
    let pooled: Vec<f64> = motions.iter().flatten().copied().collect();
    let (quiet, lively) = percentiles(&pooled);
    let least_range = (lively - quiet) * POOLED_RANGE;
    let normalise = |motion: &Vec<f64>| {
        let (own_quiet, own_lively) = percentiles(motion);
        let range = (own_lively - own_quiet).max(least_range).max(f64::MIN_POSITIVE);
        motion.iter().map(|value| ((value - own_quiet) / range).clamp(0.0, 1.5)).collect()
    };
    motions.iter().map(normalise).collect()
}

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
