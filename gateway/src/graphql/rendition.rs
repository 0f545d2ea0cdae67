//! The files of a clip.

use super::Caller;
use super::facts::{Failure, Ratio};
use super::link::{MediaLink, date};
use async_graphql::{Context, Enum, Object, Result};
use chrono::{DateTime, Utc};
use domain::MediaTime;
use projections::clips;

pub(crate) struct Rendition {
    pub(crate) row: clips::Rendition,
    pub(crate) is_current: bool,
}

/// A file of a clip, made or wanted.
#[Object]
impl Rendition {
    /// Which aspect ratio.
    async fn ratio(&self) -> Ratio {
        self.row.ratio.into()
    }

    /// What became of the last request.
    async fn state(&self) -> RenditionState {
        self.row.state.into()
    }

    /// Whether the files show the clip as it is now; `renderClip` makes it so.
    async fn is_current(&self) -> bool {
        self.is_current
    }

    /// Which edit the files show: the number of retrims and restyles before it. Null before there are files.
    async fn revision(&self) -> Option<u32> {
        self.row.revision
    }

    /// When it was last asked for.
    async fn requested_at(&self) -> DateTime<Utc> {
        date(self.row.requested_us)
    }

    /// When the files were made.
    async fn rendered_at(&self) -> Option<DateTime<Utc>> {
        self.row.rendered_us.map(date)
    }

    /// How long the file plays, in seconds.
    async fn duration_seconds(&self) -> Option<f64> {
        self.row.duration_us.map(MediaTime::seconds)
    }

    /// MP4 with H.264 and AAC.
    async fn file(&self, context: &Context<'_>) -> Result<Option<MediaLink>> {
        let caller = Caller::of(context)?;
        Ok(self.row.file.as_ref().map(|blob| MediaLink::to(caller, blob)))
    }

    /// JPEG still.
    async fn poster(&self, context: &Context<'_>) -> Result<Option<MediaLink>> {
        let caller = Caller::of(context)?;
        Ok(self.row.poster.as_ref().map(|blob| MediaLink::to(caller, blob)))
    }

    /// SubRip subtitles.
    async fn srt(&self, context: &Context<'_>) -> Result<Option<MediaLink>> {
        let caller = Caller::of(context)?;
        Ok(self.row.srt.as_ref().map(|blob| MediaLink::to(caller, blob)))
    }

    /// WebVTT subtitles.
    async fn vtt(&self, context: &Context<'_>) -> Result<Option<MediaLink>> {
        let caller = Caller::of(context)?;
        Ok(self.row.vtt.as_ref().map(|blob| MediaLink::to(caller, blob)))
    }

    /// Advanced SubStation Alpha subtitles.
    async fn ass(&self, context: &Context<'_>) -> Result<Option<MediaLink>> {
        let caller = Caller::of(context)?;
        Ok(self.row.ass.as_ref().map(|blob| MediaLink::to(caller, blob)))
    }

    /// The decision list: JSON that alone reproduces the file from the original.
    async fn decisions(&self, context: &Context<'_>) -> Result<Option<MediaLink>> {
        let caller = Caller::of(context)?;
        Ok(self.row.decisions.as_ref().map(|blob| MediaLink::to(caller, blob)))
    }

    /// Why the last request failed.
    async fn failure(&self) -> Option<Failure> {
        Failure::of(self.row.failure_code.as_ref(), self.row.failure_reason.as_ref())
    }
}

/// What became of the last request for a rendition.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "clips::RenditionState")]
pub(crate) enum RenditionState {
    /// It is being made; files of an earlier edit may exist.
    Rendering,
    /// The files exist.
    Rendered,
    /// It cannot be made; files of an earlier edit may exist.
    Failed,
}
