//! A job that was put aside: its processor gave up, and could not say so in an event of the video or clip that waits for it.
//!
//! A job that ends, well or with an event that says why not, has no events here. So each stream is a case for a person.

use crate::id::{EventId, JobId};
use crate::{Decider, Timestamp};
use thiserror::Error;
use uuid::Uuid;

/// Longest error text that is kept, in characters.
pub const ERROR_CHARACTERS_MAX: usize = 1_024;

/// What a job is about, and why it was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// Who gave it up, such as `render`.
    pub processor: String,
    /// The event that called for it.
    pub cause: EventId,
    /// That event's type.
    pub cause_type: String,
    /// That event's stream.
    pub cause_stream: String,
    /// That event's place in the log of the workspace.
    pub position: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// The last error with its causes.
    pub error: String,
}

/// What somebody wants of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Put it aside.
    Park(Parking),
    /// Have it done once more.
    Replay,
    /// Say that it was done after all.
    Finish,
}

/// What happened to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was put aside.
    Parked(Parking),
    /// Somebody asked for it once more.
    ReplayRequested {
        /// Who is to do it.
        processor: String,
        /// Place of the event that called for it.
        position: u64,
    },
    /// It was done after all.
    Finished {
        /// Who did it.
        processor: String,
        /// Place of the event that called for it.
        position: u64,
    },
}

/// A refused rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Nobody put such a job aside.
    #[error("no such job was ever parked")]
    Absent,
    /// It was done.
    #[error("the job was done meanwhile")]
    AlreadyFinished,
}

/// A job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Job {
    /// Never put aside.
    #[default]
    Absent,
    /// Put aside.
    Parked(Parking),
    /// Put aside, and asked for once more.
    Replaying(Parking),
    /// Done after all.
    Finished(Parking),
}

impl JobId {
    /// Returns the id of the job that `processor` has with `cause`: one each, whoever parks it.
    #[must_use]
    pub fn of(cause: EventId, processor: &str) -> Self {
        Self(Uuid::new_v5(&cause.0, format!("job/{processor}").as_bytes()))
    }
}

impl Decider for Job {
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(&self, command: Command, _now: Timestamp) -> Result<Vec<Event>, Error> {
        match (command, self) {
            // Whoever did it a second time, after a crash, says nothing new.
            (Command::Park(_), Self::Parked(_)) => Ok(vec![]),
            (Command::Park(mut parking), Self::Absent | Self::Replaying(_) | Self::Finished(_)) => {
                parking.error = parking.error.chars().take(ERROR_CHARACTERS_MAX).collect();
                Ok(vec![Event::Parked(parking)])
            }
            (Command::Replay, Self::Parked(Parking { processor, position, .. })) => {
                Ok(vec![Event::ReplayRequested { processor: processor.clone(), position: *position }])
            }
            (Command::Replay, Self::Replaying(_)) => Ok(vec![]),
            (Command::Replay, Self::Absent) => Err(Error::Absent),
            (Command::Replay, Self::Finished(_)) => Err(Error::AlreadyFinished),
            (Command::Finish, Self::Parked(Parking { processor, position, .. }) | Self::Replaying(Parking { processor, position, .. })) => {
                Ok(vec![Event::Finished { processor: processor.clone(), position: *position }])
            }
            (Command::Finish, Self::Absent | Self::Finished(_)) => Ok(vec![]),
        }
    }

    fn evolve(self, event: &Event) -> Self {
        match (event, self) {
            (Event::Parked(parking), _) => Self::Parked(parking.clone()),
            (Event::ReplayRequested { .. }, Self::Parked(parking)) => Self::Replaying(parking),
            (Event::Finished { .. }, Self::Parked(parking) | Self::Replaying(parking)) => Self::Finished(parking),
            (Event::ReplayRequested { .. }, state @ (Self::Absent | Self::Replaying(_) | Self::Finished(_))) => state,
            (Event::Finished { .. }, state @ (Self::Absent | Self::Finished(_))) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn parking() -> Parking {
        Parking {
            processor: "render".into(),
            cause: EventId(Uuid::from_u128(1)),
            cause_type: "clip.render_requested".into(),
            cause_stream: "clip-1".into(),
            position: 7,
            attempts: 5,
            error: "no disk".into(),
        }
    }

    fn requested() -> Event {
        Event::ReplayRequested { processor: "render".into(), position: 7 }
    }

    fn finished() -> Event {
        Event::Finished { processor: "render".into(), position: 7 }
    }

    #[test]
    fn a_job_that_is_parked_twice_is_parked_once() {
        given::<Job>([]).when(Command::Park(parking())).then_again(Command::Park(parking())).then_nothing();
    }

    #[test]
    fn a_parked_job_can_be_asked_for_and_parked_again() {
        given::<Job>([Event::Parked(parking())]).when(Command::Replay).then([requested()]);
        given::<Job>([Event::Parked(parking()), requested()]).when(Command::Replay).then_nothing();
        given::<Job>([Event::Parked(parking()), requested()]).when(Command::Park(parking())).then([Event::Parked(parking())]);
    }

    #[test]
    fn a_job_that_is_done_is_asked_for_no_more() {
        given::<Job>([Event::Parked(parking()), requested()]).when(Command::Finish).then([finished()]);
        given::<Job>([Event::Parked(parking()), requested(), finished()]).when(Command::Finish).then_nothing();
        given::<Job>([Event::Parked(parking()), requested(), finished()]).when(Command::Replay).then_err(Error::AlreadyFinished);
    }

    #[test]
    fn a_job_that_nobody_parked_cannot_be_replayed_and_its_end_is_no_news() {
        given::<Job>([]).when(Command::Replay).then_err(Error::Absent);
        given::<Job>([]).when(Command::Finish).then_nothing();
    }

    #[test]
    fn an_endless_error_is_cut() {
        let endless = Parking { error: "ö".repeat(ERROR_CHARACTERS_MAX + 1), ..parking() };
        let kept = Parking { error: "ö".repeat(ERROR_CHARACTERS_MAX), ..parking() };
        given::<Job>([]).when(Command::Park(endless)).then([Event::Parked(kept)]);
    }
}
