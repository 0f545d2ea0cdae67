//! GraphQL over websockets by the protocol `graphql-transport-ws`, with its close codes.

use super::Schema;
use super::http::coded;
use crate::Gateway;
use crate::auth::Principal;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream::SplitStream;
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

const PROTOCOL: &str = "graphql-transport-ws";

/// Time to say who one is.
const INIT_TIME_MAX: Duration = Duration::from_secs(10);

/// Silence after which we ask whether somebody is there; the answer is due within the same time.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Operations at once on one connection.
const OPERATIONS_MAX: usize = 32;

/// Largest message from a client: as large as a request by HTTP.
const MESSAGE_BYTES_MAX: usize = super::http::BODY_BYTES_MAX;

/// Messages that wait for a slow client; its operations wait with them.
const QUEUE_MESSAGES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Incoming {
    ConnectionInit { payload: Option<Value> },
    Ping { payload: Option<Value> },
    Pong {},
    Subscribe { id: String, payload: Box<async_graphql::Request> },
    Complete { id: String },
}

/// Ends a connection.
struct Close(u16, String);

pub(crate) async fn serve(
    State(gateway): State<Arc<Gateway>>,
    Extension(schema): Extension<Schema>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MESSAGE_BYTES_MAX);
    if upgrade.selected_protocol().is_none() {
        return (StatusCode::BAD_REQUEST, format!("use the websocket protocol {PROTOCOL}\n")).into_response();
    }
    upgrade.on_upgrade(move |socket| converse(gateway, schema, headers, socket))
}

async fn converse(gateway: Arc<Gateway>, schema: Schema, headers: HeaderMap, socket: WebSocket) {
    let (mut sink, mut incoming) = socket.split();
    let (outgoing, mut queue) = mpsc::channel::<Message>(QUEUE_MESSAGES_MAX);
    let sending = tokio::spawn(async move {
        while let Some(message) = queue.recv().await {
            if sink.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut connection = Connection { gateway, schema, outgoing, operations: HashMap::new(), tasks: JoinSet::new() };
    if let Err(Close(code, reason)) = connection.run(&headers, &mut incoming).await {
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        // A client that is gone needs no goodbye.
        drop(connection.outgoing.send(frame).await);
    }
    drop(connection);
    drop(sending.await);
}

struct Connection {
    gateway: Arc<Gateway>,
    schema: Schema,
    outgoing: mpsc::Sender<Message>,
    operations: HashMap<String, AbortHandle>,
    /// Each returns the id of its operation, and whether it was refused.
    tasks: JoinSet<(String, bool)>,
}

impl Connection {
    async fn run(&mut self, headers: &HeaderMap, incoming: &mut SplitStream<WebSocket>) -> Result<(), Close> {
        let principal = self.init(headers, incoming).await?;
        let shutdown = self.gateway.shutdown.clone();
        let mut is_asked = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Err(Close(1001, "shutting down".into())),
                message = incoming.next() => {
                    is_asked = false;
                    match message {
                        Some(Ok(message)) => self.take(&principal, message).await?,
                        Some(Err(_)) | None => return Ok(()),
                    }
                }
                Some(done) = self.tasks.join_next() => {
                    // A refused operation has ended with `error`, one that was aborted by the client needs no answer.
                    if let Ok((id, is_refused)) = done && self.operations.remove(&id).is_some() && !is_refused {
                        self.send(json!({ "type": "complete", "id": id })).await;
                    }
                }
                () = tokio::time::sleep(PING_EVERY) => {
                    if is_asked {
                        return Err(Close(4408, "no sign of life".into()));
                    }
                    is_asked = true;
                    self.send(json!({ "type": "ping" })).await;
                }
            }
        }
    }

    /// Returns who is there, from the first message.
    async fn init(&mut self, headers: &HeaderMap, incoming: &mut SplitStream<WebSocket>) -> Result<Principal, Close> {
        let too_late = |_| Close(4408, "Connection initialisation timeout".into());
        let first = tokio::time::timeout(INIT_TIME_MAX, incoming.next()).await.map_err(too_late)?;
        let Some(Ok(message)) = first else { return Err(Close(1000, String::new())) };
        match parse(&message)? {
            Some(Incoming::ConnectionInit { payload }) => {
                let authorization = payload.as_ref().and_then(|payload| payload.get("authorization").or(payload.get("Authorization")));
                let now = self.gateway.clock.now();
                let admitted = self.gateway.auth.admit_websocket(headers, authorization.and_then(Value::as_str), now);
                let principal = admitted.map_err(|_| Close(4403, "Forbidden".into()))?;
                self.send(json!({ "type": "connection_ack" })).await;
                Ok(principal)
            }
            _ => Err(Close(4401, "Unauthorized".into())),
        }
    }

    async fn take(&mut self, principal: &Principal, message: Message) -> Result<(), Close> {
        match parse(&message)? {
            Some(Incoming::ConnectionInit { .. }) => Err(Close(4429, "Too many initialisation requests".into())),
            Some(Incoming::Ping { payload }) => {
                let mut pong = json!({ "type": "pong" });
                if let Some(payload) = payload {
                    pong["payload"] = payload;
                }
                self.send(pong).await;
                Ok(())
            }
            Some(Incoming::Subscribe { id, payload }) => self.subscribe(id, payload.data(principal.clone())),
            Some(Incoming::Complete { id }) => {
                if let Some(operation) = self.operations.remove(&id) {
                    operation.abort();
                }
                Ok(())
            }
            Some(Incoming::Pong {}) | None => Ok(()),
        }
    }

    fn subscribe(&mut self, id: String, request: async_graphql::Request) -> Result<(), Close> {
        if self.operations.contains_key(&id) {
            return Err(Close(4409, format!("Subscriber for {} already exists", id.chars().take(64).collect::<String>())));
        }
        if self.operations.len() >= OPERATIONS_MAX {
            return Err(Close(4400, format!("at most {OPERATIONS_MAX} operations at once")));
        }
        let (outgoing, schema, name) = (self.outgoing.clone(), self.schema.clone(), id.clone());
        let task = self.tasks.spawn(async move {
            let mut answers = schema.execute_stream(request);
            let mut is_refused = false;
            while let Some(answer) = answers.next().await {
                is_refused = super::http::is_refused(&answer);
                let answer = coded(answer);
                let message = if is_refused {
                    json!({ "type": "error", "id": id, "payload": answer.errors })
                } else {
                    json!({ "type": "next", "id": id, "payload": answer })
                };
                if outgoing.send(Message::Text(message.to_string().into())).await.is_err() || is_refused {
                    break;
                }
            }
            (id, is_refused)
        });
        self.operations.insert(name, task);
        Ok(())
    }

    async fn send(&self, message: Value) {
        // The sender ends only with the connection, and then the next read says so.
        drop(self.outgoing.send(Message::Text(message.to_string().into())).await);
    }
}

/// Returns what a message says; `None` for a frame of the websocket itself.
fn parse(message: &Message) -> Result<Option<Incoming>, Close> {
    match message {
        Message::Text(text) => {
            let said = serde_json::from_str(text);
            said.map(Some).map_err(|_| Close(4400, "Invalid message received".into()))
        }
        Message::Binary(_) => Err(Close(4400, "Invalid message received".into())),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(None),
    }
}
