//! Where the camera looks.

use crate::film::{Dice, Film, face, properties};
use domain::artefact::{CaptionStyle, DecisionList, Layout, Ratio, Rect};
use edit::quality::{self, CameraQuality};
use proptest::prelude::*;

fn vertical(film: &Film) -> DecisionList {
    film.plan(Ratio::Portrait, CaptionStyle::Clean)
}

fn measured(film: &Film, list: &DecisionList) -> CameraQuality {
    let crop = film.crop(list.picture.ratio);
    assert!(quality::is_whole(list, crop), "{:#?}", list.layout);
    quality::camera(list, crop, &film.cuts())
}

fn inside(film: &Film, list: &DecisionList, path: impl Fn(f64) -> Rect) -> f64 {
    quality::face_core_inside(list, film.crop(list.picture.ratio), &film.truth(path))
}

fn keys(list: &DecisionList, segment: usize) -> usize {
    match &list.layout[segment].layout {
        Layout::Single { camera } => camera.len(),
        Layout::FitBlur => 0,
    }
}

fn lone(path: impl Fn(f64) -> Rect + Copy) -> impl Fn(f64) -> Vec<(Rect, f32)> {
    move |at| vec![(path(at), 0.02)]
}

#[test]
fn the_camera_stands_still_for_small_motion() {
    let path = |at: f64| face(0.62 + 0.03 * (at * 1.1).sin(), 0.4, 0.1, 0.18);
    let film = Film::of(1920, 1080, 30.0).with_faces(lone(path));
    let list = vertical(&film);
    assert_eq!((list.layout.len(), keys(&list, 0)), (1, 1), "{:#?}", list.layout);
    assert_eq!(inside(&film, &list, path), 1.0);
}

#[test]
fn the_camera_pans_evenly_with_someone_who_walks_across() {
    let path = |at: f64| face(0.2 + 0.6 * at / 20.0, 0.4, 0.1, 0.18);
    let film = Film::of(1920, 1080, 20.0).with_faces(lone(path));
    let list = vertical(&film);
    let camera = measured(&film, &list);
    assert_eq!(list.layout.len(), 1);
    assert_eq!(inside(&film, &list, path), 1.0);
    assert_eq!(camera.reversals_per_second, 0.0);
    // The walk itself: 0.03 of 3413 pixels a second.
    let walk = 0.03 * 1080.0 / film.crop(Ratio::Portrait).extent;
    assert!(camera.px_per_second_p95 < 1.15 * walk, "{camera:?} against {walk}");
    assert!(camera.jerk_p95 < 400.0, "{camera:?}");
    assert!(keys(&list, 0) <= 24, "{:#?}", list.layout);
}

#[test]
fn a_cut_gives_a_hard_switch_and_no_movement_across_it() {
    let path = |at: f64| if at < 4.0 { face(0.25, 0.4, 0.1, 0.18) } else { face(0.75, 0.4, 0.1, 0.18) };
    let film = Film::of(1920, 1080, 10.0).cut_at(&[4.0]).with_faces(lone(path));
    let list = vertical(&film);
    assert_eq!(list.layout.iter().map(|segment| segment.first_frame).collect::<Vec<_>>(), [0, 120]);
    assert_eq!((keys(&list, 0), keys(&list, 1)), (1, 1));
    assert_eq!(inside(&film, &list, path), 1.0);
}

#[test]
fn slides_stay_readable_and_a_speaker_after_them_fills_the_picture() {
    let path = |_: f64| face(0.7, 0.4, 0.12, 0.2);
    let film = Film::of(1920, 1080, 12.0).cut_at(&[5.0]).with_faces(move |at| if at < 5.0 { vec![] } else { vec![(path(at), 0.02)] });
    let list = vertical(&film);
    assert_eq!(list.layout.len(), 2);
    assert_eq!(list.layout[0].layout, Layout::FitBlur);
    assert!(matches!(list.layout[1].layout, Layout::Single { .. }));
}

