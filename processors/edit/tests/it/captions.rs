//! Which words stand together, and when.

use crate::film::{Film, properties, span, words};
use domain::artefact::{CaptionStyle, Cue, Ratio, Word};
use domain::{MediaTime, Span};
use edit::cues::{Rules, arrange, joined, reading_speed, width};
use proptest::prelude::*;

fn lines(cue: &Cue) -> Vec<String> {
    cue.lines.iter().map(|line| joined(line.iter().map(|word| word.text.as_str()))).collect()
}

fn karaoke(words: Vec<Word>) -> Vec<Cue> {
    let film = Film { words, ..Film::of(1920, 1080, 30.0) };
    film.plan(Ratio::Portrait, CaptionStyle::Karaoke).captions.unwrap().cues
}

fn check(text: &str, expected: &[&[&str]]) {
    let cues = karaoke(words(text, 0.5, 0.3));
    assert_eq!(cues.iter().map(lines).collect::<Vec<_>>(), expected);
}

#[test]
fn karaoke_breaks_at_the_ends_of_sentences_and_before_small_words() {
    check("We lost it. Nobody knew why.", &[&["WE LOST IT"], &["NOBODY KNEW WHY"]]);
    check("The founder almost missed the train to Berlin", &[&["THE FOUNDER", "ALMOST MISSED"], &["THE TRAIN", "TO BERLIN"]]);
}

#[test]
fn a_word_longer_than_a_line_stands_alone() {
    check("It is incomprehensibilities all", &[&["IT IS"], &["INCOMPREHENSIBILITIES"], &["ALL"]]);
}

#[test]
fn short_pauses_are_filled_and_long_ones_cleared() {
    let word = |start: f64, end: f64, text: &str| Word { span: span(start, end), text: text.into(), probability: 1.0 };
    let cues = karaoke(vec![word(1.0, 1.3, "one"), word(1.4, 1.7, "two"), word(2.0, 2.3, "three"), word(4.0, 4.3, "four")]);
    assert_eq!(cues.iter().map(lines).collect::<Vec<_>>(), [vec!["ONE TWO THREE"], vec!["FOUR"]]);
    let spans: Vec<Span> = cues[0].lines[0].iter().map(|word| word.span).collect();
    assert_eq!(spans[0].end(), spans[1].start(), "a tenth of a second is filled");
    assert!(spans[1].end() < spans[2].start(), "three tenths are a pause");
    assert!(cues[0].span.end() < MediaTime::from_seconds(2.9), "the cue is cleared in the long pause: {}", cues[0].span);
}

#[test]
fn times_are_the_clip_s_own_and_words_outside_are_left_out() {
    let film =
        Film { words: words("zero one two three four five six seven", 0.0, 1.0), span: span(2.4, 5.6), ..Film::of(1920, 1080, 30.0) };
    let cues = film.plan(Ratio::Portrait, CaptionStyle::Block).captions.unwrap().cues;
    let shown: Vec<&str> = cues.iter().flat_map(|cue| &cue.lines).flatten().map(|word| word.text.as_str()).collect();
    assert_eq!(shown, ["two", "three", "four", "five"]);
    assert_eq!(cues[0].span.start(), MediaTime::ZERO);
    assert!(cues[cues.len() - 1].span.end() <= MediaTime::from_seconds(3.2));
}

#[test]
fn right_to_left_words_keep_their_logical_order_and_unspaced_scripts_their_joins() {
    check("שלום לכולם חברים", &[&["שלום לכולם חברים"]]);
    let cues = karaoke(words("今日 は とても いい 天気 です", 0.5, 0.2));
    assert_eq!(cues.iter().flat_map(lines).collect::<String>(), "今日はとてもいい天気です");
}

#[test]
fn emoji_stand_as_words() {
    check("Ship it 🚀 now!", &[&["SHIP IT 🚀 NOW!"]]);
}

#[test]
fn a_clean_picture_has_no_captions_but_subtitle_files_still_do() {
    let film = Film { words: words("hello there", 1.0, 0.4), ..Film::of(1920, 1080, 30.0) };
    assert_eq!(film.plan(Ratio::Portrait, CaptionStyle::Clean).captions, None);
    let cues = arrange(&film.words, &film.timeline(), &Rules::subtitle_file());
    assert_eq!(cues.iter().flat_map(lines).collect::<Vec<_>>(), ["hello there"]);
}

