//! Draws burnt-in captions: where words stand and when they light up comes with the cues, how they look with the style.
//!
//! Each state of a cue (which word is lit) is drawn once, when its first frame comes, and laid over the frames that show it.

mod draw;
mod fonts;
mod native;
mod overlay;
mod style;

use crate::encode::PlaneMut;
use anyhow::Result;
use domain::MediaTime;
use domain::artefact::{Captions, Cue, Picture};
use draw::{Drawn, Painter};
use overlay::Overlay;

/// The captions of a rendition.
pub(crate) struct CaptionTrack<'a> {
    cues: &'a [Cue],
    /// `None` for a style that draws nothing.
    painter: Option<Painter>,
    /// The cue that was drawn last.
    drawn: Option<(usize, Drawn)>,
    /// What was laid over the last frame, and for which cue and word.
    shown: Option<(State, Option<Overlay>)>,
}

/// Which cue is shown and which of its words is lit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    cue: usize,
    word: Option<usize>,
}

impl<'a> CaptionTrack<'a> {
    pub(crate) fn new(captions: &'a Captions, picture: &Picture) -> Result<Self> {
        let painter = style::look(captions.style).map(|look| Painter::new(look, picture)).transpose()?;
        Ok(Self { cues: &captions.cues, painter, drawn: None, shown: None })
    }

    /// Lays the caption of moment `at` over the picture.
    pub(crate) fn draw(&mut self, at: MediaTime, target: &mut [PlaneMut<'_>; 3]) -> Result<()> {
        let (Some(painter), Some(state)) = (&mut self.painter, state_at(self.cues, at)) else { return Ok(()) };
        if self.shown.as_ref().is_none_or(|(shown, _)| *shown != state) {
            let drawn = match self.drawn.take().filter(|(cue, _)| *cue == state.cue) {
                Some((_, drawn)) => drawn,
                None => painter.draw(&self.cues[state.cue])?,
            };
            let mut surface = painter.lit(&drawn, state.word)?;
            self.shown = Some((state, Overlay::new(&mut surface, drawn.left, drawn.top)?));
            self.drawn = Some((state.cue, drawn));
        }
        if let Some((_, Some(overlay))) = &self.shown {
            overlay.blend(target);
        }
        Ok(())
    }
}

fn state_at(cues: &[Cue], at: MediaTime) -> Option<State> {
    let cue = cues.partition_point(|cue| cue.span.end() <= at);
    let found = cues.get(cue).filter(|cue| cue.span.contains(at))?;
    Some(State { cue, word: found.lines.iter().flatten().position(|word| word.span.contains(at)) })
}
