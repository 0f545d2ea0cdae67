//! The one shape of every aggregate.

use crate::Timestamp;

/// The rules of one aggregate: what may happen (`decide`) and what that means (`evolve`).
///
/// `Default` is the state before anything happened. Doing a thing twice decides `Ok(vec![])`; a refusal is an `Err`, never an event.
pub trait Decider: Default {
    /// What somebody wants; imperative (`Accept`).
    type Command;
    /// What happened; past tense (`Accepted`).
    type Event;
    /// A refused rule, one variant per rule.
    type Error;

    /// Returns the events that `command` causes in this state, none when it already happened.
    ///
    /// # Errors
    /// The rule that refuses the command.
    fn decide(&self, command: Self::Command, now: Timestamp) -> Result<Vec<Self::Event>, Self::Error>;

    /// Returns the state after `event`. Total: it never fails and never looks at a clock.
    #[must_use]
    fn evolve(self, event: &Self::Event) -> Self;

    /// Folds events in order, from nothing.
    #[must_use]
    fn fold<'a>(events: impl IntoIterator<Item = &'a Self::Event>) -> Self
    where
        Self::Event: 'a,
    {
        events.into_iter().fold(Self::default(), Self::evolve)
    }
}
