//! Posters.
