//! Clip detection: units, topics, features, ranker, selection; pure
