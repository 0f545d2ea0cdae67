//! Made-up films: faces on known paths, sampled with the errors of a detector.

use domain::artefact::{
    AudioFacts, CaptionStyle, DecisionList, EncoderSettings, FaceSample, FrameRate, MediaFacts, Prosody, Ratio, Rect, RenderSettings, Shot,
    TrackedFace, VideoFacts, Word,
};
use domain::{BlobRef, MediaTime, Span};
use edit::reframe::{Crop, stretches};
use edit::{Source, Timeline, Wish, plan};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// Samples of a detector a second.
const SAMPLES_PER_SECOND: f64 = 5.0;

/// Returns the set-up of property tests; `CLIPFLOW_TEST_SEED` repeats or varies a run, and a failing test prints the seed it had.
#[allow(clippy::disallowed_methods, reason = "tests may be told a seed")]
pub(crate) fn properties() -> ProptestConfig {
    let seed = std::env::var("CLIPFLOW_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122);
    eprintln!("CLIPFLOW_TEST_SEED={seed}");
    ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn span(start: f64, end: f64) -> Span {
    Span::new(MediaTime::from_seconds(start), MediaTime::from_seconds(end)).unwrap()
}

/// A face box by its middle, as parts of the picture.
pub(crate) fn face(x: f64, y: f64, width: f64, height: f64) -> Rect {
    Rect { x: (x - width / 2.0) as f32, y: (y - height / 2.0) as f32, width: width as f32, height: height as f32 }
}

/// Numbers in 0..1 that look random and are the same everywhere.
#[derive(Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A film in which everything is known.
#[derive(Clone)]
pub(crate) struct Film {
    pub(crate) facts: MediaFacts,
    pub(crate) shots: Vec<Shot>,
    pub(crate) samples: Vec<FaceSample>,
    pub(crate) levels: Prosody,
    pub(crate) words: Vec<Word>,
    pub(crate) span: Span,
}

impl Film {
    /// Returns `seconds` of film without faces, words or cuts, of which everything is wanted.
    pub(crate) fn of(width: u32, height: u32, seconds: f64) -> Self {
        let rate = FrameRate { numerator: 30, denominator: 1 };
        let video = VideoFacts { codec: "h264".into(), width, height, frame_rate: rate, is_variable_rate: false, rotation_degrees: 0 };
        Self {
            facts: MediaFacts {
                container: "mp4".into(),
                duration_us: MediaTime::from_seconds(seconds),
                video: Some(video),
                audio: Some(AudioFacts { codec: "aac".into(), channels: 2, sample_rate_hz: 48_000 }),
            },
            shots: vec![Shot { span: span(0.0, seconds) }],
            samples: Vec::new(),
            levels: Prosody { step_ms: 10, level_db: vec![-20.0; (seconds * 100.0) as usize], ..Prosody::default() },
            words: Vec::new(),
            span: span(0.0, seconds),
        }
    }

    /// Cuts it at these seconds.
    pub(crate) fn cut_at(mut self, cuts: &[f64]) -> Self {
        let end = self.facts.duration_us.seconds();
        let starts = std::iter::once(0.0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([end]);
        self.shots = starts.zip(ends).map(|(start, end)| Shot { span: span(start, end) }).collect();
        self
    }

    /// Samples faces as a detector would: boxes that shake by a fiftieth of their size, and now and then none at all.
    pub(crate) fn with_faces(mut self, faces: impl Fn(f64) -> Vec<(Rect, f32)>) -> Self {
        let mut dice = Dice(7);
        let count = (self.facts.duration_us.seconds() * SAMPLES_PER_SECOND) as usize;
        for index in 0..count {
            let at = index as f64 / SAMPLES_PER_SECOND;
            let mut seen = Vec::new();
            for (rect, mouth_motion) in faces(at) {
                let is_missed = dice.roll() < 0.03;
                let mut shake = || ((dice.roll() - 0.5) / 25.0) as f32;
                let rect = Rect {
                    x: rect.x + shake() * rect.width,
                    y: rect.y + shake() * rect.height,
                    width: rect.width * (1.0 + shake()),
                    height: rect.height * (1.0 + shake()),
                };
                if !is_missed {
                    seen.push(TrackedFace { rect, confidence: 10.0, mouth_motion });
                }
            }
            let sharpness = 100.0 + 50.0 * dice.roll() as f32;
            self.samples.push(FaceSample { at_us: MediaTime::from_seconds(at), faces: seen, sharpness, luma: 0.45 });
        }
        self
    }

    /// Plans a rendition of the wanted span.
    pub(crate) fn plan(&self, ratio: Ratio, style: CaptionStyle) -> DecisionList {
        plan(&self.source(), &self.wish(ratio, style)).unwrap()
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            blob: BlobRef { sha256: "ab".repeat(32).parse().unwrap(), bytes: 1, media_type: "video/mp4".into() },
            facts: &self.facts,
            shots: &self.shots,
            faces: &self.samples,
            levels: &self.levels,
            words: &self.words,
            loudness: None,
        }
    }

    pub(crate) fn wish(&self, ratio: Ratio, style: CaptionStyle) -> Wish {
        let settings = RenderSettings::full_size(ratio, EncoderSettings::default());
        Wish { span: self.span, ratio, style, settings }
    }

    pub(crate) fn timeline(&self) -> Timeline {
        Timeline::of(&self.facts, self.facts.video.as_ref().unwrap(), self.span).unwrap()
    }

    pub(crate) fn crop(&self, ratio: Ratio) -> Crop {
        Crop::of(self.facts.video.as_ref().unwrap(), ratio)
    }

    /// Returns the cuts as frames of the rendition.
    pub(crate) fn cuts(&self) -> Vec<u64> {
        edit::quality::cuts(&stretches(&self.shots, &self.timeline()))
    }

    /// Returns where the face truly is in every frame of the rendition.
    pub(crate) fn truth(&self, path: impl Fn(f64) -> Rect) -> Vec<(u64, Rect)> {
        let timeline = self.timeline();
        (0..timeline.frames).map(|frame| (frame, path(timeline.source_time(frame).seconds()))).collect()
    }
}

/// Returns words of even length, one after another.
pub(crate) fn words(text: &str, start: f64, seconds_each: f64) -> Vec<Word> {
    let word = |(index, word): (usize, &str)| {
        let from = start + index as f64 * seconds_each;
        Word { span: span(from, from + seconds_each), text: word.into(), probability: 1.0 }
    };
    text.split_whitespace().enumerate().map(word).collect()
}
