//! AAC by FFmpeg's encoder, with its priming accounted for.

use super::mp4::PACKET_SAMPLES;
use super::source::{complaint, stop};
use super::timeline::SAMPLE_RATE;
use anyhow::{Context, Result, anyhow, bail, ensure};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

/// Samples that `avenc_aac` puts before the first one it is given: the first packet decodes to silence.
const PRIMING_SAMPLES: usize = PACKET_SAMPLES as usize;

/// Longest wait for one packet or buffer; coding runs at some fifty times the speed of playing.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// Stereo frames handed over at once: small enough to be checked against the encoder's pace.
const FRAMES_PER_BUFFER: usize = 48_000;

const CHANNELS: usize = 2;

/// Sound as AAC-LC packets.
pub(crate) struct EncodedSound {
    /// `AudioSpecificConfig`.
    pub(crate) configuration: Vec<u8>,
    pub(crate) packets: Vec<Vec<u8>>,
    /// How many samples play.
    pub(crate) samples: u64,
    pub(crate) bitrate_bps: u32,
}

/// Encodes interleaved stereo so that sample `n` of `sound` is sample `n` of what a decoder gives.
///
/// The encoder is not given the first 1,024 samples: its priming packet plays in their place, as silence, and what follows is in time
/// without an edit list. A clip loses 21 ms of sound before its first word.
pub(crate) fn encode(sound: &[f32], bitrate_bps: u32) -> Result<EncodedSound> {
    let samples = sound.len() / CHANNELS;
    let wanted = samples.div_ceil(PACKET_SAMPLES as usize);
    let rest = &sound[(PRIMING_SAMPLES * CHANNELS).min(sound.len())..];
    let mut faded = rest.to_vec();
    fade_in(&mut faded);
    let raw = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", SAMPLE_RATE as i32)
        .field("channels", CHANNELS as i32)
        .field("channel-mask", gst::Bitmask::new(3))
        .build();
    let tail = format!("audioconvert ! avenc_aac bitrate={bitrate_bps} ! appsink name=out sync=false");
    let buffers = faded.chunks(FRAMES_PER_BUFFER * CHANNELS).map(|part| part.iter().flat_map(|value| value.to_le_bytes()).collect());
    let samples_of = |bytes: &[u8]| bytes.len() / 4 / CHANNELS;
    let (caps, mut packets) = run(&tail, &raw, buffers, samples_of).context("encoding the sound")?;
    ensure!(packets.len() >= wanted.min(1), "the audio encoder gave no packets");
    packets.truncate(wanted);
    let configuration = caps
        .structure(0)
        .and_then(|structure| structure.get::<gst::Buffer>("codec_data").ok())
        .context("the audio encoder gave no configuration")?;
    let configuration = configuration.map_readable()?.to_vec();
    Ok(EncodedSound { configuration, packets, samples: samples as u64, bitrate_bps })
}

/// Decodes it as a player would: interleaved stereo, as many samples as play.
pub(crate) fn decode(sound: &EncodedSound) -> Result<Vec<f32>> {
    let stream = gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4)
        .field("stream-format", "raw")
        .field("framed", true)
        .field("base-profile", "lc")
        .field("rate", SAMPLE_RATE as i32)
        .field("channels", CHANNELS as i32)
        .field("codec_data", gst::Buffer::from_slice(sound.configuration.clone()))
        .build();
    let tail = "avdec_aac ! audioconvert ! audio/x-raw,format=F32LE,layout=interleaved ! appsink name=out sync=false";
    let (_, buffers) =
        run(tail, &stream, sound.packets.iter().cloned(), |_| PACKET_SAMPLES as usize).context("decoding the encoded sound")?;
    let mut samples: Vec<f32> =
        buffers.concat().chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
    samples.truncate(sound.samples as usize * CHANNELS);
    Ok(samples)
}

/// Samples over which the sound that follows the priming comes in, so that it does not click.
const FADE_IN_SAMPLES: usize = 240;

fn fade_in(sound: &mut [f32]) {
    for (index, frame) in sound.chunks_exact_mut(CHANNELS).take(FADE_IN_SAMPLES).enumerate() {
        let gain = index as f32 / FADE_IN_SAMPLES as f32;
        frame.iter_mut().for_each(|sample| *sample *= gain);
    }
}

/// Pushes `buffers` through a pipeline and returns the format and bytes of everything that comes out.
fn run(
    tail: &str,
    caps: &gst::Caps,
    buffers: impl Iterator<Item = Vec<u8>>,
    samples_of: impl Fn(&[u8]) -> usize,
) -> Result<(gst::Caps, Vec<Vec<u8>>)> {
    crate::init()?;
    let pipeline = gst::parse::launch(&format!("appsrc name=in format=time max-bytes=0 ! {tail}"))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow!("not a pipeline"))?;
    let source = pipeline.by_name("in").and_then(|element| element.downcast::<gst_app::AppSrc>().ok()).context("no appsrc")?;
    let sink = pipeline.by_name("out").and_then(|element| element.downcast::<gst_app::AppSink>().ok()).context("no appsink")?;
    source.set_caps(Some(caps));
    let outcome = (|| {
        pipeline.set_state(gst::State::Playing)?;
        let mut elapsed = 0_u64;
        let at = |samples: u64| gst::ClockTime::from_nseconds(samples * 1_000_000_000 / u64::from(SAMPLE_RATE));
        for bytes in buffers {
            let samples = samples_of(&bytes) as u64;
            let mut buffer = gst::Buffer::from_mut_slice(bytes);
            let buffer_mut = buffer.get_mut().context("a new buffer is shared")?;
            buffer_mut.set_pts(at(elapsed));
            buffer_mut.set_duration(at(elapsed + samples) - at(elapsed));
            elapsed += samples;
            source.push_buffer(buffer).map_err(|flow| anyhow!("the pipeline stopped: {flow}"))?;
        }
        source.end_of_stream().map_err(|flow| anyhow!("the pipeline stopped: {flow}"))?;
        drain(&sink)
    })();
    let failed = complaint(&pipeline);
    stop(&pipeline);
    match failed {
        Some(failed) => Err(failed),
        None => outcome,
    }
}

fn drain(sink: &gst_app::AppSink) -> Result<(gst::Caps, Vec<Vec<u8>>)> {
    let mut caps = None;
    let mut drained = Vec::new();
    loop {
        match sink.try_pull_sample(PATIENCE) {
            Some(sample) => {
                caps = caps.or_else(|| sample.caps_owned());
                let buffer = sample.buffer().context("an empty sample")?;
                drained.push(buffer.map_readable()?.to_vec());
            }
            None if sink.is_eos() => break,
            None => bail!("nothing came for {PATIENCE}"),
        }
    }
    Ok((caps.context("nothing came")?, drained))
}
