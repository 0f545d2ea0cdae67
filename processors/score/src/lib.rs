//! Clip detection: which spans of a talk are worth watching, and why.
//!
//! One way through: words become sentences ([`units`]), sentences become topics ([`topics`]), every run of sentences of the wished length
//! is measured ([`features`]) and judged ([`ranker`]), the best that differ are chosen ([`select`]), cut on speech ([`boundaries`]) and
//! explained ([`reasons`]). The same input gives the same bytes: no IO, no clock, no randomness, no hash map order.

pub mod boundaries;
pub mod echo;
pub mod evaluate;
pub mod features;
mod lexicon;
mod measure;
pub mod ranker;
pub mod reasons;
pub mod select;
mod sound;
mod talk;
mod text;
mod title;
pub mod topics;
pub mod units;

mod detect;

pub use detect::detect;
pub use talk::Talk;

use domain::MediaTime;

/// What the person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How many clips; `None` lets the length of the talk decide.
    pub count: Option<u32>,
    /// The shortest clip.
    pub min: MediaTime,
    /// The longest clip.
    pub max: MediaTime,
}

/// 15 to 90 seconds, as many as the talk gives.
impl Default for Wish {
    fn default() -> Self {
        Self { count: None, min: MediaTime::from_millis(15_000), max: MediaTime::from_millis(90_000) }
    }
}
