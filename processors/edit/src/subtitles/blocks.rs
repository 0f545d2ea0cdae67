//! SRT and WebVTT as cues.

use super::markup::{self, Piece};
use super::read::{Fault, Parsed, Phrase, Timed, Unreadable};
use std::ops::Range;

const ARROW: &str = "-->";

/// Tells whether a text is WebVTT.
pub(super) fn is_vtt(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("WEBVTT").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Reads SubRip. Numbers may be missing or wrong, and text may hold empty lines: a cue lasts until the next time line.
pub(super) fn srt(text: &str) -> Result<Parsed, Unreadable> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let times: Vec<usize> = (0..lines.len()).filter(|index| lines[*index].contains(ARROW)).collect();
    let is_number = |line: &str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    let before = times.first().copied().unwrap_or(lines.len());
    if let Some(stray) = (0..before).find(|index| !lines[*index].is_empty() && !is_number(lines[*index])) {
        return Err(Unreadable { line: stray + 1, fault: Fault::NotSubtitles });
    }
    let mut phrases = Vec::with_capacity(times.len());
    for (position, index) in times.iter().enumerate() {
        let mut end = times.get(position + 1).copied().unwrap_or(lines.len());
        if end < lines.len() && end > index + 1 && is_number(lines[end - 1]) {
            end -= 1;
        }
        let text: Vec<String> = lines[index + 1..end].iter().map(|line| markup::plain_srt(line)).collect();
        let mut phrase = Phrase { text: markup::spoken(&text), ..cue(lines[*index], index + 1)? };
        phrase.words = lone_word(&phrase);
        phrases.push(phrase);
    }
    Ok(Parsed { format: "srt", language: None, phrases })
}

/// Reads WebVTT: notes, styles and regions are skipped; time stamps inside a cue are the times of its words.
pub(super) fn vtt(text: &str) -> Result<Parsed, Unreadable> {
    let lines: Vec<&str> = text.lines().collect();
    let blocks = blocks(&lines);
    let is_stamped = lines.iter().any(|line| markup::has_stamp(line));
    let mut last_line = String::new();
    let mut phrases = Vec::new();
    for block in blocks.iter().skip(1) {
        let is_other = ["NOTE", "STYLE", "REGION"].iter().any(|kind| lines[block.start].split_whitespace().next() == Some(kind));
        let Some(time) = block.clone().take(2).find(|index| lines[*index].contains(ARROW)).filter(|_| !is_other) else { continue };
        let mut phrase = cue(lines[time], time + 1)?;
        let mut shown: Vec<Vec<Piece>> = lines[time + 1..block.end].iter().map(|line| markup::pieces(line)).collect();
        let plain = |line: &Vec<Piece>| line.iter().map(|piece| piece.text.as_str()).collect::<String>().trim().to_owned();
        let newest = shown.iter().map(&plain).rfind(|line| !line.is_empty()).unwrap_or_default();
        if is_stamped {
            // Rolling captions show the line before once more above the new one.
            shown.retain(|line| line.len() > 1 || plain(line) != last_line);
        }
        last_line = newest;
        phrase.text = markup::spoken(&shown.iter().map(&plain).collect::<Vec<_>>());
        phrase.words = stamped_words(&shown.concat(), &phrase).unwrap_or_else(|| lone_word(&phrase));
        phrases.push(phrase);
    }
    Ok(Parsed { format: "vtt", language: language(&lines, blocks.first()), phrases })
}

/// Returns runs of lines between empty ones. A line of spaces is text, unless a time line follows it: editors leave such lines behind.
fn blocks(lines: &[&str]) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let is_time_next = lines[index + 1..].iter().take(2).any(|next| next.contains(ARROW));
        if line.is_empty() || (line.trim().is_empty() && is_time_next) {
            continue;
        }
        match blocks.last_mut() {
            Some(block) if block.end == index => block.end = index + 1,
            _ => blocks.push(index..index + 1),
        }
    }
    blocks
}

/// Some writers name the language in the header.
fn language(lines: &[&str], header: Option<&Range<usize>>) -> Option<String> {
    let mut header = header?.clone().map(|index| lines[index]);
    let named = header.find_map(|line| line.strip_prefix("Language:"))?.trim().to_lowercase();
    named.split(['-', '_']).next().filter(|code| !code.is_empty()).map(str::to_owned)
}

fn cue(line: &str, number: usize) -> Result<Phrase, Unreadable> {
    let bad = |text: &str| Unreadable { line: number, fault: Fault::BadTime(text.chars().take(40).collect()) };
    let (start, rest) = line.split_once(ARROW).ok_or_else(|| bad(line))?;
    // Settings or coordinates may follow the end.
    let end = rest.split_whitespace().next().ok_or_else(|| bad(rest))?;
    let start = time(start.trim()).ok_or_else(|| bad(start.trim()))?;
    let end = time(end).ok_or_else(|| bad(end))?;
    if end < start {
        return Err(Unreadable { line: number, fault: Fault::EndsBeforeStart });
    }
    Ok(Phrase { line: number, start, end, ..Phrase::default() })
}

/// Returns the microseconds of `[h:]mm:ss[.,]mmm`; hours have at most two digits, as no film has more.
pub(super) fn time(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let is_digits = |part: &&str| (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = Some(fraction).filter(is_digits)?;
    let micros = fraction.parse::<u64>().ok()? * 10_u64.pow(6 - fraction.len() as u32);
    let is_part = |part: &&str| part.len() <= 2 && is_digits(part);
    let mut parts = clock.split(':').map(|part| Some(part).filter(is_part)?.parse::<u64>().ok());
    let (first, second, third, more) = (parts.next()??, parts.next()??, parts.next(), parts.next());
    let (hours, minutes, seconds) = match third {
        Some(third) => (first, second, third?),
        None => (0, first, second),
    };
    let is_time = more.is_none() && minutes < 60 && seconds < 60;
    is_time.then_some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

/// A phrase of one word is as long as its word.
fn lone_word(phrase: &Phrase) -> Vec<Timed> {
    let mut words = phrase.text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) => vec![Timed { text: word.to_owned(), start: phrase.start, end: phrase.end, probability: 1.0 }],
        _ => Vec::new(),
    }
}

/// Returns the words of a cue in which every word but the first has its time stamp.
fn stamped_words(pieces: &[Piece], phrase: &Phrase) -> Option<Vec<Timed>> {
    let spoken: Vec<&Piece> = pieces.iter().filter(|piece| !piece.text.trim().is_empty()).collect();
    let mut words: Vec<Timed> = Vec::with_capacity(spoken.len());
    for (index, piece) in spoken.iter().enumerate() {
        let start = if index == 0 { piece.at.unwrap_or(phrase.start) } else { piece.at? };
        let mut texts = piece.text.split_whitespace();
        let (Some(text), None) = (texts.next(), texts.next()) else { return None };
        if let Some(before) = words.last_mut() {
            before.end = start.max(before.start + 1);
        }
        words.push(Timed { text: text.to_owned(), start, end: phrase.end.max(start + 1), probability: 1.0 });
    }
    (words.len() > 1).then_some(words)
}
