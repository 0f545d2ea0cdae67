//! A pipeline from a file to application sinks, with its start, seek, errors and end.

use super::{Damage, DecodeError, STALL_LIMIT, Track, damage, unit_time};
use crate::init;
use domain::{MediaTime, Span};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_pbutils as gst_pbutils;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How often a wait looks whether the pipeline reported an error.
const BUS_INTERVAL_MS: u64 = 50;

/// Containers whose names look like those of tracks; GStreamer marks the others as system streams.
const CONTAINERS: &[&str] = &[
    "video/quicktime",
    "video/x-matroska",
    "audio/x-matroska",
    "video/webm",
    "audio/webm",
    "video/x-msvideo",
    "video/x-flv",
    "video/x-ms-asf",
    "video/ogg",
    "audio/ogg",
    "video/mpegts",
    "audio/x-m4a",
    "audio/x-wav",
    "audio/x-aiff",
];

/// Looks at each encoded unit before the decoder and says whether it is decoded.
pub(crate) type Gate = Arc<dyn Fn(&gst::Pad, &gst::Buffer) -> bool + Send + Sync>;

/// What is decoded, and into which sinks.
pub(crate) struct Wanted<'a> {
    /// The one kind of track that is decoded; all others are not even looked at.
    pub track: Track,
    /// GStreamer's words for what follows the decoder; the first element is named `first`, every application sink is named.
    pub chain: &'a str,
    /// Chooses which units reach the decoder.
    pub gate: Option<Gate>,
}

/// A running pipeline; dropping it stops it.
pub(crate) struct Opened {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    track: Track,
    /// The first error, kept because several threads may read from one pipeline.
    failed: OnceLock<DecodeError>,
}

impl Opened {
    /// Opens `path`, decodes up to the first buffer of each sink, and seeks to `span`.
    pub(crate) fn new(path: &Path, wanted: Wanted<'_>, span: Option<Span>) -> Result<Self, DecodeError> {
        init()?;
        damage::forget();
        let opened = build(path, &wanted)?;
        opened.pipeline.set_state(gst::State::Paused).map_err(|_| opened.failure("it could not be opened"))?;
        opened.wait_for_preroll()?;
        if let Some(span) = span {
            damage::forget();
            let (start, stop) = super::seek_range(span);
            let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
            opened
                .pipeline
                .seek(1.0, flags, gst::SeekType::Set, start, gst::SeekType::Set, stop)
                .map_err(|_| opened.failure("it cannot be searched"))?;
            opened.wait_for_preroll()?;
        }
        opened.pipeline.set_state(gst::State::Playing).map_err(|_| opened.failure("it could not be started"))?;
        Ok(opened)
    }

    /// Returns the application sink that the chain calls `name`.
    pub(crate) fn sink(&self, name: &str) -> gst_app::AppSink {
        let element = self.pipeline.by_name(name).expect("the chain names its sinks");
        element.downcast().expect("the chain's sinks are application sinks")
    }

    /// Returns the next sample of `sink`, or `None` at the end.
    pub(crate) fn pull(&self, sink: &gst_app::AppSink) -> Result<Option<gst::Sample>, DecodeError> {
        let waiting_since = Instant::now();
        loop {
            if let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_mseconds(BUS_INTERVAL_MS)) {
                return Ok(Some(sample));
            }
            if let Some(error) = self.reported() {
                return Err(error);
            }
            if sink.is_eos() {
                return Ok(None);
            }
            if waiting_since.elapsed() > STALL_LIMIT {
                return Err(DecodeError::Stalled);
            }
        }
    }

    fn wait_for_preroll(&self) -> Result<(), DecodeError> {
        let wait = gst::ClockTime::from_mseconds(STALL_LIMIT.as_millis() as u64);
        let kinds = [gst::MessageType::AsyncDone, gst::MessageType::Error, gst::MessageType::Application, gst::MessageType::Element];
        let deadline = Instant::now() + Duration::from_millis(wait.mseconds());
        while Instant::now() < deadline {
            let Some(message) = self.bus.timed_pop_filtered(wait, &kinds) else { break };
            match message.view() {
                gst::MessageView::AsyncDone(_) => return Ok(()),
                _ => {
                    if let Some(error) = as_failure(&message) {
                        return Err(error);
                    }
                }
            }
        }
        Err(DecodeError::Stalled)
    }

    /// Returns the error that the pipeline has reported, if any.
    fn reported(&self) -> Option<DecodeError> {
        let kinds = [gst::MessageType::Error, gst::MessageType::Application, gst::MessageType::Element];
        while let Some(message) = self.bus.pop_filtered(&kinds) {
            if let Some(error) = as_failure(&message) {
                return Some(self.failed.get_or_init(|| error).clone());
            }
        }
        self.failed.get().cloned()
    }

    /// Fails if the decoder complained of a unit before `end`.
    pub(crate) fn fail_if_damaged(&self, end: MediaTime) -> Result<(), DecodeError> {
        match damage::complaint_at().filter(|at| *at < end) {
            Some(at) => Err(DecodeError::Damaged(Damage { track: self.track, at })),
            None => Ok(()),
        }
    }

    /// Returns how long the file plays, as far as the container knows.
    pub(crate) fn duration(&self) -> Option<MediaTime> {
        self.pipeline.query_duration::<gst::ClockTime>().map(super::media_time)
    }

    /// Ends every read from the pipeline.
    pub(crate) fn stop(&self) {
        let _first = self.failed.set(DecodeError::Broken { reason: "reading was given up".to_string() });
    }

    fn failure(&self, reason: &str) -> DecodeError {
        self.reported().unwrap_or_else(|| DecodeError::Broken { reason: reason.to_string() })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Stopping can only fail for a pipeline that is broken already, and then there is nothing left to stop.
        let _stopped = self.pipeline.set_state(gst::State::Null);
    }
}

