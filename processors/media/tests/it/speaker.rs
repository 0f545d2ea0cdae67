//! The camera on the sample talk, in which every face and every speaker is known.

use crate::generated::{facts, python, span};
use domain::BlobRef;
use domain::artefact::{CaptionStyle, DecisionList, EncoderSettings, FaceSample, Layout, MediaFacts, Ratio, Rect, RenderSettings, Shot};
use edit::reframe::Crop;
use edit::{Source, Timeline, Wish, quality};
use media::listen::{Heard, listen};
use media::look::{faces_in, look};
use serde_json::Value;
use std::path::PathBuf;

/// Samples a second, as for a render.
const RATE_HZ: f64 = 5.0;

/// Makes the talk, or takes it from the cache folder, and prints what is true of it.
const GENERATE: &str = "
import pathlib, subprocess, sys
out = pathlib.Path(sys.argv[1])
subprocess.run([sys.executable, r'GENERATOR', '--minutes', '3', '--out', str(out)], check=True, stdout=subprocess.DEVNULL)
print((out / 'truth.json').read_text())
";

/// The sample talk and what is true of it.
struct Talk {
    path: PathBuf,
    truth: Value,
    facts: MediaFacts,
    shots: Vec<Shot>,
    heard: Heard,
    _folder: tempfile::TempDir,
}

impl Talk {
    /// Returns the talk; `None`, said aloud, where there is no Python that can make it.
    fn made() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let generator = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/talk/generate.py");
        let truth = python(&GENERATE.replace("GENERATOR", generator), folder.path())?;
        let path = folder.path().join("talk.mp4");
        let facts = facts(&path);
        let shots = look(&path, &facts, &mut |_| {}).unwrap().shots;
        let heard = listen(&path, &folder.path().join("talk.wav"), &mut |_| {}).unwrap();
        Some(Self { path, truth, facts, shots, heard, _folder: folder })
    }

    fn fps(&self) -> f64 {
        self.truth["fps"].as_f64().unwrap()
    }

    /// Returns the shots of a kind as (voice, start, end), in seconds.
    fn shots(&self, kind: &str) -> Vec<(String, f64, f64)> {
        let all = self.truth["shots"].as_array().unwrap().iter();
        let seconds = |shot: &Value, name: &str| shot[name].as_f64().unwrap() / self.fps();
        all.filter(|shot| shot["kind"] == kind)
            .map(|shot| (shot["voice"].as_str().unwrap().to_owned(), seconds(shot, "start_frame"), seconds(shot, "end_frame")))
            .collect()
    }

    /// Returns where a person's face is at a moment, as parts of the picture.
    fn face(&self, person: &str, at: f64) -> Option<Rect> {
        let boxes = self.truth["faces"][(at * self.fps()).round() as usize].as_array()?;
        let found = boxes.iter().find(|face| face["person"] == person)?;
        let part = |name: &str, whole: &str| (found[name].as_f64().unwrap() / self.truth[whole].as_f64().unwrap()) as f32;
        Some(Rect { x: part("x", "width"), y: part("y", "height"), width: part("w", "width"), height: part("h", "height") })
    }

    fn is_heard(&self, from: f64, to: f64) -> bool {
        let words = self.truth["words"].as_array().unwrap().iter();
        let heard: f64 =
            words.map(|word| (word["end"].as_f64().unwrap().min(to) - word["start"].as_f64().unwrap().max(from)).max(0.0)).sum();
        heard > (to - from) / 2.0
    }

    fn samples(&self, start: f64, end: f64) -> Vec<FaceSample> {
        faces_in(&self.path, &self.facts, span(start, end), RATE_HZ, &mut |_| {}).unwrap()
    }

    /// Plans a vertical clip, as a render does.
    fn plan(&self, start: f64, end: f64, faces: &[FaceSample]) -> DecisionList {
        let blob = BlobRef { sha256: "ab".repeat(32).parse().unwrap(), bytes: 1, media_type: "video/mp4".into() };
        let levels = &self.heard.prosody;
        let source = Source { blob, facts: &self.facts, shots: &self.shots, faces, levels, words: &[], loudness: None };
        let settings = RenderSettings::full_size(Ratio::Portrait, EncoderSettings::default());
        edit::plan(&source, &Wish { span: span(start, end), ratio: Ratio::Portrait, style: CaptionStyle::Clean, settings }).unwrap()
    }

    fn timeline(&self, start: f64, end: f64) -> Timeline {
        Timeline::of(&self.facts, self.facts.video.as_ref().unwrap(), span(start, end)).unwrap()
    }

    fn crop(&self) -> Crop {
        Crop::of(self.facts.video.as_ref().unwrap(), Ratio::Portrait)
    }
}

