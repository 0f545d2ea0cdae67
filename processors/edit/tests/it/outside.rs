//! Our subtitle files as somebody else's reader sees them.

use crate::film::{Film, words};
use domain::artefact::{CaptionStyle, Ratio};
use edit::cues::{Rules, arrange, joined};
use edit::subtitles::{ass, srt, vtt};
use std::io::Write;
use std::process::{Command, Stdio};

/// Prints start, end in milliseconds and the plain text of every event of a subtitle file, then the sum of its karaoke times.
const PYSUBS2: &str = r"
import html, re, sys, pysubs2
subs = pysubs2.SSAFile.from_string(sys.stdin.read(), format_=sys.argv[1])
for event in subs:
    # pysubs2 leaves the word times and entities of WebVTT as they stand.
    plain = html.unescape(re.sub(r'<[\d:.]+>', '', event.plaintext)) if sys.argv[1] == 'vtt' else event.plaintext
    print(event.start, event.end, plain.replace('\n', '|'), sum(int(k) for k in re.findall(r'\\k(\d+)', event.text)), sep='\t')
";

/// Returns the Python that has pysubs2; outside of CI the check is left out where there is none.
#[allow(clippy::disallowed_methods, reason = "tests are told which Python to use")]
fn python() -> Option<String> {
    let python = std::env::var("CLIPFLOW_PYTHON").ok();
    assert!(python.is_some() || std::env::var("CI").as_deref() != Ok("true"), "CLIPFLOW_PYTHON must name a Python with pysubs2");
    if python.is_none() {
        eprintln!("left out: CLIPFLOW_PYTHON is not set");
    }
    python
}

fn events(python: &str, format: &str, file: &str) -> Vec<Vec<String>> {
    let mut child = Command::new(python)
        .args(["-X", "utf8", "-c", PYSUBS2, format])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("CLIPFLOW_PYTHON starts");
    child.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "pysubs2 reads {format}");
    let rows = String::from_utf8(output.stdout).unwrap();
    rows.lines().map(|row| row.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn pysubs2_reads_what_we_write() {
    let Some(python) = python() else { return };
    let text = "When we started, nobody believed it. שלום לכולם! Then 今日 は いい 天気 🚀 and we shipped R&D in six weeks; why not?";
    let film = Film { words: words(text, 0.4, 0.37), ..Film::of(1920, 1080, 30.0) };
    let list = film.plan(Ratio::Portrait, CaptionStyle::Karaoke);
    let captions = list.captions.as_ref().unwrap();
    let cues = arrange(&film.words, &film.timeline(), &Rules::subtitle_file());
    let cases = [("srt", srt(&cues), &cues, 1), ("vtt", vtt(&cues), &cues, 1), ("ass", ass(captions, &list.picture), &captions.cues, 10)];
    for (format, file, cues, grid_ms) in cases {
        let events = events(&python, format, &file);
        assert_eq!(events.len(), cues.len(), "{format}");
        for (event, cue) in events.iter().zip(cues) {
            let millis = |column: usize| event[column].parse::<u64>().unwrap();
            assert!(millis(0).abs_diff((cue.span.start().0 + 500) / 1_000) * 2 <= grid_ms, "{format}: {event:?} {cue:?}");
            assert!(millis(1).abs_diff((cue.span.end().0 + 500) / 1_000) * 2 <= grid_ms, "{format}: {event:?} {cue:?}");
            let text = cue.lines.iter().map(|line| joined(line.iter().map(|word| word.text.as_str()))).collect::<Vec<_>>().join("|");
            assert_eq!(event[2], text, "{format}");
            if format == "ass" {
                assert_eq!(event[3].parse::<u64>().unwrap() * 10, millis(1) - millis(0), "karaoke times fill the cue: {event:?}");
            }
        }
    }
}
