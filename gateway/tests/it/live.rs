use crate::site::{HOME, Site};
use domain::clip::Command as ClipCommand;
use domain::{clip, video};
use futures::{SinkExt as _, StreamExt as _};
use runtime::progress::Progress;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(site: &Site, headers: &[(&'static str, &str)]) -> Self {
        let mut request = format!("{}/graphql/ws", site.url.replace("http", "ws")).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let (stream, answer) = connect_async(request).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], "graphql-transport-ws");
        Self(stream)
    }

    async fn by_owner(site: &Site) -> Self {
        let mut socket = Self::open(site, &[]).await;
        socket.send(json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {}", site.key) } })).await;
        assert_eq!(socket.next().await["type"], "connection_ack");
        socket
    }

    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": query, "variables": variables } })).await;
    }

    async fn message(&mut self) -> Message {
        tokio::time::timeout(Duration::from_secs(10), self.0.next()).await.expect("a message in time").unwrap().unwrap()
    }

    async fn next(&mut self) -> Value {
        match self.message().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.message().await {
                return frame.unwrap().code.into();
            }
        }
    }
}

#[tokio::test]
async fn progress_shows_what_was_what_is_and_ends_with_the_video() {
    let site = Site::start().await;
    let (video, clips, _) = site.clipped(1).await;
    let mut socket = Socket::by_owner(&site).await;
    let query = "subscription($id: ID!) { videoProgress(videoId: $id) { stage state fraction etaMs realtimeFactor detail token isFinal } }";
    socket.subscribe("p", query, json!({ "id": video.to_string() })).await;
    let mut seen = vec![];
    while seen.len() < 9 {
        let message = socket.next().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!("p")));
        let change = &message["payload"]["data"]["videoProgress"];
        seen.push(format!("{} {}", change["stage"].as_str().unwrap(), change["state"].as_str().unwrap()));
        assert!(change["token"].is_string());
    }
    assert_eq!(seen[..3], ["INGEST RUNNING", "INGEST DONE", "TRANSCRIBE RUNNING"]);
    assert_eq!(seen[8], "RENDER RUNNING");
    let half = Progress {
        workspace: HOME,
        video,
        stage: "render",
        fraction: 0.5,
        eta_ms: Some(1_500),
        realtime_factor: Some(2.0),
        detail: "clip 1 of 1".into(),
    };
    site.gateway.progress.send(Progress { video: domain::id::VideoId(uuid::Uuid::nil()), ..half.clone() });
    site.gateway.progress.send(half);
    let change = socket.next().await["payload"]["data"]["videoProgress"].take();
    let expected = json!({ "stage": "RENDER", "state": "RUNNING", "fraction": 0.5, "etaMs": 1500, "realtimeFactor": 2.0,
        "detail": "clip 1 of 1", "token": null, "isFinal": false });
    assert_eq!(change, expected);
    let settle =
        video::Command::SettleRender { clip: clips[0], ratio: domain::artefact::Ratio::Portrait, outcome: video::RenderOutcome::Rendered };
    site.happens(|commit| commit.then::<video::Video>(video.0, settle)).await;
    assert_eq!(socket.next().await["payload"]["data"]["videoProgress"]["state"], "DONE");
    assert_eq!(socket.next().await["payload"]["data"]["videoProgress"]["isFinal"], true);
    assert_eq!(socket.next().await, json!({ "type": "complete", "id": "p" }));
}

#[tokio::test]
async fn events_start_where_they_are_asked_to_and_show_only_what_is_wanted() {
    let site = Site::start().await;
    let (video, clips, token) = site.clipped(1).await;
    let (other, _) = site.submitted("Another").await;
    let mut socket = Socket::by_owner(&site).await;
    let all = "subscription($after: Token) { events(after: $after) { type entityId cloudEvent token } }";
    socket.subscribe("all", all, json!({ "after": token })).await;
    let event = socket.next().await["payload"]["data"]["events"].take();
    assert_eq!((&event["type"], &event["entityId"]), (&json!("video.submitted"), &json!(other.to_string())));
    assert_eq!((&event["cloudEvent"]["specversion"], &event["cloudEvent"]["data"]["title"]), (&json!("1.0"), &json!("Another")));
    socket.send(json!({ "type": "complete", "id": "all" })).await;

    let some = "subscription($video: ID!) { events(videoId: $video, types: [\"clip.accepted\", \"video.deleted\"]) { type entityId } }";
    socket.subscribe("some", some, json!({ "video": video.to_string() })).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    site.happens(|commit| commit.then::<video::Video>(other.0, video::Command::Delete)).await;
    site.happens(|commit| commit.then::<clip::Clip>(clips[0].0, ClipCommand::Accept)).await;
    let event = socket.next().await["payload"]["data"]["events"].take();
    assert_eq!(event, json!({ "type": "clip.accepted", "entityId": clips[0].to_string() }), "nothing of the other video");
}

