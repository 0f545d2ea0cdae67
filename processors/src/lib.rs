//! Stateless processors: event in, work, events out
