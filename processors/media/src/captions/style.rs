//! How caption styles look, as data.

use domain::artefact::CaptionStyle;

/// A colour, 0 to 1 each, with its opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colour(pub(super) f64, pub(super) f64, pub(super) f64, pub(super) f64);

/// A style. Lengths are parts of the size of the letters, so that all of it shrinks together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// Size of the letters, as a part of the picture's shorter side.
    pub(super) size: f64,
    pub(super) weight: pango::Weight,
    pub(super) text: Colour,
    /// Of the word that is spoken.
    pub(super) spoken: Colour,
    /// Behind the word that is spoken.
    pub(super) pill: Option<Colour>,
    /// Behind each line.
    pub(super) block: Option<Colour>,
    /// Width of the round line around the letters; 0 for none.
    pub(super) outline: f64,
    /// How far the shadow falls to the right and down; it is drawn where there is an outline.
    pub(super) shadow: (f64, f64),
    /// From one baseline to the next.
    pub(super) line_height: f64,
    /// Free space of pill and block around the letters: across, down.
    pub(super) padding: (f64, f64),
    /// Radius of their corners.
    pub(super) radius: f64,
}

pub(super) const OUTLINE: Colour = Colour(0.0, 0.0, 0.0, 1.0);
pub(super) const SHADOW: Colour = Colour(0.0, 0.0, 0.0, 0.55);

const WHITE: Colour = Colour(1.0, 1.0, 1.0, 1.0);
const VIOLET: Colour = Colour(0.43, 0.17, 0.95, 1.0);
const YELLOW: Colour = Colour(1.0, 0.85, 0.08, 1.0);
const NIGHT: Colour = Colour(0.05, 0.05, 0.08, 0.86);

/// Returns the look of a style; `None` where nothing is drawn.
pub(super) const fn look(style: CaptionStyle) -> Option<Look> {
    match style {
        CaptionStyle::Karaoke => Some(Look {
            size: 0.074,
            weight: pango::Weight::Heavy,
            text: WHITE,
            spoken: WHITE,
            pill: Some(VIOLET),
            block: None,
            outline: 0.14,
            shadow: (0.04, 0.08),
            line_height: 1.28,
            padding: (0.16, 0.12),
            radius: 0.2,
        }),
        CaptionStyle::Block => Some(Look {
            size: 0.056,
            weight: pango::Weight::Bold,
            text: WHITE,
            spoken: YELLOW,
            pill: None,
            block: Some(NIGHT),
            outline: 0.0,
            shadow: (0.0, 0.0),
            line_height: 1.5,
            padding: (0.42, 0.24),
            radius: 0.22,
        }),
        CaptionStyle::Clean => None,
    }
}
