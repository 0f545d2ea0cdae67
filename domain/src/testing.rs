//! Given / when / then for deciders.

use crate::{Decider, Timestamp};
use std::fmt::Debug;

pub(crate) struct Given<D>(D);
pub(crate) struct When<D: Decider>(D, Result<Vec<D::Event>, D::Error>);

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

pub(crate) fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    Given(events.into_iter().fold(D::default(), |state, event| state.evolve(&event)))
}

impl<D: Decider> Given<D> {
    pub(crate) fn when(self, command: D::Command) -> When<D> {
        let outcome = self.0.decide(command, NOW);
        When(self.0, outcome)
    }
}

impl<D: Decider> When<D>
where
    D::Event: PartialEq + Debug,
    D::Error: PartialEq + Debug,
    D::Command: Clone,
{
    #[track_caller]
    pub(crate) fn then(self, expected: impl IntoIterator<Item = D::Event>) {
        assert_eq!(self.1, Ok(expected.into_iter().collect::<Vec<_>>()));
    }

    #[track_caller]
    pub(crate) fn then_nothing(self) {
        assert_eq!(self.1, Ok(vec![]));
    }

    #[track_caller]
    pub(crate) fn then_err(self, expected: D::Error) {
        assert_eq!(self.1, Err(expected));
    }

    /// Applies what was decided and decides again: a repeated command decides nothing.
    #[track_caller]
    pub(crate) fn then_again(self, command: D::Command) -> When<D> {
        let events = self.1.expect("the first time is accepted");
        let state = events.iter().fold(self.0, D::evolve);
        let outcome = state.decide(command, NOW);
        When(state, outcome)
    }
}