fn build(path: &Path, wanted: &Wanted<'_>) -> Result<Opened, DecodeError> {
    let broken = |what: &str| DecodeError::Broken { reason: what.to_string() };
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build().map_err(|_| broken("no file source"))?;
    let decoder = gst::ElementFactory::make("decodebin").build().map_err(|_| broken("no decoder"))?;
    let chain = gst::parse::bin_from_description(wanted.chain, false).map_err(|_| broken("no sink"))?;
    let first = chain.by_name("first").expect("the chain names its first element");
    let ghost = gst::GhostPad::with_target(&first.static_pad("sink").expect("the first element has one sink pad"));
    chain.add_pad(&ghost.map_err(|_| broken("no sink pad"))?).map_err(|_| broken("no sink pad"))?;
    pipeline.add_many([&source, &decoder, chain.upcast_ref()]).map_err(|_| broken("no pipeline"))?;
    source.link(&decoder).map_err(|_| broken("no source link"))?;

    if wanted.track == Track::Picture {
        let sinks = chain.children().into_iter().filter_map(|element| element.downcast::<gst_app::AppSink>().ok());
        sinks.for_each(|sink| super::take_padded(&sink));
    }
    choose_track(&decoder, wanted.track);
    prepare_decoders(&decoder, wanted.gate.clone());
    link_when_found(&pipeline, &decoder, &chain, wanted.track);
    let bus = pipeline.bus().expect("a pipeline has a bus");
    Ok(Opened { pipeline, bus, track: wanted.track, failed: OnceLock::new() })
}

/// Stops `decodebin` from decoding anything but the first track of the wanted kind.
fn choose_track(decodebin: &gst::Element, track: Track) {
    let is_taken = AtomicBool::new(false);
    decodebin.connect("autoplug-continue", false, move |arguments| {
        let pad = arguments[1].get::<gst::Pad>().ok()?;
        let caps = arguments[2].get::<gst::Caps>().ok()?;
        Some(goes_on(&pad, &caps, track, &is_taken).to_value())
    });
}

fn goes_on(pad: &gst::Pad, caps: &gst::CapsRef, track: Track, is_taken: &AtomicBool) -> bool {
    let Some(structure) = caps.structure(0) else { return false };
    let name = structure.name().as_str();
    if is_container(caps) || name.starts_with("application/") {
        return true; // encrypted streams too: they must fail, not vanish
    }
    match (name.split('/').next(), track) {
        (Some("video"), Track::Picture) | (Some("audio"), Track::Sound) => {}
        (Some("image"), Track::Picture) if name == "image/jpeg" => {} // Motion JPEG; cover pictures are tags, not tracks
        _ => return false,
    }
    // Asked again for what a parser or decoder makes of a track; only a demuxer's pad is a new track.
    !is_from_demuxer(pad) || !is_taken.swap(true, Ordering::SeqCst)
}

/// Tells whether something holds tracks rather than being one.
pub(crate) fn is_container(caps: &gst::CapsRef) -> bool {
    let Some(structure) = caps.structure(0) else { return false };
    CONTAINERS.contains(&structure.name().as_str()) || structure.get::<bool>("systemstream").unwrap_or(false)
}

fn is_from_demuxer(pad: &gst::Pad) -> bool {
    let target = pad.downcast_ref::<gst::GhostPad>().and_then(|ghost| ghost.target());
    let element = target.unwrap_or_else(|| pad.clone()).parent_element();
    element
        .and_then(|element| element.factory())
        .is_some_and(|factory| factory.metadata("klass").is_some_and(|class| class.contains("Demux")))
}

