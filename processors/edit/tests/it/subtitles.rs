//! Subtitle files, written and read.

use crate::film::{Film, properties, span, words};
use domain::artefact::{CaptionStyle, Cue, CueWord, Ratio};
use domain::{MediaTime, Span};
use edit::cues::joined;
use edit::subtitles::{Fault, Imported, Unreadable, ass, read, srt, vtt};
use proptest::prelude::*;

const MINUTE: MediaTime = MediaTime(60_000_000);

fn imported(file: &str) -> Imported {
    read(file.as_bytes(), "en", MINUTE).unwrap()
}

/// Returns phrases as "start-end text" in seconds.
fn phrases(imported: &Imported) -> Vec<String> {
    let phrase = |segment: &domain::artefact::Segment| {
        format!("{:.3}-{:.3} {}", segment.span.start().seconds(), segment.span.end().seconds(), segment.text)
    };
    imported.transcript.segments.iter().map(phrase).collect()
}

fn check(file: &str, expected: &[&str]) {
    assert_eq!(phrases(&imported(file)), expected);
}

fn refused(file: &str, line: usize, fault: &Fault) {
    assert_eq!(read(file.as_bytes(), "en", MINUTE), Err(Unreadable { line, fault: fault.clone() }));
}

#[test]
fn srt_with_byte_order_mark_carriage_returns_tags_and_coordinates_is_read() {
    check(
        "\u{feff}1\r\n00:00:01,000 --> 00:00:02,500 X1:10 X2:20\r\n<i>Hello</i> {\\an8}there\r\nsecond line\r\n\r\n2\r\n0:00:03.5 --> 0:00:04\r\n5 < 6\r\n",
        &["1.000-2.500 Hello there second line", "3.500-4.000 5 < 6"],
    );
}

#[test]
fn srt_without_numbers_or_with_empty_lines_in_a_cue_is_read() {
    check(
        "00:00:01,000 --> 00:00:02,000\none\n\ntwo\n\n00:00:03,000 --> 00:00:04,000\n1984\n\n3\n00:00:05,000 --> 00:00:06,000\nthree\n",
        &["1.000-2.000 one two", "3.000-4.000 1984", "5.000-6.000 three"],
    );
}

#[test]
fn cues_out_of_order_are_sorted_and_overlapping_ones_end_early_or_are_joined() {
    check(
        "1\n00:00:05,000 --> 00:00:06,000\nlast\n\n2\n00:00:01,000 --> 00:00:03,200\nfirst one\n\n3\n00:00:03,000 --> 00:00:04,000\nsecond one\n\n\
         4\n00:00:05,000 --> 00:00:06,000\ntogether\n",
        &["1.000-3.000 first one", "3.000-4.000 second one", "5.000-6.000 last together"],
    );
}

#[test]
fn sounds_notes_and_speaker_marks_are_not_spoken() {
    check(
        "1\n00:00:01,000 --> 00:00:02,000\n[Applause]\n\n2\n00:00:02,000 --> 00:00:03,000\n- Hello.\n- ♪ la la ♪\n\n3\n00:00:03,000 --> 00:00:04,000\n>> (laughs)\n",
        &["2.000-3.000 Hello. la la"],
    );
}

#[test]
fn a_bad_time_names_its_line_and_itself() {
    refused("1\n00:00:01,000 --> 00:00:02,000\nfine\n\n2\n00:61:01,000 --> 00:00:02,000\nbad\n", 6, &Fault::BadTime("00:61:01,000".into()));
    refused("1\n00:00:01,000 -->\nbad\n", 2, &Fault::BadTime(String::new()));
    refused("1\n00:00:05,000 --> 00:00:02,000\nbackwards\n", 2, &Fault::EndsBeforeStart);
    refused("WEBVTT\n\n00:01.000 --> 00:02:000\nbad\n", 3, &Fault::BadTime("00:02:000".into()));
    let unreadable = read(b"1\n00:00:0x,000 --> 00:00:02,000\nbad\n", "en", MINUTE).unwrap_err();
    assert_eq!(
        unreadable.to_string(),
        "the transcript cannot be read, line 2: \"00:00:0x,000\" is not a time; write hours:minutes:seconds,milliseconds"
    );
}