#[test]
fn the_one_who_speaks_is_shown() {
    let left = face(0.25, 0.4, 0.11, 0.2);
    let right = face(0.75, 0.4, 0.11, 0.2);
    let mut dice = Dice(3);
    let noise: Vec<f64> = (0..200).map(|_| dice.roll()).collect();
    // Left speaks for eight seconds, then right; the mouth of whoever listens only trembles.
    let film = Film::of(1920, 1080, 16.0).with_faces(|at| {
        let lively = (0.02 + 0.05 * noise[(at * 5.0) as usize]) as f32;
        let still = (0.01 * noise[(at * 5.0) as usize + 100]) as f32;
        let (one, other) = if at < 8.0 { (lively, still) } else { (still, lively) };
        vec![(left, one), (right, other)]
    });
    let list = vertical(&film);
    let camera = measured(&film, &list);
    assert_eq!(list.layout.len(), 2, "{:#?}", list.layout);
    assert_eq!(camera.short_segments, 0);
    let change = list.layout[1].first_frame;
    assert!(change.abs_diff(240) <= 24, "the change comes at frame {change}");
    assert_eq!(inside(&film, &list, |at| if at < change as f64 / 30.0 { left } else { right }), 1.0);
}

#[test]
fn two_of_whom_nobody_can_tell_who_speaks_are_both_shown_and_one_far_larger_is_followed() {
    let (left, right) = (face(0.25, 0.4, 0.11, 0.2), face(0.75, 0.4, 0.12, 0.2));
    let mut dice = Dice(5);
    let noise: Vec<f32> = (0..200).map(|_| 0.02 + 0.03 * dice.roll() as f32).collect();
    let mouths = |at: f64| (noise[(at * 5.0) as usize], noise[(at * 5.0) as usize + 100]);
    let film = Film::of(1920, 1080, 12.0).with_faces(|at| vec![(left, mouths(at).0), (right, mouths(at).1)]);
    assert_eq!(vertical(&film).layout.iter().map(|segment| &segment.layout).collect::<Vec<_>>(), [&Layout::FitBlur]);
    let large = face(0.7, 0.45, 0.24, 0.42);
    let film = Film::of(1920, 1080, 12.0).with_faces(|at| vec![(left, mouths(at).0), (large, mouths(at).1)]);
    assert_eq!(inside(&film, &vertical(&film), |_| large), 1.0);
    assert_eq!(keys(&vertical(&film), 0), 1);
}

#[test]
fn two_who_fit_are_shown_together() {
    let (left, right) = (face(0.42, 0.4, 0.1, 0.18), face(0.62, 0.4, 0.1, 0.18));
    let film = Film::of(1920, 1080, 12.0).with_faces(|_| vec![(left, 0.03), (right, 0.03)]);
    let list = film.plan(Ratio::Square, CaptionStyle::Clean);
    assert_eq!(list.layout.len(), 1);
    assert_eq!((inside(&film, &list, |_| left), inside(&film, &list, |_| right)), (1.0, 1.0));
}

#[test]
fn a_face_at_the_border_and_one_larger_than_the_crop_are_shown_as_far_as_they_can_be() {
    for path in [face(0.03, 0.5, 0.12, 0.2), face(0.985, 0.3, 0.1, 0.18), face(0.5, 0.5, 0.42, 0.8)] {
        let film = Film::of(1920, 1080, 6.0).with_faces(|_| vec![(path, 0.02)]);
        let list = vertical(&film);
        measured(&film, &list);
        let [segment] = list.layout.as_slice() else { panic!("{:#?}", list.layout) };
        let Layout::Single { camera } = &segment.layout else { panic!("{segment:#?}") };
        let crop = film.crop(Ratio::Portrait);
        let nearest = f64::from(path.x + path.width / 2.0).clamp(crop.bounds().0, crop.bounds().1);
        assert!((camera[0].x - nearest).abs() < crop.extent / 2.0 - 0.02, "{camera:?} for {path:?}");
    }
}

#[test]
fn the_same_shape_is_the_whole_picture() {
    let film = Film::of(1920, 1080, 6.0).cut_at(&[3.0]).with_faces(lone(|_| face(0.2, 0.4, 0.1, 0.18)));
    let list = film.plan(Ratio::Landscape, CaptionStyle::Clean);
    let [segment] = list.layout.as_slice() else { panic!("{:#?}", list.layout) };
    let Layout::Single { camera } = &segment.layout else { panic!("{segment:#?}") };
    assert_eq!((camera.len(), camera[0].x, camera[0].y, camera[0].height), (1, 0.5, 0.5, 1.0));
}

