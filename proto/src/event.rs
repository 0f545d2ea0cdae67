//! Every event of every aggregate.

use crate::{DecodeError, Recorded, Wire};
use domain::{clip, job, model, publication, transcript, video, workspace};

/// An event of any aggregate.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Of a workspace.
    Workspace(workspace::Event),
    /// Of a video.
    Video(video::Event),
    /// Of a transcript.
    Transcript(transcript::Event),
    /// Of a clip.
    Clip(clip::Event),
    /// Of a publication.
    Publication(publication::Event),
    /// Of a model.
    Model(model::Event),
    /// Of a job that was parked.
    Job(job::Event),
}

impl Recorded {
    /// Returns the event behind the bytes, or `None` for a category or type that this version of the program does not know.
    ///
    /// # Errors
    /// [`DecodeError`] when a known type carries wrong bytes.
    pub fn event(&self) -> Result<Option<Event>, DecodeError> {
        Ok(match self.stream.category() {
            workspace::Workspace::CATEGORY => workspace::Workspace::recorded(self)?.map(Event::Workspace),
            video::Video::CATEGORY => video::Video::recorded(self)?.map(Event::Video),
            transcript::Transcript::CATEGORY => transcript::Transcript::recorded(self)?.map(Event::Transcript),
            clip::Clip::CATEGORY => clip::Clip::recorded(self)?.map(Event::Clip),
            publication::Publication::CATEGORY => publication::Publication::recorded(self)?.map(Event::Publication),
            model::Model::CATEGORY => model::Model::recorded(self)?.map(Event::Model),
            job::Job::CATEGORY => job::Job::recorded(self)?.map(Event::Job),
            _ => None,
        })
    }
}
