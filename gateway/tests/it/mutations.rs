use crate::site::{Site, rendition};
use domain::clip::Command as ClipCommand;
use domain::{clip, video};
use runtime::execute;
use serde_json::{Value, json};

const CLIP: &str =
    "id verdict rejection style span { startSeconds endSeconds } judgedBy renditions { ratio state isCurrent revision file { url } }";

async fn edit(site: &Site, call: &str, id: &str) -> Value {
    let field = call.split('(').next().unwrap().to_owned();
    let mutation = format!("mutation($id: ID!) {{ {call} {{ id token clip {{ {CLIP} }} }} }}");
    site.data(&mutation, json!({ "id": id })).await[field.as_str()].take()
}

async fn refused(site: &Site, call: &str, id: &str) -> String {
    site.code(&format!("mutation($id: ID!) {{ {call} {{ token }} }}"), json!({ "id": id })).await
}

#[tokio::test]
async fn an_editor_trims_styles_renders_and_accepts() {
    let site = Site::start().await;
    let (_, clips, _) = site.clipped(1).await;
    let id = clips[0].to_string();
    let edited = edit(&site, "retrimClip(id: $id, startSeconds: 2.5, endSeconds: 12)", &id).await;
    assert_eq!(edited["clip"]["span"], json!({ "startSeconds": 2.5, "endSeconds": 12.0 }));
    let edited = edit(&site, "restyleClip(id: $id, style: BLOCK)", &id).await;
    assert_eq!(edited["clip"]["style"], "BLOCK");
    let edited = edit(&site, "renderClip(id: $id, ratio: PORTRAIT)", &id).await;
    assert_eq!(edited["clip"]["renditions"][0]["state"], "RENDERING");
    let record = ClipCommand::RecordRender { revision: 2, rendition: Box::new(rendition()) };
    site.happens(|commit| commit.then::<clip::Clip>(clips[0].0, record)).await;
    let edited = edit(&site, "acceptClip(id: $id)", &id).await;
    assert_eq!((&edited["clip"]["verdict"], &edited["clip"]["judgedBy"]), (&json!("ACCEPTED"), &json!("owner")));
    let made = &edited["clip"]["renditions"][0];
    assert_eq!((&made["state"], &made["isCurrent"], &made["revision"]), (&json!("RENDERED"), &json!(true), &json!(2)));
    assert!(made["file"]["url"].as_str().unwrap().starts_with("/media/0101"));
    assert_eq!(refused(&site, "rejectClip(id: $id, reason: \"no\")", &id).await, "CLIP_ALREADY_ACCEPTED");
}

#[tokio::test]
async fn a_refused_rule_has_a_stable_code() {
    let site = Site::start().await;
    let (_, clips, _) = site.clipped(1).await;
    let id = clips[0].to_string();
    let absent = format!("clip_{:032}", 7);
    for (call, id, code) in [
        ("acceptClip(id: $id)", absent.as_str(), "CLIP_NOT_FOUND"),
        ("acceptClip(id: $id)", "video_1", "BAD_ID"),
        ("rejectClip(id: $id, reason: \"  \")", &id, "BAD_REASON"),
        ("retrimClip(id: $id, startSeconds: 5, endSeconds: 5)", &id, "BAD_SPAN"),
        ("retrimClip(id: $id, startSeconds: 100, endSeconds: 130)", &id, "SPAN_OUTSIDE_VIDEO"),
        ("retrimClip(id: $id, startSeconds: 1, endSeconds: 2)", &id, "BAD_CLIP_LENGTH"),
    ] {
        assert_eq!(refused(&site, call, id).await, code, "{call}");
    }
    let rejected = edit(&site, "rejectClip(id: $id, reason: \"too long\")", &id).await;
    assert_eq!((&rejected["clip"]["verdict"], &rejected["clip"]["rejection"]), (&json!("REJECTED"), &json!("too long")));
    for call in ["acceptClip(id: $id)", "renderClip(id: $id, ratio: SQUARE)", "restyleClip(id: $id, style: CLEAN)"] {
        assert_eq!(refused(&site, call, &id).await, "CLIP_REJECTED", "{call}");
    }
}

