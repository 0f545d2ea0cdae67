//! What the container says, by GStreamer's Discoverer.

use super::{Limits, ProbeError, Refusal};
use domain::MediaTime;
use domain::artefact::{AudioFacts, FrameRate, MediaFacts, VideoFacts};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer_pbutils as gst_pbutils;
use gstreamer_pbutils::prelude::*;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// How long Discoverer may take: it decodes one frame per track, which on a slow disk takes a few seconds.
const DISCOVER_SECONDS: u64 = 30;

/// Frame rate that is shown when neither the container nor the time stamps tell one.
const UNKNOWN_RATE: FrameRate = FrameRate { numerator: 25, denominator: 1 };

/// Short names of codecs, by GStreamer's names.
const CODECS: &[(&str, &str)] = &[
    ("video/x-h264", "h264"),
    ("video/x-h265", "h265"),
    ("video/x-vp8", "vp8"),
    ("video/x-vp9", "vp9"),
    ("video/x-av1", "av1"),
    ("video/x-prores", "prores"),
    ("video/x-theora", "theora"),
    ("video/x-wmv", "wmv"),
    ("video/x-dnxhd", "dnxhd"),
    ("image/jpeg", "mjpeg"),
    ("audio/x-opus", "opus"),
    ("audio/x-vorbis", "vorbis"),
    ("audio/x-flac", "flac"),
    ("audio/x-ac3", "ac3"),
    ("audio/x-eac3", "eac3"),
    ("audio/x-alac", "alac"),
    ("audio/x-wma", "wma"),
    ("audio/x-raw", "pcm"),
];

pub(super) fn discover(path: &Path, container: &str, limits: Limits) -> Result<MediaFacts, ProbeError> {
    let damaged = |reason: String| ProbeError::from(Refusal::Damaged { reason });
    let (info, error) = ask(path)?;
    if let Some(error) = error.filter(|error| !error.matches(gst::CoreError::MissingPlugin)) {
        return Err(explain(&error, container));
    }
    let tracks = info.stream_list();
    if tracks.iter().filter_map(DiscovererStreamInfoExt::caps).any(|caps| is_encrypted(&caps)) {
        return Err(Refusal::Encrypted.into());
    }
    let video = info.video_streams().into_iter().find(|track| !track.is_image()).map(|track| video_facts(&track));
    let audio = info.audio_streams().first().map(audio_facts);
    let duration_us = MediaTime(info.duration().map_or(0, gst::ClockTime::useconds));
    if video.is_none() && audio.is_none() {
        return Err(without_tracks(&info).into());
    }
    if duration_us > limits.duration_us {
        return Err(Refusal::TooLong { duration: duration_us, limit: limits.duration_us }.into());
    }
    if let Some(VideoFacts { width, height, .. }) = video
        && (width > limits.side_pixels || height > limits.side_pixels)
    {
        return Err(Refusal::TooManyPixels { width, height, limit: limits.side_pixels }.into());
    }
    if duration_us == MediaTime::ZERO {
        return Err(damaged("it says no duration".to_string()));
    }
    Ok(MediaFacts { container: container.to_string(), duration_us, video, audio })
}

/// Asks Discoverer, and returns what it found together with its error: a track that cannot be decoded (a camera's telemetry,
/// say) is an error, and yet the others are fine. Its blocking call would drop what it found.
fn ask(path: &Path) -> Result<(gst_pbutils::DiscovererInfo, Option<glib::Error>), ProbeError> {
    let damaged = |reason: String| ProbeError::from(Refusal::Damaged { reason });
    let address = glib::filename_to_uri(std::path::absolute(path)?, None).map_err(|error| damaged(error.to_string()))?;
    let found = Arc::new(Mutex::new(None));
    let context = glib::MainContext::new();
    let asked = context.with_thread_default(|| {
        let discoverer = gst_pbutils::Discoverer::new(gst::ClockTime::from_seconds(DISCOVER_SECONDS))?;
        let answers = glib::MainLoop::new(Some(&context), false);
        let store = Arc::clone(&found);
        discoverer.connect_discovered(move |_, info, error| {
            *store.lock().unwrap_or_else(PoisonError::into_inner) = Some((info.clone(), error.cloned()));
        });
        let last = answers.clone();
        discoverer.connect_finished(move |_| last.quit());
        discoverer.start();
        let asked = discoverer.discover_uri_async(&address);
        if asked.is_ok() {
            answers.run();
        }
        discoverer.stop();
        asked.map_err(|error| glib::Error::new(gst::CoreError::Failed, &error.to_string()))
    });
    let asked = asked.map_err(|error| damaged(error.to_string()))?;
    asked.map_err(|error| damaged(error.to_string()))?;
    let answer = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    answer.ok_or_else(|| damaged("it could not be examined".to_string()))
}