#[test]
fn a_portrait_film_becomes_landscape_around_the_face_and_rotation_counts() {
    let path = |_: f64| face(0.5, 0.3, 0.3, 0.12);
    let mut film = Film::of(1080, 1920, 6.0).with_faces(lone(path));
    let upright = film.plan(Ratio::Landscape, CaptionStyle::Clean);
    assert!(inside(&film, &upright, path) == 1.0, "{:#?}", upright.layout);
    let Layout::Single { camera } = &upright.layout[0].layout else { panic!("{:#?}", upright.layout) };
    assert!((camera[0].height - 1080.0 * 9.0 / 16.0 / 1920.0).abs() < 1e-4, "{camera:?}");
    assert!(camera[0].y > 0.3, "the face stands above the middle: {camera:?}");
    let video = film.facts.video.as_mut().unwrap();
    (video.width, video.height, video.rotation_degrees) = (1920, 1080, 90);
    assert_eq!(film.plan(Ratio::Landscape, CaptionStyle::Clean).layout, upright.layout);
}

#[test]
fn a_false_alarm_moves_nothing() {
    let path = |_: f64| face(0.3, 0.4, 0.12, 0.2);
    let film = Film::of(1920, 1080, 20.0).with_faces(move |at| {
        let mut seen = vec![(path(at), 0.02)];
        if (7.0..7.3).contains(&at) {
            seen.push((face(0.9, 0.8, 0.2, 0.3), 0.5));
        }
        seen
    });
    let list = vertical(&film);
    assert_eq!((list.layout.len(), keys(&list, 0)), (1, 1), "{:#?}", list.layout);
}

#[test]
fn a_face_that_is_lost_for_a_moment_is_the_same_face() {
    let path = |_: f64| face(0.3, 0.4, 0.12, 0.2);
    let film = Film::of(1920, 1080, 12.0).with_faces(move |at| if (5.0..5.75).contains(&at) { vec![] } else { vec![(path(at), 0.02)] });
    let list = vertical(&film);
    assert_eq!((list.layout.len(), keys(&list, 0)), (1, 1), "{:#?}", list.layout);
}

/// A portrait that sways, drifts and now and then walks elsewhere, as people on a stage do.
#[derive(Clone, Copy, Debug)]
struct Portrait {
    width: f64,
    home: f64,
    sway: f64,
    hertz: f64,
    walk: f64,
    walk_at: f64,
}

impl Portrait {
    fn at(self, at: f64) -> Rect {
        let walked = ((at - self.walk_at) / 3.0).clamp(0.0, 1.0);
        let x = self.home + self.walk * walked + self.sway * (at * self.hertz * std::f64::consts::TAU).sin();
        face(x.clamp(0.05, 0.95), 0.4, self.width, self.width * 1.7)
    }
}

fn portraits() -> impl Strategy<Value = Portrait> {
    (0.05..0.16_f64, 0.15..0.85_f64, 0.0..0.05_f64, 0.05..0.4_f64, -0.5..0.5_f64, 2.0..20.0_f64)
        .prop_map(|(width, home, sway, hertz, walk, walk_at)| Portrait { width, home, sway, hertz, walk, walk_at })
}

proptest! {
    #![proptest_config(properties())]

    #[test]
    fn a_moving_portrait_stays_in_the_picture_and_the_camera_is_calm(portrait in portraits(), ratio in prop::sample::select(Ratio::ALL.to_vec())) {
        let film = Film::of(1920, 1080, 30.0).with_faces(lone(move |at| portrait.at(at)));
        let list = film.plan(ratio, CaptionStyle::Clean);
        let camera = measured(&film, &list);
        let inside = inside(&film, &list, |at| portrait.at(at));
        prop_assert!(inside >= 0.98, "{inside} inside, {camera:?}, {:#?}", list.layout);
        prop_assert!(camera.reversals_per_second <= 0.15, "{camera:?}, {:#?}", list.layout);
        prop_assert_eq!(camera.short_segments, 0);
    }
}
