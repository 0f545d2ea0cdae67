//! Weights that transcribe or rank: which bytes, from where, and whether they are in use.

use crate::blob::Digest;
use crate::{Decider, Timestamp};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Longest name of a model, in bytes: it is shown in tables and is a folder's name.
pub const NAME_BYTES_MAX: usize = 64;

/// Tells whether a text may name a model: it becomes the name of a folder, so it is no path, no hidden file, and short.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_allowed)
}

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Turns speech into words.
    Transcribe,
    /// Scores spans.
    Rank,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transcribe => "transcribe",
            Self::Rank => "rank",
        })
    }
}

/// Text that is not the name of a task.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown model task {0:?}; use transcribe or rank")]
pub struct NotATask(String);

impl FromStr for Task {
    type Err = NotATask;
    fn from_str(text: &str) -> Result<Self, NotATask> {
        match text {
            "transcribe" => Ok(Self::Transcribe),
            "rank" => Ok(Self::Rank),
            other => Err(NotATask(other.chars().take(64).collect())),
        }
    }
}

/// What somebody wants of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make it known.
    Register {
        /// Such as `tiny.en` or `frozen-1`.
        name: String,
        /// What it does.
        task: Task,
        /// SHA-256 of the weights.
        digest: Digest,
        /// Where they come from, without credentials.
        origin: String,
    },
    /// Use it from now on.
    Promote,
    /// Use it no longer.
    Retire,
}

/// What happened to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is known.
    Registered {
        /// Such as `tiny.en` or `frozen-1`.
        name: String,
        /// What it does.
        task: Task,
        /// SHA-256 of the weights.
        digest: Digest,
        /// Where they come from, without credentials.
        origin: String,
    },
    /// It is in use.
    Promoted,
    /// It is no longer in use.
    Retired,
}

/// A refused rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// There is no such model.
    #[error("the model is not registered")]
    Absent,
    /// The id is taken by other weights.
    #[error("the model is registered with other weights ({digest})")]
    OtherWeights {
        /// What is registered.
        digest: Digest,
    },
}

/// A model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// Before anything happened.
    #[default]
    Absent,
    /// Known.
    Registered {
        /// SHA-256 of the weights.
        digest: Digest,
        /// Whether it is in use.
        is_promoted: bool,
    },
}

impl Decider for Model {
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(&self, command: Command, _now: Timestamp) -> Result<Vec<Event>, Error> {
        match (command, self) {
            (Command::Register { name, task, digest, origin }, Self::Absent) => Ok(vec![Event::Registered { name, task, digest, origin }]),
            (Command::Register { digest, .. }, Self::Registered { digest: current, .. }) => {
                if digest == *current {
                    Ok(vec![])
                } else {
                    Err(Error::OtherWeights { digest: *current })
                }
            }
            (Command::Promote | Command::Retire, Self::Absent) => Err(Error::Absent),
            (Command::Promote, Self::Registered { is_promoted, .. }) => Ok(if *is_promoted { vec![] } else { vec![Event::Promoted] }),
            (Command::Retire, Self::Registered { is_promoted, .. }) => Ok(if *is_promoted { vec![Event::Retired] } else { vec![] }),
        }
    }

    fn evolve(self, event: &Event) -> Self {
        match (event, self) {
            (Event::Registered { digest, .. }, _) => Self::Registered { digest: *digest, is_promoted: false },
            (Event::Promoted, Self::Registered { digest, .. }) => Self::Registered { digest, is_promoted: true },
            (Event::Retired, Self::Registered { digest, .. }) => Self::Registered { digest, is_promoted: false },
            (Event::Promoted | Event::Retired, Self::Absent) => Self::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn register(byte: u8) -> Command {
        Command::Register {
            name: "tiny.en".into(),
            task: Task::Transcribe,
            digest: Digest([byte; 32]),
            origin: "openai/whisper-tiny.en".into(),
        }
    }

    fn registered() -> Event {
        Event::Registered {
            name: "tiny.en".into(),
            task: Task::Transcribe,
            digest: Digest([1; 32]),
            origin: "openai/whisper-tiny.en".into(),
        }
    }

    #[test]
    fn a_model_s_name_is_a_plain_and_short_folder_name() {
        for name in ["tiny.en", "large-v3-turbo", "my_own", "a", &"a".repeat(NAME_BYTES_MAX)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "../tiny.en", "a b", "größe", "a\0", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn registering_the_same_weights_twice_happens_once() {
        given::<Model>([]).when(register(1)).then_again(register(1)).then_nothing();
    }

    #[test]
    fn other_weights_under_the_same_id_are_refused() {
        given::<Model>([registered()]).when(register(2)).then_err(Error::OtherWeights { digest: Digest([1; 32]) });
    }

    #[test]
    fn a_model_is_promoted_and_retired_once() {
        given::<Model>([registered()]).when(Command::Promote).then_again(Command::Promote).then_nothing();
        given::<Model>([registered(), Event::Promoted]).when(Command::Retire).then([Event::Retired]);
        given::<Model>([registered()]).when(Command::Retire).then_nothing();
    }

    #[test]
    fn an_unknown_model_is_not_promoted() {
        given::<Model>([]).when(Command::Promote).then_err(Error::Absent);
    }
}