/// Lets decoders survive damaged units, and puts the gate before the video decoder.
fn prepare_decoders(decodebin: &gst::Element, gate: Option<Gate>) {
    let bin = decodebin.downcast_ref::<gst::Bin>().expect("decodebin is a bin");
    bin.connect_deep_element_added(move |_, _, element| {
        let Some(factory) = element.factory() else { return };
        let class = factory.metadata("klass").unwrap_or_default().to_string();
        if !class.contains("Decoder") {
            return;
        }
        if element.has_property("max-errors") {
            element.set_property("max-errors", -1i32);
        }
        let gate = gate.clone().filter(|_| class.contains("Video") || class.contains("Image"));
        let (Some(entry), Some(exit)) = (element.static_pad("sink"), element.static_pad("src")) else { return };
        entry.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(unit) = info.buffer() else { return gst::PadProbeReturn::Ok };
            // Not `Drop`: this binding has consumed the buffer by then, and GStreamer 1.22 complains about it for each one.
            if gate.as_ref().is_some_and(|gate| !gate(pad, unit)) {
                return gst::PadProbeReturn::Handled;
            }
            damage::enters(unit_time(pad, unit));
            gst::PadProbeReturn::Ok
        });
        exit.add_probe(gst::PadProbeType::BUFFER, |_, _| {
            damage::leaves();
            gst::PadProbeReturn::Ok
        });
    });
}

fn link_when_found(pipeline: &gst::Pipeline, decodebin: &gst::Element, chain: &gst::Bin, track: Track) {
    let is_linked = Arc::new(AtomicBool::new(false));
    let wanted = match track {
        Track::Picture => "video/x-raw",
        Track::Sound => "audio/x-raw",
    };
    let sink = chain.static_pad("sink").expect("the chain has a sink pad");
    let weak = pipeline.downgrade();
    let linked = Arc::clone(&is_linked);
    decodebin.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is_wanted = caps.structure(0).is_some_and(|structure| structure.name() == wanted);
        if is_wanted && !sink.is_linked() && pad.link(&sink).is_ok() {
            linked.store(true, Ordering::SeqCst);
            return;
        }
        if let Some(pipeline) = weak.upgrade() {
            discard(&pipeline, pad);
        }
    });
    let weak = decodebin.downgrade();
    decodebin.connect_no_more_pads(move |_| {
        if is_linked.load(Ordering::SeqCst) {
            return;
        }
        let Some(decodebin) = weak.upgrade() else { return };
        let absent = gst::Structure::new_empty(if track == Track::Picture { "no-picture" } else { "no-sound" });
        // A bus that no longer takes messages belongs to a pipeline that is being stopped.
        let _posted = decodebin.post_message(gst::message::Application::builder(absent).src(&decodebin).build());
    });
}

/// Swallows a pad that nobody reads, so that the demuxer goes on.
fn discard(pipeline: &gst::Pipeline, pad: &gst::Pad) {
    let Ok(sink) = gst::ElementFactory::make("fakesink").property("sync", false).property("async", false).build() else { return };
    if pipeline.add(&sink).is_err() || sink.sync_state_with_parent().is_err() {
        return;
    }
    if let Some(target) = sink.static_pad("sink") {
        // An unlinked pad is no failure either: the demuxer skips it.
        let _linked = pad.link(&target);
    }
}

/// Returns what a message means if it means that decoding failed.
fn as_failure(message: &gst::MessageRef) -> Option<DecodeError> {
    match message.view() {
        gst::MessageView::Application(application) => match application.structure()?.name().as_str() {
            "no-picture" => Some(DecodeError::Absent(Track::Picture)),
            "no-sound" => Some(DecodeError::Absent(Track::Sound)),
            _ => None,
        },
        gst::MessageView::Element(element) => {
            let missing = gst_pbutils::MissingPluginMessage::parse(element).ok()?;
            let detail = missing.installer_detail();
            let is_encrypted = detail.contains("cenc") || detail.contains("webm-enc");
            Some(if is_encrypted { DecodeError::Encrypted } else { DecodeError::Unsupported { what: missing.description().to_string() } })
        }
        gst::MessageView::Error(error) => Some(from_error(&error.error())),
        _ => None,
    }
}

fn from_error(error: &glib::Error) -> DecodeError {
    match error.kind::<gst::StreamError>() {
        Some(gst::StreamError::Decrypt | gst::StreamError::DecryptNokey) => DecodeError::Encrypted,
        Some(gst::StreamError::CodecNotFound) => DecodeError::Unsupported { what: error.message().to_string() },
        _ => DecodeError::Broken { reason: error.message().trim_end_matches('.').to_string() },
    }
}