#[tokio::test]
async fn a_repeated_key_has_its_effect_once_and_never_hides_another_request() {
    let site = Site::start().await;
    let import = |url: &str, key: &str| {
        let input = json!({ "url": url });
        (
            json!({ "input": input, "key": key }),
            "mutation($input: ImportVideoInput!, $key: String) { importVideo(input: $input, idempotencyKey: $key) { id token } }",
        )
    };
    let (variables, mutation) = import("https://example.org/a.mp4", "k1");
    let first = site.data(mutation, variables.clone()).await;
    assert_eq!(site.data(mutation, variables).await, first);
    let (variables, mutation) = import("https://example.org/other.mp4", "k1");
    assert_eq!(site.code(mutation, variables).await, "VIDEO_ALREADY_SUBMITTED");
    let (variables, mutation) = import("https://example.org/a.mp4", "k2");
    assert_ne!(site.data(mutation, variables).await["importVideo"]["id"], first["importVideo"]["id"]);
    let (variables, mutation) = import("https://example.org/a.mp4", "");
    assert_eq!(site.code(mutation, variables).await, "BAD_IDEMPOTENCY_KEY");

    let (_, clips, _) = site.clipped(2).await;
    for clip in &clips {
        let body = json!({ "query": "mutation($id: ID!) { acceptClip(id: $id) { token clip { verdict } } }", "variables": { "id": clip.to_string() } });
        let answer = site.request("POST", "/graphql").header("idempotency-key", "same").json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["data"]["acceptClip"]["clip"]["verdict"], "ACCEPTED", "{answer:#}");
    }
}

#[tokio::test]
async fn an_import_is_checked_before_anything_is_written() {
    let site = Site::start().await;
    let upload = format!("upload_{:032}", 3);
    for (input, code) in [
        (json!({}), "BAD_SOURCE"),
        (json!({ "url": "https://example.org/a.mp4", "uploadId": upload }), "BAD_SOURCE"),
        (json!({ "url": "ftp://example.org/a.mp4" }), "BAD_URL"),
        (json!({ "url": "file:///etc/passwd" }), "BAD_URL"),
        (json!({ "url": "https://me:secret@example.org/a.mp4" }), "BAD_URL"),
        (json!({ "url": "nonsense" }), "BAD_URL"),
        (json!({ "uploadId": upload }), "UPLOAD_NOT_FOUND"),
        (json!({ "uploadId": "../../etc/passwd" }), "BAD_ID"),
        (json!({ "url": "https://example.org/a.mp4", "title": "a\nb" }), "BAD_TITLE"),
        (json!({ "url": "https://example.org/a.mp4", "wish": { "count": 0 } }), "BAD_WISH"),
        (json!({ "url": "https://example.org/a.mp4", "wish": { "ratios": [] } }), "BAD_WISH"),
        (json!({ "url": "https://example.org/a.mp4", "wish": { "model": "../x" } }), "BAD_WISH"),
        (json!({ "url": "https://example.org/a.mp4", "wish": { "lengthMinSeconds": 1.0 } }), "BAD_WISH"),
    ] {
        let found = site.code("mutation($input: ImportVideoInput!) { importVideo(input: $input) { id } }", json!({ "input": input })).await;
        assert_eq!(found, code, "{input}");
    }
    assert_eq!(site.data("{ videos { nodes { id } } }", json!({})).await["videos"]["nodes"], json!([]));
}

#[tokio::test]
async fn a_failed_stage_is_tried_again_and_a_healthy_one_is_not() {
    let site = Site::start().await;
    let (video, _) = site.submitted("Talk").await;
    let retry = "mutation($id: ID!) { retryStage(videoId: $id, stage: INGEST) { video { state stages { stage state } } } }";
    let variables = json!({ "id": video.to_string() });
    assert_eq!(site.code(retry, variables.clone()).await, "STAGE_NOT_FAILED");
    let failure = video::Failure { code: "BROKEN".into(), reason: "it broke".into() };
    let fail = video::Command::FailStage { stage: video::Stage::Ingest, failure };
    site.happens(|commit| commit.then::<video::Video>(video.0, fail)).await;
    let data = site.data(retry, variables).await;
    assert_eq!(data["retryStage"]["video"]["stages"][0], json!({ "stage": "INGEST", "state": "RUNNING" }));
}

#[tokio::test]
async fn a_deleted_video_takes_its_clips_along_and_leaves_its_history() {
    let site = Site::start().await;
    let (video, clips, _) = site.clipped(3).await;
    let delete = "mutation($id: ID!) { deleteVideo(id: $id) { id token video { id } } }";
    let variables = json!({ "id": video.to_string() });
    let data = site.data(delete, variables.clone()).await;
    assert_eq!(data["deleteVideo"]["video"], Value::Null);
    let token = &data["deleteVideo"]["token"];
    for clip in &clips {
        let query =
            "query($id: ID!, $after: Token) { clip(id: $id, after: $after) { id } history(id: $id, token: $after) { nodes { type } } }";
        let data = site.data(query, json!({ "id": clip.to_string(), "after": token })).await;
        assert_eq!(data["clip"], Value::Null);
        assert_eq!(data["history"]["nodes"].as_array().unwrap().last().unwrap()["type"], "clip.deleted");
        let state: clip::Clip = execute::load(&site.gateway.log, crate::site::HOME, clip.0).await.unwrap();
        assert_eq!(state, clip::Clip::Deleted);
    }
    site.data(delete, variables).await;
    let absent = json!({ "id": format!("video_{:032}", 4) });
    assert_eq!(site.code(delete, absent).await, "VIDEO_NOT_FOUND");
}
