//! Times clip detection over a made-up talk of one hour: `cargo run --release -p score --example bench_detect`.
#![allow(clippy::print_stdout, reason = "printing is what this example is for")]

use domain::artefact::{Analysis, Prosody, Segment, Transcript, Word};
use domain::{MediaTime, Span};
use score::ranker::Linear;
use score::{Wish, detect};
use std::error::Error;
use std::time::Instant;

const RUNS: usize = 9;
const SENTENCES: u64 = 800;
const STEP_MS: u64 = 20;

/// 800 sentences of ten words each, 4.5 s apart, in 20 topics with words of their own.
fn talk() -> Result<(Transcript, Analysis), Box<dyn Error>> {
    let mut segments = Vec::new();
    let mut state = 7u64;
    let mut random = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    for sentence in 0..SENTENCES {
        let mut words = Vec::new();
        for word in 0..10 {
            let start = sentence * 4_500 + word * 400;
            let span = Span::new(MediaTime::from_millis(start), MediaTime::from_millis(start + 350))?;
            let text = if word == 0 {
                "There".to_owned()
            } else if random(2) == 0 {
                "there".to_owned()
            } else {
                format!("topic{}word{}", sentence / 40, random(60))
            };
            let end = if word == 9 { "." } else { "" };
            words.push(Word { span, text: format!("{text}{end}"), probability: 0.9 });
        }
        let span = Span::new(words[0].span.start(), words[9].span.end())?;
        segments.push(Segment { span, text: String::new(), words, mean_logprob: -0.2, no_speech_probability: 0.0 });
    }
    let duration_us = MediaTime::from_millis(SENTENCES * 4_500);
    let frames = (duration_us.millis() / STEP_MS) as usize;
    let level_db: Vec<f32> = (0..frames).map(|_| -30.0 + random(100) as f32 / 10.0).collect();
    let pitch_hz = (0..frames).map(|_| 100.0 + random(60) as f32).collect();
    let prosody = Prosody { step_ms: STEP_MS as u32, zero_crossing_rate: vec![0.1; frames], level_db, pitch_hz };
    let transcript = Transcript { language: "en".to_owned(), model: "made".to_owned(), duration_us, segments };
    Ok((transcript, Analysis { shots: Vec::new(), key_frames: Vec::new(), loudness: None, prosody }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (transcript, analysis) = talk()?;
    let ranker = Linear::frozen();
    let mut times = Vec::new();
    let mut outcome = (0, 0);
    for _ in 0..RUNS {
        let start = Instant::now();
        let found = detect(&transcript, &analysis, transcript.duration_us, &Wish::default(), &ranker);
        times.push(start.elapsed());
        outcome = (found.considered, found.chosen.len());
    }
    times.sort();
    let (considered, chosen) = outcome;
    println!(
        "1 h, {SENTENCES} sentences, {considered} spans considered, {chosen} chosen: median {:?} of {RUNS} runs, slowest {:?}",
        times[RUNS / 2],
        times[RUNS - 1]
    );
    Ok(())
}
