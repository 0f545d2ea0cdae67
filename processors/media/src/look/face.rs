//! Finds frontal faces with the SeetaFace cascade (the `rustface` crate), over a whole picture or near where they just were.

use super::small::{Grey, Shrinker, Square};
use domain::artefact::{Face, Rect};
use rustface::{Detector, ImageData, Model};
use std::io::Cursor;
use std::sync::OnceLock;

/// The cascade's weights, as the `rustface` crate ships them (BSD-2-Clause).
const WEIGHTS: &[u8] = include_bytes!("../../assets/faces/seeta_fd_frontal_v1.0.bin");

/// Below this, patterns in wallpaper and crowds' shoulders are taken for faces.
const SCORE_MIN: f64 = 3.0;

/// The cascade's window; it finds no smaller face, and panics on smaller pictures.
const WINDOW_PIXELS: u32 = 40;

/// Between two sizes that are tried; 0.8 finds what 0.9 finds in half the time.
const PYRAMID_STEP: f32 = 0.8;

/// Pixels between two places that are tried.
const PLACE_STEP: u32 = 4;

/// Around a known face, a square this many times its size is searched again …
const NEAR_TIMES: f64 = 2.2;

/// … scaled so that the face has this many pixels: a fourth more than the window, so that it may shrink.
const NEAR_FACE_PIXELS: f64 = 54.0;

/// A face found near must overlap the known one this much to be the same.
const SAME_FACE_IOU: f32 = 0.25;

/// A detector with its own buffers; one per thread.
pub(super) struct FaceFinder {
    detector: Box<dyn Detector>,
}

impl FaceFinder {
    pub(super) fn new() -> Self {
        static MODEL: OnceLock<Model> = OnceLock::new();
        let model = MODEL.get_or_init(|| rustface::read_model(Cursor::new(WEIGHTS)).expect("the weights in the binary are whole"));
        let mut detector = rustface::create_detector_with_model(model.clone());
        detector.set_score_thresh(SCORE_MIN);
        detector.set_pyramid_scale_factor(PYRAMID_STEP);
        detector.set_slide_window_step(PLACE_STEP, PLACE_STEP);
        Self { detector }
    }

    /// Returns every face, the largest first.
    pub(super) fn find(&mut self, grey: &Grey) -> Vec<Face> {
        if grey.width <= WINDOW_PIXELS || grey.height <= WINDOW_PIXELS {
            return Vec::new();
        }
        let found = self.detector.detect(&ImageData::new(&grey.pixels, grey.width, grey.height));
        let mut faces: Vec<Face> = found.iter().filter_map(|face| as_face(face, grey.width, grey.height)).collect();
        faces.sort_by(|a, b| (b.rect.width, a.rect.x).partial_cmp(&(a.rect.width, b.rect.x)).expect("boxes are finite"));
        faces
    }

    /// Returns where `known` is now, searching only around it.
    pub(super) fn find_near(&mut self, shrinker: &mut Shrinker, grey: &Grey, known: Rect) -> Option<Face> {
        let square = around(known, grey);
        let face_pixels = f64::from(known.width) * f64::from(grey.width);
        let size = (square.side * NEAR_FACE_PIXELS / face_pixels).round().max(f64::from(WINDOW_PIXELS + 1));
        let near = shrinker.square(grey, square, size as u32)?;
        let (scale_x, scale_y) = (square.side / f64::from(grey.width), square.side / f64::from(grey.height));
        let placed = self.find(&near).into_iter().map(|face| Face {
            rect: Rect {
                x: (square.x / f64::from(grey.width) + f64::from(face.rect.x) * scale_x) as f32,
                y: (square.y / f64::from(grey.height) + f64::from(face.rect.y) * scale_y) as f32,
                width: (f64::from(face.rect.width) * scale_x) as f32,
                height: (f64::from(face.rect.height) * scale_y) as f32,
            },
            ..face
        });
        let same = placed.filter(|face| face.rect.iou(known) >= SAME_FACE_IOU);
        same.max_by(|a, b| a.rect.iou(known).total_cmp(&b.rect.iou(known)))
    }
}

/// Returns the square to search for a face, moved into the picture.
fn around(known: Rect, grey: &Grey) -> Square {
    let (width, height) = (f64::from(grey.width), f64::from(grey.height));
    let side = (f64::from(known.width) * width * NEAR_TIMES).min(width).min(height);
    let (x, y) = known.centre();
    let place = |middle: f64, room: f64| (middle - side / 2.0).clamp(0.0, room - side);
    Square { x: place(f64::from(x) * width, width), y: place(f64::from(y) * height, height), side }
}

/// Returns a detection as parts of the picture; `None` if it lies outside, which the cascade's box regression can cause.
fn as_face(found: &rustface::FaceInfo, width: u32, height: u32) -> Option<Face> {
    let (bounds, width, height) = (found.bbox(), width as f32, height as f32);
    let (left, top) = ((bounds.x() as f32).max(0.0), (bounds.y() as f32).max(0.0));
    let right = (bounds.x() as f32 + bounds.width() as f32).min(width);
    let bottom = (bounds.y() as f32 + bounds.height() as f32).min(height);
    let rect = Rect { x: left / width, y: top / height, width: (right - left) / width, height: (bottom - top) / height };
    (rect.width > 0.0 && rect.height > 0.0).then_some(Face { rect, confidence: found.score() as f32 })
}
