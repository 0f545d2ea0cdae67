//! Encodes composed pictures to H.264 on GStreamer.

use super::frame::{PlaneMut, output_planes, picture_info};
use super::mp4::EncodedFrame;
use super::source::{complaint, stop};
use anyhow::{Context, Result, anyhow, bail, ensure};
use domain::artefact::{DecisionList, EncoderSettings, FrameRate};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread::JoinHandle;

/// Pictures that wait for the encoder: one is being encoded while the next is composed.
const PICTURES_AHEAD: u64 = 2;

/// Longest wait for the encoder to finish: its look-ahead holds a few seconds of film.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// `x264enc pass=qual` takes `bitrate` as the size of a rate-control buffer and starves every picture above it; this switches it off.
const X264_NO_BUFFER: u32 = 0;
const X264_BITRATE_KBPS_MAX: u32 = 100_000;

/// Bit rate for encoders that know no constant quality, per pixel and second: 8 Mbit/s at 1080×1920 and 30 frames.
const BITS_PER_PIXEL: f64 = 0.13;

/// Encodes pictures one after another into a file of bare access units.
pub(crate) struct VideoEncoder {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    pool: gst_video::VideoBufferPool,
    info: gst_video::VideoInfo,
    rate: FrameRate,
    pushed: u64,
    collector: JoinHandle<Result<Encoded>>,
}

/// What an encoder made.
pub(crate) struct Encoded {
    /// `AVCDecoderConfigurationRecord`.
    pub(crate) configuration: Vec<u8>,
    /// In decoding order; their bytes follow one another in the file.
    pub(crate) frames: Vec<EncodedFrame>,
}

impl VideoEncoder {
    /// Starts the encoder that `list` names; it writes to `bytes`.
    pub(crate) fn start(list: &DecisionList, bytes: &Path) -> Result<Self> {
        let rate = list.picture.frame_rate;
        let info = picture_info(&list.picture)?;
        let pipeline = gst::Pipeline::new();
        let source = gst_app::AppSrc::builder().caps(&info.to_caps()?).format(gst::Format::Time).block(true).build();
        source.set_max_buffers(PICTURES_AHEAD);
        source.set_max_bytes(0);
        let encoder = make_encoder(&list.encoder, list)?;
        let parser = gst::ElementFactory::make("h264parse").build()?;
        let stream = gst::Caps::builder("video/x-h264").field("stream-format", "avc").field("alignment", "au").build();
        let sink = gst_app::AppSink::builder().caps(&stream).sync(false).build();
        let profile = gst::ElementFactory::make("capsfilter").property("caps", profile_of(&list.encoder.video_encoder)).build()?;
        let chain = [source.upcast_ref(), &encoder, &profile, &parser, sink.upcast_ref()];
        pipeline.add_many(chain)?;
        gst::Element::link_many(chain).with_context(|| format!("{} does not give H.264", list.encoder.video_encoder))?;
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&info.to_caps()?), u32::try_from(info.size())?, PICTURES_AHEAD as u32 + 2, 0);
        pool.set_config(config)?;
        pool.set_active(true)?;
        pipeline.set_state(gst::State::Playing).with_context(|| format!("starting {}", list.encoder.video_encoder))?;
        let file = File::create(bytes).with_context(|| format!("creating {}", bytes.display()))?;
        let collector = std::thread::Builder::new().name("collect-video".into()).spawn(move || collect(&sink, rate, file))?;
        Ok(Self { pipeline, source, pool, info, rate, pushed: 0, collector })
    }

    /// Encodes the picture that `draw` fills.
    pub(crate) fn push(&mut self, draw: impl FnOnce(&mut [PlaneMut<'_>; 3]) -> Result<()>) -> Result<()> {
        let mut buffer = self.pool.acquire_buffer(None).map_err(|flow| anyhow!("no picture buffer is free: {flow}"))?;
        {
            let buffer = buffer.get_mut().context("a picture buffer is shared")?;
            let at = frame_time(self.rate, self.pushed);
            buffer.set_pts(at);
            buffer.set_duration(frame_time(self.rate, self.pushed + 1) - at);
            let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &self.info)?;
            draw(&mut output_planes(&mut frame)?)?;
        }
        self.pushed += 1;
        match self.source.push_buffer(buffer) {
            Ok(_) => Ok(()),
            Err(flow) => Err(complaint(&self.pipeline).unwrap_or_else(|| anyhow!("the video encoder stopped: {flow}"))),
        }
    }

    /// Waits for the last picture.
    pub(crate) fn finish(self) -> Result<Encoded> {
        self.source.end_of_stream().map_err(|flow| anyhow!("the video encoder stopped: {flow}"))?;
        let collected = self.collector.join().map_err(|_| anyhow!("collecting the encoded picture panicked"))?;
        let failed = complaint(&self.pipeline);
        stop(&self.pipeline);
        if let Some(failed) = failed {
            return Err(failed.context("encoding the picture"));
        }
        let encoded = collected?;
        let count = encoded.frames.len() as u64;
        ensure!(count == self.pushed, "the encoder returned {count} of {} pictures", self.pushed);
        Ok(encoded)
    }

    /// Gives up: what was encoded is lost.
    pub(crate) fn abandon(self) {
        stop(&self.pipeline);
        if self.collector.join().is_err() {
            tracing::warn!("collecting the encoded picture panicked");
        }
    }
}

fn frame_time(rate: FrameRate, frame: u64) -> gst::ClockTime {
    let scaled = u128::from(frame) * 1_000_000_000 * u128::from(rate.denominator) + u128::from(rate.numerator) / 2;
    gst::ClockTime::from_nseconds((scaled / u128::from(rate.numerator)) as u64)
}

