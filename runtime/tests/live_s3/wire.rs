//! A wire between us and the server: it remembers the heads of requests, and breaks when it is told to.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Wire {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// In lower case, with plain line ends.
    requests: Vec<String>,
    /// Bytes until the next break, when one is wanted.
    bytes_left: u64,
    bytes_between: u64,
    breaks_left: u32,
}

impl Wire {
    pub(crate) async fn to(endpoint: &str) -> Self {
        let server = endpoint.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(join(client, server, shared.clone()));
            }
        });
        Self { endpoint, state }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Breaks connections `times` times, whenever `bytes` have passed.
    pub(crate) fn break_after(&self, bytes: u64, times: u32) {
        let mut state = self.state.lock().unwrap();
        (state.bytes_left, state.bytes_between, state.breaks_left) = (bytes, bytes, times);
    }

    pub(crate) fn breaks_left(&self) -> u32 {
        self.state.lock().unwrap().breaks_left
    }
}

async fn join(client: TcpStream, server: TcpStream, state: Arc<Mutex<State>>) {
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // When either way ends or breaks, so does the other.
    tokio::select! {
        () = carry(from_client, to_server, state.clone(), true) => {}
        () = carry(from_server, to_client, state.clone(), false) => {}
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, state: Arc<Mutex<State>>, is_request: bool) {
    let mut chunk = vec![0; 64 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut chunk).await else { return };
        if !state.lock().unwrap().pass(&chunk[..count], is_request) || to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}

impl State {
    /// Tells whether the wire holds.
    fn pass(&mut self, bytes: &[u8], is_request: bool) -> bool {
        // A client sends the head of a request in one piece.
        if is_request && ["GET ", "PUT ", "POST ", "HEAD ", "DELETE "].iter().any(|method| bytes.starts_with(method.as_bytes())) {
            let text = String::from_utf8_lossy(bytes).to_lowercase().replace("\r\n", "\n");
            self.requests.push(text.split("\n\n").next().unwrap_or_default().to_owned());
        }
        if self.breaks_left == 0 {
            return true;
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        if self.bytes_left > 0 {
            return true;
        }
        (self.bytes_left, self.breaks_left) = (self.bytes_between, self.breaks_left - 1);
        false
    }
}
