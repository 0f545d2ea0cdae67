//! Draws burnt-in captions.

use crate::encode::PlaneMut;
use anyhow::Result;
use domain::MediaTime;
use domain::artefact::{Captions, Picture};

/// The captions of a rendition.
pub(crate) struct CaptionTrack;

impl CaptionTrack {
    pub(crate) fn new(_captions: &Captions, _picture: &Picture) -> Result<Self> {
        Ok(Self)
    }

    pub(crate) fn draw(&mut self, _at: MediaTime, _target: &mut [PlaneMut<'_>; 3]) -> Result<()> {
        Ok(())
    }
}
