//! Workspace events on the wire.

use crate::v1;
use crate::wire::{DecodeError, Encoded, Wire, decoded, encoded};
use domain::workspace::{Event, Workspace};

impl Wire for Workspace {
    const CATEGORY: &'static str = "workspace";

    fn encode(event: &Event) -> Encoded {
        match event {
            Event::Created { name } => encoded("workspace.created", &v1::WorkspaceCreated { name: name.clone() }),
            Event::Renamed { name } => encoded("workspace.renamed", &v1::WorkspaceRenamed { name: name.clone() }),
        }
    }

    fn decode(event_type: &str, schema_version: u32, payload: &[u8]) -> Result<Option<Event>, DecodeError> {
        match event_type {
            "workspace.created" => {
                decoded(event_type, schema_version, payload, |message: v1::WorkspaceCreated| Ok(Event::Created { name: message.name }))
            }
            "workspace.renamed" => {
                decoded(event_type, schema_version, payload, |message: v1::WorkspaceRenamed| Ok(Event::Renamed { name: message.name }))
            }
            _ => Ok(None),
        }
    }
}
