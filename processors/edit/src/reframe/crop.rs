//! The largest crop of a ratio inside an upright picture.

use domain::artefact::{CameraKey, Layout, Ratio, Rect, VideoFacts};

/// Which way a crop can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// From side to side: the crop is as high as the picture.
    Across,
    /// Up and down: the crop is as wide as the picture.
    Down,
}

/// The largest crop of a ratio: as wide or as high as the picture, and movable along the other axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Which way it can move.
    pub axis: Axis,
    /// Its size along that axis as a part of the picture's, above 0 up to 1.
    pub extent: f64,
    /// Pixels of the rendition along that axis.
    pub pixels: u32,
}

/// A crop that leaves out less than this is the whole picture: nothing but rounding of sizes is lost.
const WHOLE: f64 = 0.995;
/// Part of a face box's width and height, around its middle, that holds eyes, nose and mouth.
pub(crate) const FACE_CORE: f64 = 0.7;

impl Crop {
    /// Returns the largest crop of `ratio` inside the upright picture.
    #[must_use]
    pub fn of(video: &VideoFacts, ratio: Ratio) -> Self {
        let (width, height) = upright(video);
        let source = f64::from(width.max(1)) / f64::from(height.max(1));
        let (across, down) = ratio.pixels();
        let wanted = f64::from(across) / f64::from(down);
        if wanted <= source {
            Self { axis: Axis::Across, extent: wanted / source, pixels: across }
        } else {
            Self { axis: Axis::Down, extent: source / wanted, pixels: down }
        }
    }

    /// Tells whether it shows the whole picture.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.extent >= WHOLE
    }

    /// Returns where the middle of the crop may be.
    #[must_use]
    pub fn bounds(self) -> (f64, f64) {
        (self.extent / 2.0, 1.0 - self.extent / 2.0)
    }

    /// Returns the camera key that puts the middle of the crop at `centre` along its axis.
    #[must_use]
    pub fn key(self, frame: u64, centre: f64) -> CameraKey {
        // A millionth of the picture is a five-hundredth of a pixel: it is not seen, and keeps decision lists readable.
        let round = |value: f64| (value * 1e6).round() / 1e6;
        match self.axis {
            Axis::Across => CameraKey { frame, x: round(centre), y: 0.5, height: 1.0 },
            Axis::Down => CameraKey { frame, x: 0.5, y: round(centre), height: round(self.extent) },
        }
    }

    /// Returns where the middle of the crop is along its axis.
    #[must_use]
    pub fn centre_of(self, key: &CameraKey) -> f64 {
        match self.axis {
            Axis::Across => key.x,
            Axis::Down => key.y,
        }
    }

    /// Returns the middle and the size of a box along the axis.
    #[must_use]
    pub fn along(self, rect: Rect) -> (f64, f64) {
        let (x, y) = rect.centre();
        match self.axis {
            Axis::Across => (f64::from(x), f64::from(rect.width)),
            Axis::Down => (f64::from(y), f64::from(rect.height)),
        }
    }

    /// Tells whether a crop around `centre` holds the core of a face, as far as the picture itself does.
    #[must_use]
    pub fn holds_core(self, centre: f64, face: Rect) -> bool {
        let (middle, size) = self.along(face);
        let (low, high) = ((middle - size * FACE_CORE / 2.0).max(0.0), (middle + size * FACE_CORE / 2.0).min(1.0));
        let half_a_pixel = self.extent / f64::from(self.pixels) / 2.0;
        low >= centre - self.extent / 2.0 - half_a_pixel && high <= centre + self.extent / 2.0 + half_a_pixel
    }
}

/// Returns pixels across and down as a player shows them.
#[must_use]
fn upright(video: &VideoFacts) -> (u32, u32) {
    if video.rotation_degrees % 180 == 90 { (video.height, video.width) } else { (video.width, video.height) }
}

/// Returns where the middle of the crop is in frame `frame` of a segment; `None` when it shows the whole picture over a blur.
#[must_use]
pub(crate) fn centre_at(layout: &Layout, frame: u64, crop: Crop) -> Option<f64> {
    let Layout::Single { camera } = layout else { return None };
    let after = camera.partition_point(|key| key.frame <= frame);
    let before = camera.get(after.checked_sub(1)?)?;
    let Some(next) = camera.get(after) else { return Some(crop.centre_of(before)) };
    let part = (frame - before.frame) as f64 / (next.frame - before.frame) as f64;
    Some(crop.centre_of(before) + (crop.centre_of(next) - crop.centre_of(before)) * part)
}