#[test]
fn what_is_not_a_transcript_is_refused_with_a_reason() {
    refused("", 1, &Fault::NoWords);
    refused("Dear diary,\n", 1, &Fault::NotSubtitles);
    refused("1\n00:02:00,000 --> 00:02:01,000\nlate\n", 2, &Fault::OutsideVideo);
    assert_eq!(read(&[0, 1, 2, 0xFF], "en", MINUTE).unwrap_err().fault, Fault::NotText);
    assert_eq!(
        read(b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9\n", "en", MINUTE).unwrap_err(),
        Unreadable { line: 3, fault: Fault::NotUtf8 }
    );
    assert!(matches!(read(b"{\n\"segments\": [1]}", "en", MINUTE).unwrap_err(), Unreadable { line: 2, fault: Fault::BadJson(_) }));
    assert!(matches!(read(b"{\"segments\": [", "en", MINUTE).unwrap_err().fault, Fault::BadJson(_)));
}

#[test]
fn a_file_made_to_take_long_does_not() {
    let start = std::time::Instant::now();
    let together = "00:00:01,000 --> 00:00:02,000\nword\n".repeat(100_000);
    assert_eq!(imported(&together).transcript.words().count(), 100_000);
    for mark in ["<b ", "{\\", "<", "&", "<00:00:01.000", "[", "天", "\u{301}"] {
        let line = format!("00:00:01.000 --> 00:00:02.000\n{}\n", mark.repeat(300_000));
        for file in [line.clone(), format!("WEBVTT\n\n{line}")] {
            drop(read(file.as_bytes(), "en", MINUTE));
        }
    }
    let tokens = r#"{"text": "a", "offsets": {"from": 0, "to": 1}},"#.repeat(100_000);
    let json = format!(
        r#"{{"transcription": [{{"offsets": {{"from": 0, "to": 1}}, "text": "a", "tokens": [{}]}}]}}"#,
        tokens.trim_end_matches(',')
    );
    imported(&json);
    let words = r#"{"word": "a"},"#.repeat(100_000);
    imported(&format!(r#"{{"segments": [], "words": [{words}{{"word": "b", "start": 1.0, "end": 2.0}}]}}"#));
    // Each of these would take hours if any step looked at everything again for every cue, tag or token.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn utf_16_with_a_byte_order_mark_is_read() {
    let file = "1\n00:00:01,000 --> 00:00:02,000\nGrüße 👋\n";
    let little: Vec<u8> = [0xFEFF].into_iter().chain(file.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = [0xFEFF].into_iter().chain(file.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    for bytes in [little, big] {
        assert_eq!(phrases(&read(&bytes, "de", MINUTE).unwrap()), ["1.000-2.000 Grüße 👋"]);
    }
}

#[test]
fn vtt_notes_styles_settings_identifiers_and_entities_are_read() {
    let file = "WEBVTT - a talk\nKind: captions\nLanguage: de-DE\n\nSTYLE\n::cue { color: red }\n\nNOTE\nnothing\n\nintro\n00:01.000 --> 00:02.000 align:start position:0%\n\
                <v Anna>Tom &amp; <b>Jerry</b>\n\n1:00:00.000 --> 1:00:01.000\nlate\n";
    check(file, &["1.000-2.000 Tom & Jerry"]);
    assert_eq!(imported(file).transcript.language, "de");
    assert!(!imported(file).has_word_times);
}

#[test]
fn rolling_captions_with_word_stamps_are_read_once_with_their_times() {
    let file = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n \nso<00:00:00.400><c> here</c><00:00:00.900><c> we</c>\n\n00:00:02.000 --> 00:00:02.010\nso here we\n \n\n\
                00:00:02.010 --> 00:00:04.000\nso here we\ngo<00:00:02.500><c> again</c>\n";
    check(file, &["0.000-2.000 so here we", "2.010-4.000 go again"]);
    let imported = imported(file);
    assert!(imported.has_word_times);
    let starts: Vec<f64> = imported.transcript.words().map(|word| word.span.start().seconds()).collect();
    assert_eq!(starts, [0.0, 0.4, 0.9, 2.01, 2.5]);
}

#[test]
fn openai_whisper_json_is_read_with_its_word_times() {
    let file = r#"{"text": " Hello there.", "segments": [{"id": 0, "seek": 0, "start": 0.0, "end": 1.5, "text": " Hello there.", "tokens": [1], "temperature": 0.0,
        "avg_logprob": -0.25, "compression_ratio": 1.0, "no_speech_prob": 0.03,
        "words": [{"word": " Hello", "start": 0.1, "end": 0.5, "probability": 0.9}, {"word": " there.", "start": 0.5, "end": 1.2, "probability": 0.8}]}], "language": "en"}"#;
    let imported = imported(file);
    assert!(imported.has_word_times);
    let segment = &imported.transcript.segments[0];
    assert_eq!((segment.mean_logprob, segment.no_speech_probability), (-0.25, 0.03));
    assert_eq!((segment.words[1].text.as_str(), segment.words[1].span, segment.words[1].probability), ("there.", span(0.5, 1.2), 0.8));
    assert_eq!(imported.transcript.model, "whisper-json");
}

#[test]
fn faster_whisper_whisperx_and_api_shapes_are_read() {
    let list = r#"[{"id": 1, "start": 1.0, "end": 2.0, "text": " One two", "words": null}]"#;
    assert_eq!((phrases(&imported(list)), imported(list).has_word_times), (vec!["1.000-2.000 One two".into()], false));
    let whisperx = r#"{"segments": [{"start": 0.0, "end": 2.0, "text": "In 2024 we", "words": [{"word": "In", "start": 0.0, "end": 0.4, "score": 0.7}, {"word": "2024"}, {"word": "we", "start": 1.2, "end": 1.5, "score": 0.9}]}], "word_segments": [], "language": "en"}"#;
    let spans: Vec<Span> = imported(whisperx).transcript.words().map(|word| word.span).collect();
    assert_eq!(spans, [span(0.0, 0.4), span(0.4, 1.2), span(1.2, 1.5)]);
    let api = r#"{"task": "transcribe", "language": "german", "duration": 4.0, "text": "Ja. Gut", "words": [{"word": "Ja.", "start": 0.5, "end": 0.9}, {"word": "Gut", "start": 1.0, "end": 1.4}]}"#;
    assert_eq!(phrases(&imported(api)), ["0.500-0.900 Ja.", "1.000-1.400 Gut"]);
    assert_eq!(imported(api).transcript.language, "de");
}

#[test]
fn whisper_cpp_json_is_read_and_its_tokens_joined_to_words() {
    let file = r#"{"systeminfo": "x", "model": {"type": "base"}, "result": {"language": "en"}, "transcription": [{"timestamps": {"from": "00:00:00,000", "to": "00:00:02,000"},
        "offsets": {"from": 0, "to": 2000}, "text": " Unbelievable, no?", "tokens": [{"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}, "id": 50363, "p": 0.9},
        {"text": " Unbel", "offsets": {"from": 100, "to": 400}, "p": 0.8}, {"text": "ievable", "offsets": {"from": 400, "to": 900}, "p": 0.6}, {"text": ",", "offsets": {"from": 900, "to": 950}, "p": 1.0},
        {"text": " no", "offsets": {"from": 1000, "to": 1300}, "p": 0.5}, {"text": "?", "offsets": {"from": 1300, "to": 1400}, "p": 0.5}]}]}"#;
    let words: Vec<(String, Span)> = imported(file).transcript.words().map(|word| (word.text.clone(), word.span)).collect();
    assert_eq!(words, [("Unbelievable,".into(), span(0.1, 0.95)), ("no?".into(), span(1.0, 1.4))]);
}

