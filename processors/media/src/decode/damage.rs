//! Where a file is damaged, and how that is heard: decoders hide damage behind a guessed picture or a little silence, and tell of
//! it only in their log. A media process (see [`crate::child`]) listens to that log; it decodes one file at a time, so that
//! a complaint belongs to the unit that went in last. Elsewhere nothing is heard.

use super::Track;
use domain::MediaTime;
use gstreamer as gst;
use gstreamer::glib;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Decoders work on several pictures at once, and a complaint comes up to this much after the unit that it is about.
const LATENESS: MediaTime = MediaTime::from_millis(1_000);

/// What the functions that decoders refuse a unit with are called.
const REFUSERS: &[&str] = &["_gst_video_decoder_error", "_gst_audio_decoder_error"];

/// What libav says of a unit that contradicts itself. It says more, of missing references and such, but that is also
/// how a good file begins that was cut between key frames.
const CONTRADICTIONS: &[&str] = &["error while decoding MB", "Error at MB", "damaged at"];

/// A file's picture or sound cannot be decoded from some time on. The text is one sentence that also says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which of the two.
    pub track: Track,
    /// Where the first damage is.
    pub at: MediaTime,
}

impl Damage {
    /// Returns damage that shows without decoding: most of every file is picture.
    pub(crate) const fn to_picture(at: MediaTime) -> Self {
        Self { track: Track::Picture, at }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { track, at } = self;
        write!(f, "the {track} is damaged at {at}; export or download it again")?;
        let seconds_before = at.minus(LATENESS).millis() / 1_000;
        if seconds_before > 0 {
            write!(f, ", or keep what is before: ffmpeg -i VIDEO -t {seconds_before} -c copy PART.mkv")?;
        }
        Ok(())
    }
}

/// What is known of the decoder at work.
struct Watch {
    /// When the newest unit that went in is shown or heard.
    unit_at: MediaTime,
    /// Whether something came out: what comes before that belongs to a file that was cut between key frames.
    is_decoding: bool,
    /// When the newest unit was shown at the first complaint.
    complaint_at: Option<MediaTime>,
    /// Whether that came from a decoder of sound.
    is_of_sound: bool,
}

static WATCH: Mutex<Watch> = Mutex::new(Watch { unit_at: MediaTime::ZERO, is_decoding: false, complaint_at: None, is_of_sound: false });

fn watch() -> MutexGuard<'static, Watch> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens to the log of decoders for the rest of this process.
pub(crate) fn hear() {
    gst::log::set_threshold_for_name("libav", gst::DebugLevel::Error);
    gst::log::set_threshold_for_name("videodecoder", gst::DebugLevel::Warning);
    gst::log::set_threshold_for_name("audiodecoder", gst::DebugLevel::Warning);
    gst::log::remove_default_log_function();
    gst::log::add_log_function(|category, _, _, function, _, _, message| {
        let is_complaint = match category.name() {
            "libav" => message.get().is_some_and(|text| CONTRADICTIONS.iter().any(|words| text.contains(words))),
            _ => is_refusal(function),
        };
        let mut watch = watch();
        if is_complaint && watch.is_decoding && watch.complaint_at.is_none() {
            watch.complaint_at = Some(watch.unit_at);
            watch.is_of_sound = category.name() == "audiodecoder";
        }
    });
}

fn is_refusal(function: &glib::GStr) -> bool {
    REFUSERS.contains(&function.as_str())
}

/// Begins anew, for another file or another place in it.
pub(crate) fn forget() {
    *watch() = Watch { unit_at: MediaTime::ZERO, is_decoding: false, complaint_at: None, is_of_sound: false };
}

/// Notes that a unit goes into the decoder.
pub(crate) fn enters(at: MediaTime) {
    watch().unit_at = at;
}

/// Notes that something comes out of it.
pub(crate) fn leaves() {
    watch().is_decoding = true;
}

/// Returns where the decoder complained first, if it did.
pub(super) fn complaint_at() -> Option<MediaTime> {
    watch().complaint_at
}

/// Returns the damage that a decoder of pictures complained of first, if it did; for where sound is decoded beside.
pub(crate) fn of_picture() -> Option<Damage> {
    let watch = watch();
    watch.complaint_at.filter(|_| !watch.is_of_sound).map(Damage::to_picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_the_place_and_a_way_out() {
        let text = |track, seconds| Damage { track, at: MediaTime::from_seconds(seconds) }.to_string();
        assert_eq!(
            text(Track::Picture, 75.5),
            "the picture is damaged at 1:15.500; export or download it again, \
             or keep what is before: ffmpeg -i VIDEO -t 74 -c copy PART.mkv"
        );
        assert_eq!(text(Track::Sound, 1.2), "the sound is damaged at 0:01.200; export or download it again");
    }
}