#[test]
fn subtitle_lines_are_balanced_and_slow_enough_to_read() {
    let text = "When we started this company nobody believed that a small team could build it, \
                but we knew exactly what people needed and we shipped it in six weeks.";
    let film = Film { words: words(text, 0.0, 0.35), ..Film::of(1920, 1080, 30.0) };
    let cues = arrange(&film.words, &film.timeline(), &Rules::subtitle_file());
    for cue in &cues {
        assert!(cue.lines.len() <= 2 && lines(cue).iter().all(|line| width(line) <= 42), "{:?}", lines(cue));
        assert!(reading_speed(cue) <= 20.0, "{:?} at {}", lines(cue), reading_speed(cue));
    }
    assert!(cues.len() <= 5, "{:?}", cues.iter().map(lines).collect::<Vec<_>>());
}

/// Words as a transcript has them: in order, apart or touching, some very short, some in other scripts.
fn spoken() -> impl Strategy<Value = Vec<Word>> {
    let text = prop::sample::select(vec![
        "a",
        "the",
        "and,",
        "end.",
        "why?",
        "extraordinarily",
        "no",
        "42",
        "שלום",
        "天",
        "気",
        "🚀",
        "naïve",
        "co-op;",
        "internationalisation",
    ]);
    prop::collection::vec((text, 1_000..900_000_u64, 0..1_500_000_u64, 0..4_u8), 0..120).prop_map(|words| {
        let mut at = 0;
        let place = |(text, length, gap, has_gap): (&str, u64, u64, u8)| {
            let start = at + if has_gap == 0 { gap } else { 0 };
            at = start + length;
            Word { span: Span::new(MediaTime(start), MediaTime(at)).unwrap(), text: text.into(), probability: 0.9 }
        };
        words.into_iter().map(place).collect()
    })
}

proptest! {
    #![proptest_config(properties())]

    #[test]
    fn cues_never_overlap_never_leave_the_rendition_and_lose_no_word(
        words in spoken(), style in prop::sample::select(vec![CaptionStyle::Karaoke, CaptionStyle::Block]),
        ratio in prop::sample::select(Ratio::ALL.to_vec()), start in 0.0..10.0_f64, length in 0.1..40.0_f64,
    ) {
        let film = Film { words, span: span(start, start + length), ..Film::of(1920, 1080, 60.0) };
        let timeline = film.timeline();
        let rules = Rules::burnt(style, ratio).unwrap();
        let cues = arrange(&film.words, &timeline, &rules);
        let end = timeline.time_of(timeline.frames);
        let on_frame = |at: MediaTime| timeline.time_of(timeline.rate.nearest_frame(at)) == at;
        let mut last = MediaTime::ZERO;
        for cue in &cues {
            prop_assert!(cue.span.start() >= last && cue.span.end() <= end, "{cue:?}");
            prop_assert!(on_frame(cue.span.start()) && on_frame(cue.span.end()));
            last = cue.span.end();
            let mut word_end = cue.span.start();
            for word in cue.lines.iter().flatten() {
                prop_assert!(word.span.start() >= word_end && word.span.end() <= cue.span.end(), "{cue:?}");
                prop_assert!(on_frame(word.span.start()) && on_frame(word.span.end()));
                word_end = word.span.end();
            }
            prop_assert!((1..=2).contains(&cue.lines.len()) && cue.lines.iter().all(|line| !line.is_empty()), "{cue:?}");
            let is_lone = cue.lines.iter().flatten().count() == 1;
            prop_assert!(is_lone || lines(cue).iter().all(|line| width(line) <= rules.line_chars), "{:?}", lines(cue));
        }
        let middle = |word: &&Word| timeline.range.contains(MediaTime((word.span.start().0 + word.span.end().0) / 2));
        let spoken = film.words.iter().filter(middle).count();
        let shown: usize = cues.iter().flat_map(|cue| &cue.lines).flatten().map(|word| joined([word.text.as_str()]).split(' ').count()).sum();
        // Unspaced words that share the last frame are written together, so they may count as one.
        prop_assert!(shown <= spoken && (shown == spoken || film.words.iter().any(|word| word.text == "天" || word.text == "気")), "{shown} of {spoken}");
    }
}
