//! Whole decision lists.

use crate::film::{Film, face, properties, span, words};
use domain::artefact::{CaptionStyle, DecisionList, Layout, Loudness, Ratio, Rect};
use edit::{Refusal, plan, quality};
use proptest::prelude::*;
use std::time::Instant;

fn json(list: &DecisionList) -> String {
    serde_json::to_string_pretty(list).unwrap()
}

/// A minute with two people, slides, words and ten cuts.
fn busy() -> Film {
    let cuts: Vec<f64> = (1..11).map(|cut| f64::from(cut) * 5.4).collect();
    let mut film = Film::of(1920, 1080, 60.0).cut_at(&cuts).with_faces(|at| match (at / 5.4) as usize % 3 {
        0 => vec![(face(0.2 + 0.01 * at, 0.4, 0.1, 0.18), 0.05)],
        1 => vec![(face(0.25, 0.4, 0.1, 0.18), 0.05 * (at.sin().abs() as f32)), (face(0.7, 0.42, 0.1, 0.18), 0.03)],
        _ => vec![],
    });
    film.words = words(&"So this is what we learned, and nobody told us before. ".repeat(15), 0.2, 0.35);
    film
}

#[test]
fn planning_twice_gives_the_same_bytes() {
    for ratio in Ratio::ALL {
        assert_eq!(json(&busy().plan(ratio, CaptionStyle::Karaoke)), json(&busy().plan(ratio, CaptionStyle::Karaoke)));
    }
}

#[test]
fn a_list_survives_its_own_json() {
    let list = busy().plan(Ratio::Portrait, CaptionStyle::Karaoke);
    assert_eq!(serde_json::from_str::<DecisionList>(&json(&list)).unwrap(), list);
}

#[test]
fn sound_alone_and_a_span_outside_are_refused() {
    let mut film = Film::of(1920, 1080, 10.0);
    film.span = span(20.0, 30.0);
    let outside = Refusal::SpanOutsideVideo { span: film.span, duration: film.facts.duration_us };
    assert_eq!(plan(&film.source(), &film.wish(Ratio::Portrait, CaptionStyle::Block)), Err(outside));
    film.facts.video = None;
    assert_eq!(plan(&film.source(), &film.wish(Ratio::Portrait, CaptionStyle::Block)), Err(Refusal::NoPicture));
}

#[test]
fn a_film_without_sound_has_no_audio_chain_and_speech_is_brought_to_the_target() {
    let mut film = Film::of(1920, 1080, 10.0);
    let loudness = Some(Loudness { integrated_lufs: -22.0, range_lu: 5.0, true_peak_dbtp: -6.0 });
    let mut source = film.source();
    source.loudness = loudness;
    let list = plan(&source, &film.wish(Ratio::Portrait, CaptionStyle::Block)).unwrap();
    assert_eq!(list.audio.unwrap().gain_db, 8.0);
    film.facts.audio = None;
    assert_eq!(film.plan(Ratio::Portrait, CaptionStyle::Block).audio, None);
}

#[test]
fn the_poster_is_sharp_bears_a_face_and_is_not_at_a_cut() {
    let shown = |at: f64| (3.0..5.0).contains(&at);
    let mut film = Film::of(1920, 1080, 10.0)
        .cut_at(&[3.0, 5.0])
        .with_faces(move |at| if shown(at) { vec![(face(0.5, 0.4, 0.15, 0.25), 0.0)] } else { vec![] });
    for sample in &mut film.samples {
        sample.sharpness = if sample.at_us.seconds() == 4.2 { 200.0 } else { 100.0 };
    }
    assert_eq!(film.plan(Ratio::Portrait, CaptionStyle::Clean).poster_frame, 126);
    let blind = Film::of(1920, 1080, 10.0);
    assert_eq!(blind.plan(Ratio::Portrait, CaptionStyle::Clean).poster_frame, 60);
}

