//! From words with times to caption cues: which words stand together, on which lines, and when each lights up.
//!
//! Words keep their logical order, also from right to left: turning them round is for whoever draws them.

mod breaks;
mod text;

pub(crate) use text::needs_space;
pub use text::{joined, width};

use crate::Timeline;
use domain::artefact::{CaptionStyle, Cue, CueWord, Ratio, Word};
use domain::{MediaTime, Span};

/// A pause this short is not seen: the word before it stays lit.
const FILL_SECONDS: f64 = 0.15;
/// After a pause longer than this the captions are cleared; in a shorter one they stand, as flicker disturbs more.
const CLEAR_SECONDS: f64 = 0.6;
/// How long a cue stays after its last word when nothing follows.
const LINGER_SECONDS: f64 = 0.25;
/// How far a cue may outlast its last word to be read: a caption that hangs on looks late.
const EXTEND_SECONDS: f64 = 0.5;
/// A cue shorter than this flashes.
const SHORTEST_SECONDS: f64 = 0.7;
/// Characters a second that adults read without missing the picture.
pub const READING_SPEED_MAX: f64 = 20.0;

/// How cues are built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Characters on a line at most; wide East Asian characters count twice. A longer single word stands alone.
    pub line_chars: usize,
    /// Lines at most, one or two.
    pub lines: usize,
    /// Words in a cue at most; words of wide characters are not counted.
    pub words: usize,
    /// How long a cue may be spoken, unless it is a single word.
    pub seconds: f64,
    /// Whether letters become capitals, and full stops and commas go.
    pub capitals: bool,
}

impl Rules {
    /// Returns the rules of burnt-in captions; `None` for a clean picture.
    #[must_use]
    pub const fn burnt(style: CaptionStyle, ratio: Ratio) -> Option<Self> {
        let (karaoke_chars, karaoke_words, block_chars) = match ratio {
            Ratio::Portrait => (18, 4, 26),
            Ratio::Tall => (20, 4, 28),
            Ratio::Square => (20, 4, 30),
            Ratio::Landscape => (28, 6, 42),
        };
        match style {
            CaptionStyle::Karaoke => Some(Self { line_chars: karaoke_chars, lines: 2, words: karaoke_words, seconds: 2.5, capitals: true }),
            CaptionStyle::Block => Some(Self { line_chars: block_chars, lines: 2, words: usize::MAX, seconds: 5.0, capitals: false }),
            CaptionStyle::Clean => None,
        }
    }

    /// Returns the rules of subtitle files, which players draw in their own way.
    #[must_use]
    pub const fn subtitle_file() -> Self {
        Self { line_chars: 42, lines: 2, words: usize::MAX, seconds: 6.0, capitals: false }
    }
}

/// A word on the frames of the rendition.
#[derive(Clone, Debug)]
struct Placed {
    text: String,
    start: u64,
    end: u64,
}

/// Returns cues in the rendition's time for the words inside the timeline; a word belongs to it when its middle does.
///
/// Every cue and word begins and ends on a frame boundary, inside the rendition, and no two cues overlap.
#[must_use]
pub fn arrange(words: &[Word], timeline: &Timeline, rules: &Rules) -> Vec<Cue> {
    let mut placed = place(words, timeline);
    fill_gaps(&mut placed, timeline);
    let clear = timeline.frames_in(CLEAR_SECONDS);
    let mut groups = Vec::new();
    for run in placed.chunk_by(|a, b| b.start <= a.end + clear) {
        groups.extend(breaks::groups(run, rules, timeline.rate.per_second()));
    }
    let starts: Vec<u64> = groups.iter().map(|group| group[0].start).collect();
    let mut cues = Vec::with_capacity(groups.len());
    for (index, group) in groups.iter().enumerate() {
        let next = starts.get(index + 1).copied();
        cues.push(cue(group, next, timeline, rules));
    }
    cues
}

fn place(words: &[Word], timeline: &Timeline) -> Vec<Placed> {
    let mut placed: Vec<Placed> = Vec::new();
    for word in words {
        let middle = MediaTime(u64::midpoint(word.span.start().0, word.span.end().0));
        let text = word.text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() || !timeline.range.contains(middle) {
            continue;
        }
        let earliest = placed.last().map_or(0, |before| before.start + 1);
        let start = timeline.frame_of(word.span.start()).max(earliest);
        if start < timeline.frames {
            placed.push(Placed { text, start, end: timeline.frame_of(word.span.end()) });
        } else if let Some(last) = placed.last_mut() {
            // There is no frame left for a word of its own, and no word may go missing.
            last.text.push_str(if needs_space(&last.text, &text) { " " } else { "" });
            last.text.push_str(&text);
        }
    }
    let nexts: Vec<u64> = placed.iter().skip(1).map(|word| word.start).chain([timeline.frames]).collect();
    for (word, next) in placed.iter_mut().zip(nexts) {
        word.end = word.end.max(word.start + 1).min(next);
    }
    placed
}

fn fill_gaps(placed: &mut [Placed], timeline: &Timeline) {
    let fill = timeline.frames_in(FILL_SECONDS);
    let nexts: Vec<u64> = placed.iter().skip(1).map(|word| word.start).collect();
    for (word, next) in placed.iter_mut().zip(nexts) {
        if next - word.end < fill {
            word.end = next;
        }
    }
}

fn cue(group: &[Placed], next: Option<u64>, timeline: &Timeline, rules: &Rules) -> Cue {
    let (start, spoken_end) = (group[0].start, group[group.len() - 1].end);
    let chars: usize = group.iter().map(|word| width(&word.text) + 1).sum();
    let to_read = start + timeline.frames_in((chars as f64 / READING_SPEED_MAX).max(SHORTEST_SECONDS));
    let wanted = to_read.min(spoken_end + timeline.frames_in(EXTEND_SECONDS)).max(spoken_end + timeline.frames_in(LINGER_SECONDS));
    let clear = timeline.frames_in(CLEAR_SECONDS);
    let end = match next {
        Some(next) if next - spoken_end <= clear => next,
        Some(next) => wanted.min(next),
        None => wanted.min(timeline.frames),
    };
    let lines =
        breaks::lines(group, rules).into_iter().map(|line| line.iter().map(|word| drawn(word, timeline, rules)).collect()).collect();
    Cue { span: frames(start, end, timeline), lines }
}

fn drawn(word: &Placed, timeline: &Timeline, rules: &Rules) -> CueWord {
    let text = if rules.capitals { text::capitals(&word.text) } else { word.text.clone() };
    CueWord { text, span: frames(word.start, word.end, timeline) }
}

fn frames(start: u64, end: u64, timeline: &Timeline) -> Span {
    Span::new(timeline.time_of(start), timeline.time_of(end)).expect("a cue lasts at least one frame")
}

/// Returns how many characters a second a viewer has to read.
#[must_use]
pub fn reading_speed(cue: &Cue) -> f64 {
    let chars: usize = cue.lines.iter().flatten().map(|word| width(&word.text) + 1).sum();
    chars.saturating_sub(1) as f64 / cue.span.duration().seconds()
}
