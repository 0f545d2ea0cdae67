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
mod mouth;
mod small;

pub use faces_in::faces_in;

use crate::decode::{DecodeError, Frames, Pick, Unit};
use cuts::{LONG_GROUP, Plan, is_cut, is_great};
use domain::MediaTime;
use domain::artefact::{KeyFrame, MediaFacts, Shot};
use gop::{Doorkeeper, Group};
use key_frames::Gallery;
use serde::{Deserialize, Serialize};
use small::{Change, Shrinker, Tiny};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Shots in order; together they cover the video.
    pub shots: Vec<Shot>,
    /// Some decoded frames in order of time: at most ten a minute, sooner where the picture changed.
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
        let (groups, plans) = first_pass(path, gallery, &mut |at| progress(FIRST_PASS * part(at)))?;
        let sure = plans.iter().zip(groups.iter().skip(1)).filter(|(plan, _)| plan.is_cut_at_end);
        let mut cuts: Vec<MediaTime> = sure.map(|(_, next)| next.start).collect();
        if plans.iter().any(|plan| plan.units > 0) {
            let mut tell = |at| progress(FIRST_PASS + (1.0 - FIRST_PASS) * part(at));
            let found = second_pass(path, &groups, &plans, gallery, &mut tell)?;
            cuts.extend(found.cuts);
            if !found.unexplained.is_empty() {
                let mut again = vec![Plan::default(); groups.len()];
                found.unexplained.into_iter().for_each(|index| again[index] = Plan::ALL);
                cuts.extend(second_pass(path, &groups, &again, gallery, &mut |_| {})?.cuts);
            }
        }
        tracing::debug!(
            groups = groups.len(),
            unclear = plans.iter().filter(|plan| plan.units > 0).count(),
            cuts = cuts.len(),
            "found shots"
        );
        Ok(cuts::shots(cuts, duration))
    })
    .map(|(shots, key_frames)| Seen { shots, key_frames })
}

/// Decodes key frames only.
fn first_pass(path: &Path, gallery: &mut Gallery, progress: &mut dyn FnMut(MediaTime)) -> Result<(Vec<Group>, Vec<Plan>), DecodeError> {
    let door = Arc::new(Doorkeeper::default());
    let keeper = Arc::clone(&door);
    let mut frames = Frames::open(path, None, Pick::Units(Arc::new(move |unit| keeper.admit(unit))))?;
    let mut shrinker = Shrinker::default();
    let mut keys: Vec<Key> = Vec::new();
    let mut before: Option<Tiny> = None;
    while let Some(frame) = frames.next_frame()? {
        let tiny = shrinker.tiny(&frame);
        gallery.offer(&mut shrinker, &frame, &tiny);
        let change = before.as_ref().map(|before| Change::between(before, &tiny)).unwrap_or_default();
        keys.push(Key { at: frame.at, change });
        before = Some(tiny);
        progress(frame.at);
    }
    frames.fail_if_damaged()?;
    let groups = door.groups();
    let plans = (0..groups.len()).map(|index| {
        let here = key_of(&keys, &groups[index]);
        let next = groups.get(index + 1).map(|group| (group, key_of(&keys, group)));
        match (here, next) {
            (Some(_), None) => cuts::plan(&groups[index], None),
            // The change was measured against the key frame before it only if that is the one of this group.
            (Some(here), Some((next_group, Some(next)))) if next == here + 1 => {
                cuts::plan(&groups[index], Some((next_group, keys[next].change)))
            }
            // A key frame that did not decode says nothing about its group.
            _ => Plan::ALL,
        }
    });
    let plans = plans.collect();
    Ok((groups, plans))
}

/// A decoded key frame, as little of it as must be kept for hours of video.
struct Key {
    at: MediaTime,
    /// Against the key frame before it.
    change: Change,
}

fn key_of(keys: &[Key], group: &Group) -> Option<usize> {
    keys.binary_search_by_key(&group.start, |key| key.at).ok()
}

/// What a pass over unclear groups found.
#[derive(Default)]
struct Found {
    cuts: Vec<MediaTime>,
    /// Groups that were decoded up to a large unit, and still differ from the next key frame.
    unexplained: Vec<usize>,
}

/// Decodes what the plans say, and returns the cuts inside.
fn second_pass(
    path: &Path,
    groups: &[Group],
    plans: &[Plan],
    gallery: &mut Gallery,
    progress: &mut dyn FnMut(MediaTime),
) -> Result<Found, DecodeError> {
    let mut frames = Frames::open(path, None, Pick::Units(planned(groups, plans.to_vec())))?;
    let mut shrinker = Shrinker::default();
    let mut found = Found::default();
    let mut before: Option<(usize, Tiny)> = None;
    while let Some(frame) = frames.next_frame()? {
        let index = groups.partition_point(|group| group.start <= frame.at).saturating_sub(1);
        let is_first = groups[index].start == frame.at;
        // Frames that lean on what was left out are damaged; only the first frame of a group stands alone.
        if !is_first && (plans[index].units == 0 || frame.at > plans[index].until) {
            continue;
        }
        let tiny = shrinker.tiny(&frame);
        if let Some((group_before, last)) = &before {
            let plan_before = plans[*group_before];
            let is_next_group = *group_before + 1 == index;
            if (*group_before == index || is_next_group && plan_before == Plan::ALL) && is_cut(last, &tiny) {
                found.cuts.push(frame.at);
            }
            let is_partial = plan_before.units > 0 && plan_before != Plan::ALL && !plan_before.is_cut_at_end;
            if is_next_group && is_partial && is_great(Change::between(last, &tiny)) {
                found.unexplained.push(*group_before);
            }
        }
        if groups[index].end.minus(groups[index].start) > LONG_GROUP {
            gallery.offer(&mut shrinker, &frame, &tiny);
        }
        before = Some((index, tiny));
        progress(frame.at);
    }
    Ok(found)
}

/// Chooses the planned units of each group, and the first unit after each such group.
fn planned(groups: &[Group], plans: Vec<Plan>) -> Arc<dyn Fn(Unit) -> bool + Send + Sync> {
    let starts: Vec<MediaTime> = groups.iter().map(|group| group.start).collect();
    // Which group the next key unit may begin, and how many units of the current one have passed.
    let place = Mutex::new((0, 0));
    Arc::new(move |unit| {
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let (upcoming, passed) = &mut *place;
        let begins = unit.is_key && starts.get(*upcoming) == Some(&unit.at);
        if begins {
            *upcoming += 1;
            *passed = 0;
        }
        *passed += 1;
        let Some(index) = upcoming.checked_sub(1) else { return false };
        *passed <= plans[index].units || begins && index > 0 && plans[index - 1].units > 0
    })
}