#[test]
fn words_without_times_are_spread_over_their_phrase_by_length() {
    let imported = imported("1\n00:00:01,000 --> 00:00:02,000\na bcde 天気\n");
    assert!(!imported.has_word_times);
    let words: Vec<(&str, f64)> = imported.transcript.words().map(|word| (word.text.as_str(), word.span.start().seconds())).collect();
    assert_eq!(words.iter().map(|(word, _)| *word).collect::<Vec<_>>(), ["a", "bcde", "天", "気"]);
    assert!(words.windows(2).all(|pair| pair[0].1 < pair[1].1) && (words[1].1 - 1.181_818).abs() < 1e-4, "{words:?}");
}

#[test]
fn ass_carries_karaoke_times_that_add_up_and_no_override_from_a_word() {
    let film = Film { words: words("so {\\b1}this works", 1.0, 0.4), ..Film::of(1920, 1080, 10.0) };
    let list = film.plan(Ratio::Portrait, CaptionStyle::Karaoke);
    let script = ass(list.captions.as_ref().unwrap(), &list.picture);
    let dialogue = script.lines().find(|line| line.starts_with("Dialogue")).unwrap();
    assert!(dialogue.starts_with("Dialogue: 0,0:00:01.00,0:00:02.47,Caption,,0,0,0,,{\\k40}SO {\\k40}(⧵B1)THIS"), "{dialogue}");
    let times: u32 = dialogue.split("{\\k").skip(1).map(|rest| rest.split('}').next().unwrap().parse::<u32>().unwrap()).sum();
    assert_eq!(times, 147);
}

