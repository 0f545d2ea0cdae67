//! Parked jobs over GraphQL.

use crate::site::{HOME, Site};
use domain::id::{EventId, JobId};
use domain::job::{Command, Job, Parking};
use runtime::dispatch::parked_jobs;
use serde_json::json;

const LIST: &str = "query($token: Token, $after: String) { parkedJobs(first: 1, after: $after, token: $token) { \
    edges { cursor node { id processor causeType cause { type } attempts error isReplaying } } pageInfo { hasNextPage } } }";

async fn park(site: &Site, cause: EventId, processor: &str, position: u64) -> (JobId, String) {
    let job = JobId::of(cause, processor);
    let parking = Parking {
        processor: processor.into(),
        cause,
        cause_type: "video.submitted".into(),
        cause_stream: "video-1".into(),
        position,
        attempts: 5,
        error: "writing: no disk".into(),
    };
    let receipt = site.happens(|commit| commit.then::<Job>(job.0, Command::Park(parking))).await;
    (job, receipt.token.to_string())
}

#[tokio::test]
async fn a_parked_job_is_listed_asked_for_once_more_and_gone_when_it_is_done() {
    let site = Site::start().await;
    let (video, _) = site.submitted("a talk").await;
    let first = site.gateway.log.clone();
    let cause = runtime::log::Log::read_stream(&first, HOME, &<domain::video::Video as proto::Wire>::stream(video.0), 0, 1).await.unwrap();
    let (job, _) = park(&site, cause[0].id, "ingest", cause[0].position).await;
    let (other, token) = park(&site, EventId(uuid::Uuid::from_u128(9)), "render", 99).await;

    let page = site.data(LIST, json!({ "token": token })).await;
    let (edge, info) = (&page["parkedJobs"]["edges"][0], &page["parkedJobs"]["pageInfo"]);
    assert_eq!(
        edge["node"],
        json!({ "id": job, "processor": "ingest", "causeType": "video.submitted", "cause": { "type": "video.submitted" },
                "attempts": 5, "error": "writing: no disk", "isReplaying": false })
    );
    assert_eq!(info["hasNextPage"], true);
    let page = site.data(LIST, json!({ "after": edge["cursor"] })).await;
    assert_eq!(page["parkedJobs"]["edges"][0]["node"]["id"], json!(other));

    let replay = "mutation($id: ID!) { replayJob(id: $id, idempotencyKey: \"k\") { id token job { isReplaying } } }";
    let asked = site.data(replay, json!({ "id": job })).await;
    assert_eq!(asked["replayJob"]["job"]["isReplaying"], true);
    site.data(replay, json!({ "id": job })).await;
    let on_the_log = parked_jobs(&site.gateway.log, HOME).await.unwrap();
    assert_eq!(on_the_log.iter().map(|parked| (parked.job, parked.is_replaying)).collect::<Vec<_>>(), [(job, true), (other, false)]);

    let receipt = site.happens(|commit| commit.then::<Job>(job.0, Command::Finish)).await;
    let one = "query($id: ID!, $after: Token) { parkedJob(id: $id, after: $after) { id } history(id: $id, token: $after) { edges { node { type } } } }";
    let told = site.data(one, json!({ "id": job, "after": receipt.token.to_string() })).await;
    assert_eq!(told["parkedJob"], json!(null));
    let types: Vec<_> = told["history"]["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["type"].clone()).collect();
    assert_eq!(types, ["job.parked", "job.replay_requested", "job.finished"]);
}

#[tokio::test]
async fn a_job_that_is_not_parked_cannot_be_asked_for() {
    let site = Site::start().await;
    let replay = "mutation($id: ID!) { replayJob(id: $id) { token } }";
    let (job, _) = park(&site, EventId(uuid::Uuid::from_u128(9)), "render", 99).await;
    site.happens(|commit| commit.then::<Job>(job.0, Command::Finish)).await;
    assert_eq!(site.code(replay, json!({ "id": job })).await, "JOB_ALREADY_FINISHED");
    assert_eq!(site.code(replay, json!({ "id": format!("job_{:032}", 7) })).await, "JOB_NOT_PARKED");
    assert_eq!(site.code(replay, json!({ "id": "clip_1" })).await, "BAD_ID");
}
