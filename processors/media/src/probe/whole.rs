//! Walks a whole file without decoding it, and finds where it is damaged or ends.
//!
//! This is as fast as the disk, so it is done before anything dear. Damage inside a piece of a picture only shows in decoding.

use super::nal::Layout;
use super::windows::END_TOLERANCE;
use super::{ProbeError, Refusal, ebml};
use crate::decode::{Damage, unit_time};
use domain::MediaTime;
use domain::artefact::MediaFacts;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How often progress is told, and an error looked for.
const LOOK_INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// For so many looks nothing may come before the file counts as stalled: a slow disk needs seconds.
const IDLE_LOOKS_MAX: u32 = 300;

/// What was met on the way.
#[derive(Clone, Debug, Default, PartialEq)]
struct Met {
    /// Units of picture and sound.
    units: u64,
    /// When the last of them is shown or heard.
    last_at: MediaTime,
    damaged_at: Option<MediaTime>,
}

/// Refuses a file that is damaged somewhere, as far as that shows without decoding.
///
/// # Errors
/// [`ProbeError::Refused`] if the file is damaged; the other variants are the machine's fault.
pub fn check_whole(path: &Path, facts: &MediaFacts, progress: &mut dyn FnMut(f32)) -> Result<(), ProbeError> {
    let in_container = damage_of_container(path, &facts.container)?;
    let in_units = walk(path, facts.duration_us, progress)?.damaged_at.map(Damage::to_picture);
    // A container may only know the seconds around it, which begin earlier.
    match in_container.into_iter().chain(in_units).max_by_key(|damage| damage.at) {
        Some(damage) => Err(Refusal::DamagedAt(damage).into()),
        None => Ok(()),
    }
}

/// Returns the damage that a container knows of without its content.
pub(super) fn damage_of_container(path: &Path, container: &str) -> Result<Option<Damage>, ProbeError> {
    let is_matroska = ["matroska", "webm"].contains(&container);
    let damaged_at = if is_matroska { ebml::damaged_at(path)? } else { None };
    Ok(damaged_at.map(Damage::to_picture))
}

/// Returns when the last unit is shown or heard that can be read.
pub(super) fn last_unit(path: &Path, duration: MediaTime) -> Result<MediaTime, ProbeError> {
    Ok(walk(path, duration, &mut |_| {})?.last_at)
}

fn walk(path: &Path, duration: MediaTime, progress: &mut dyn FnMut(f32)) -> Result<Met, ProbeError> {
    crate::init()?;
    let met = Arc::new(Mutex::new(Met::default()));
    let pipeline = Stopped(build(path, &met).map_err(|reason| Refusal::Damaged { reason: reason.to_string() })?);
    let bus = pipeline.0.bus().expect("a pipeline has a bus");
    let is_started = pipeline.0.set_state(gst::State::Playing).is_ok();
    let (mut units, mut idle_looks, mut is_at_end) = (0, 0, false);
    while is_started && idle_looks < IDLE_LOOKS_MAX {
        let ended = bus.timed_pop_filtered(LOOK_INTERVAL, &[gst::MessageType::Eos, gst::MessageType::Error]);
        let now = lock(&met).clone();
        is_at_end = ended.as_ref().is_some_and(|message| message.type_() == gst::MessageType::Eos);
        if ended.is_some() || now.damaged_at.is_some() {
            break;
        }
        idle_looks = if now.units == units { idle_looks + 1 } else { 0 };
        units = now.units;
        progress((now.last_at.seconds() / duration.seconds()).min(1.0) as f32);
    }
    let mut met = lock(&met).clone();
    // A demuxer that gives up has met something that it does not understand; a missing end is told elsewhere.
    if !is_at_end && met.damaged_at.is_none() && met.last_at.plus(END_TOLERANCE) < duration {
        met.damaged_at = Some(met.last_at);
    }
    Ok(met)
}

/// A pipeline that stops with its owner.
struct Stopped(gst::Pipeline);

impl Drop for Stopped {
    fn drop(&mut self) {
        // Stopping can only fail for a pipeline that is broken already, and then there is nothing left to stop.
        let _stopped = self.0.set_state(gst::State::Null);
    }
}

fn lock(met: &Mutex<Met>) -> MutexGuard<'_, Met> {
    met.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds a pipeline that takes the file apart and shows `met` every unit of every track.
fn build(path: &Path, met: &Arc<Mutex<Met>>) -> Result<gst::Pipeline, gst::glib::BoolError> {
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build()?;
    let demuxer = gst::ElementFactory::make("decodebin").build()?;
    pipeline.add_many([&source, &demuxer])?;
    source.link(&demuxer)?;
    demuxer.connect("autoplug-continue", false, |arguments| {
        let caps = arguments[2].get::<gst::Caps>().ok()?;
        Some(crate::decode::is_container(&caps).to_value())
    });
    let (weak, met) = (pipeline.downgrade(), Arc::clone(met));
    demuxer.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let Ok(sink) = gst::ElementFactory::make("fakesink").property("sync", false).build() else { return };
        if pipeline.add(&sink).is_err() || sink.sync_state_with_parent().is_err() {
            return;
        }
        let entry = sink.static_pad("sink").expect("a sink has a sink pad");
        watch(&entry, Arc::clone(&met));
        // A pad that cannot be linked is skipped by the demuxer.
        let _linked = pad.link(&entry);
    });
    Ok(pipeline)
}

fn watch(pad: &gst::Pad, met: Arc<Mutex<Met>>) {
    let layout: Mutex<Option<Layout>> = Mutex::new(None);
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        let mut layout = layout.lock().unwrap_or_else(PoisonError::into_inner);
        match &info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Caps(caps) = event.view() {
                    *layout = Layout::of(caps.caps());
                }
            }
            Some(gst::PadProbeData::Buffer(unit)) => {
                let at = unit_time(pad, unit);
                let bytes = layout.and_then(|layout| Some((layout, unit.map_readable().ok()?)));
                let is_damaged = bytes.is_some_and(|(layout, bytes)| !layout.is_sound(&bytes));
                let mut met = lock(&met);
                met.units += 1;
                met.last_at = met.last_at.max(at);
                if is_damaged && met.damaged_at.is_none() {
                    met.damaged_at = Some(at);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}
