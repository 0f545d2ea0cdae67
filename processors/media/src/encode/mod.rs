//! Makes a rendition: the file that a decision list describes, from the original.
//!
//! Three things run side by side: decoding, composing (this thread) and encoding; the sound is made on a fourth thread meanwhile.
//! Nothing is decided here: span, layout, camera, cues and gain all come with the list.

mod aac;
mod compose;
mod frame;
mod limiter;
mod mp4;
mod preview;
mod scale;
mod shrink;
mod sound;
mod source;
mod stretch;
mod timeline;
mod video;

pub use preview::preview_webm;
pub use video::check;

pub(crate) use compose::Composer;
pub(crate) use frame::{PlaneMut, output_planes, picture_info};
pub(crate) use source::{FrameReader, complaint, stop};
pub(crate) use timeline::Timeline;

use crate::captions::CaptionTrack;
use anyhow::{Context, Result, anyhow};
use domain::artefact::{DecisionList, Loudness, MediaFacts};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use video::VideoEncoder;

/// A finished rendition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rendered {
    /// The MP4 file.
    pub video: PathBuf,
    /// How many frames it has.
    pub frames: u64,
    /// Of the sound as a player decodes it; `None` without sound, or when it is silent.
    pub loudness: Option<Loudness>,
    /// Size of the file.
    pub bytes: u64,
}

/// The caller asked to stop; nothing was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the render was cancelled")]
pub struct Cancelled;

/// Makes the rendition that `list` describes from `source` and writes it to `out`.
///
/// `progress` hears a number from 0 to 1. The file appears under its name only when it is whole.
///
/// # Errors
/// [`Cancelled`] once `cancel` is set; otherwise whatever keeps the source from being decoded or the list from being followed.
pub fn render(
    source: &Path,
    facts: &MediaFacts,
    list: &DecisionList,
    out: &Path,
    progress: &mut dyn FnMut(f32),
    cancel: &AtomicBool,
) -> Result<Rendered> {
    crate::init()?;
    let timeline = Timeline::new(list)?;
    let rotation_degrees = facts.video.as_ref().context("the original has no picture")?.rotation_degrees;
    let order = Order { source, rotation_degrees, list, timeline: &timeline };
    let parts = Parts::beside(out);
    std::thread::scope(|scope| {
        let sound = list.audio.as_ref().map(|chain| {
            let timeline = &timeline;
            scope.spawn(move || sound::make(source, list, timeline, chain))
        });
        let encoded = encode_picture(&order, &parts.video, progress, cancel)?;
        let sound = sound.map(|thread| thread.join().map_err(|_| anyhow!("making the sound panicked"))).transpose()?.transpose()?;
        let picture = mp4::Picture {
            width: u16::try_from(list.picture.width)?,
            height: u16::try_from(list.picture.height)?,
            rate: list.picture.frame_rate,
            configuration: &encoded.configuration,
            frames: &encoded.frames,
            bytes: &parts.video,
        };
        let track = sound.as_ref().map(|sound| mp4::Sound {
            sample_rate: timeline::SAMPLE_RATE,
            channels: 2,
            configuration: &sound.encoded.configuration,
            bitrate_bps: sound.encoded.bitrate_bps,
            packets: &sound.encoded.packets,
            samples: sound.encoded.samples,
        });
        mp4::write(&parts.whole, &picture, track.as_ref())?;
        std::fs::rename(&parts.whole, out).with_context(|| format!("naming {}", out.display()))?;
        let bytes = std::fs::metadata(out)?.len();
        Ok(Rendered { video: out.to_owned(), frames: list.picture.frames, loudness: sound.and_then(|sound| sound.loudness), bytes })
    })
}

/// Files beside the rendition while it is made; they go when this is dropped.
struct Parts {
    video: PathBuf,
    whole: PathBuf,
}

impl Parts {
    fn beside(out: &Path) -> Self {
        let named = |suffix: &str| {
            let mut name = out.file_name().unwrap_or_default().to_owned();
            name.push(suffix);
            out.with_file_name(name)
        };
        Self { video: named(".h264-part"), whole: named(".part") }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for part in [&self.video, &self.whole] {
            match std::fs::remove_file(part) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(error = %error, "cannot remove {}", part.display());
                }
                _ => {}
            }
        }
    }
}

/// What is made of what.
struct Order<'a> {
    source: &'a Path,
    rotation_degrees: u16,
    list: &'a DecisionList,
    timeline: &'a Timeline,
}

fn encode_picture(order: &Order<'_>, bytes: &Path, progress: &mut dyn FnMut(f32), cancel: &AtomicBool) -> Result<video::Encoded> {
    let mut encoder = VideoEncoder::start(order.list, bytes)?;
    match draw_all(order, &mut encoder, progress, cancel) {
        Ok(()) => encoder.finish(),
        Err(error) => {
            encoder.abandon();
            Err(error)
        }
    }
}

fn draw_all(order: &Order<'_>, encoder: &mut VideoEncoder, progress: &mut dyn FnMut(f32), cancel: &AtomicBool) -> Result<()> {
    let list = order.list;
    let rate = list.picture.frame_rate;
    let mut composer = Composer::new(list);
    let mut captions = list.captions.as_ref().map(|captions| CaptionTrack::new(captions, &list.picture)).transpose()?;
    for piece in &order.timeline.pieces {
        let mut reader = FrameReader::open(order.source, piece.source, order.rotation_degrees, rate.time_of(1))?;
        for frame in piece.first_frame..piece.first_frame + piece.frames {
            if cancel.load(Ordering::Relaxed) {
                return Err(Cancelled.into());
            }
            let picture = reader.frame_at(piece.source_time(list, frame))?;
            encoder.push(|target| {
                composer.compose(frame, picture, target)?;
                match &mut captions {
                    Some(captions) => captions.draw(rate.time_of(frame), target),
                    None => Ok(()),
                }
            })?;
            progress((frame + 1) as f32 / list.picture.frames as f32);
        }
    }
    Ok(())
}