fn video_facts(track: &gst_pbutils::DiscovererVideoInfo) -> VideoFacts {
    let rate = track.framerate();
    let (numerator, denominator) = (u32::try_from(rate.numer()), u32::try_from(rate.denom()));
    let frame_rate = match (numerator, denominator) {
        (Ok(numerator), Ok(denominator)) if numerator > 0 && denominator > 0 => FrameRate { numerator, denominator },
        _ => UNKNOWN_RATE,
    };
    VideoFacts {
        codec: codec(track.caps()),
        width: track.width(),
        height: track.height(),
        frame_rate,
        is_variable_rate: false,
        rotation_degrees: track.tags().map_or(0, |tags| rotation(&tags)),
    }
}

fn audio_facts(track: &gst_pbutils::DiscovererAudioInfo) -> AudioFacts {
    AudioFacts { codec: codec(track.caps()), channels: track.channels(), sample_rate_hz: track.sample_rate() }
}

fn codec(caps: Option<gst::Caps>) -> String {
    let Some(structure) = caps.as_ref().and_then(|caps| caps.structure(0)) else { return "unknown".to_string() };
    let name = structure.name().as_str();
    let version = structure.get::<i32>("mpegversion").unwrap_or(0);
    match (name, version) {
        ("audio/mpeg", 1) => "mp3".to_string(),
        ("audio/mpeg", _) => "aac".to_string(),
        ("video/mpeg", version) => format!("mpeg{version}"),
        _ => {
            let known = CODECS.iter().find(|(caps, _)| *caps == name).map(|(_, short)| (*short).to_string());
            known.unwrap_or_else(|| name.rsplit('/').next().unwrap_or(name).trim_start_matches("x-").to_string())
        }
    }
}

/// Returns how far the picture is turned clockwise for showing; mirrored orientations count as unturned.
fn rotation(tags: &gst::TagListRef) -> u16 {
    match tags.get::<gst::tags::ImageOrientation>().as_ref().map(|tag| tag.get()) {
        Some("rotate-90") => 90,
        Some("rotate-180") => 180,
        Some("rotate-270") => 270,
        _ => 0,
    }
}

fn is_encrypted(caps: &gst::Caps) -> bool {
    caps.iter().any(|structure| ["application/x-cenc", "application/x-cbcs", "application/x-webm-enc"].contains(&structure.name().as_str()))
}

/// Says what is wrong with a container that has neither picture nor sound that can be decoded.
fn without_tracks(info: &gst_pbutils::DiscovererInfo) -> Refusal {
    let missing: Vec<String> = info.missing_elements_installer_details().iter().map(|detail| detail.to_string()).collect();
    if missing.iter().any(|detail| detail.contains("cenc") || detail.contains("webm-enc")) {
        return Refusal::Encrypted;
    }
    let still = info.video_streams().iter().any(gst_pbutils::DiscovererVideoInfo::is_image);
    match (missing.first(), still) {
        (Some(detail), _) => Refusal::UnsupportedCodec { what: detail.split('|').nth(3).unwrap_or(detail).to_string() },
        (None, true) => Refusal::NotAVideo { found: "it is a still picture".to_string() },
        (None, false) => Refusal::NotAVideo { found: "it has neither picture nor sound".to_string() },
    }
}

/// Says what an error of a recognised container means: most files that a demuxer cannot open were cut off before their index.
fn explain(error: &glib::Error, container: &str) -> ProbeError {
    let message = error.message().trim_end_matches('.').to_string();
    let refusal = match error.kind::<gst::StreamError>() {
        Some(gst::StreamError::Decrypt | gst::StreamError::DecryptNokey) => Refusal::Encrypted,
        Some(gst::StreamError::CodecNotFound) => Refusal::UnsupportedCodec { what: message },
        Some(gst::StreamError::Demux) if ["mp4", "quicktime", "matroska", "webm"].contains(&container) => {
            Refusal::Truncated { found: "its index is missing".to_string() }
        }
        _ => Refusal::Damaged { reason: message },
    };
    refusal.into()
}
