//! A tenant: its name, and nothing else yet.

use crate::{Decider, Timestamp};
use thiserror::Error;

/// Longest name, in characters: it is shown in one line.
pub const NAME_CHARACTERS_MAX: usize = 100;

/// What somebody wants of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make it.
    Create {
        /// Shown to people.
        name: String,
    },
    /// Call it something else.
    Rename {
        /// Shown to people.
        name: String,
    },
}

/// What happened to a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It exists from now on.
    Created {
        /// Shown to people.
        name: String,
    },
    /// It has another name.
    Renamed {
        /// Shown to people.
        name: String,
    },
}

/// A refused rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Only an existing workspace can be renamed.
    #[error("the workspace does not exist")]
    Absent,
    /// A second workspace under the same id.
    #[error("the workspace exists already under the name {name:?}")]
    AlreadyExists {
        /// The name it has.
        name: String,
    },
    /// Empty or too long.
    #[error("a workspace name has 1 to {NAME_CHARACTERS_MAX} characters")]
    BadName,
}

/// A workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Workspace {
    /// Before anything happened.
    #[default]
    Absent,
    /// In use.
    Open {
        /// Shown to people.
        name: String,
    },
}

impl Decider for Workspace {
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(&self, command: Command, _now: Timestamp) -> Result<Vec<Event>, Error> {
        match (command, self) {
            (Command::Create { name } | Command::Rename { name }, _)
                if name.trim().is_empty() || name.chars().count() > NAME_CHARACTERS_MAX =>
            {
                Err(Error::BadName)
            }
            (Command::Create { name }, Self::Absent) => Ok(vec![Event::Created { name }]),
            (Command::Create { name } | Command::Rename { name }, Self::Open { name: current }) if name == *current => Ok(vec![]),
            (Command::Create { .. }, Self::Open { name }) => Err(Error::AlreadyExists { name: name.clone() }),
            (Command::Rename { .. }, Self::Absent) => Err(Error::Absent),
            (Command::Rename { name }, Self::Open { .. }) => Ok(vec![Event::Renamed { name }]),
        }
    }

    fn evolve(self, event: &Event) -> Self {
        match event {
            Event::Created { name } | Event::Renamed { name } => Self::Open { name: name.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn created() -> Event {
        Event::Created { name: "home".into() }
    }

    #[test]
    fn creating_twice_under_the_same_name_happens_once() {
        let create = Command::Create { name: "home".into() };
        given::<Workspace>([]).when(create.clone()).then_again(create).then_nothing();
    }

    #[test]
    fn an_existing_workspace_is_not_created_under_another_name() {
        given::<Workspace>([created()])
            .when(Command::Create { name: "work".into() })
            .then_err(Error::AlreadyExists { name: "home".into() });
    }

    #[test]
    fn a_workspace_can_be_renamed_once_it_exists() {
        given::<Workspace>([created()]).when(Command::Rename { name: "work".into() }).then([Event::Renamed { name: "work".into() }]);
        given::<Workspace>([]).when(Command::Rename { name: "work".into() }).then_err(Error::Absent);
    }

    #[test]
    fn a_blank_name_is_refused() {
        given::<Workspace>([]).when(Command::Create { name: "  ".into() }).then_err(Error::BadName);
    }
}