#[test]
fn a_minute_is_planned_in_well_under_a_tenth_of_a_second() {
    let walking = |at: f64| vec![(face(0.5 + 0.3 * (at / 6.0).sin(), 0.4, 0.1, 0.18), 0.05)];
    let one_shot = Film { words: busy().words, ..Film::of(1920, 1080, 60.0).with_faces(walking) };
    for (name, film) in [("ten cuts", busy()), ("one moving shot", one_shot)] {
        let mut millis: Vec<f64> = (0..9)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(film.plan(Ratio::Portrait, CaptionStyle::Karaoke));
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        millis.sort_by(f64::total_cmp);
        eprintln!("planning 60 s at 30 frames per second, {name}: median {:.1} ms", millis[4]);
        // The limit is for a release build; the best of nine keeps other work on the machine out of the judgement.
        assert!(cfg!(debug_assertions) || millis[0] < 100.0, "{millis:?}");
    }
}

#[test]
fn a_whole_long_film_in_one_piece_is_planned_too() {
    let film = Film::of(1920, 1080, 1_800.0).with_faces(|at| vec![(face(0.5 + 0.3 * (at / 30.0).sin(), 0.4, 0.1, 0.18), 0.05)]);
    let list = film.plan(Ratio::Portrait, CaptionStyle::Clean);
    assert!(quality::is_whole(&list, film.crop(Ratio::Portrait)));
}

fn boxes() -> impl Strategy<Value = Rect> {
    (-0.1..1.1_f64, -0.1..1.1_f64, 0.0..1.2_f64, 0.0..1.2_f64).prop_map(|(x, y, width, height)| face(x, y, width, height))
}

proptest! {
    #![proptest_config(properties())]

    #[test]
    fn segments_cover_every_frame_once_and_the_camera_stays_inside_whatever_is_seen(
        size in prop::sample::select(vec![(1920_u32, 1080_u32), (1080, 1920), (640, 480), (3840, 1600), (1, 1), (720, 720)]),
        seconds in 0.05..25.0_f64, cuts in prop::collection::vec(0.0..1.0_f64, 0..8), start in 0.0..0.9_f64,
        seen in prop::collection::vec((prop::collection::vec(boxes(), 0..4), 0.0..1.0_f32), 1..40),
        ratio in prop::sample::select(Ratio::ALL.to_vec()), rate in prop::sample::select(vec![(30, 1), (24_000, 1_001), (25, 1), (60, 1), (120, 1), (10, 1)]),
    ) {
        let mut cuts: Vec<f64> = cuts.into_iter().map(|cut| (cut * seconds * 1e3).round() / 1e3).filter(|cut| *cut > 0.0 && *cut < seconds).collect();
        cuts.sort_by(f64::total_cmp);
        cuts.dedup();
        let mut film = Film::of(size.0, size.1, seconds).cut_at(&cuts).with_faces(|at| {
            let (faces, mouth) = &seen[((at * 5.0) as usize / 7) % seen.len()];
            faces.iter().map(|face| (*face, *mouth)).collect()
        });
        film.span = span(start * seconds, seconds);
        let video = film.facts.video.as_mut().unwrap();
        (video.frame_rate.numerator, video.frame_rate.denominator) = rate;
        let Ok(list) = plan(&film.source(), &film.wish(ratio, CaptionStyle::Karaoke)) else { return Ok(()) };
        let crop = film.crop(ratio);
        prop_assert!(quality::is_whole(&list, crop), "{:#?}", list.layout);
        prop_assert_eq!(quality::camera(&list, crop, &film.cuts()).short_segments, 0, "{:#?}", &list.layout);
        prop_assert!(list.poster_frame < list.picture.frames);
        let is_finite = |layout: &Layout| match layout {
            Layout::Single { camera } => camera.iter().all(|key| key.x.is_finite() && key.y.is_finite() && key.height > 0.0 && key.height <= 1.0),
            Layout::FitBlur => true,
        };
        prop_assert!(list.layout.iter().all(|segment| is_finite(&segment.layout)));
    }
}
