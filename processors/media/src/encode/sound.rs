//! The sound of a rendition: exact span, gain, limiter, fades, loudness, AAC.

use super::aac::{self, EncodedSound};
use super::limiter::limit;
use super::source::read_sound;
use super::timeline::{SAMPLE_RATE, Timeline, sample_of_frame};
use anyhow::{Context, Result};
use domain::artefact::{AudioChain, DecisionList, Loudness};
use ebur128::{EbuR128, Mode};
use std::path::Path;

/// What the limiter takes away is given back when it is more than this: less is not heard.
const LOSS_LU: f64 = 0.3;

/// Largest gain that makes up for the limiter: beyond it, speech would sound crushed.
const MAKE_UP_DB_MAX: f64 = 8.0;

/// Rounds of making up; each removes most of what the round before left.
const MAKE_UP_ROUNDS: u32 = 4;

/// How far AAC may push a true peak over the ceiling before the limiter is set lower.
const OVERSHOOT_DB: f64 = 0.2;

/// Rounds of encoding; each corrects gain and limiter by what the round before missed.
const ENCODE_ROUNDS: u32 = 4;

/// Below this, in LUFS, there is nothing to hear and nothing to measure: the absolute gate of EBU R128.
const SILENCE_LUFS: f64 = -70.0;

/// The finished sound of a rendition.
pub(crate) struct Finished {
    pub(crate) encoded: EncodedSound,
    pub(crate) loudness: Option<Loudness>,
}

/// Makes the sound that `chain` describes.
pub(crate) fn make(source: &Path, list: &DecisionList, timeline: &Timeline, chain: &AudioChain) -> Result<Finished> {
    let original = read_pieces(source, list, timeline, chain.fade_ms)?;
    let (mut make_up, mut ceiling) = (0.0, chain.ceiling_dbtp);
    let mut round = 1;
    loop {
        let mastered = master(&original, chain, make_up, ceiling)?;
        let encoded = aac::encode(&mastered.sound, list.encoder.audio_bitrate_bps)?;
        let loudness = measure(&aac::decode(&encoded)?)?;
        let Some(found) = loudness else { return Ok(Finished { encoded, loudness }) };
        // Coding loses a little loudness, most of it in noise, and moves peaks.
        let (excess, loss) = (found.true_peak_dbtp - chain.ceiling_dbtp, mastered.aim_lufs - found.integrated_lufs);
        if (excess <= OVERSHOOT_DB && loss <= LOSS_LU) || round == ENCODE_ROUNDS {
            return Ok(Finished { encoded, loudness });
        }
        if excess > OVERSHOOT_DB {
            ceiling -= excess;
        }
        make_up = (mastered.make_up_db + loss.max(0.0)).min(MAKE_UP_DB_MAX);
        round += 1;
    }
}

/// Returns integrated loudness, range and true peak of interleaved stereo; `None` when it is silent.
pub(crate) fn measure(sound: &[f32]) -> Result<Option<Loudness>> {
    let mut meter = EbuR128::new(2, SAMPLE_RATE, Mode::I | Mode::LRA | Mode::TRUE_PEAK).context("measuring loudness")?;
    meter.add_frames_f32(sound).context("measuring loudness")?;
    let Some(integrated_lufs) = audible(&meter)? else { return Ok(None) };
    let peak = meter.true_peak(0)?.max(meter.true_peak(1)?);
    Ok(Some(Loudness { integrated_lufs, range_lu: meter.loudness_range()?, true_peak_dbtp: 20.0 * peak.log10() }))
}

/// Returns integrated loudness alone, in LUFS; range and peak cost more than it does.
fn integrated(sound: &[f32]) -> Result<Option<f64>> {
    let mut meter = EbuR128::new(2, SAMPLE_RATE, Mode::I).context("measuring loudness")?;
    meter.add_frames_f32(sound).context("measuring loudness")?;
    audible(&meter)
}

fn audible(meter: &EbuR128) -> Result<Option<f64>> {
    let lufs = meter.loudness_global().context("measuring loudness")?;
    Ok((lufs.is_finite() && lufs >= SILENCE_LUFS).then_some(lufs))
}

fn read_pieces(source: &Path, list: &DecisionList, timeline: &Timeline, fade_ms: u32) -> Result<Vec<f32>> {
    let mut sound = Vec::with_capacity(sample_of_frame(list, list.picture.frames) * 2);
    for piece in &timeline.pieces {
        let (first, end) = piece.samples(list);
        let mut samples = read_sound(source, piece.source)?;
        samples.resize((end - first) * 2, 0.0);
        fade(&mut samples, fade_ms);
        sound.extend(samples);
    }
    Ok(sound)
}

/// Fades interleaved stereo in and out by half a cosine.
fn fade(sound: &mut [f32], fade_ms: u32) {
    let frames = sound.len() / 2;
    let length = (SAMPLE_RATE as usize * fade_ms as usize / 1_000).min(frames / 2);
    for index in 0..length {
        let part = (index as f32 + 0.5) / length as f32;
        let gain = 0.5 - 0.5 * (std::f32::consts::PI * part).cos();
        for channel in 0..2 {
            sound[index * 2 + channel] *= gain;
            sound[(frames - 1 - index) * 2 + channel] *= gain;
        }
    }
}

/// Sound after gain and limiter.
struct Mastered {
    sound: Vec<f32>,
    /// The loudness that the gain alone would give, up to the target.
    aim_lufs: f64,
    /// What was added to the gain for what the limiter takes.
    make_up_db: f64,
}

/// Applies gain and limiter, and makes up for the loudness that the limiter takes, from `make_up_db` on.
fn master(original: &[f32], chain: &AudioChain, mut make_up_db: f64, ceiling_dbtp: f64) -> Result<Mastered> {
    let Some(plain_lufs) = integrated(original)? else {
        return Ok(Mastered { sound: original.to_vec(), aim_lufs: chain.target_lufs, make_up_db });
    };
    let aim_lufs = (plain_lufs + chain.gain_db).min(chain.target_lufs);
    for _ in 0..MAKE_UP_ROUNDS {
        let sound = limited(original, chain.gain_db + make_up_db, ceiling_dbtp);
        let loss = integrated(&sound)?.map_or(0.0, |after| aim_lufs - after);
        if loss <= LOSS_LU || make_up_db >= MAKE_UP_DB_MAX {
            return Ok(Mastered { sound, aim_lufs, make_up_db });
        }
        make_up_db = (make_up_db + loss).min(MAKE_UP_DB_MAX);
    }
    Ok(Mastered { sound: limited(original, chain.gain_db + make_up_db, ceiling_dbtp), aim_lufs, make_up_db })
}

fn limited(sound: &[f32], gain_db: f64, ceiling_dbtp: f64) -> Vec<f32> {
    let gain = 10_f64.powf(gain_db / 20.0) as f32;
    let mut sound: Vec<f32> = sound.iter().map(|sample| sample * gain).collect();
    limit(&mut sound, ceiling_dbtp);
    sound
}
