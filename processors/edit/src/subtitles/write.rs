//! SRT and WebVTT.

use crate::cues::{joined, needs_space};
use domain::MediaTime;
use domain::artefact::Cue;
use std::fmt::Write;

/// Returns the cues as SubRip text.
#[must_use]
pub fn srt(cues: &[Cue]) -> String {
    let mut file = String::new();
    for (index, cue) in cues.iter().enumerate() {
        let (start, end) = (time(cue.span.start(), ','), time(cue.span.end(), ','));
        let text = lines(cue, srt_text);
        write!(file, "{}\n{start} --> {end}\n{text}\n\n", index + 1).expect("writing to a string cannot fail");
    }
    file
}

/// Returns the cues as WebVTT text, with the time of every word, so that players can highlight it.
#[must_use]
pub fn vtt(cues: &[Cue]) -> String {
    let mut file = String::from("WEBVTT\n\n");
    for cue in cues {
        let (start, end) = (time(cue.span.start(), '.'), time(cue.span.end(), '.'));
        let text = timed_lines(cue);
        write!(file, "{start} --> {end}\n{text}\n\n").expect("writing to a string cannot fail");
    }
    file
}

/// Returns `hh:mm:ss` and milliseconds, rounded to the nearest.
fn time(at: MediaTime, separator: char) -> String {
    let millis = (at.0 + 500) / 1_000;
    let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1_000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{separator}{:03}", millis % 1_000)
}

fn lines(cue: &Cue, text: fn(&str) -> String) -> String {
    let line = |words: &Vec<_>| text(&joined(words.iter().map(|word: &domain::artefact::CueWord| word.text.as_str())));
    cue.lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Words carry their time stamp, except the first, which begins with the cue; a stamp must lie inside the cue.
fn timed_lines(cue: &Cue) -> String {
    let mut lines = Vec::with_capacity(cue.lines.len());
    let mut latest = time(cue.span.start(), '.');
    let end = time(cue.span.end(), '.');
    for words in &cue.lines {
        let mut line = String::new();
        let mut before = "";
        for word in words {
            line.push_str(if needs_space(before, &word.text) { " " } else { "" });
            let at = time(word.span.start(), '.');
            if at > latest && at < end {
                write!(line, "<{at}>").expect("writing to a string cannot fail");
                latest = at;
            }
            line.push_str(&vtt_text(&word.text));
            before = &word.text;
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// SubRip has no escapes: what a player would read as a tag or as the arrow of the time line gets a look-alike.
fn srt_text(text: &str) -> String {
    text.replace("-->", "→").replace('<', "‹").replace('>', "›").replace('{', "(").replace('}', ")")
}

fn vtt_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
