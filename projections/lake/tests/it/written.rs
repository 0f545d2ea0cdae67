use crate::scene::{HOME, OTHER, Scene, one};
use base64::Engine as _;
use proto::{Event, cloudevents};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn events_hold_the_log_with_its_envelope() {
    let scene = Scene::told(1, 1_000).await;
    let events = scene.events().await;
    assert!(events.len() > 100, "{}", events.len());
    assert_eq!(scene.positions("events").await, (0..events.len() as u64).collect::<Vec<_>>());
    for workspace in [HOME, OTHER] {
        let sql = "select position, workspace, event, stream, version, type, schema_version, actor, correlation, causation, payload, \
                   payload_base64, partition, cast(time as bigint), cast(date as varchar) from events order by position";
        let rows = scene.ask(workspace, sql).await.unwrap().rows;
        let own: Vec<_> = events.iter().filter(|event| event.workspace == workspace).collect();
        assert_eq!(rows.len(), own.len());
        for (row, event) in rows.iter().zip(own) {
            let day = cloudevents::to_json(event)["time"].as_str().unwrap().get(..10).unwrap().to_owned();
            // As text: a number that is read again may differ in its last digit.
            assert_eq!(row[10], cloudevents::data(event).unwrap().to_string());
            let expected = json!([
                event.position,
                workspace.to_string(),
                event.id.to_string(),
                event.stream.as_str(),
                event.version,
                &*event.event_type,
                event.schema_version,
                event.metadata.actor,
                event.metadata.correlation.to_string(),
                event.metadata.causation.map(|cause| cause.to_string()),
                row[10],
                null,
                0,
                event.metadata.at.0,
                day
            ]);
            assert_eq!(&Value::from(row.clone()), &expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_carry_what_the_ranker_had_seen() {
    let scene = Scene::told(2, 3_000).await;
    let events = scene.events().await;
    let is_decision = |kind: &str| ["clip.accepted", "clip.rejected", "clip.retrimmed", "clip.restyled"].contains(&kind);
    let decided: Vec<_> = events.iter().filter(|event| is_decision(&event.event_type)).map(|event| event.position).collect();
    assert!(decided.len() > 3, "{decided:?}");
    assert_eq!(scene.positions("decisions").await, decided);
    for workspace in [HOME, OTHER] {
        let sql = "select count(*) from decisions d join features f on d.clip = f.clip \
                   where d.score <> f.score or d.contributions <> f.contributions or d.model <> f.model or d.video is null";
        assert_eq!(one(&scene.ask(workspace, sql).await.unwrap()), &json!(0));
        let sql = "select count(*) from decisions where (decision = 'rejected') <> (reason is not null)";
        assert_eq!(one(&scene.ask(workspace, sql).await.unwrap()), &json!(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_proposed_clip_has_its_features_and_every_feature_its_effect() {
    let scene = Scene::told(3, 1_500).await;
    let events = scene.events().await;
    let proposed: Vec<_> = events.iter().filter(|event| &*event.event_type == "clip.proposed").map(|event| event.position).collect();
    assert!(proposed.len() > 5, "{proposed:?}");
    assert_eq!(scene.positions("clips").await, proposed);
    assert_eq!(scene.positions("features").await, proposed);
    let sql = "select c['feature'], count(*), avg(c['effect']) from (select unnest(contributions) c from features) group by 1";
    let rows = scene.ask(HOME, sql).await.unwrap().rows;
    assert_eq!(rows.first().map(|row| &row[0]), Some(&json!("hook_question")), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_sums_up_what_was_ingested_heard_and_stored() {
    let scene = Scene::told(4, 2_000).await;
    let mut seconds = 0.0;
    for event in scene.events().await {
        if let Ok(Some(Event::Video(domain::video::Event::Ingested { facts, .. }))) = event.event()
            && event.workspace == HOME
        {
            seconds += facts.duration_us.seconds();
        }
    }
    let answer = scene.ask(HOME, "select sum(quantity) from usage where meter = 'ingested' and unit = 's'").await.unwrap();
    assert!(seconds > 0.0 && (one(&answer).as_f64().unwrap() - seconds).abs() < 1e-6, "{answer:?} {seconds}");
    let answer = scene.ask(HOME, "select count(*) from usage where meter = 'stored' and quantity > 0").await.unwrap();
    assert!(one(&answer).as_u64() > Some(0), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_unknown_type_is_kept_as_it_is_stored() {
    use bytes::Bytes;
    use domain::Timestamp;
    use domain::id::{CommitId, EventId};
    use proto::{Metadata, NewEvent, StreamName};
    use runtime::log::{Commit, Expected, Log as _, StreamAppend};
    let scene = Scene::new(5);
    let id = uuid::Uuid::from_u128(9);
    let event =
        NewEvent { id: EventId(id), event_type: "comet.seen".into(), schema_version: 3, payload: Bytes::from_static(b"\xff\x00tail") };
    let streams = vec![StreamAppend { stream: StreamName::new("comet", id), expected: Expected::Empty, events: vec![event] }];
    let metadata = Metadata { at: Timestamp(1), actor: "owner".into(), correlation: id, causation: None, traceparent: None };
    scene.log.append(Commit { id: CommitId(id), workspace: HOME, streams, metadata }).await.unwrap();
    scene.sync().await;
    let row = &scene.ask(HOME, "select type, schema_version, payload, payload_base64 from events").await.unwrap().rows[0];
    let stored = base64::engine::general_purpose::STANDARD.encode(b"\xff\x00tail");
    assert_eq!(row, &vec![json!("comet.seen"), json!(3), Value::Null, json!(stored)]);
}