#[tokio::test]
async fn a_connection_keeps_to_the_protocol() {
    let site = Site::start().await;
    let forbidden = async |payload: Value| {
        let mut socket = Socket::open(&site, &[]).await;
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        socket.close_code().await
    };
    assert_eq!(forbidden(json!({ "authorization": "Bearer cf_wrong" })).await, 4403);
    assert_eq!(forbidden(json!({})).await, 4403);
    let mut socket = Socket::open(&site, &[]).await;
    socket.subscribe("1", "subscription { events { type } }", json!({})).await;
    assert_eq!(socket.close_code().await, 4401);

    let mut socket = Socket::by_owner(&site).await;
    socket.send(json!({ "type": "ping", "payload": { "a": 1 } })).await;
    assert_eq!(socket.next().await, json!({ "type": "pong", "payload": { "a": 1 } }));
    socket.subscribe("q", "{ viewer { actor } }", json!({})).await;
    assert_eq!(socket.next().await["payload"]["data"]["viewer"]["actor"], "owner");
    assert_eq!(socket.next().await, json!({ "type": "complete", "id": "q" }));
    socket.subscribe("bad", "{ nothing }", json!({})).await;
    let error = socket.next().await;
    assert_eq!((&error["type"], &error["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("BAD_QUERY")));
    socket.subscribe("twice", "subscription { events { type } }", json!({})).await;
    socket.subscribe("twice", "subscription { events { type } }", json!({})).await;
    assert_eq!(socket.close_code().await, 4409);

    let mut socket = Socket::by_owner(&site).await;
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.close_code().await, 4429);
    let mut socket = Socket::by_owner(&site).await;
    socket.send(json!({ "type": "nonsense" })).await;
    assert_eq!(socket.close_code().await, 4400);
}

#[tokio::test]
async fn a_session_opens_a_websocket_only_from_our_own_page() {
    let site = Site::start().await;
    let session = site.gateway.auth.login(&site.key, site.gateway.clock.now()).unwrap();
    let cookie = format!("clipflow_session={session}");
    let mut ours = Socket::open(&site, &[("cookie", &cookie), ("origin", &site.url)]).await;
    ours.send(json!({ "type": "connection_init" })).await;
    assert_eq!(ours.next().await["type"], "connection_ack");
    let mut theirs = Socket::open(&site, &[("cookie", &cookie), ("origin", "https://evil.example")]).await;
    theirs.send(json!({ "type": "connection_init" })).await;
    assert_eq!(theirs.close_code().await, 4403);
}

#[tokio::test]
async fn a_subscription_also_comes_as_server_sent_events() {
    let site = Site::start().await;
    let (video, _) = site.submitted("Talk").await;
    let body = json!({ "query": "subscription($id: ID!) { videoProgress(videoId: $id) { state isFinal } }", "variables": { "id": video.to_string() } });
    let answer = site.request("POST", "/graphql").header("accept", "text/event-stream").json(&body).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    site.happens(|commit| commit.then::<video::Video>(video.0, video::Command::Delete)).await;
    let text = tokio::time::timeout(Duration::from_secs(10), answer.text()).await.expect("it ends with the video").unwrap();
    assert!(text.contains("event: next\ndata: {\"data\":{\"videoProgress\":{\"state\":\"RUNNING\",\"isFinal\":false}}}"), "{text}");
    assert!(text.contains("\"isFinal\":true") && text.trim_end().ends_with("event: complete\ndata: {}"), "{text}");
}
