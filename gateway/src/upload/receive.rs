//! Takes the bytes of one request and checks them as they come.

use crate::problem::Problem;
use axum::body::Bytes;
use axum::http::StatusCode;
use futures::{Stream, StreamExt as _};
use runtime::blobs::BlobError;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::io::{self, ErrorKind};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

/// What the sender says of the bytes of one request.
pub(crate) enum Checksum {
    Sha1(Vec<u8>),
    Sha256(Vec<u8>),
}

enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
}

/// Writes what comes behind `offset` and returns where it ends. A sender that hangs up leaves what came, unless it is yet to be checked.
pub(super) async fn receive<E: Into<axum::BoxError>>(
    file: &mut File,
    offset: u64,
    limit: u64,
    mut bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
    checksum: Option<&Checksum>,
) -> Result<u64, Problem> {
    tokio::io::AsyncSeekExt::seek(file, io::SeekFrom::Start(offset)).await.map_err(failed)?;
    let mut hasher = checksum.map(Hasher::of);
    let mut end = offset;
    while let Some(chunk) = bytes.next().await {
        let Ok(chunk) = chunk else {
            return match checksum {
                None => Ok(end),
                Some(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "CUT_OFF", "the request ended before its checksum could be told")),
            };
        };
        end += chunk.len() as u64;
        if end > limit {
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", format!("the upload was announced with {limit} bytes")));
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(&chunk);
        }
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    let is_right = hasher.zip(checksum).is_none_or(|(hasher, checksum)| hasher.agrees(checksum));
    if is_right { Ok(end) } else { Err(mismatch()) }
}

impl Hasher {
    fn of(checksum: &Checksum) -> Self {
        match checksum {
            Checksum::Sha1(_) => Self::Sha1(Sha1::new()),
            Checksum::Sha256(_) => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn agrees(self, checksum: &Checksum) -> bool {
        match (self, checksum) {
            (Self::Sha1(hasher), Checksum::Sha1(expected)) => hasher.finalize().as_slice() == expected,
            (Self::Sha256(hasher), Checksum::Sha256(expected)) => hasher.finalize().as_slice() == expected,
            _ => false,
        }
    }
}

fn mismatch() -> Problem {
    let status = StatusCode::from_u16(460).expect("three digits");
    Problem::new(status, "CHECKSUM_MISMATCH", "the bytes are not what their checksum says; send them again")
}

fn full() -> Problem {
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "DISK_FULL", "the server's disk is full: free some space and go on")
}

/// Returns what it means that bytes could not become a blob.
pub(super) fn unkept(error: BlobError) -> Problem {
    match error {
        BlobError::Full => full(),
        other => Problem::internal(other),
    }
}

pub(super) fn failed(error: io::Error) -> Problem {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => full(),
        _ => Problem::internal(error),
    }
}
