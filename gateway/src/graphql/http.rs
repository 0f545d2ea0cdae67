//! GraphQL over HTTP: one JSON request, one JSON answer; a subscription answers with server-sent events.
//!
//! Only JSON bodies are taken, which no foreign page can send without asking first; there are no batches and no uploads here.

use super::Schema;
use super::write::KeyHeader;
use crate::Gateway;
use crate::problem::Problem;
use async_graphql::{Request, Response as Answer};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _};
use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Largest request: the largest sensible query is a tenth of it.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;

/// Longest execution; a wait for read models is five seconds.
const TIME_MAX: Duration = Duration::from_secs(30);

/// The answer's type that says by its status whether the request was well formed.
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

pub(crate) async fn serve(
    State(gateway): State<Arc<Gateway>>,
    Extension(schema): Extension<Schema>,
    method: Method,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    if method != Method::POST {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "send GraphQL by POST");
        return Err(problem.with(header::ALLOW, HeaderValue::from_static("POST")));
    }
    // Before the body is looked at: a stranger learns nothing, and costs nothing.
    let principal = gateway.auth.admit(&method, &headers, gateway.clock.now())?;
    let request = parse(&headers, body)?;
    let request = request.data(principal).data(KeyHeader(text(&headers, "idempotency-key").map(str::to_owned)));
    let accept = text(&headers, header::ACCEPT.as_str()).unwrap_or_default();
    if accept.contains("text/event-stream") {
        return Ok(events(schema.execute_stream(request)).into_response());
    }
    let Ok(answer) = tokio::time::timeout(TIME_MAX, schema.execute(request)).await else {
        return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "TIMEOUT", "the query took too long; ask for less at once"));
    };
    Ok(shown(answer, accept.contains(GRAPHQL_RESPONSE)))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn parse(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Request, Problem> {
    let media_type = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "send GraphQL as application/json"));
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", format!("a request has at most {BODY_BYTES_MAX} bytes"))
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", "the request was cut off"),
    })?;
    let bad = |why: &dyn Display| Problem::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", format!("the body is not a GraphQL request: {why}"));
    // A list would be read as the request's fields in order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(bad(&"it is not an object"));
    }
    let request: Request = serde_json::from_slice(&body).map_err(|error| bad(&error))?;
    if request.query.trim().is_empty() {
        return Err(bad(&"it has no query"));
    }
    Ok(request)
}

/// With the older media type a well-formed request is answered with 200 whatever comes of it; with the newer one the status tells.
fn shown(answer: Answer, is_status_telling: bool) -> Response {
    let status = if is_status_telling && is_refused(&answer) { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let media_type = if is_status_telling { GRAPHQL_RESPONSE } else { "application/json" };
    match serde_json::to_vec(&coded(answer)) {
        Ok(body) => (status, [(header::CONTENT_TYPE, media_type)], body).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// Tells whether a request was never executed: its errors belong to no field.
pub(crate) fn is_refused(answer: &Answer) -> bool {
    answer.data == async_graphql::Value::Null && answer.is_err() && answer.errors.iter().all(|error| error.path.is_empty())
}

/// Gives every error a code: those of the library itself say what is wrong with the query.
pub(crate) fn coded(mut answer: Answer) -> Answer {
    for error in &mut answer.errors {
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            let code = match error.message.as_str() {
                "Query is nested too deep." => "TOO_DEEP",
                "Query is too complex." => "TOO_COMPLEX",
                _ => "BAD_QUERY",
            };
            extensions.set("code", code);
        }
    }
    answer
}

/// The distinct-connections mode of GraphQL over server-sent events.
fn events(answers: impl Stream<Item = Answer> + Send + 'static) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let next = |answer: Answer| {
        let data = serde_json::to_string(&coded(answer)).expect("answers are JSON");
        Event::default().event("next").data(data)
    };
    let complete = futures::stream::once(async { Event::default().event("complete").data("{}") });
    Sse::new(answers.map(next).chain(complete).map(Ok)).keep_alive(KeepAlive::default())
}
