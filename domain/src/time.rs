//! Wall time and film time, which are never mixed.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// A moment on the wall clock, in microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the moment `seconds` later.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0 / 1_000
    }
}

/// A moment in a film, in microseconds from its first frame.
///
/// Microseconds hold every frame time of every usual rate to well under a tenth of a frame, and an hour is still an exact `f64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaTime(pub u64);

impl MediaTime {
    /// The first frame.
    pub const ZERO: Self = Self(0);

    /// Returns the time `seconds` into the film, rounded to a microsecond; negative and non-finite values give zero.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Self {
        if seconds.is_finite() && seconds > 0.0 { Self((seconds * 1e6).round() as u64) } else { Self::ZERO }
    }

    /// Returns the time `milliseconds` into the film.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds * 1_000)
    }

    /// Returns seconds as a float.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Returns whole milliseconds, rounded down.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Returns the time `other` before this one, or zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns the time `other` after this one.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Shown as `m:ss.mmm`, or `h:mm:ss.mmm` from one hour on.
impl fmt::Display for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.millis();
        let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1_000 % 60);
        if hours > 0 {
            write!(f, "{hours}:{minutes:02}:{seconds:02}.{:03}", millis % 1_000)
        } else {
            write!(f, "{minutes}:{seconds:02}.{:03}", millis % 1_000)
        }
    }
}

/// A half-open piece `[start, end)` of a film, never empty.
///
/// ```
/// use domain::{MediaTime, Span};
/// let span = Span::new(MediaTime::from_millis(1_000), MediaTime::from_millis(2_500)).unwrap();
/// assert_eq!(span.duration(), MediaTime::from_millis(1_500));
/// assert!(Span::new(span.end(), span.start()).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawSpan", into = "RawSpan")]
pub struct Span {
    start: MediaTime,
    end: MediaTime,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct RawSpan {
    start_us: u64,
    end_us: u64,
}

impl TryFrom<RawSpan> for Span {
    type Error = EmptySpan;
    fn try_from(raw: RawSpan) -> Result<Self, EmptySpan> {
        Self::new(MediaTime(raw.start_us), MediaTime(raw.end_us))
    }
}

impl From<Span> for RawSpan {
    fn from(span: Span) -> Self {
        Self { start_us: span.start.0, end_us: span.end.0 }
    }
}

/// A span must end after it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a span must end after it starts, got {start} to {end}")]
pub struct EmptySpan {
    /// Where it would start.
    pub start: MediaTime,
    /// Where it would end.
    pub end: MediaTime,
}

impl Span {
    /// Returns the span `[start, end)`.
    ///
    /// # Errors
    /// [`EmptySpan`] unless `start < end`.
    pub fn new(start: MediaTime, end: MediaTime) -> Result<Self, EmptySpan> {
        if start < end { Ok(Self { start, end }) } else { Err(EmptySpan { start, end }) }
    }

    /// Returns the in point.
    #[must_use]
    pub const fn start(self) -> MediaTime {
        self.start
    }

    /// Returns the out point: the first moment that is not inside.
    #[must_use]
    pub const fn end(self) -> MediaTime {
        self.end
    }

    /// Returns how long it lasts.
    #[must_use]
    pub const fn duration(self) -> MediaTime {
        self.end.minus(self.start)
    }

    /// Tells whether `at` is inside.
    #[must_use]
    pub fn contains(self, at: MediaTime) -> bool {
        self.start <= at && at < self.end
    }

    /// Returns the part that both spans share.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end)).ok()
    }

    /// Returns intersection over union, 0 to 1.
    #[must_use]
    pub fn iou(self, other: Self) -> f64 {
        let shared = self.intersection(other).map_or(0, |span| span.duration().0);
        let union = self.duration().0 + other.duration().0 - shared;
        shared as f64 / union as f64
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.start, self.end)
    }
}
