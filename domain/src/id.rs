//! Typed identifiers: a UUID with a prefix that says of what.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use uuid::Uuid;

/// Text that is not an identifier of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected an id such as {prefix}_018f3c0a…, got {text:?}")]
pub struct NotAnId {
    /// The prefix that was expected.
    pub prefix: &'static str,
    /// What was given, cut to 64 characters.
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub Uuid);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(self.0.simple().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.strip_prefix($prefix)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .filter(|rest| rest.len() == 32)
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map(Self)
                    .ok_or_else(|| NotAnId { prefix: $prefix, text: text.chars().take(64).collect() })
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;
            fn try_from(text: String) -> Result<Self, NotAnId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    )*};
}

ids! {
    /// A tenant: the scope of order and of every read and write.
    WorkspaceId = "workspace";
    /// A long source video.
    VideoId = "video";
    /// A transcript of a video.
    TranscriptId = "transcript";
    /// A proposed or chosen piece of a video.
    ClipId = "clip";
    /// A clip on a channel of a platform.
    PublicationId = "publication";
    /// Weights that transcribe or rank.
    ModelId = "model";
    /// A job that was parked.
    JobId = "job";
    /// An event.
    EventId = "event";
    /// A commit: the same id is accepted once.
    CommitId = "commit";
}

impl TranscriptId {
    /// Returns the id of the transcript that we hear of a video: one each, so that whoever knows the video finds it.
    #[must_use]
    pub fn of(video: VideoId) -> Self {
        Self(Uuid::new_v5(&video.0, b"transcript"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_one_kind_is_not_an_id_of_another() {
        let clip = ClipId(Uuid::from_u128(7));
        assert_eq!(clip.to_string().parse(), Ok(clip));
        assert!(clip.to_string().parse::<VideoId>().is_err());
    }
}
