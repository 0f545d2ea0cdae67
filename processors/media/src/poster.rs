//! Makes a clip's still picture: one frame of the rendition as JPEG, without captions.

use crate::encode::{Composer, FrameReader, PlaneMut, Timeline};
use anyhow::{Context, Result, anyhow};
use domain::artefact::{DecisionList, MediaFacts};
use domain::{MediaTime, Span};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use std::path::Path;

/// JPEG quality: 90 keeps text on slides crisp at some 250 kB for 1080×1920.
const QUALITY: i32 = 90;

/// Longest wait for one picture to be compressed.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// Writes frame `list.poster_frame` of the rendition, as it is composed from `source`, to `out`.
///
/// # Errors
/// When the list has no such frame, or the source cannot be decoded there.
pub fn poster(source: &Path, facts: &MediaFacts, list: &DecisionList, out: &Path) -> Result<()> {
    crate::init()?;
    let timeline = Timeline::new(list)?;
    let frame = list.poster_frame;
    let piece = timeline
        .pieces
        .iter()
        .find(|piece| (piece.first_frame..piece.first_frame + piece.frames).contains(&frame))
        .with_context(|| format!("the rendition has no frame {frame} for a poster"))?;
    let rotation = facts.video.as_ref().context("the original has no picture")?.rotation_degrees;
    let (at, frame_time) = (piece.source_time(list, frame), list.picture.frame_rate.time_of(1));
    let span = Span::new(at, at.plus(frame_time.max(MediaTime(1))))?;
    let mut reader = FrameReader::open(source, span, rotation, frame_time)?;
    let picture = reader.frame_at(at)?;
    let jpeg = compress(list, |target| Composer::new(list).compose(frame, picture, target)).context("compressing the poster")?;
    std::fs::write(out, jpeg).with_context(|| format!("writing {}", out.display()))
}

fn compress(list: &DecisionList, draw: impl FnOnce(&mut [PlaneMut<'_>; 3]) -> Result<()>) -> Result<Vec<u8>> {
    let info = crate::encode::picture_info(&list.picture)?;
    let mut buffer = gst::Buffer::with_size(info.size())?;
    {
        let buffer = buffer.get_mut().context("a new buffer is shared")?;
        buffer.set_pts(gst::ClockTime::ZERO);
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &info)?;
        draw(&mut crate::encode::output_planes(&mut frame)?)?;
    }
    // JPEG files are full range with the matrix of BT.601.
    let description = format!(
        "appsrc name=in format=time ! videoconvert ! video/x-raw,format=I420,colorimetry=1:4:0:1 ! jpegenc quality={QUALITY} ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&description)?.downcast::<gst::Pipeline>().map_err(|_| anyhow!("not a pipeline"))?;
    let source = pipeline.by_name("in").and_then(|element| element.downcast::<gst_app::AppSrc>().ok()).context("no appsrc")?;
    let sink = pipeline.by_name("out").and_then(|element| element.downcast::<gst_app::AppSink>().ok()).context("no appsink")?;
    source.set_caps(Some(&info.to_caps()?));
    pipeline.set_state(gst::State::Playing)?;
    let sample = source.push_buffer(buffer).ok().and_then(|_| source.end_of_stream().ok()).and_then(|_| sink.try_pull_sample(PATIENCE));
    let failed = crate::encode::complaint(&pipeline);
    crate::encode::stop(&pipeline);
    let sample = sample.ok_or_else(|| failed.unwrap_or_else(|| anyhow!("no picture came within {PATIENCE}")))?;
    Ok(sample.buffer().context("an empty picture")?.map_readable()?.to_vec())
}
