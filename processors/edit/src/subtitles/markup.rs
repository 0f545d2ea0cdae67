//! What stands inside the text of a cue besides words.

use super::blocks::time;

/// A part of a line, and the time stamp that stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Microseconds, when there was a stamp.
    pub(super) at: Option<u64>,
    /// Without tags and entities.
    pub(super) text: String,
}

/// Tells whether a WebVTT line holds a time stamp.
pub(super) fn has_stamp(line: &str) -> bool {
    pieces(line).iter().any(|piece| piece.at.is_some())
}

/// Splits a WebVTT line at its time stamps, and drops all other tags.
pub(super) fn pieces(line: &str) -> Vec<Piece> {
    let mut pieces = vec![Piece { at: None, text: String::new() }];
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('<') {
        push(&mut pieces, before);
        let Some((tag, after_tag)) = after.split_once('>') else {
            // A tag that never ends swallows the rest of the line, as the format says.
            return pieces;
        };
        if let Some(at) = time(tag) {
            pieces.push(Piece { at: Some(at), text: String::new() });
        }
        rest = after_tag;
    }
    push(&mut pieces, rest);
    pieces
}

fn push(pieces: &mut [Piece], text: &str) {
    if let Some(last) = pieces.last_mut() {
        last.text.push_str(&unescaped(text));
    }
}

fn unescaped(text: &str) -> String {
    const ENTITIES: [(&str, &str); 9] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", "\u{a0}"),
        ("&lrm;", "\u{200e}"),
        ("&rlm;", "\u{200f}"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        // Last, so that an escaped entity stays text.
        ("&amp;", "&"),
    ];
    if !text.contains('&') {
        return text.to_owned();
    }
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

/// Returns a SubRip line without the tags that players know; other angle brackets and braces are text.
pub(super) fn plain_srt(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    // A closing mark that is missing once is missing ever after: the line is read in one go, however many tags it opens.
    let (mut has_brace, mut has_angle) = (true, true);
    let mut rest = line;
    while let Some(at) = rest.find(['<', '{']) {
        let (before, tag) = rest.split_at(at);
        plain.push_str(before);
        let mut end = None;
        if tag.starts_with("{\\") && has_brace {
            end = tag.find('}');
            has_brace = end.is_some();
        } else if is_tag(tag) && has_angle {
            end = tag.find('>');
            has_angle = end.is_some();
        }
        if end.is_none() {
            plain.extend(tag.chars().next());
        }
        rest = tag.split_at(end.unwrap_or(0) + 1).1;
    }
    plain.push_str(rest);
    plain
}

/// Longest name of a tag below.
const TAG_NAME_MAX: usize = 4;

fn is_tag(text: &str) -> bool {
    let Some(name) = text.strip_prefix('<') else { return false };
    let name = name.strip_prefix('/').unwrap_or(name);
    let name: String = name.chars().take_while(char::is_ascii_alphabetic).take(TAG_NAME_MAX + 1).collect();
    ["b", "i", "u", "s", "font", "c", "v", "ruby", "rt"].contains(&name.to_ascii_lowercase().as_str())
}

/// Returns what is spoken: without sounds in brackets, notes, and the marks of a new speaker.
pub(super) fn spoken(lines: &[String]) -> String {
    let mut spoken = Vec::with_capacity(lines.len());
    for line in lines {
        let line = line.replace(['♪', '♫', '\u{200e}', '\u{200f}', '\u{feff}'], " ").replace('\u{a0}', " ");
        let line = line.trim().trim_start_matches(">>").trim_start();
        let line = ["- ", "– ", "— "].iter().find_map(|dash| line.strip_prefix(dash)).unwrap_or(line).trim();
        if !line.is_empty() && !is_sound(line) {
            spoken.push(line.to_owned());
        }
    }
    spoken.join(" ")
}

fn is_sound(line: &str) -> bool {
    let inner = |open: char, close: char| line.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let inside = inner('[', ']').or_else(|| inner('(', ')')).or_else(|| inner('（', '）'));
    inside.is_some_and(|inside| !inside.contains(['[', ']', '(', ')']))
}
