//! Publication events on the wire.

use crate::convert::parse;
use crate::v1;
use crate::wire::{DecodeError, Encoded, Wire, decoded, encoded};
use domain::publication::{Event, Publication};

impl Wire for Publication {
    const CATEGORY: &'static str = "publication";

    fn encode(event: &Event) -> Encoded {
        match event {
            Event::Drafted { clip, text } => {
                encoded("publication.drafted", &v1::PublicationDrafted { clip_id: clip.to_string(), text: text.clone() })
            }
            Event::Reworded { text } => encoded("publication.reworded", &v1::PublicationReworded { text: text.clone() }),
            Event::Discarded => encoded("publication.discarded", &v1::PublicationDiscarded {}),
        }
    }

    fn decode(event_type: &str, schema_version: u32, payload: &[u8]) -> Result<Option<Event>, DecodeError> {
        match event_type {
            "publication.drafted" => decoded(event_type, schema_version, payload, |message: v1::PublicationDrafted| {
                Ok(Event::Drafted { clip: parse(&message.clip_id, "clip_id")?, text: message.text })
            }),
            "publication.reworded" => {
                decoded(event_type, schema_version, payload, |message: v1::PublicationReworded| Ok(Event::Reworded { text: message.text }))
            }
            "publication.discarded" => decoded(event_type, schema_version, payload, |v1::PublicationDiscarded {}| Ok(Event::Discarded)),
            _ => Ok(None),
        }
    }
}
