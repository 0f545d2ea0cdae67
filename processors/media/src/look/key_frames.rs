//! Looks at some frames of a video closely, while others are still being decoded.

use super::face::FaceFinder;
use super::small::{Grey, Shrinker, Tiny};
use crate::decode::Frame;
use domain::MediaTime;
use domain::artefact::KeyFrame;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Face detection takes a tenth of a processor second per frame: ten a minute cost 2 % of the video's length …
const SPACING: MediaTime = MediaTime::from_millis(6_000);

/// … and where the picture changes, up to this many are taken at once, at the cost of later ones.
const BURST: u64 = 4;

/// A palette change that makes a frame worth a look of its own.
const NEW_SCENE_PALETTE: f32 = 0.08;

/// Grey copies that may wait for a detector; each is a quarter of a megabyte.
const WAITING: usize = 8;

/// Detectors at work; listening to the same video keeps the other processor busy for a part of the time.
const DETECTORS: usize = 2;

/// Takes frames, and has them looked at on other threads.
pub(super) struct Gallery {
    rotation_degrees: u16,
    sender: SyncSender<(KeyFrame, Grey)>,
    /// Film time that may be spent on looks: one look costs [`SPACING`].
    credit: MediaTime,
    last: Option<(MediaTime, Tiny)>,
}

impl Gallery {
    /// Runs `work` with a gallery; returns what it returned and the frames that were looked at, in order of time.
    pub(super) fn show<T, E>(rotation_degrees: u16, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<(T, Vec<KeyFrame>), E> {
        let (sender, receiver) = sync_channel(WAITING);
        let (receiver, done) = (Mutex::new(receiver), Mutex::new(Vec::new()));
        let value = std::thread::scope(|scope| {
            for _ in 0..DETECTORS {
                scope.spawn(|| detect(&receiver, &done));
            }
            let mut gallery = Self { rotation_degrees, sender, credit: SPACING, last: None };
            work(&mut gallery)
        })?;
        let mut frames: Vec<KeyFrame> = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        frames.sort_by_key(|frame| frame.at_us);
        Ok((value, frames))
    }

    /// Takes `frame` if enough film has passed, or if it shows something new.
    pub(super) fn offer(&mut self, shrinker: &mut Shrinker, frame: &Frame, tiny: &Tiny) {
        let mut motion = 0.0;
        if let Some((at, last)) = &self.last {
            let passed = frame.at.minus(*at);
            let credit = MediaTime((self.credit.0 + passed.0).min(BURST * SPACING.0));
            let is_new = last.palette_change(tiny) >= NEW_SCENE_PALETTE;
            if credit < SPACING || !(is_new || passed >= SPACING) {
                return;
            }
            self.credit = credit;
            motion = last.motion(tiny);
        }
        self.credit = self.credit.minus(SPACING);
        self.last = Some((frame.at, tiny.clone()));
        let grey = shrinker.grey(frame, self.rotation_degrees);
        let seen = KeyFrame { at_us: frame.at, luma: grey.mean(), sharpness: grey.sharpness(), motion, faces: Vec::new() };
        self.sender.send((seen, grey)).expect("the detectors wait for the last frame");
    }
}

fn detect(frames: &Mutex<Receiver<(KeyFrame, Grey)>>, done: &Mutex<Vec<KeyFrame>>) {
    let mut finder = FaceFinder::new();
    loop {
        let next = frames.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((mut frame, grey)) = next else { return };
        frame.faces = finder.find(&grey);
        done.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
    }
}
