//! Model events on the wire.

use crate::convert::{Problem, known, parse};
use crate::v1;
use crate::wire::{DecodeError, Encoded, Wire, decoded, encoded};
use domain::model::{Event, Model, Task};

impl Wire for Model {
    const CATEGORY: &'static str = "model";

    fn encode(event: &Event) -> Encoded {
        match event {
            Event::Registered { name, task, digest, origin } => encoded(
                "model.registered",
                &v1::ModelRegistered {
                    name: name.clone(),
                    task: match task {
                        Task::Transcribe => v1::Task::Transcribe,
                        Task::Rank => v1::Task::Rank,
                    }
                    .into(),
                    digest: digest.to_string(),
                    origin: origin.clone(),
                },
            ),
            Event::Promoted => encoded("model.promoted", &v1::ModelPromoted {}),
            Event::Retired => encoded("model.retired", &v1::ModelRetired {}),
        }
    }

    fn decode(event_type: &str, schema_version: u32, payload: &[u8]) -> Result<Option<Event>, DecodeError> {
        match event_type {
            "model.registered" => decoded(event_type, schema_version, payload, registered),
            "model.promoted" => decoded(event_type, schema_version, payload, |v1::ModelPromoted {}| Ok(Event::Promoted)),
            "model.retired" => decoded(event_type, schema_version, payload, |v1::ModelRetired {}| Ok(Event::Retired)),
            _ => Ok(None),
        }
    }
}

fn registered(message: v1::ModelRegistered) -> Result<Event, Problem> {
    let task = match known(message.task, "task")? {
        v1::Task::Transcribe => Task::Transcribe,
        v1::Task::Rank => Task::Rank,
        v1::Task::Unspecified => return Err("task is missing".into()),
    };
    Ok(Event::Registered { name: message.name, task, digest: parse(&message.digest, "digest")?, origin: message.origin })
}
