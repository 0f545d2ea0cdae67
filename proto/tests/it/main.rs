//! The wire contract does not change by accident.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use domain::artefact::{EncoderSettings, RenderSettings};
use domain::clip::{self, Clip};
use domain::id::{EventId, WorkspaceId};
use domain::video::{self, Video};
use domain::{Timestamp, job::Job, model::Model, publication::Publication, transcript::Transcript, workspace::Workspace};
use fixtures::every_event;
use proto::{Encoded, Event, Metadata, Recorded, StreamName, Wire, cloudevents, schema};
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn encode(event: &Event) -> (&'static str, Encoded) {
    match event {
        Event::Workspace(event) => (Workspace::CATEGORY, Workspace::encode(event)),
        Event::Video(event) => (Video::CATEGORY, Video::encode(event)),
        Event::Transcript(event) => (Transcript::CATEGORY, Transcript::encode(event)),
        Event::Clip(event) => (Clip::CATEGORY, Clip::encode(event)),
        Event::Publication(event) => (Publication::CATEGORY, Publication::encode(event)),
        Event::Model(event) => (Model::CATEGORY, Model::encode(event)),
        Event::Job(event) => (Job::CATEGORY, Job::encode(event)),
    }
}

fn recorded(category: &str, encoded: Encoded) -> Recorded {
    Recorded {
        id: EventId(Uuid::from_u128(1)),
        workspace: WorkspaceId(Uuid::from_u128(2)),
        stream: StreamName::new(category, Uuid::from_u128(3)),
        version: 4,
        position: 5,
        event_type: encoded.event_type.into(),
        schema_version: encoded.schema_version,
        payload: encoded.payload,
        metadata: Metadata {
            at: Timestamp(1_700_000_000_123_456),
            actor: "owner".into(),
            correlation: Uuid::from_u128(6),
            causation: Some(EventId(Uuid::from_u128(7))),
            traceparent: None,
        },
    }
}

/// Compares `text` with a committed file, or writes it when `UPDATE_GOLDEN` is set.
#[track_caller]
fn check_golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, text, "{} changed; if that is meant, run the test with UPDATE_GOLDEN=1", path.display());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn every_event_type_has_a_fixture_and_a_schema() {
    let types: Vec<_> = every_event().iter().map(|event| encode(event).1.event_type).collect();
    assert_eq!(types, schema::EVENT_TYPES);
    for event_type in types {
        assert!(schema::message(event_type).is_some(), "{event_type} has no message");
    }
}

#[test]
fn every_event_comes_back_as_it_was() {
    for event in every_event() {
        let (category, encoded) = encode(&event);
        assert_eq!(recorded(category, encoded).event(), Ok(Some(event)));
    }
}

#[test]
fn the_bytes_of_every_event_are_the_committed_ones() {
    let lines: String = every_event()
        .iter()
        .map(|event| {
            let (_, encoded) = encode(event);
            let hex: String = encoded.payload.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} v{} {hex}\n", encoded.event_type, encoded.schema_version)
        })
        .collect();
    check_golden(&root().join("proto/tests/golden/events.txt"), &lines);
}

#[test]
fn events_of_before_render_settings_were_recorded_get_the_defaults_of_then() {
    let then = EncoderSettings {
        video_encoder: "x264enc".into(),
        preset: "veryfast".into(),
        crf: 21,
        key_frame_frames: 60,
        audio_bitrate_bps: 160_000,
    };
    for line in include_str!("../golden/events-before-settings.txt").lines() {
        let [event_type, _, hex] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let payload: Vec<u8> =
            hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
        if event_type == "clip.render_requested" {
            let event = Clip::decode(event_type, 1, &payload).unwrap().unwrap();
            let clip::Event::RenderRequested { settings, .. } = event else { panic!("{event:?}") };
            let (width, height) = (1920, 1080);
            assert_eq!(settings, RenderSettings { encoder: then.clone(), width, height, target_lufs: -14.0, captions_version: 1 });
            continue;
        }
        match Video::decode(event_type, 1, &payload).unwrap().unwrap() {
            video::Event::Submitted { wish, .. } | video::Event::Ingested { wish, .. } | video::Event::ReadyToScore { wish, .. } => {
                assert_eq!(wish.encoder, then, "{event_type}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_cloudevents_json_of_every_event_is_the_committed_one() {
    let lines: String = every_event()
        .iter()
        .map(|event| {
            let (category, encoded) = encode(event);
            format!("{}\n", serde_json::to_string_pretty(&cloudevents::to_json(&recorded(category, encoded))).unwrap())
        })
        .collect();
    check_golden(&root().join("proto/tests/golden/cloudevents.jsonl"), &lines);
}

#[test]
fn the_json_schemas_are_the_committed_ones() {
    for event_type in schema::EVENT_TYPES {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema::json_schema(event_type).unwrap()).unwrap());
        check_golden(&root().join(format!("schemas/events/v1/{event_type}.json")), &text);
    }
}

#[test]
fn an_unknown_type_is_none_and_keeps_its_bytes_in_json() {
    let unknown = Encoded { event_type: "clip.teleported", schema_version: 1, payload: vec![1, 2, 3].into() };
    let event = recorded("clip", unknown);
    assert_eq!(event.event(), Ok(None));
    assert_eq!(cloudevents::to_json(&event)["data_base64"], "AQID");
}

#[test]
fn wrong_bytes_name_the_type_and_the_field() {
    let truncated = Encoded { event_type: "clip.retrimmed", schema_version: 1, payload: vec![].into() };
    let error = recorded("clip", truncated).event().unwrap_err();
    assert_eq!(error.to_string(), "undecodable clip.retrimmed v1: from is missing");
}

#[test]
fn attributes_read_back_what_they_show() {
    for event in every_event() {
        let (category, encoded) = encode(&event);
        let recorded = recorded(category, encoded);
        let attributes = cloudevents::attributes(&recorded);
        let get = |name: &str| attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value);
        assert_eq!(cloudevents::from_attributes(get, recorded.payload.clone()), Ok(recorded));
    }
}
