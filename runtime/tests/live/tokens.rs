//! Access tokens (OAUTHBEARER, RFC 7628) against real brokers, and a token endpoint that is ours.

use crate::kafka::{LAYOUT, Running, brokers, fresh, of, remove};
use runtime::log::kafka::{KafkaLog, LogProblem, Settings, init};
use std::io::Write as _;
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

const CLIENT_SECRET: &str = "correct-horse";

/// Longest request that the endpoint reads; librdkafka sends a few hundred bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

const TOKEN_SECONDS: u64 = 3_600;

/// What `openssl` makes of `input`; it encodes and signs here.
fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn base64(bytes: &[u8]) -> String {
    String::from_utf8(openssl(&["base64", "-A"], bytes)).unwrap().trim_end().to_owned()
}

/// As JSON Web Tokens have it: URL-safe and without padding.
fn base64url(bytes: &[u8]) -> String {
    base64(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// A JSON Web Token (RFC 7519) for `subject`, signed with the key that the brokers know.
fn token(subject: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = format!(r#"{{"sub":"{subject}","aud":"kafka","iat":{now},"exp":{}}}"#, now + TOKEN_SECONDS);
    let signed = format!("{}.{}", base64url(br#"{"alg":"RS256","kid":"local","typ":"JWT"}"#), base64url(claims.as_bytes()));
    let signature = openssl(&["dgst", "-sha256", "-sign", &of("CLIPFLOW_KAFKA_TOKEN_KEY")], signed.as_bytes());
    format!("{signed}.{}", base64url(&signature))
}

/// Answers client-credentials requests (RFC 6749 §4.4) until it is dropped; returns its address.
async fn endpoint(subject: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/token", listener.local_addr().unwrap());
    let known = format!("Basic {}", base64(format!("clipflow:{CLIENT_SECRET}").as_bytes()));
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let allowed = request(&mut peer).await.contains(&known);
            let (status, body) = match allowed {
                true => {
                    ("200 OK", format!(r#"{{"access_token":"{}","token_type":"Bearer","expires_in":{TOKEN_SECONDS}}}"#, token(&subject)))
                }
                false => ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = peer.write_all((head + &body).as_bytes()).await;
        }
    });
    address
}

async fn request(peer: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < REQUEST_BYTES_MAX {
        let read = peer.read_buf(&mut bytes).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes);
        if read == 0 || text.contains("grant_type=client_credentials") {
            break;
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn with_tokens(name: &str, endpoint: &str, secret: &str) -> Settings {
    let client = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.client.id", "clipflow"),
        ("sasl.oauthbearer.client.secret", secret),
        ("sasl.oauthbearer.token.endpoint.url", endpoint),
        ("ssl.ca.location", &of("CLIPFLOW_KAFKA_CA")),
    ];
    let client = client.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Settings { brokers: of("CLIPFLOW_KAFKA_TLS_BROKERS"), client, ..fresh(name) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_works_with_access_tokens_and_a_wrong_client_secret_is_refused_without_being_shown() {
    let folder = tempfile::tempdir().unwrap();
    let address = endpoint(of("CLIPFLOW_KAFKA_USERNAME")).await;
    let settings = with_tokens("tokens", &address, CLIENT_SECRET);
    init(&settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
    let sequencer = Running::start(&settings, folder.path());
    let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
    runtime::log::conformance::append_one(&log).await;
    sequencer.stop().await;
    remove(&Settings { brokers: brokers(), client: Default::default(), ..settings }).await;

    let refused = KafkaLog::open(with_tokens("refused", &address, "hunter2"), folder.path()).await.err().unwrap();
    assert!(matches!(refused.downcast_ref(), Some(LogProblem::Refused { .. })), "{refused:#}");
    assert!(!format!("{refused:?}").contains("hunter2"));
}
