//! A small WebM copy of a rendition, for players without H.264.

use super::source::{complaint, stop};
use anyhow::{Context, Result, anyhow, bail};
use domain::artefact::DecisionList;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bit rate of the picture in bit/s: enough to judge a clip on a telephone, a tenth of the rendition.
const VIDEO_BITRATE_BPS: u32 = 600_000;

/// Bit rate of the sound in bit/s.
const AUDIO_BITRATE_BPS: u32 = 64_000;

/// Sides are shrunk by this; renditions have sides that are multiples of 2 and become a third of 1080.
const SHRINK: u32 = 3;

/// How often cancelling is looked at.
const STEP: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// Steps without an end after which the transcoder counts as stuck: half an hour, far above a preview of the longest rendition.
const STEPS_MAX: u32 = 9_000;

/// Makes a small WebM (VP8, Vorbis) of `video`, the finished rendition of `list`.
///
/// # Errors
/// [`super::Cancelled`] once `cancel` is set; otherwise when the rendition cannot be read or the preview cannot be written.
pub fn preview_webm(video: &Path, list: &DecisionList, out: &Path, cancel: &AtomicBool) -> Result<()> {
    crate::init()?;
    let even = |side: u32| (side / SHRINK).next_multiple_of(2).max(2);
    let (width, height) = (even(list.picture.width), even(list.picture.height));
    let description = format!(
        "filesrc name=file ! decodebin name=decode \
         decode. ! queue ! videoconvert ! videoscale ! video/x-raw,format=I420,width={width},height={height} \
         ! vp8enc deadline=1 cpu-used=8 threads=1 target-bitrate={VIDEO_BITRATE_BPS} keyframe-max-dist=120 ! queue ! mux. \
         webmmux name=mux ! filesink name=out"
    );
    let sound = format!(
        " decode. ! queue max-size-time=5000000000 max-size-bytes=0 max-size-buffers=0 ! audioconvert ! vorbisenc bitrate={AUDIO_BITRATE_BPS} ! queue ! mux."
    );
    let pipeline = gst::parse::launch(&if list.audio.is_some() { description + &sound } else { description })
        .context("building the preview's transcoder")?
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow!("the preview's transcoder is not a pipeline"))?;
    let element = |name: &str| pipeline.by_name(name).with_context(|| format!("the preview's transcoder lacks {name}"));
    element("file")?.set_property("location", video);
    element("out")?.set_property("location", out);
    let outcome = pipeline.set_state(gst::State::Playing).map_err(Into::into).and_then(|_| finished(&pipeline, cancel));
    stop(&pipeline);
    outcome.with_context(|| format!("making the preview {}", out.display()))
}

fn finished(pipeline: &gst::Pipeline, cancel: &AtomicBool) -> Result<()> {
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    for _ in 0..STEPS_MAX {
        if cancel.load(Ordering::Relaxed) {
            return Err(super::Cancelled.into());
        }
        if let Some(failed) = complaint(pipeline) {
            return Err(failed);
        }
        if bus.timed_pop_filtered(STEP, &[gst::MessageType::Eos]).is_some() {
            return Ok(());
        }
    }
    bail!("the transcoder is stuck")
}
