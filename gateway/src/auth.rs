//! The one door: who is asking. Nothing else in this crate looks at keys, cookies or authorization headers.
//!
//! One local owner with one key for now. Only a digest of the key is stored; sessions and media links are signed with a secret that
//! never leaves the data folder. Accounts and roles come in here, behind [`Auth::admit`].

use crate::Gateway;
use crate::problem::Problem;
use anyhow::{Context as _, Result};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use domain::id::WorkspaceId;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// What every owner key starts with, so that secret scanners and people recognise it.
pub const KEY_PREFIX: &str = "cf_";

/// The cookie of the page's session.
pub const SESSION_COOKIE: &str = "clipflow_session";

/// The header that a request with a cookie must carry to change anything: a foreign page cannot send it without asking first.
pub const CSRF_HEADER: &str = "x-clipflow-request";

/// How long a session lasts, in seconds: a month, then the key is asked for again.
pub const SESSION_SECONDS: u64 = 30 * 24 * 3_600;

/// Bytes of a key and of the signing secret: too many to guess.
const SECRET_BYTES: usize = 32;

/// Who is asking, and where they may look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The only workspace that they see.
    pub workspace: WorkspaceId,
    /// Recorded with every event that they cause.
    pub actor: String,
}

/// The door. A clone is another handle.
#[derive(Clone)]
pub struct Auth(Arc<Locks>);

struct Locks {
    workspace: WorkspaceId,
    key_digest: [u8; 32],
    secret: SecretBox<[u8; SECRET_BYTES]>,
}

/// What is behind a signed piece of text.
type Signature = Hmac<Sha256>;

impl Auth {
    /// Opens the door of `workspace` whose files lie in `folder`. At the first start it also returns the owner's key, which is stored
    /// nowhere: show it once.
    ///
    /// # Errors
    /// The files cannot be read or written, or are not ours.
    pub fn open(folder: &Path, workspace: WorkspaceId) -> Result<(Self, Option<SecretString>)> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let secret = read_or_create(&folder.join("signing-secret"), &random())?.0;
        let key = SecretString::from(format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random())));
        let (key_digest, is_new) = read_or_create(&folder.join("owner-key.sha256"), &digest(key.expose_secret()))?;
        let locks = Locks { workspace, key_digest, secret: SecretBox::new(Box::new(secret)) };
        Ok((Self(Arc::new(locks)), is_new.then_some(key)))
    }

    /// Returns who sends a request, by its key or else its session.
    ///
    /// # Errors
    /// There is no key or session, it is wrong or over, or a request that may change something lacks the header against forgery.
    pub fn admit(&self, method: &Method, headers: &HeaderMap, now: Timestamp) -> Result<Principal, Problem> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            return self.by_authorization(value.to_str().unwrap_or_default());
        }
        let session = cookie(headers, SESSION_COOKIE).ok_or_else(unauthenticated)?;
        if !method.is_safe() && !headers.contains_key(CSRF_HEADER) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "CSRF", format!("send the header {CSRF_HEADER} with a session cookie")));
        }
        self.by_session(session, now)
    }

    /// Returns who opens a websocket, by the `authorization` of its first message or else its session.
    ///
    /// # Errors
    /// As [`Auth::admit`]; a session counts only from a page of this server.
    pub fn admit_websocket(&self, headers: &HeaderMap, authorization: Option<&str>, now: Timestamp) -> Result<Principal, Problem> {
        if let Some(value) = authorization {
            return self.by_authorization(value);
        }
        if headers.contains_key(header::AUTHORIZATION) {
            return self.admit(&Method::GET, headers, now);
        }
        if !is_same_origin(headers) {
            return Err(unauthenticated());
        }
        self.by_session(cookie(headers, SESSION_COOKIE).ok_or_else(unauthenticated)?, now)
    }

    /// Returns a session for whoever has the key.
    ///
    /// # Errors
    /// The key is wrong.
    pub fn login(&self, key: &str, now: Timestamp) -> Result<String, Problem> {
        self.by_key(key)?;
        let ends = now.plus_seconds(SESSION_SECONDS).0;
        Ok(format!("{ends}.{}", self.sign(&self.session_text(ends))))
    }

    /// Returns the signature of `text`, which only this installation can make.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(text).finalize().into_bytes())
    }

    /// Tells whether `signature` is this installation's for `text`, in constant time.
    #[must_use]
    pub fn is_signed(&self, text: &str, signature: &str) -> bool {
        URL_SAFE_NO_PAD.decode(signature).is_ok_and(|bytes| self.mac(text).verify_slice(&bytes).is_ok())
    }

    fn mac(&self, text: &str) -> Signature {
        Signature::new_from_slice(self.0.secret.expose_secret()).expect("HMAC takes keys of any length").chain_update(text)
    }

    /// Another key ends every session.
    fn session_text(&self, ends: u64) -> String {
        format!("session\n{ends}\n{}", hex::encode(self.0.key_digest))
    }

    fn by_authorization(&self, value: &str) -> Result<Principal, Problem> {
        let key = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key.trim());
        self.by_key(key.ok_or_else(unauthenticated)?)
    }

    fn by_key(&self, key: &str) -> Result<Principal, Problem> {
        let is_owner: bool = digest(key).ct_eq(&self.0.key_digest).into();
        if is_owner { Ok(self.owner()) } else { Err(unauthenticated()) }
    }

    fn by_session(&self, session: &str, now: Timestamp) -> Result<Principal, Problem> {
        let (ends, signature) = session.split_once('.').ok_or_else(unauthenticated)?;
        let ends: u64 = ends.parse().map_err(|_| unauthenticated())?;
        let is_ours = self.is_signed(&self.session_text(ends), signature);
        if is_ours && now.0 < ends { Ok(self.owner()) } else { Err(unauthenticated()) }
    }

    fn owner(&self) -> Principal {
        Principal { workspace: self.0.workspace, actor: "owner".into() }
    }
}

/// Every handler that takes a `Principal` is behind the door.
impl FromRequestParts<Arc<Gateway>> for Principal {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        gateway.auth.admit(&parts.method, &parts.headers, gateway.clock.now())
    }
}

fn unauthenticated() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "send the owner's key as `Authorization: Bearer cf_…`, or log in")
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// A browser sends `Origin` with every websocket, and no page can change it.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return false };
    let Some((_, authority)) = origin.split_once("://") else { return false };
    text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority))
}

fn random() -> [u8; SECRET_BYTES] {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes);
    bytes
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Returns the secret in the file at `path`, and whether it was just made of `fresh`. Nobody else may read the file.
fn read_or_create(path: &Path, fresh: &[u8; 32]) -> Result<([u8; 32], bool)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => {
            file.write_all(hex::encode(fresh).as_bytes())?;
            file.sync_all()?;
            Ok((*fresh, true))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            let mut bytes = [0; 32];
            hex::decode_to_slice(text.trim(), &mut bytes)
                .with_context(|| format!("{} is damaged; delete it to get a new one", path.display()))?;
            Ok((bytes, false))
        }
        Err(error) => Err(error).with_context(|| format!("writing {}", path.display())),
    }
}
