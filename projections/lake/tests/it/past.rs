//! Time travel.

use crate::scene::{HOME, Scene, one};
use chrono::{Duration, Utc};
use lake::query::AsOf;
use lake::upkeep;
use runtime::log::Partition;
use serde_json::json;

const COUNT: &str = "select count(*) from events";

#[tokio::test(flavor = "multi_thread")]
async fn a_version_shows_the_table_as_it_was() {
    let mut scene = Scene::told(21, 200).await;
    let then = scene.ask(HOME, COUNT).await.unwrap();
    let [(table, version)] = then.versions.as_slice() else { panic!("{then:?}") };
    assert_eq!(table, "events");
    let time = Utc::now();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    scene.happen(200).await;
    scene.sync().await;
    assert_ne!(one(&scene.ask(HOME, COUNT).await.unwrap()), one(&then));
    assert_eq!(one(&scene.ask_as_of(COUNT, AsOf::Version(*version)).await.unwrap()), one(&then));
    assert_eq!(one(&scene.ask_as_of(COUNT, AsOf::Time(time)).await.unwrap()), one(&then));
    let both = "select count(*) from events e join clips c on e.position = c.position";
    let joined = scene.ask_as_of(both, AsOf::Time(time)).await.unwrap();
    assert_eq!(joined.versions.len(), 2);
    assert_eq!(scene.ask_as_of(both, AsOf::Version(0)).await.unwrap_err().code(), "LAKE_VERSION_NEEDS_ONE_TABLE");
    assert_eq!(one(&scene.ask_as_of(COUNT, AsOf::Version(0)).await.unwrap()), &json!(0), "the first version is the empty table");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused_by_name() {
    let scene = Scene::told(22, 200).await;
    let refused = scene.ask_as_of(COUNT, AsOf::Version(1_000_000)).await.unwrap_err();
    assert_eq!(refused.code(), "LAKE_NO_SUCH_VERSION");
    let latest = scene.ask_as_of(COUNT, AsOf::Time(Utc::now() + Duration::days(1))).await.unwrap();
    assert_eq!(one(&latest), one(&scene.ask(HOME, COUNT).await.unwrap()), "in the future it is as it is now");
    let empty = Scene::new(23);
    assert_eq!(empty.ask(HOME, COUNT).await.unwrap_err().code(), "LAKE_EMPTY");
    assert!(upkeep::status(&empty.lake, &[Partition::EMBEDDED]).await.unwrap().iter().all(|status| status.version.is_none()));
}

#[test]
fn a_state_is_a_version_or_a_time() {
    assert_eq!("17".parse(), Ok(AsOf::Version(17)));
    let day = "2026-05-01T00:00:00Z".parse().unwrap();
    assert_eq!("2026-05-01".parse(), Ok(AsOf::Time(day)));
    assert_eq!("2026-05-01T02:00:00+02:00".parse(), Ok(AsOf::Time(day)));
    assert!("yesterday".parse::<AsOf>().is_err());
    assert!("-1".parse::<AsOf>().is_err());
}
