//! Our measures against other people's: NLTK and segeval, where the Python named by `CLIPFLOW_PYTHON` has them.

use crate::made::Random;
use score::evaluate;
use serde_json::json;
use std::io::Write;
use std::ops::Range;
use std::process::{Command, Stdio};

const CASES: usize = 300;
/// The script's word for "NLTK is not installed".
const NO_NLTK: i32 = 3;

struct Case {
    count: usize,
    k: usize,
    predicted: Vec<usize>,
    truth: Vec<usize>,
}

fn starts(random: &mut Random, count: usize) -> Vec<usize> {
    let part = random.between(0.02, 0.3);
    (0..count).filter(|&unit| unit == 0 || random.chance(part)).collect()
}

fn ranges(starts: &[usize], count: usize) -> Vec<Range<usize>> {
    let ends = starts.iter().skip(1).copied().chain([count]);
    starts.iter().zip(ends).map(|(&start, end)| start..end).collect()
}

fn cases() -> Vec<Case> {
    let mut random = Random(11);
    let case = |_| {
        let count = 12 + random.below(120);
        let (predicted, truth) = (starts(&mut random, count), starts(&mut random, count));
        Case { k: evaluate::window(&ranges(&truth, count)).min(count / 2), count, predicted, truth }
    };
    (0..CASES).map(case).collect()
}

#[test]
fn pk_and_window_diff_agree_with_nltk_and_segeval() {
    let Some(python) = std::env::var_os("CLIPFLOW_PYTHON") else {
        println!("skipped: CLIPFLOW_PYTHON is not set");
        return;
    };
    let cases = cases();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/segmentation_oracle.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String = cases
        .iter()
        .map(|case| format!("{}\n", json!({ "n": case.count, "k": case.k, "predicted": case.predicted, "truth": case.truth })))
        .collect();
    // A script that stopped for want of NLTK reads nothing; its exit status says so.
    let written = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(NO_NLTK) {
        println!("skipped: that Python has no NLTK");
        return;
    }
    written.unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), CASES);
    for (case, line) in cases.iter().zip(answers.lines()) {
        let theirs: (f64, f64, Option<f64>) = serde_json::from_str(line).unwrap();
        let (predicted, truth) = (ranges(&case.predicted, case.count), ranges(&case.truth, case.count));
        let pk = evaluate::pk(&predicted, &truth, case.k);
        assert!((pk - theirs.0).abs() < 1e-9, "Pk {pk}, NLTK {}", theirs.0);
        let diff = evaluate::window_diff(&predicted, &truth, case.k);
        assert!((diff - theirs.1).abs() < 1e-9, "WindowDiff {diff}, NLTK {}", theirs.1);
        if let Some(segeval) = theirs.2 {
            assert!((pk - segeval).abs() < 1e-9, "Pk {pk}, segeval {segeval}");
        }
    }
}