fn collect(sink: &gst_app::AppSink, rate: FrameRate, file: File) -> Result<Encoded> {
    let mut file = BufWriter::new(file);
    let mut configuration = None;
    let mut frames = Vec::new();
    let mut shown = Vec::new();
    while let Some(sample) = pull(sink)? {
        if configuration.is_none() {
            let structure = sample.caps().and_then(|caps| caps.structure(0));
            let data = structure.and_then(|structure| structure.get::<gst::Buffer>("codec_data").ok());
            configuration = data.map(|data| data.map_readable().map(|map| map.to_vec())).transpose()?;
        }
        let buffer = sample.buffer().context("an encoded frame is empty")?;
        let bytes = buffer.map_readable()?;
        file.write_all(&bytes).context("writing the encoded picture")?;
        shown.push(buffer.pts().context("an encoded frame has no time")?.nseconds());
        let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        frames.push(EncodedFrame { bytes: u32::try_from(bytes.len())?, shown: 0, is_key });
    }
    file.flush().context("writing the encoded picture")?;
    // Encoders shift all times by some start of their own.
    let start = shown.iter().min().copied().unwrap_or(0);
    for (frame, at) in frames.iter_mut().zip(shown) {
        let scaled = u128::from(at - start) * u128::from(rate.numerator) + 500_000_000 * u128::from(rate.denominator);
        frame.shown = (scaled / (1_000_000_000 * u128::from(rate.denominator))) as u64;
    }
    Ok(Encoded { configuration: configuration.context("the encoder gave no parameter sets")?, frames })
}

fn pull(sink: &gst_app::AppSink) -> Result<Option<gst::Sample>> {
    match sink.try_pull_sample(PATIENCE) {
        Some(sample) => Ok(Some(sample)),
        None if sink.is_eos() => Ok(None),
        None => bail!("the encoder gave nothing for {PATIENCE}"),
    }
}

/// The High profile where the encoder can choose one.
fn profile_of(encoder: &str) -> gst::Caps {
    let any = gst::Caps::builder("video/x-h264");
    if encoder == "openh264enc" { any.build() } else { any.field("profile", "high").build() }
}

/// Says whether this machine can encode as `settings` ask, before hours of other work are spent.
///
/// # Errors
/// One sentence that names what is missing and what to use instead.
pub fn check(settings: &EncoderSettings) -> Result<()> {
    crate::init()?;
    let encoder = find_encoder(&settings.video_encoder)?.create().build();
    let encoder = encoder.with_context(|| format!("the video encoder {} does not start on this machine", settings.video_encoder))?;
    if settings.video_encoder == "x264enc" { set_x264(&encoder, settings) } else { Ok(()) }
}

fn find_encoder(name: &str) -> Result<gst::ElementFactory> {
    let Some(factory) = gst::ElementFactory::find(name) else {
        bail!("the video encoder {name} is not installed on this machine; use x264enc, or install the GStreamer plugin that contains it");
    };
    let makes_h264 = factory
        .static_pad_templates()
        .iter()
        .any(|pad| pad.direction() == gst::PadDirection::Src && pad.caps().can_intersect(&gst::Caps::builder("video/x-h264").build()));
    ensure!(makes_h264, "{name} does not encode H.264; use x264enc, or a hardware encoder such as vah264enc or nvh264enc");
    Ok(factory)
}

fn make_encoder(settings: &EncoderSettings, list: &DecisionList) -> Result<gst::Element> {
    let name = settings.video_encoder.as_str();
    let factory = find_encoder(name)?;
    let encoder = factory.create().build().with_context(|| format!("the video encoder {name} does not start on this machine"))?;
    if name == "x264enc" {
        set_x264(&encoder, settings)?
    } else {
        set_generic(&encoder, settings, list)
    }
    Ok(encoder)
}

fn set_x264(encoder: &gst::Element, settings: &EncoderSettings) -> Result<()> {
    let presets = encoder.property_type("speed-preset").and_then(glib::EnumClass::with_type).context("x264enc has no presets")?;
    ensure!(
        presets.value_by_nick(&settings.preset).is_some(),
        "x264 has no preset {:?}; use one from ultrafast to placebo",
        settings.preset
    );
    encoder.set_property_from_str("speed-preset", &settings.preset);
    encoder.set_property_from_str("pass", "qual");
    encoder.set_property("quantizer", settings.crf.min(50));
    encoder.set_property("bitrate", X264_BITRATE_KBPS_MAX);
    encoder.set_property("vbv-buf-capacity", X264_NO_BUFFER);
    encoder.set_property("key-int-max", settings.key_frame_frames.max(1));
    // One thread: renditions run side by side, one per core, and the same list gives the same bytes.
    encoder.set_property("threads", 1_u32);
    encoder.set_property("aud", false);
    Ok(())
}

/// Sets what other encoders have of: a bit rate, a key-frame distance, as many B-frames as none.
fn set_generic(encoder: &gst::Element, settings: &EncoderSettings, list: &DecisionList) {
    let pixels = f64::from(list.picture.width) * f64::from(list.picture.height);
    let bits = pixels * list.picture.frame_rate.per_second() * BITS_PER_PIXEL;
    // openh264enc counts bits, the hardware encoders kilobits.
    let rate = if settings.video_encoder == "openh264enc" { bits } else { bits / 1_000.0 };
    for (name, value) in
        [("bitrate", rate as u64), ("key-int-max", settings.key_frame_frames.into()), ("gop-size", settings.key_frame_frames.into())]
    {
        if encoder.find_property(name).is_some() {
            encoder.set_property_from_str(name, &value.to_string());
        }
    }
}
