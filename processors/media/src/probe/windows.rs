//! Checks a file by decoding a little of it: the first frames and the last seconds.

use super::{ProbeError, Refusal, rate, whole};
use crate::decode::{DecodeError, Frames, Pcm, Pick, Sound, Unit};
use domain::artefact::MediaFacts;
use domain::{MediaTime, Span};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Time stamps are read this far from the start, and as far from the middle on: phones vary their rate with the light.
const RATE_WINDOW: MediaTime = MediaTime::from_millis(20_000);

/// Of these windows only so many units are decoded; the rest only shows its time stamps.
const DECODED_UNITS: usize = 30;

/// The last seconds are decoded to see whether they are there; several seconds, as some recordings have a key frame every ten.
const END_WINDOW: MediaTime = MediaTime::from_millis(3_000);

/// A file may end this much before what its container says: tracks differ in length, and the last frame may be shown long.
pub(super) const END_TOLERANCE: MediaTime = MediaTime::from_millis(1_500);

/// The time of units that have none; a real first frame is not missed among hundreds.
const UNKNOWN: MediaTime = MediaTime::ZERO;

/// Where more than this part has no time (AVI knows none for B-frames), the container's rate is better than a measured one.
const UNKNOWN_PART: usize = 10;

/// Decodes both ends of the file and fills in the measured frame rate.
pub(super) fn check(path: &Path, facts: &mut MediaFacts) -> Result<(), ProbeError> {
    let duration = facts.duration_us;
    if let Some(video) = &mut facts.video {
        let mut windows = vec![times(path, MediaTime::ZERO)?];
        if duration > RATE_WINDOW.plus(RATE_WINDOW) {
            windows.push(times(path, MediaTime(duration.0 / 2))?);
        }
        if let Some(pace) = rate::pace(&mut windows) {
            video.frame_rate = pace.frame_rate;
            video.is_variable_rate = pace.is_variable;
        }
    }
    if facts.audio.is_some() {
        // The first sound must be decodable; its end is looked at below.
        Sound::open(path, None, Pcm { rate_hz: None, channels: None })?.next_chunk()?;
    }
    let end = last_shown(path, facts)?.max(last_heard(path, facts)?);
    if end.plus(END_TOLERANCE) < duration {
        // Matroska is not read on either where its middle is damaged.
        if let Some(damage) = whole::damage_of_container(path, &facts.container)? {
            return Err(Refusal::DamagedAt(damage).into());
        }
        let end = end.max(whole::last_unit(path, duration)?);
        let found = format!("it says that it is {duration} long but ends at {end}");
        return Err(Refusal::Truncated { found }.into());
    }
    Ok(())
}

/// Returns when the frames of a window are shown, having decoded the first of them; nothing if too few have a time.
fn times(path: &Path, start: MediaTime) -> Result<Vec<MediaTime>, ProbeError> {
    let seen: Arc<Mutex<Vec<Unit>>> = Arc::default();
    let collected = Arc::clone(&seen);
    let pick = Pick::Units(Arc::new(move |unit| {
        let mut units = collected.lock().unwrap_or_else(PoisonError::into_inner);
        // What passed before the seek comes again, and the parser may guess other times then.
        if unit.is_key && units.first().is_some_and(|first: &Unit| unit.at <= first.at) {
            units.clear();
        }
        units.push(unit);
        units.len() <= DECODED_UNITS
    }));
    let span = Span::new(start, start.plus(RATE_WINDOW)).expect("the window is not empty");
    let mut frames = Frames::open(path, Some(span), pick)?;
    let mut decoded = 0;
    while frames.next_frame()?.is_some() {
        decoded += 1;
    }
    if decoded == 0 && start == MediaTime::ZERO {
        return Err(Refusal::Damaged { reason: "its first frames cannot be decoded".to_string() }.into());
    }
    let units = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let unknown = units.iter().filter(|unit| unit.at == UNKNOWN).count();
    if unknown > units.len() / UNKNOWN_PART {
        return Ok(Vec::new());
    }
    Ok(units.iter().map(|unit| unit.at).filter(|at| *at >= start && *at < span.end() && *at != UNKNOWN).collect())
}

fn end_span(duration: MediaTime) -> Span {
    let start = duration.minus(END_WINDOW);
    // Containers round their duration, so the last frame may lie a little behind it.
    Span::new(start, duration.plus(END_WINDOW)).expect("the window is not empty")
}

/// Returns when the last frame ends, or zero if the last seconds show nothing.
fn last_shown(path: &Path, facts: &MediaFacts) -> Result<MediaTime, ProbeError> {
    let Some(video) = &facts.video else { return Ok(MediaTime::ZERO) };
    let one_frame = video.frame_rate.time_of(1);
    let mut end = MediaTime::ZERO;
    let mut frames = match Frames::open(path, Some(end_span(facts.duration_us)), Pick::All) {
        Ok(frames) => frames,
        Err(DecodeError::Broken { .. }) => return Ok(end),
        Err(error) => return Err(error.into()),
    };
    while let Ok(Some(frame)) = frames.next_frame() {
        end = frame.at.plus(frame.duration.unwrap_or(one_frame));
    }
    Ok(end)
}

/// Returns when the last sound ends, or zero if the last seconds hold none.
fn last_heard(path: &Path, facts: &MediaFacts) -> Result<MediaTime, ProbeError> {
    if facts.audio.is_none() {
        return Ok(MediaTime::ZERO);
    }
    let mut end = MediaTime::ZERO;
    let mut sound = match Sound::open(path, Some(end_span(facts.duration_us)), Pcm { rate_hz: None, channels: None }) {
        Ok(sound) => sound,
        Err(DecodeError::Broken { .. }) => return Ok(end),
        Err(error) => return Err(error.into()),
    };
    while let Ok(Some(chunk)) = sound.next_chunk() {
        let samples = chunk.samples.len() as u64 / u64::from(chunk.channels);
        end = chunk.at.plus(MediaTime(samples * 1_000_000 / u64::from(chunk.rate_hz)));
    }
    Ok(end)
}
