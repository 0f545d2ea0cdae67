use crate::site::{HOME, Site};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_video_shows_everything_that_is_known_of_it() {
    let site = Site::start().await;
    let (video, clips, token) = site.clipped(3).await;
    let data = site
        .data(
            "query($id: ID!, $after: Token) { video(id: $id, after: $after) {
                id title state url wish { ratios style lengthMinSeconds } facts { container durationSeconds videoCodec }
                stages { stage state startedAt } renders { pending rendered failed }
                transcript { language wordCount isComplete importedFrom segments { text span { startSeconds } words { text endSeconds } } }
                clips(first: 2) { nodes { id rank score title video { id } reasons { text atSeconds }
                    contributions { feature group effect at { endSeconds } } } pageInfo { hasNextPage } }
                history(first: 1) { nodes { type actor cause { id } } } } }",
            json!({ "id": video.to_string(), "after": token }),
        )
        .await;
    let shown = &data["video"];
    assert_eq!((&shown["title"], &shown["state"]), (&json!("A talk"), &json!("PROCESSING")));
    assert_eq!(shown["wish"], json!({ "ratios": ["PORTRAIT"], "style": "KARAOKE", "lengthMinSeconds": 15.0 }));
    assert_eq!(shown["facts"], json!({ "container": "mp4", "durationSeconds": 120.0, "videoCodec": null }));
    let states: Vec<_> = shown["stages"].as_array().unwrap().iter().map(|stage| stage["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["DONE", "DONE", "DONE", "DONE", "RUNNING"]);
    assert_eq!(shown["renders"], json!({ "pending": 3, "rendered": 0, "failed": 0 }));
    assert_eq!(shown["transcript"]["segments"][0]["words"][1], json!({ "text": "there.", "endSeconds": 2.0 }));
    let first = &shown["clips"]["nodes"][0];
    assert_eq!((&first["id"], &first["rank"], &first["video"]["id"]), (&json!(clips[0].to_string()), &json!(1), &json!(video.to_string())));
    assert_eq!(first["reasons"], json!([{ "text": "opens with a question", "atSeconds": 1.0 }]));
    assert_eq!(first["contributions"][0]["group"], "HOOK");
    assert_eq!(shown["clips"]["pageInfo"]["hasNextPage"], true);
    assert_eq!(shown["history"]["nodes"][0], json!({ "type": "video.submitted", "actor": "processor:test", "cause": null }));
}

/// Follows the cursors of a connection to its end and returns the ids.
async fn pages(site: &Site, query: &str, mut variables: Value) -> Vec<String> {
    let mut ids = vec![];
    loop {
        let data = site.data(query, variables.clone()).await;
        let page = data.as_object().unwrap().values().next().unwrap();
        ids.extend(page["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()));
        if page["pageInfo"]["hasNextPage"] == false {
            return ids;
        }
        assert_eq!(page["pageInfo"]["endCursor"], page["edges"].as_array().unwrap().last().unwrap()["cursor"]);
        variables["after"] = page["pageInfo"]["endCursor"].clone();
    }
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repetition() {
    let site = Site::start().await;
    let mut expected = vec![];
    let mut token = String::new();
    for number in 0..7 {
        let (video, seen) = site.submitted(&format!("Talk {number}")).await;
        expected.insert(0, video.to_string());
        token = seen;
    }
    let query = "query($after: String, $token: Token) { videos(first: 3, after: $after, token: $token) {
        edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }";
    assert_eq!(pages(&site, query, json!({ "token": token })).await, expected);
    let (video, clips, token) = site.clipped(5).await;
    let query = "query($video: ID!, $after: String, $token: Token) { clips(videoId: $video, first: 2, after: $after, token: $token) {
        edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }";
    let found = pages(&site, query, json!({ "video": video.to_string(), "token": token })).await;
    assert_eq!(found, clips.iter().map(ToString::to_string).collect::<Vec<_>>());
    let query = "query($id: ID!, $after: String) { history(id: $id, first: 2, after: $after) {
        edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }";
    assert_eq!(pages(&site, query, json!({ "id": video.to_string() })).await.len(), 6);
    for bad in ["first: 0", "first: 101", "first: -1", "after: \"x\""] {
        let code = site.code(&format!("{{ videos({bad}) {{ nodes {{ id }} }} }}"), json!({})).await;
        assert!(matches!(code.as_str(), "BAD_PAGE" | "BAD_CURSOR"), "{bad}: {code}");
    }
}

#[tokio::test]
async fn any_entity_is_found_by_its_id() {
    let site = Site::start().await;
    let (video, clips, token) = site.clipped(1).await;
    let data = site
        .data(
            "query($ids: [ID!]!, $id: ID!, $after: Token) { nodes(ids: $ids, after: $after) { __typename id } node(id: $id, after: $after) { __typename }
              viewer { actor workspaceId } models { id } }",
            json!({ "ids": [video.to_string(), clips[0].to_string(), format!("clip_{:032}", 9)], "id": format!("transcript_{}", video.0.simple()), "after": token }),
        )
        .await;
    assert_eq!(data["nodes"][0]["__typename"], "Video");
    assert_eq!(data["nodes"][1], json!({ "__typename": "Clip", "id": clips[0].to_string() }));
    assert_eq!(data["nodes"][2], Value::Null);
    assert_eq!(data["node"]["__typename"], "Transcript");
    assert_eq!((&data["viewer"]["actor"], &data["models"]), (&json!("owner"), &json!([])));
    assert_eq!(site.code("{ node(id: \"nonsense\") { id } }", json!({})).await, "BAD_ID");
    assert_eq!(site.code("{ video(id: \"clip_00000000000000000000000000000000\") { id } }", json!({})).await, "BAD_ID");
    assert_eq!(site.code("{ history(id: \"x\") { nodes { id } } }", json!({})).await, "BAD_ID");
}

