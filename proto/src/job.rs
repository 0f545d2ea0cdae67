//! Job events on the wire.

use crate::convert::parse;
use crate::v1;
use crate::wire::{DecodeError, Encoded, Wire, decoded, encoded};
use domain::job::{Event, Job, Parking};

/// The event that calls for a parked job once more.
pub const REPLAY_REQUESTED: &str = "job.replay_requested";

impl Wire for Job {
    const CATEGORY: &'static str = "job";

    fn encode(event: &Event) -> Encoded {
        match event {
            Event::Parked(parking) => {
                let Parking { processor, cause, cause_type, cause_stream, position, attempts, error } = parking.clone();
                let cause_id = cause.to_string();
                encoded("job.parked", &v1::JobParked { processor, cause_id, cause_type, cause_stream, position, attempts, error })
            }
            Event::ReplayRequested { processor, position } => {
                encoded(REPLAY_REQUESTED, &v1::JobReplayRequested { processor: processor.clone(), position: *position })
            }
            Event::Finished { processor, position } => {
                encoded("job.finished", &v1::JobFinished { processor: processor.clone(), position: *position })
            }
        }
    }

    fn decode(event_type: &str, schema_version: u32, payload: &[u8]) -> Result<Option<Event>, DecodeError> {
        match event_type {
            "job.parked" => decoded(event_type, schema_version, payload, |message: v1::JobParked| {
                let v1::JobParked { processor, cause_id, cause_type, cause_stream, position, attempts, error } = message;
                let cause = parse(&cause_id, "cause_id")?;
                Ok(Event::Parked(Parking { processor, cause, cause_type, cause_stream, position, attempts, error }))
            }),
            REPLAY_REQUESTED => decoded(event_type, schema_version, payload, |message: v1::JobReplayRequested| {
                Ok(Event::ReplayRequested { processor: message.processor, position: message.position })
            }),
            "job.finished" => decoded(event_type, schema_version, payload, |message: v1::JobFinished| {
                Ok(Event::Finished { processor: message.processor, position: message.position })
            }),
            _ => Ok(None),
        }
    }
}
