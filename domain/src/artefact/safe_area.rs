//! Where captions may stand: the part of the picture that no network covers with its own buttons and texts.

use super::Ratio;

/// When the published overlays below were last compared with the networks' own pages.
pub const VERSION: &str = "2026-11";

/// A rectangle in pixels of a full-size rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First column inside.
    pub left: u32,
    /// First row inside.
    pub top: u32,
    /// First column outside on the right.
    pub right: u32,
    /// First row outside at the bottom.
    pub bottom: u32,
}

/// What a network lays over the edges of a 1080×1920 picture, in pixels: the largest values published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Whose.
    pub platform: &'static str,
    /// Covered on the left.
    pub left: u32,
    /// Covered at the top.
    pub top: u32,
    /// Covered on the right.
    pub right: u32,
    /// Covered at the bottom.
    pub bottom: u32,
}

/// Published overlays of the vertical players.
pub const OVERLAYS: [Overlay; 3] = [
    Overlay { platform: "tiktok", left: 60, top: 250, right: 180, bottom: 460 },
    Overlay { platform: "instagram-reels", left: 60, top: 220, right: 120, bottom: 450 },
    Overlay { platform: "youtube-shorts", left: 60, top: 120, right: 120, bottom: 480 },
];

/// Title-safe margin on each side, in percent of the width: text nearer to the edge looks cut off.
const TITLE_SAFE_PERCENT: u32 = 10;
/// Graphics-safe margin of EBU R 95 at top and bottom, in percent of the height.
const GRAPHICS_SAFE_PERCENT: u32 = 5;
/// What a feed player's progress bar and controls cover at the bottom, in percent of the height.
const CONTROLS_PERCENT: u32 = 10;

/// Returns where captions may stand in a full-size rendition: in 9:16 what every overlay leaves free, elsewhere what feed players leave.
#[must_use]
pub fn of(ratio: Ratio) -> Area {
    let (width, height) = ratio.pixels();
    let side = width * TITLE_SAFE_PERCENT / 100;
    if ratio != Ratio::Portrait {
        let (top, bottom) = (height * GRAPHICS_SAFE_PERCENT / 100, height * CONTROLS_PERCENT / 100);
        return Area { left: side, top, right: width - side, bottom: height - bottom };
    }
    let start = Area { left: side, top: 0, right: width - side, bottom: height };
    OVERLAYS.iter().fold(start, |area, overlay| Area {
        left: area.left.max(overlay.left),
        top: area.top.max(overlay.top),
        right: area.right.min(width - overlay.right),
        bottom: area.bottom.min(height - overlay.bottom),
    })
}

/// Returns the widest part of the safe area that is centred in the picture: captions are centred, so they use no more.
#[must_use]
pub fn centred(ratio: Ratio) -> Area {
    let (width, _) = ratio.pixels();
    let area = of(ratio);
    let side = area.left.max(width - area.right);
    Area { left: side, right: width - side, ..area }
}

/// Returns the same area in a rendition of another size.
#[must_use]
pub fn scaled(area: Area, ratio: Ratio, width: u32, height: u32) -> Area {
    let (full_width, full_height) = ratio.pixels();
    let part = |value: u32, size: u32, full: u32| (u64::from(value) * u64::from(size) / u64::from(full)) as u32;
    Area {
        left: part(area.left, width, full_width),
        top: part(area.top, height, full_height),
        right: part(area.right, width, full_width),
        bottom: part(area.bottom, height, full_height),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vertical_area_is_what_every_published_overlay_leaves_free() {
        assert_eq!(of(Ratio::Portrait), Area { left: 108, top: 250, right: 900, bottom: 1440 });
        assert_eq!(centred(Ratio::Portrait), Area { left: 180, top: 250, right: 900, bottom: 1440 });
    }

    #[test]
    fn every_area_lies_inside_its_picture_and_scales_with_it() {
        for ratio in Ratio::ALL {
            let (width, height) = ratio.pixels();
            let area = of(ratio);
            assert!(area.left < area.right && area.right <= width && area.top < area.bottom && area.bottom <= height, "{ratio}");
            let half = scaled(area, ratio, width / 2, height / 2);
            assert!(half.right <= width / 2 && half.bottom <= height / 2, "{ratio}");
        }
    }
}
