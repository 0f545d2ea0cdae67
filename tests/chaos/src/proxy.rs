//! A TCP proxy between a group of processes and one broker, which can be cut, be silent, or be slow.

use anyhow::Context as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that are passed on at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// How a connection fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// Connections break, and new ones break at once.
    Cut,
    /// Connections stand, and no byte passes until it ends: what was sent then arrives late.
    Silent,
    /// Every chunk takes so much longer, each way.
    Slow(Duration),
}

/// The proxy's switch.
pub(crate) struct Proxy(watch::Sender<Mode>);

impl Proxy {
    /// Listens at `front` and passes on to `back`.
    pub(crate) async fn start(front: &str, back: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(front).await.with_context(|| format!("listening at {front}"))?;
        let (switch, mode) = watch::channel(Mode::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *mode.borrow() != Mode::Cut {
                    tokio::spawn(connect(client, back.clone(), mode.clone()));
                }
            }
        });
        Ok(Self(switch))
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.0.send_replace(mode);
    }
}

/// Passes bytes both ways until either side ends or the line is cut.
async fn connect(client: TcpStream, back: String, mode: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(&back).await else { return };
    // Small requests must not wait for more.
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, mode.clone()) => {}
        () = pass(from_server, to_client, mode.clone()) => {}
        () = cut(mode) => {}
    }
}

async fn cut(mut mode: watch::Receiver<Mode>) {
    // An error says that the harness ends.
    drop(mode.wait_for(|mode| *mode == Mode::Cut).await);
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let Ok(now) = mode.wait_for(|mode| *mode != Mode::Silent).await.map(|mode| *mode) else { return };
        if let Mode::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