#[test]
fn vtt_escapes_what_would_be_a_tag_and_stamps_every_word_after_the_first() {
    let word = |text: &str, start: f64, end: f64| CueWord { text: text.into(), span: span(start, end) };
    let cue = Cue { span: span(1.0, 3.0), lines: vec![vec![word("a<b>", 1.0, 1.5), word("&", 1.5, 2.0)], vec![word("c", 2.25, 3.0)]] };
    let file = vtt(&[cue]);
    assert_eq!(file, "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\na&lt;b&gt; <00:00:01.500>&amp;\n<00:00:02.250>c\n\n");
    let imported = imported(&file);
    assert!(imported.has_word_times);
    assert_eq!(imported.transcript.words().map(|word| word.text.as_str()).collect::<Vec<_>>(), ["a<b>", "&", "c"]);
}

fn cues() -> impl Strategy<Value = Vec<Cue>> {
    let text = prop::sample::select(vec!["so", "12", "wait,", "what?", "naïve", "שלום", "天気", "🚀", "it's", "5", "a.b"]);
    let line = || prop::collection::vec(text.clone(), 1..5);
    prop::collection::vec((0..500_u64, 1..3_000_u64, line(), prop::option::of(line())), 1..30).prop_map(|cues| {
        let mut at = 0;
        let place = |(gap, length, first, second): (u64, u64, Vec<&str>, Option<Vec<&str>>)| {
            let start = at + gap;
            at = start + length.max(100);
            let span = Span::new(MediaTime::from_millis(start), MediaTime::from_millis(at)).unwrap();
            let line = |texts: Vec<&str>| texts.into_iter().map(|text| CueWord { text: text.into(), span }).collect();
            Cue { span, lines: std::iter::once(first).chain(second).map(line).collect() }
        };
        cues.into_iter().map(place).collect()
    })
}

/// Returns the words of all lines as running text.
fn text(cue: &Cue) -> String {
    cue.lines.iter().map(|line| joined(line.iter().map(|word| word.text.as_str()))).collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(properties())]

    #[test]
    fn what_is_written_is_read_back(cues in cues()) {
        let long = MediaTime::from_seconds(600.0);
        for file in [srt(&cues), vtt(&cues)] {
            let imported = read(file.as_bytes(), "en", long).unwrap();
            let read: Vec<(Span, String)> = imported.transcript.segments.iter().map(|segment| (segment.span, segment.text.clone())).collect();
            let written: Vec<(Span, String)> = cues.iter().map(|cue| (cue.span, text(cue))).collect();
            prop_assert_eq!(read, written);
        }
    }

    #[test]
    fn no_file_is_too_strange_and_what_is_read_keeps_the_transcript_s_promises(
        lines in prop::collection::vec(prop_oneof![
            Just(String::new()), Just("WEBVTT".into()), Just("NOTE x".into()), Just("7".into()), "[a-z<>{}&;:\\[\\]()♪ ]{0,20}", Just("one<00:00:01.500><c> two</c>".into()),
            (0..70_000_u64, 0..70_000_u64).prop_map(|(a, b)| format!("00:{:02}:{:02}.{:03} --> 00:{:02}:{:02},{:03} x:1", a / 60_000, a / 1000 % 60, a % 1000, b / 60_000, b / 1000 % 60, b % 1000)),
            (0..70_u64, 0..9_u64).prop_map(|(a, b)| format!("00:00:{:02}.000 --> 00:01:{b:02}.000", a % 60)),
        ], 0..40), is_vtt in any::<bool>(),
    ) {
        let header = if is_vtt { "WEBVTT\n\n" } else { "" };
        let file = format!("{header}{}", lines.join("\n"));
        let Ok(imported) = read(file.as_bytes(), "en", MINUTE) else { return Ok(()) };
        let mut last = MediaTime::ZERO;
        for segment in &imported.transcript.segments {
            prop_assert!(segment.span.start() >= last && segment.span.end() <= MINUTE.plus(MediaTime(1)), "{:?}", segment.span);
            last = segment.span.end();
            prop_assert!(!segment.words.is_empty());
            let mut at = segment.span.start();
            for word in &segment.words {
                prop_assert!(word.span.start() >= at && word.span.end() <= segment.span.end(), "{segment:?}");
                at = word.span.end();
            }
        }
    }
}