/// Returns how much the mouth near `face` moved in a sample.
fn mouth(sample: &FaceSample, face: Rect) -> f32 {
    let seen = sample.faces.iter().max_by(|a, b| a.rect.iou(face).total_cmp(&b.rect.iou(face)));
    seen.filter(|seen| seen.rect.iou(face) > 0.2).map_or(0.0, |seen| seen.mouth_motion)
}

fn other(voice: &str) -> &'static str {
    if voice == "A" { "B" } else { "A" }
}

/// Returns the layout that is shown at a frame.
fn layout(list: &DecisionList, frame: u64) -> &Layout {
    &list.layout.iter().rfind(|segment| segment.first_frame <= frame).unwrap().layout
}

#[test]
fn of_two_people_in_one_picture_the_one_who_speaks_is_told_and_shown() {
    let Some(talk) = Talk::made() else { return };
    let (mut right, mut judged, mut shown, mut frames) = (0, 0, 0, 0);
    for (voice, start, end) in talk.shots("duo") {
        let samples = talk.samples(start, end);
        // Whoever's mouth moves more over the time that the camera judges by, while somebody is heard.
        for window in samples.windows(9) {
            let (from, to) = (window[0].at_us.seconds(), window[8].at_us.seconds());
            if talk.is_heard(from, to) {
                let mass = |person: &str| {
                    let motion = |sample: &FaceSample| talk.face(person, sample.at_us.seconds()).map_or(0.0, |face| mouth(sample, face));
                    window.iter().map(motion).sum::<f32>()
                };
                judged += 1;
                right += usize::from(mass(&voice) > mass(other(&voice)));
            }
        }
        let (list, timeline) = (talk.plan(start, end, &samples), talk.timeline(start, end));
        for frame in 0..timeline.frames {
            let Some(face) = talk.face(&voice, timeline.source_time(frame).seconds()) else { continue };
            let is_single = matches!(layout(&list, frame), Layout::Single { .. });
            frames += 1;
            shown += usize::from(is_single && quality::face_core_inside(&list, talk.crop(), &[(frame, face)]) == 1.0);
        }
    }
    let part = |hits: usize, all: usize| hits as f64 / all as f64;
    eprintln!(
        "the right mouth in {:.3} of {judged} windows, shown alone in {:.3} of {frames} frames",
        part(right, judged),
        part(shown, frames)
    );
    assert!(judged > 50 && part(right, judged) >= 0.9, "{right} of {judged}");
    assert!(part(shown, frames) >= 0.9, "{shown} of {frames}");
}

#[test]
fn the_core_of_the_speakers_face_is_inside_the_vertical_picture() {
    let Some(talk) = Talk::made() else { return };
    let (mut inside, mut frames) = (0.0, 0.0);
    // Some minutes of talk in pieces as long as clips, with the cuts and slides in them.
    for start in [14.0, 52.0, 100.0, 144.0] {
        let end = start + 20.0;
        let samples = talk.samples(start, end);
        let (list, timeline) = (talk.plan(start, end, &samples), talk.timeline(start, end));
        let shots: Vec<_> = ["close", "stage", "duo"].iter().flat_map(|kind| talk.shots(kind)).collect();
        let faces: Vec<(u64, Rect)> = (0..timeline.frames)
            .filter_map(|frame| {
                let at = timeline.source_time(frame).seconds();
                let (voice, ..) = shots.iter().find(|(_, from, to)| (*from..*to).contains(&at))?;
                let is_cropped = matches!(layout(&list, frame), Layout::Single { .. });
                Some((frame, talk.face(voice, at)?)).filter(|_| is_cropped)
            })
            .collect();
        inside += quality::face_core_inside(&list, talk.crop(), &faces) * faces.len() as f64;
        frames += faces.len() as f64;
    }
    eprintln!("the face core is inside in {:.4} of {frames} frames that are cropped", inside / frames);
    assert!(frames > 1_200.0, "most of the talk is cropped to a face: {frames} frames");
    assert!(inside / frames >= 0.98, "{}", inside / frames);
}
