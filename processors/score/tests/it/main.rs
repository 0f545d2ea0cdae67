//! Clip detection from outside: properties, metamorphic rules, planted highlights, and talks that were written or spoken by people.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may stop anywhere, and figures are printed for people")]

mod baselines;
mod editor;
mod made;
mod metamorphic;
mod oracle;
mod planted;
mod properties;
mod topics;
