//! Answers and limits.

use crate::scene::{HOME, OTHER, Scene, one};
use lake::query::{Limits, Reader};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn usual_questions_have_answers() {
    let scene = Scene::told(31, 800).await;
    let counted = scene.ask(HOME, "select type, count(*) as n from events group by type order by n desc, type").await.unwrap();
    let names: Vec<_> = counted.columns.iter().map(|column| (column.name.as_str(), column.kind.as_str())).collect();
    assert_eq!(names, [("type", "Utf8View"), ("n", "Int64")]);
    assert!(counted.rows.len() > 5);
    for sql in [
        "select date, count(*) from events group by date order by date",
        "with c as (select clip, score from clips) select c.clip, d.decision from c left join decisions d using (clip) limit 5",
        "select clip, score, rank() over (partition by video order by score desc) from clips limit 5",
        "select keywords[1], array_length(keywords) from clips limit 3",
        "select distinct video from clips union select video from features order by 1",
        "select * from performance",
        "select position from events where time > timestamp '2020-01-01' and date >= '2020-01-01' and type like 'clip.%' limit 1",
        "select (select max(position) from events) - min(position) from clips",
        "select 1",
        "values (1, 'a'), (2, 'b')",
    ] {
        scene.ask(HOME, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_sees_its_own_rows_and_no_others() {
    let scene = Scene::told(32, 800).await;
    let events = scene.events().await;
    for workspace in [HOME, OTHER] {
        let own = events.iter().filter(|event| event.workspace == workspace).count();
        assert_eq!(one(&scene.ask(workspace, "select count(*) from events").await.unwrap()), &json!(own));
        let whose = scene.ask(workspace, "select distinct workspace from events").await.unwrap();
        assert_eq!(whose.rows, [[json!(workspace.to_string())]]);
    }
    let nobody = domain::id::WorkspaceId(uuid::Uuid::from_u128(3));
    assert_eq!(one(&scene.ask(nobody, "select count(*) from events").await.unwrap()), &json!(0));
}

async fn code(scene: &Scene, limits: Limits, sql: &str) -> String {
    let reader = Reader::open(scene.lake.clone(), limits).unwrap();
    reader.query(HOME, sql.to_owned(), None).await.expect_err(sql).code().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_have_names() {
    let scene = Scene::told(33, 400).await;
    let usual = Limits::default();
    let many = "select a.position from events a cross join events b";
    assert_eq!(code(&scene, Limits { rows: 50, ..usual }, many).await, "LAKE_TOO_MANY_ROWS");
    assert_eq!(code(&scene, Limits { answer_bytes: 500, ..usual }, "select payload from events").await, "LAKE_ANSWER_TOO_LARGE");
    let sorted = "select a.payload from events a cross join events b cross join events c order by a.payload, b.payload, c.payload";
    assert_eq!(code(&scene, Limits { memory_bytes: 1 << 20, ..usual }, sorted).await, "LAKE_MEMORY");
    let long = format!("select 1 {}", " ".repeat(lake::query::SQL_BYTES_MAX));
    assert_eq!(code(&scene, usual, &long).await, "LAKE_SQL_TOO_LONG");
    assert_eq!(code(&scene, usual, "select 1 / (position - position) from events").await, "LAKE_QUERY_FAILED");
    assert_eq!(code(&scene, usual, "selec").await, "LAKE_BAD_SQL");
    assert_eq!(code(&scene, usual, "select nothing from events").await, "LAKE_BAD_SQL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_end_is_refused_in_time() {
    let scene = Scene::told(34, 400).await;
    let reader = Reader::open(scene.lake.clone(), Limits { time: Duration::from_secs(2), at_once: 1, ..Limits::default() }).unwrap();
    // Each level multiplies the rows, and holds only its own small side.
    let mut rows = "select position as p from events".to_owned();
    for _ in 0..7 {
        rows = format!("select a.position + x.p as p from events a cross join ({rows}) x");
    }
    let endless = format!("select sum(p) from ({rows})");
    let started = Instant::now();
    let refused = reader.query(HOME, endless, None).await.unwrap_err();
    assert_eq!(refused.code(), "LAKE_TIMEOUT");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // What it began may go on until it next gives way, and keeps its turn so long: that is why others' questions get a process each.
}
