//! Statements of somebody who wants more than their own rows.

use crate::scene::{HOME, OTHER, Scene, one};
use serde_json::json;

/// None of these may be answered.
const REFUSED: [(&str, &str); 52] = [
    // Several statements, and none.
    ("select 1; select 2", "LAKE_NOT_A_QUERY"),
    ("select 1; drop table events", "LAKE_NOT_A_QUERY"),
    ("", "LAKE_NOT_A_QUERY"),
    ("-- only a comment", "LAKE_NOT_A_QUERY"),
    (";", "LAKE_NOT_A_QUERY"),
    // Writing.
    ("insert into events select * from events", "LAKE_NOT_A_QUERY"),
    ("update events set workspace = 'workspace_00000000000000000000000000000001'", "LAKE_NOT_A_QUERY"),
    ("delete from events", "LAKE_NOT_A_QUERY"),
    ("truncate table events", "LAKE_NOT_A_QUERY"),
    ("merge into events using clips on events.position = clips.position when matched then delete", "LAKE_NOT_A_QUERY"),
    ("drop table events", "LAKE_NOT_A_QUERY"),
    ("drop view events", "LAKE_NOT_A_QUERY"),
    ("alter table events add column x int", "LAKE_NOT_A_QUERY"),
    ("create table t as select * from events", "LAKE_NOT_A_QUERY"),
    ("create view v as select * from events", "LAKE_NOT_A_QUERY"),
    ("create or replace view events as select 1", "LAKE_NOT_A_QUERY"),
    ("create schema s", "LAKE_NOT_A_QUERY"),
    ("create database d", "LAKE_NOT_A_QUERY"),
    ("create function f(int) returns int return $1", "LAKE_NOT_A_QUERY"),
    ("select * into stolen from events", "LAKE_NOT_A_QUERY"),
    ("with x as (select 1) insert into events select * from x", "LAKE_BAD_SQL"),
    // Files.
    ("create external table t stored as csv location '/etc/passwd'", "LAKE_NOT_A_QUERY"),
    ("create external table t stored as deltatable location 'file:///'", "LAKE_NOT_A_QUERY"),
    ("copy events to '/tmp/stolen.parquet'", "LAKE_NOT_A_QUERY"),
    ("copy (select * from events) to '/tmp/stolen.csv'", "LAKE_NOT_A_QUERY"),
    ("select * from '/etc/passwd'", "LAKE_BAD_SQL"),
    ("select * from 'file:///etc/passwd'", "LAKE_BAD_SQL"),
    ("select * from \"../lake/events\"", "LAKE_BAD_SQL"),
    ("select * from read_parquet('/etc/passwd')", "LAKE_BAD_SQL"),
    ("select * from read_csv('/etc/passwd')", "LAKE_BAD_SQL"),
    ("select * from parquet_metadata('x')", "LAKE_BAD_SQL"),
    ("select * from delta_scan('x')", "LAKE_BAD_SQL"),
    ("select * from glob('*')", "LAKE_BAD_SQL"),
    ("load 'x'", "LAKE_NOT_A_QUERY"),
    // Settings and transactions.
    ("set datafusion.catalog.information_schema = true", "LAKE_NOT_A_QUERY"),
    ("set datafusion.execution.batch_size = 1000000000", "LAKE_NOT_A_QUERY"),
    ("reset datafusion.execution.batch_size", "LAKE_NOT_A_QUERY"),
    ("begin", "LAKE_NOT_A_QUERY"),
    ("prepare p as select * from events", "LAKE_NOT_A_QUERY"),
    ("execute p", "LAKE_NOT_A_QUERY"),
    ("deallocate p", "LAKE_NOT_A_QUERY"),
    // Looking around.
    ("show tables", "LAKE_NOT_A_QUERY"),
    ("show all", "LAKE_NOT_A_QUERY"),
    ("describe events", "LAKE_NOT_A_QUERY"),
    ("explain select * from events", "LAKE_NOT_A_QUERY"),
    ("explain analyze select * from events", "LAKE_NOT_A_QUERY"),
    ("select * from information_schema.tables", "LAKE_BAD_SQL"),
    ("select * from information_schema.df_settings", "LAKE_BAD_SQL"),
    // Much out of little.
    ("select * from generate_series(1, 1000000000000)", "LAKE_BAD_SQL"),
    ("select * from range(1, 1000000000000)", "LAKE_BAD_SQL"),
    ("select repeat('x', 2000000000)", "LAKE_BAD_SQL"),
    ("with recursive n as (select 1 as i union all select i + 1 from n) select count(*) from n", "LAKE_BAD_SQL"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_more_than_one_query_is_refused_and_changes_nothing() {
    let scene = Scene::told(41, 400).await;
    let before = scene.events().await.len();
    let reader = scene.reader();
    let mut wrong = Vec::new();
    for (sql, code) in REFUSED {
        match reader.query(HOME, sql.to_owned(), None).await {
            Ok(answer) => wrong.push(format!("{sql}: answered {answer:?}")),
            Err(error) if error.code() != code => wrong.push(format!("{sql}: {} {error}", error.code())),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(scene.positions("events").await.len(), before);
}

/// However it is asked, what comes is about the own rows. `{home}` and `{other}` stand for the workspaces.
const ASKED: [&str; 14] = [
    "select distinct workspace from events where workspace = '{other}'",
    "select distinct workspace from events where workspace = '{other}' or 1 = 1",
    "select distinct workspace from events where not (workspace = '{home}')",
    "select distinct workspace from (select * from events union all select * from events)",
    "select distinct workspace from lake.own.events",
    "select distinct workspace from own.events",
    "select distinct workspace from events as workspace_of_all",
    "with events as (select * from events) select distinct workspace from events",
    "select distinct a.workspace from events a full outer join events b on a.workspace <> b.workspace",
    "select distinct workspace from events tablesample (100 percent)",
    "select max(workspace) from events union select min(workspace) from events",
    "select distinct '{home}' as workspace from events where exists (select 1 from events where workspace = '{other}')",
    "select workspace from events group by grouping sets ((workspace), ()) having workspace is not null",
    "select distinct workspace from events where workspace in (select workspace from clips) or workspace like '%'",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_question_reaches_another_workspace() {
    let scene = Scene::told(42, 800).await;
    let (home, other) = (HOME.to_string(), OTHER.to_string());
    for sql in ASKED {
        let sql = sql.replace("{home}", &home).replace("{other}", &other);
        let Ok(answer) = scene.ask(HOME, &sql).await else { continue };
        let seen: Vec<_> = answer.rows.iter().flatten().filter(|value| !value.is_null()).collect();
        assert!(seen.iter().all(|value| **value == json!(home)), "{sql}: {seen:?}");
    }
}

/// A condition that fails on others' rows would tell what they hold, if it were ever evaluated on them.
#[tokio::test(flavor = "multi_thread")]
async fn conditions_that_fail_on_others_rows_do_not_fail() {
    let scene = Scene::told(43, 800).await;
    let own = scene.events().await.iter().filter(|event| event.workspace == HOME).count();
    let other = OTHER.to_string();
    for condition in [
        format!("1 / (case when workspace = '{other}' then 0 else 1 end) = 1"),
        format!("cast(case when workspace = '{other}' then 'x' else '1' end as int) = 1"),
        format!("(select 1) / (case when workspace <> '{HOME}' then 0 else 1 end) = 1"),
        "case when workspace like '%2' then cast(payload as int) else 1 end = 1".to_owned(),
    ] {
        let counted = scene.ask(HOME, &format!("select count(*) from events where {condition}")).await;
        let counted = counted.unwrap_or_else(|error| panic!("{condition}: {error}"));
        assert_eq!(one(&counted), &json!(own), "{condition}");
    }
    // Nor do statistics tell: they are of the whole table.
    let last = scene.events().await.iter().filter(|event| event.workspace == HOME).map(|event| event.position).max();
    assert_eq!(one(&scene.ask(HOME, "select max(position) from events").await.unwrap()), &json!(last));
    assert_eq!(one(&scene.ask(HOME, "select count(*) from events").await.unwrap()), &json!(own));
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_long_statements_are_answered_or_refused() {
    let scene = Scene::told(44, 50).await;
    let nested = format!("select {}1{}", "(".repeat(2_000), ")".repeat(2_000));
    let sum = format!("select {}1", "1+".repeat(3_500));
    let queries = format!("{}select 1{}", "select * from (".repeat(300), ")".repeat(300));
    let unions = vec!["select 1"; 400].join(" union all ");
    for sql in [nested, sum, queries, unions] {
        // What counts is that the process is still there.
        let _either = scene.ask(HOME, &sql).await;
    }
    scene.ask(HOME, "select 1").await.unwrap();
}
