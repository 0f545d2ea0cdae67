//! Sees a whole video without decoding most of it: shots, and key frames with their faces, light, sharpness and motion.
//!
//! First pass: only key frames reach the decoder, while the sizes of all other frames are noted. Second pass, only if something
//! is unclear: the groups of frames in which a cut may hide are decoded to place it on its exact frame.
//! [`faces_in`] looks at every fifth of a second of one span instead; it is for what is rendered, never for a whole video.

mod cuts;
mod face;
mod faces_in;
mod gop;
mod key_frames;
mod small;

pub use faces_in::faces_in;

use crate::decode::{DecodeError, Frames, Pick};
use cuts::{CUT_CONTENT, LONG_GROUP, Verdict};
use domain::MediaTime;
use domain::artefact::{KeyFrame, MediaFacts, Shot};
use gop::{Doorkeeper, Group};
use key_frames::Gallery;
use serde::{Deserialize, Serialize};
use small::{Shrinker, Tiny};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Shots in order; together they cover the video.
    pub shots: Vec<Shot>,
    /// Some decoded frames in order of time: at most 12 a minute, sooner where the picture changed.
    pub key_frames: Vec<KeyFrame>,
}

/// Part of the progress bar that the first pass takes.
const FIRST_PASS: f32 = 0.5;

/// Finds the shots of a video and looks at its key frames.
///
/// # Errors
/// [`DecodeError`]; a file without picture gives [`DecodeError::Absent`].
pub fn look(path: &Path, facts: &MediaFacts, progress: &mut dyn FnMut(f32)) -> Result<Seen, DecodeError> {
    let rotation = facts.video.as_ref().map_or(0, |video| video.rotation_degrees);
    let duration = facts.duration_us;
    let part = |at: MediaTime| (at.seconds() / duration.seconds().max(1e-6)).min(1.0) as f32;
    Gallery::show(rotation, |gallery| {
        let (groups, verdicts) = first_pass(path, gallery, &mut |at| progress(FIRST_PASS * part(at)))?;
        let ends = verdicts.iter().zip(groups.iter().skip(1)).filter(|(verdict, _)| **verdict == Verdict::CutAtEnd);
        let mut cuts: Vec<MediaTime> = ends.map(|(_, next)| next.start).collect();
        if verdicts.contains(&Verdict::Decode) {
            let inside = second_pass(path, &groups, &verdicts, gallery, &mut |at| progress(FIRST_PASS + (1.0 - FIRST_PASS) * part(at)))?;
            cuts.extend(inside);
        }
        Ok(cuts::shots(cuts, duration))
    })
    .map(|(shots, key_frames)| Seen { shots, key_frames })
}

/// Decodes key frames only.
fn first_pass(path: &Path, gallery: &mut Gallery, progress: &mut dyn FnMut(MediaTime)) -> Result<(Vec<Group>, Vec<Verdict>), DecodeError> {
    let door = Arc::new(Doorkeeper::default());
    let keeper = Arc::clone(&door);
    let mut frames = Frames::open(path, None, Pick::Units(Arc::new(move |unit| keeper.admit(unit))))?;
    let mut shrinker = Shrinker::default();
    let mut keys: Vec<(MediaTime, Tiny)> = Vec::new();
    while let Some(frame) = frames.next_frame()? {
        let tiny = shrinker.tiny(&frame);
        gallery.offer(&mut shrinker, &frame, &tiny);
        keys.push((frame.at, tiny));
        progress(frame.at);
    }
    let groups = door.groups();
    let verdicts = (0..groups.len()).map(|index| {
        let here = picture_at(&keys, &groups[index]);
        let next = groups.get(index + 1).and_then(|group| picture_at(&keys, group).map(|tiny| (group, tiny)));
        match (here, next) {
            // A key frame that did not decode says nothing about its group.
            (None, _) => Verdict::Decode,
            (Some(_), None) if index + 1 < groups.len() => Verdict::Decode,
            (Some(here), next) => cuts::judge(&groups[index], here, next),
        }
    });
    let verdicts = verdicts.collect();
    Ok((groups, verdicts))
}

fn picture_at<'a>(keys: &'a [(MediaTime, Tiny)], group: &Group) -> Option<&'a Tiny> {
    let index = keys.binary_search_by_key(&group.start, |(at, _)| *at).ok()?;
    Some(&keys[index].1)
}

/// Decodes the groups that are unclear, each with the key frame after it, and returns the cuts inside.
fn second_pass(
    path: &Path,
    groups: &[Group],
    verdicts: &[Verdict],
    gallery: &mut Gallery,
    progress: &mut dyn FnMut(MediaTime),
) -> Result<Vec<MediaTime>, DecodeError> {
    let wanted: Arc<Vec<bool>> = Arc::new(verdicts.iter().map(|verdict| *verdict == Verdict::Decode).collect());
    let mut frames = Frames::open(path, None, Pick::Units(in_groups(groups, Arc::clone(&wanted))))?;
    let mut shrinker = Shrinker::default();
    let mut cuts = Vec::new();
    let mut before: Option<(usize, Tiny)> = None;
    while let Some(frame) = frames.next_frame()? {
        let index = groups.partition_point(|group| group.start <= frame.at).saturating_sub(1);
        let is_first = groups[index].start == frame.at;
        // Frames that lean on a group that was left out are damaged; only the first frame of a group stands alone.
        if !wanted[index] && !is_first {
            continue;
        }
        let tiny = shrinker.tiny(&frame);
        if let Some((group_before, last)) = &before
            && (*group_before == index || *group_before + 1 == index && wanted[*group_before])
            && last.content_change(&tiny) >= CUT_CONTENT
        {
            cuts.push(frame.at);
        }
        if groups[index].end.minus(groups[index].start) > LONG_GROUP {
            gallery.offer(&mut shrinker, &frame, &tiny);
        }
        before = Some((index, tiny));
        progress(frame.at);
    }
    Ok(cuts)
}

/// Chooses the units of the wanted groups, and the first unit after each.
fn in_groups(groups: &[Group], wanted: Arc<Vec<bool>>) -> Arc<dyn Fn(crate::decode::Unit) -> bool + Send + Sync> {
    let starts: Vec<MediaTime> = groups.iter().map(|group| group.start).collect();
    let current = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    Arc::new(move |unit| {
        let upcoming = next.load(Ordering::Relaxed);
        let begins = unit.is_key && starts.get(upcoming) == Some(&unit.at);
        if begins {
            current.store(upcoming, Ordering::Relaxed);
            next.store(upcoming + 1, Ordering::Relaxed);
        }
        let index = current.load(Ordering::Relaxed);
        wanted[index] || begins && index > 0 && wanted[index - 1]
    })
}
