//! Arranges one frame of the original in the picture of a rendition.

use super::frame::{Frame, Plane, PlaneMut, Planes};
use super::scale::{Crop, Scaler};
use anyhow::{Context, Result};
use domain::artefact::{CameraKey, DecisionList, Layout, LayoutSegment};

/// The background of a fitted picture is blurred at this part of full size: a tenth of a percent of the pixels, and smoother.
const BACKDROP_SHRINK: usize = 16;

/// Radius of the backdrop's blur, in its own small pixels; three passes of it come close to a Gaussian.
const BACKDROP_RADIUS: usize = 3;
const BACKDROP_PASSES: usize = 3;

/// How much of its light and colour the backdrop keeps, in 1/16, so that the eye stays on the picture before it.
const BACKDROP_LIGHT: u16 = 8;
const BACKDROP_COLOUR: u16 = 11;

/// Black and grey of limited-range video.
const BLACK: u8 = 16;
const GREY: u8 = 128;

/// Composes frames by the layout track of a decision list.
pub(crate) struct Composer<'a> {
    segments: &'a [LayoutSegment],
    scaler: Scaler,
    backdrop: Planes,
}

impl<'a> Composer<'a> {
    pub(crate) fn new(list: &'a DecisionList) -> Self {
        let small = |length: u32| ((length as usize / BACKDROP_SHRINK).max(2)).next_multiple_of(2);
        let backdrop = Planes::new(small(list.picture.width), small(list.picture.height));
        Self { segments: &list.layout, scaler: Scaler::default(), backdrop }
    }