#[tokio::test]
async fn a_read_model_that_is_behind_says_how_far() {
    let site = Site::start().await;
    site.projecting.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (video, token) = site.submitted("Talk").await;
    let query = "query($id: ID!, $after: Token) { video(id: $id, after: $after) { id } }";
    let answer = site.graphql(query, json!({ "id": video.to_string(), "after": token })).await;
    let extensions = &answer["errors"][0]["extensions"];
    assert_eq!((&extensions["code"], &extensions["lag"]), (&json!("STALE"), &json!(1)), "{answer:#}");
    assert_eq!(site.data(query, json!({ "id": video.to_string() })).await["video"], Value::Null);
    let elsewhere = runtime::token::Token { workspace: domain::id::WorkspaceId(uuid::Uuid::from_u128(2)), position: Some(0) };
    let variables = json!({ "id": video.to_string(), "after": elsewhere.to_string() });
    assert_eq!(site.code(query, variables).await, "BAD_TOKEN");
    assert_eq!(site.code(query, json!({ "id": video.to_string(), "after": "x" })).await, "BAD_QUERY");
}

#[tokio::test]
async fn a_query_that_asks_for_too_much_is_refused() {
    let site = Site::start().await;
    let mut deep = "id".to_owned();
    for _ in 0..10 {
        deep = format!("video {{ clips(first: 1) {{ nodes {{ {deep} }} }} }}");
    }
    assert_eq!(site.code(&format!("{{ clip(id: \"x\") {{ {deep} }} }}"), json!({})).await, "TOO_DEEP");
    let wide = "{ videos(first: 100) { nodes { clips(first: 100) { nodes { title score rank } } } } }";
    assert_eq!(site.code(wide, json!({})).await, "TOO_COMPLEX");
    let aliases: String = (0..400).map(|index| format!("a{index}: videos(first: 100) {{ nodes {{ id }} }} ")).collect();
    assert_eq!(site.code(&format!("{{ {aliases} }}"), json!({})).await, "TOO_COMPLEX");
    assert_eq!(site.code("{ nothing }", json!({})).await, "BAD_QUERY");
    assert_eq!(site.code("{ nodes(ids: [] ", json!({})).await, "BAD_QUERY");
}

#[tokio::test]
async fn graphql_takes_only_json_by_post_and_of_reasonable_size() {
    let site = Site::start().await;
    let post = |content_type: &str, body: String| site.request("POST", "/graphql").header("content-type", content_type).body(body).send();
    let viewer = r#"{"query":"{ viewer { actor } }"}"#;
    assert_eq!(post("application/json; charset=utf-8", viewer.into()).await.unwrap().status(), 200);
    for other in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql"] {
        assert_eq!(post(other, viewer.into()).await.unwrap().status(), 415, "{other}");
    }
    for broken in ["", "{", "[]", "{}", "{\"query\": 1}"] {
        assert_eq!(post("application/json", broken.into()).await.unwrap().status(), 400, "{broken}");
    }
    let large = json!({ "query": format!("{{ viewer {{ actor }} }} # {}", "x".repeat(300_000)) }).to_string();
    assert_eq!(post("application/json", large).await.unwrap().status(), 413);
    let get = site.request("GET", "/graphql?query={viewer{actor}}").send().await.unwrap();
    assert_eq!((get.status().as_u16(), get.headers()["allow"].to_str().unwrap()), (405, "POST"));
    let telling = |body: &str| {
        let request = site.request("POST", "/graphql").header("accept", "application/graphql-response+json");
        request.header("content-type", "application/json").body(body.to_owned()).send()
    };
    let answer = telling(r#"{"query":"{ nothing }"}"#).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (400, "application/graphql-response+json"));
    assert_eq!(telling(viewer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn analytics_are_asked_for_the_callers_workspace_and_errors_keep_their_codes() {
    let site = Site::start().await;
    let query = "query($sql: String!) { analytics(sql: $sql, asOf: \"17\") { columns { name type } rows versions { table version } } }";
    let data = site.data(query, json!({ "sql": "select 1" })).await;
    let expected = json!({
        "columns": [{ "name": "asked", "type": "Utf8" }],
        "rows": [[HOME.to_string()], ["select 1"], ["17"]],
        "versions": [{ "table": "events", "version": 3 }],
    });
    assert_eq!(data["analytics"], expected);
    assert_eq!(site.code(query, json!({ "sql": "drop table events" })).await, "LAKE_NOT_A_QUERY");
    assert_eq!(site.code(query, json!({ "sql": "select broken" })).await, "INTERNAL");
}
