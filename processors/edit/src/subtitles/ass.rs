//! Advanced SubStation Alpha with karaoke times and the look of the burnt-in captions.

use crate::cues::{joined, needs_space};
use domain::MediaTime;
use domain::artefact::{CaptionStyle, Captions, Cue, Picture, safe_area};
use std::fmt::Write;

/// How a style looks in ASS; colours are `&HAABBGGRR`.
struct Look {
    font: &'static str,
    /// Of the picture's shorter side.
    size_permille: u32,
    /// From the moment a word is spoken.
    spoken: &'static str,
    /// Until then.
    waiting: &'static str,
    outline: &'static str,
    back: &'static str,
    /// 1: outline and shadow; 3: a box.
    border: u32,
    outline_px: u32,
    shadow_px: u32,
}

const fn look(style: CaptionStyle) -> Look {
    match style {
        CaptionStyle::Karaoke => Look {
            font: "Inter Black",
            size_permille: 74,
            spoken: "&H0014D9FF",
            waiting: "&H00FFFFFF",
            outline: "&H00000000",
            back: "&H80000000",
            border: 1,
            outline_px: 6,
            shadow_px: 3,
        },
        CaptionStyle::Clean => Look { spoken: "&H00FFFFFF", ..look(CaptionStyle::Block) },
        CaptionStyle::Block => Look {
            font: "Inter",
            size_permille: 56,
            spoken: "&H0014D9FF",
            waiting: "&H00FFFFFF",
            outline: "&H30000000",
            back: "&H30000000",
            border: 3,
            outline_px: 12,
            shadow_px: 0,
        },
    }
}

/// Returns captions as an ASS script for a rendition of this size. Styles that light up words carry `\k` times.
#[must_use]
pub fn ass(captions: &Captions, picture: &Picture) -> String {
    let mut script = header(captions.style, picture);
    for cue in &captions.cues {
        let text = match captions.style {
            CaptionStyle::Karaoke | CaptionStyle::Block => karaoke(cue),
            CaptionStyle::Clean => plain(cue),
        };
        let (start, end) = (centis(cue.span.start()), centis(cue.span.end()));
        writeln!(script, "Dialogue: 0,{},{},Caption,,0,0,0,,{text}", stamp(start), stamp(end)).expect("writing to a string cannot fail");
    }
    script
}

fn header(style: CaptionStyle, picture: &Picture) -> String {
    let Picture { width, height, ratio, .. } = *picture;
    let look = look(style);
    let area = safe_area::scaled(safe_area::centred(ratio), ratio, width, height);
    let (left, right, bottom) = (area.left, width - area.right, height - area.bottom);
    let size = width.min(height) * look.size_permille / 1_000;
    let Look { font, spoken, waiting, outline, back, border, outline_px, shadow_px, .. } = look;
    format!(
        "[Script Info]\n\
         ScriptType: v4.00+\n\
         WrapStyle: 2\n\
         ScaledBorderAndShadow: yes\n\
         PlayResX: {width}\n\
         PlayResY: {height}\n\
         \n\
         [V4+ Styles]\n\
         Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
         StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n\
         Style: Caption,{font},{size},{spoken},{waiting},{outline},{back},0,0,0,0,100,100,0,0,{border},{outline_px},{shadow_px},2,\
         {left},{right},{bottom},1\n\
         \n\
         [Events]\n\
         Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    )
}

fn plain(cue: &Cue) -> String {
    let line = |words: &Vec<domain::artefact::CueWord>| escaped(&joined(words.iter().map(|word| word.text.as_str())));
    cue.lines.iter().map(line).collect::<Vec<_>>().join("\\N")
}

/// Every word has a `\k` that lasts until the next word begins, so that the sum of all is the length of the cue.
fn karaoke(cue: &Cue) -> String {
    let starts: Vec<u64> = cue.lines.iter().flatten().map(|word| centis(word.span.start())).collect();
    let mut ends = starts.iter().skip(1).copied().chain([centis(cue.span.end())]);
    let mut at = centis(cue.span.start());
    let mut lines = Vec::with_capacity(cue.lines.len());
    for words in &cue.lines {
        let mut line = String::new();
        let mut before = "";
        for word in words {
            let end = ends.next().unwrap_or(at).max(at);
            let space = if needs_space(before, &word.text) { " " } else { "" };
            write!(line, "{space}{{\\k{}}}{}", end - at, escaped(&word.text)).expect("writing to a string cannot fail");
            (at, before) = (end, &word.text);
        }
        lines.push(line);
    }
    lines.join("\\N")
}

/// Braces begin overrides and `\n` a line, in some renderers also when escaped; look-alikes are safe in all.
fn escaped(text: &str) -> String {
    text.replace('{', "(").replace('}', ")").replace('\\', "⧵")
}

/// ASS counts in hundredths of a second.
fn centis(at: MediaTime) -> u64 {
    (at.0 + 5_000) / 10_000
}

fn stamp(centis: u64) -> String {
    format!("{}:{:02}:{:02}.{:02}", centis / 360_000, centis / 6_000 % 60, centis / 100 % 60, centis % 100)
}
