//! The wire contract: events and envelope in protobuf, CloudEvents JSON for people
