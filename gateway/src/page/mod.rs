//! The plain page: static files in the binary, and the way from a key to a session. It loads nothing from anywhere else.

use crate::Gateway;
use crate::auth::{SESSION_COOKIE, SESSION_SECONDS};
use crate::problem::Problem;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::sync::Arc;

/// Films come from here, or from S3 where links lead there.
fn policy(gateway: &Gateway) -> Result<HeaderValue, Problem> {
    let media = gateway.blobs.direct_origin().unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: {media}; media-src 'self' {media}; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).map_err(Problem::internal)
}

/// A file of the page.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    text: &'static str,
}

static ASSETS: [Asset; 7] = [
    Asset { name: "app.css", media_type: "text/css; charset=utf-8", text: include_str!("app.css") },
    Asset { name: "app.js", media_type: "text/javascript; charset=utf-8", text: include_str!("app.js") },
    Asset { name: "api.js", media_type: "text/javascript; charset=utf-8", text: include_str!("api.js") },
    Asset { name: "clip.js", media_type: "text/javascript; charset=utf-8", text: include_str!("clip.js") },
    Asset { name: "explorer.js", media_type: "text/javascript; charset=utf-8", text: include_str!("explorer.js") },
    Asset { name: "dom.js", media_type: "text/javascript; charset=utf-8", text: include_str!("dom.js") },
    Asset { name: "icon.svg", media_type: "image/svg+xml", text: include_str!("icon.svg") },
];

pub(crate) async fn index(State(gateway): State<Arc<Gateway>>) -> Result<Response, Problem> {
    page(&gateway, "text/html; charset=utf-8", include_str!("index.html"))
}

pub(crate) async fn graphiql(State(gateway): State<Arc<Gateway>>) -> Result<Response, Problem> {
    page(&gateway, "text/html; charset=utf-8", include_str!("explorer.html"))
}

pub(crate) async fn asset(State(gateway): State<Arc<Gateway>>, Path(name): Path<String>) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such file"))?;
    page(&gateway, asset.media_type, asset.text)
}

fn page(gateway: &Gateway, media_type: &'static str, text: &'static str) -> Result<Response, Problem> {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_SECURITY_POLICY, policy(gateway)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, text).into_response())
}

/// What somebody sends to log in.
#[derive(Deserialize)]
pub(crate) struct Login {
    key: SecretString,
}

/// Trades the owner's key for a session that scripts cannot read and other sites cannot use. Only JSON: no foreign form can send it.
pub(crate) async fn login(State(gateway): State<Arc<Gateway>>, headers: HeaderMap, Json(login): Json<Login>) -> Result<Response, Problem> {
    let session = gateway.auth.login(login.key.expose_secret().trim(), gateway.clock.now())?;
    Ok(with_cookie(&headers, &session, SESSION_SECONDS))
}

/// Ends the session in this browser.
pub(crate) async fn logout(headers: HeaderMap) -> Response {
    with_cookie(&headers, "", 0)
}

fn with_cookie(headers: &HeaderMap, session: &str, seconds: u64) -> Response {
    // Behind a proxy with TLS the cookie must not travel without it; plain HTTP on this machine has none.
    let is_tls = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let secure = if is_tls { "; Secure" } else { "" };
    let cookie = format!("{SESSION_COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    match HeaderValue::from_str(&cookie) {
        Ok(cookie) => (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}
