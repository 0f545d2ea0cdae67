//! Says what a file is, or why ClipFlow does not take it.

use domain::MediaTime;
/// Longest video that is taken.
pub const DURATION_LIMIT: MediaTime = MediaTime(6 * 3_600 * 1_000_000);
