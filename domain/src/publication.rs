//! A clip on its way to a platform. Drafts only: channels and schedules build on them.

use crate::id::ClipId;
use crate::{Decider, Timestamp};
use thiserror::Error;

/// Longest post text, in characters: the longest that any platform takes.
pub const TEXT_CHARACTERS_MAX: usize = 5_000;

/// What somebody wants of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Prepare a post.
    Draft {
        /// Of which clip.
        clip: ClipId,
        /// The text that goes with it.
        text: String,
    },
    /// Change the text.
    Reword {
        /// The text that goes with it.
        text: String,
    },
    /// Give it up.
    Discard,
}

/// What happened to a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A post was prepared.
    Drafted {
        /// Of which clip.
        clip: ClipId,
        /// The text that goes with it.
        text: String,
    },
    /// The text changed.
    Reworded {
        /// The text that goes with it.
        text: String,
    },
    /// It was given up.
    Discarded,
}

/// A refused rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// There is no such draft.
    #[error("the draft does not exist")]
    Absent,
    /// The id is taken by another clip.
    #[error("the draft already exists for {clip}")]
    AlreadyDrafted {
        /// Which clip.
        clip: ClipId,
    },
    /// It was given up.
    #[error("the draft was discarded")]
    Discarded,
    /// Too long for every platform.
    #[error("a post text has at most {TEXT_CHARACTERS_MAX} characters")]
    TextTooLong,
}

/// A publication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Publication {
    /// Before anything happened.
    #[default]
    Absent,
    /// A draft.
    Draft {
        /// Of which clip.
        clip: ClipId,
        /// The text that goes with it.
        text: String,
    },
    /// Given up.
    Discarded,
}

impl Decider for Publication {
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(&self, command: Command, _now: Timestamp) -> Result<Vec<Event>, Error> {
        match (command, self) {
            (Command::Draft { text, .. } | Command::Reword { text }, _) if text.chars().count() > TEXT_CHARACTERS_MAX => {
                Err(Error::TextTooLong)
            }
            (Command::Draft { clip, text }, Self::Absent) => Ok(vec![Event::Drafted { clip, text }]),
            (Command::Draft { clip, text }, Self::Draft { clip: current, text: current_text }) => {
                if clip == *current && text == *current_text { Ok(vec![]) } else { Err(Error::AlreadyDrafted { clip: *current }) }
            }
            (Command::Reword { text }, Self::Draft { text: current, .. }) => {
                Ok(if text == *current { vec![] } else { vec![Event::Reworded { text }] })
            }
            (Command::Discard, Self::Draft { .. }) => Ok(vec![Event::Discarded]),
            (Command::Discard, Self::Discarded) => Ok(vec![]),
            (Command::Reword { .. } | Command::Discard, Self::Absent) => Err(Error::Absent),
            (Command::Draft { .. } | Command::Reword { .. }, Self::Discarded) => Err(Error::Discarded),
        }
    }

    fn evolve(self, event: &Event) -> Self {
        match (event, self) {
            (Event::Drafted { clip, text }, _) => Self::Draft { clip: *clip, text: text.clone() },
            (Event::Reworded { text }, Self::Draft { clip, .. }) => Self::Draft { clip, text: text.clone() },
            (Event::Discarded, _) => Self::Discarded,
            (Event::Reworded { .. }, state @ (Self::Absent | Self::Discarded)) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;
    use uuid::Uuid;

    fn clip() -> ClipId {
        ClipId(Uuid::from_u128(1))
    }

    fn drafted() -> Event {
        Event::Drafted { clip: clip(), text: "Look".into() }
    }

    #[test]
    fn drafting_twice_happens_once() {
        let draft = Command::Draft { clip: clip(), text: "Look".into() };
        given::<Publication>([]).when(draft.clone()).then_again(draft).then_nothing();
    }

    #[test]
    fn a_draft_of_another_clip_under_the_same_id_is_refused() {
        given::<Publication>([drafted()])
            .when(Command::Draft { clip: ClipId(Uuid::from_u128(2)), text: "Look".into() })
            .then_err(Error::AlreadyDrafted { clip: clip() });
    }

    #[test]
    fn a_draft_can_be_reworded_until_it_is_discarded() {
        let reword = Command::Reword { text: "See".into() };
        given::<Publication>([drafted()]).when(reword.clone()).then([Event::Reworded { text: "See".into() }]);
        given::<Publication>([drafted(), Event::Discarded]).when(reword).then_err(Error::Discarded);
    }

    #[test]
    fn a_draft_is_discarded_once() {
        given::<Publication>([drafted()]).when(Command::Discard).then([Event::Discarded]);
        given::<Publication>([drafted(), Event::Discarded]).when(Command::Discard).then_nothing();
        given::<Publication>([]).when(Command::Discard).then_err(Error::Absent);
    }

    #[test]
    fn a_text_that_no_platform_takes_is_refused() {
        given::<Publication>([drafted()]).when(Command::Reword { text: "x".repeat(TEXT_CHARACTERS_MAX + 1) }).then_err(Error::TextTooLong);
    }
}