    /// Fills `target` with frame `index` of the rendition, made of `source`.
    pub(crate) fn compose(&mut self, index: u64, source: &Frame, target: &mut [PlaneMut<'_>; 3]) -> Result<()> {
        let segment = self
            .segments
            .iter()
            .find(|segment| (segment.first_frame..segment.first_frame + segment.frames).contains(&index))
            .with_context(|| format!("no layout covers frame {index}"))?;
        let planes = source.planes();
        match &segment.layout {
            Layout::Single { camera } => {
                let view = camera_at(camera, index - segment.first_frame).context("a single layout has no camera")?;
                let crop = crop_of(view, (planes[0].width, planes[0].height), source.pixel_aspect, (target[0].width, target[0].height));
                self.scaler.scale(&planes, crop, target);
            }
            Layout::FitBlur => self.fit(&planes, source.pixel_aspect, target),
        }
        Ok(())
    }

    fn fit(&mut self, source: &[Plane<'_>; 3], pixel_aspect: f64, target: &mut [PlaneMut<'_>; 3]) {
        let size = (target[0].width, target[0].height);
        let (source_width, source_height) = (source[0].width as f64, source[0].height as f64);
        let front = fitted((source_width * pixel_aspect, source_height), size);
        self.draw_backdrop(source, pixel_aspect, size);
        for band in around(front, size) {
            let across = self.backdrop.width() as f64 / size.0 as f64;
            let down = self.backdrop.height() as f64 / size.1 as f64;
            let crop = Crop {
                left: band.left as f64 * across,
                top: band.top as f64 * down,
                width: band.width as f64 * across,
                height: band.height as f64 * down,
            };
            self.scaler.scale(&self.backdrop.planes(), crop, &mut part(target, band));
        }
        let whole = Crop { left: 0.0, top: 0.0, width: source_width, height: source_height };
        self.scaler.scale(source, whole, &mut part(target, front));
    }

    /// Fills the backdrop with a small, blurred, darkened copy of the middle of the picture.
    fn draw_backdrop(&mut self, source: &[Plane<'_>; 3], pixel_aspect: f64, target: (usize, usize)) {
        let middle = CameraKey { frame: 0, x: 0.5, y: 0.5, height: 1.0 };
        let crop = crop_of(middle, (source[0].width, source[0].height), pixel_aspect, target);
        self.scaler.scale(source, crop, &mut self.backdrop.planes_mut());
        for (index, plane) in self.backdrop.planes_mut().iter_mut().enumerate() {
            let (radius, neutral, kept) =
                if index == 0 { (BACKDROP_RADIUS, BLACK, BACKDROP_LIGHT) } else { (BACKDROP_RADIUS.div_ceil(2), GREY, BACKDROP_COLOUR) };
            for _ in 0..BACKDROP_PASSES {
                blur(plane, radius);
            }
            for value in plane.data.iter_mut() {
                let dimmed = u16::from(*value) * kept + u16::from(neutral) * (16 - kept) + 8;
                *value = (dimmed / 16) as u8;
            }
        }
    }
}

/// A box in whole, even pixels of the rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// Returns the largest box of the source's shape in the middle of the target.
fn fitted(source: (f64, f64), (width, height): (usize, usize)) -> Area {
    let scale = (width as f64 / source.0).min(height as f64 / source.1);
    let even = |length: f64, limit: usize| ((length / 2.0).round() as usize * 2).clamp(2, limit);
    let (across, down) = (even(source.0 * scale, width), even(source.1 * scale, height));
    Area { left: (width - across) / 4 * 2, top: (height - down) / 4 * 2, width: across, height: down }
}

/// Returns what of the target the fitted picture leaves free: above and below it, or left and right.
fn around(front: Area, (width, height): (usize, usize)) -> Vec<Area> {
    let (right, bottom) = (front.left + front.width, front.top + front.height);
    let bands = [
        Area { left: 0, top: 0, width, height: front.top },
        Area { left: 0, top: bottom, width, height: height - bottom },
        Area { left: 0, top: front.top, width: front.left, height: front.height },
        Area { left: right, top: front.top, width: width - right, height: front.height },
    ];
    bands.into_iter().filter(|band| band.width > 0 && band.height > 0).collect()
}

fn part<'a>(target: &'a mut [PlaneMut<'_>; 3], area: Area) -> [PlaneMut<'a>; 3] {
    let [y, u, v] = target;
    let Area { left, top, width, height } = area;
    [y.part(left, top, width, height), u.part(left / 2, top / 2, width / 2, height / 2), v.part(left / 2, top / 2, width / 2, height / 2)]
}

/// Averages every sample with its neighbours up to `radius` away, across and then down; the edge is repeated.
fn blur(plane: &mut PlaneMut<'_>, radius: usize) {
    let (width, height) = (plane.width, plane.height);
    let mut line = Vec::with_capacity(width.max(height));
    for y in 0..height {
        line.clear();
        line.extend_from_slice(plane.row(y));
        for x in 0..width {
            plane.row(y)[x] = mean_around(&line, x, radius);
        }
    }
    for x in 0..width {
        line.clear();
        line.extend((0..height).map(|y| plane.data[y * plane.stride + x]));
        for y in 0..height {
            plane.row(y)[x] = mean_around(&line, y, radius);
        }
    }
}

fn mean_around(line: &[u8], at: usize, radius: usize) -> u8 {
    let last = line.len() - 1;
    let sum: usize = (0..=2 * radius).map(|step| usize::from(line[(at + step).saturating_sub(radius).min(last)])).sum();
    ((sum + radius) / (2 * radius + 1)) as u8
}

/// Returns the camera `frame` frames into its segment, on the line between the keys around it.
fn camera_at(keys: &[CameraKey], frame: u64) -> Option<CameraKey> {
    let after = keys.partition_point(|key| key.frame <= frame);
    let before = keys.get(after.saturating_sub(1))?;
    let Some(next) = keys.get(after).filter(|_| after > 0) else { return Some(*before) };
    let part = (frame - before.frame) as f64 / (next.frame - before.frame) as f64;
    let between = |from: f64, to: f64| from + (to - from) * part;
    Some(CameraKey { frame, x: between(before.x, next.x), y: between(before.y, next.y), height: between(before.height, next.height) })
}

/// Returns the box that a camera shows, kept inside the picture.
fn crop_of(camera: CameraKey, source: (usize, usize), pixel_aspect: f64, target: (usize, usize)) -> Crop {
    let (source_width, source_height) = (source.0 as f64, source.1 as f64);
    let shape = target.0 as f64 / target.1 as f64 / pixel_aspect;
    let height = (camera.height.clamp(0.0, 1.0) * source_height).max(2.0);
    let shrink = (source_width / (height * shape)).min(1.0);
    let (width, height) = (height * shape * shrink, height * shrink);
    Crop {
        // Rounding may leave the crop a hair wider than the picture.
        left: (camera.x * source_width - width / 2.0).clamp(0.0, (source_width - width).max(0.0)),
        top: (camera.y * source_height - height / 2.0).clamp(0.0, (source_height - height).max(0.0)),
        width,
        height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(frame: u64, x: f64) -> CameraKey {
        CameraKey { frame, x, y: 0.5, height: 1.0 }
    }

    #[test]
    fn the_camera_moves_in_a_line_between_keys_and_rests_after_the_last() {
        let keys = [key(0, 0.2), key(10, 0.7), key(20, 0.7)];
        let at = |frame| camera_at(&keys, frame).map(|camera| (camera.x * 1000.0).round());
        assert_eq!([at(0), at(5), at(10), at(15), at(99)], [200.0, 450.0, 700.0, 700.0, 700.0].map(Some));
        assert!(camera_at(&[], 0).is_none());
    }

    #[test]
    fn a_crop_has_the_shape_of_the_rendition_and_stays_inside() {
        let crop = crop_of(key(0, 0.0), (1920, 1080), 1.0, (1080, 1920));
        assert_eq!(crop, Crop { left: 0.0, top: 0.0, width: 607.5, height: 1080.0 });
        let wide = crop_of(key(0, 0.5), (1080, 1920), 1.0, (1920, 1080));
        assert!(wide.left.abs() < 1e-9 && (wide.width - 1080.0).abs() < 1e-9 && (wide.height - 607.5).abs() < 1e-9);
        for width in 300..2_000 {
            let crop = crop_of(key(0, 0.7), (width, 333), 1.0, (1080, 607));
            assert!(crop.left >= 0.0 && crop.left + crop.width <= width as f64 + 1e-6, "{width}: {crop:?}");
        }
        let anamorphic = crop_of(key(0, 0.5), (1440, 1080), 4.0 / 3.0, (1920, 1080));
        assert!((anamorphic.width - 1440.0).abs() < 1e-9 && (anamorphic.height - 1080.0).abs() < 1e-9);
    }

    #[test]
    fn a_fitted_picture_and_its_bands_tile_the_rendition() {
        for (source, target) in [((1920.0, 1080.0), (1080, 1920)), ((1080.0, 1920.0), (1920, 1080)), ((1000.0, 1000.0), (1080, 1080))] {
            let front = fitted(source, target);
            let covered: usize = around(front, target).into_iter().chain([front]).map(|area| area.width * area.height).sum();
            assert_eq!(covered, target.0 * target.1, "{source:?} in {target:?}");
        }
        assert_eq!(fitted((1920.0, 1080.0), (1080, 1920)), Area { left: 0, top: 656, width: 1080, height: 608 });
    }
}
