//! Prints the clips of a transcript (and an analysis, if given), with their scores and reasons: `explain TRANSCRIPT.json [ANALYSIS.json]`.
#![allow(clippy::print_stdout, reason = "printing is what this example is for")]

use domain::artefact::{Analysis, Prosody, Transcript};
use score::ranker::Linear;
use score::{Talk, Wish, detect};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args().skip(1);
    let transcript: Transcript = serde_json::from_slice(&std::fs::read(paths.next().ok_or("which transcript?")?)?)?;
    let analysis: Analysis = match paths.next() {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None => Analysis { shots: Vec::new(), key_frames: Vec::new(), loudness: None, prosody: Prosody::default() },
    };
    let talk = Talk::new(&transcript, &analysis, transcript.duration_us);
    for (range, title) in talk.topics.ranges.iter().zip(&talk.topics.titles) {
        println!("topic {}  {title}: {}", talk.units.span(range), talk.units.sentences[range.start].text);
    }
    let found = detect(&transcript, &analysis, transcript.duration_us, &Wish::default(), &Linear::frozen());
    println!("\n{} considered; {:?}", found.considered, found.degraded);
    for removal in &found.removals {
        println!("  {:>6} {}: {}", removal.removed, removal.rule, removal.explanation);
    }
    for clip in &found.chosen {
        println!("\n{:5.1}  {}  ({:.1} s)  {}", clip.score, clip.span, clip.span.duration().seconds(), clip.title);
        println!("       {}", clip.keywords.join(", "));
        clip.reasons.iter().for_each(|reason| println!("       · {}", reason.text));
        println!("       {}", clip.text);
        let parts = clip.contributions.iter().map(|part| format!("{} {:+.1}", part.feature, part.effect));
        println!("       {}", parts.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
