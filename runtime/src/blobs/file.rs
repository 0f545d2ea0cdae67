//! Blobs as files: written aside, synced, then renamed into place, so that a name is never seen before its content.

use super::BlobError;
use anyhow::Context as _;
use domain::blob::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const ALGORITHM: &str = "sha256";

/// Bytes that are read, hashed and written at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Age after which a file written aside belongs to a process that died; the longest job takes minutes, a large download hours.
const SCRATCH_AGE_MAX: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// A file of our own that is deleted when it is dropped, unless it became a blob.
#[derive(Debug)]
pub struct Scratch {
    /// Where it is.
    pub path: PathBuf,
}

impl Scratch {
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let path = folder.join(crate::ids::fresh().simple().to_string());
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Mostly it is gone: renamed into place.
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), error = %error, "could not delete a scratch file");
        }
    }
}

pub(super) fn scratch_folder(folder: &Path) -> PathBuf {
    folder.join("scratch")
}

/// Returns the place of a blob below the store's root: `sha256/ab/cd/abcd…`.
pub(super) fn relative(digest: Digest) -> String {
    let [first, second, ..] = digest.0;
    format!("{ALGORITHM}/{first:02x}/{second:02x}/{digest}")
}

pub(super) fn path(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(relative(digest))
}

/// Creates the folders, and deletes what dead processes left aside.
pub(super) fn prepare(folder: &Path) -> Result<(), BlobError> {
    let scratch = scratch_folder(folder);
    fs::create_dir_all(&scratch).with_context(|| format!("creating {}", scratch.display()))?;
    for entry in fs::read_dir(&scratch)? {
        let entry = entry?;
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|modified| modified.elapsed().ok());
        if age.is_some_and(|age| age > SCRATCH_AGE_MAX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

pub(super) fn copy_in(folder: &Path, source: &Path) -> Result<(Digest, u64), BlobError> {
    let mut input = File::open(source).with_context(|| format!("opening {}", source.display()))?;
    let scratch = Scratch::new(&scratch_folder(folder))?;
    let mut output = OpenOptions::new().write(true).open(&scratch.path)?;
    let (digest, bytes) = copy(&mut input, &mut output)?;
    place(folder, &scratch.path, &output, digest)?;
    Ok((digest, bytes))
}

/// Copies a file to a name of its own below the folder: there at once, or not at all.
pub(super) fn copy_to(folder: &Path, source: &Path, target: &Path) -> Result<(), BlobError> {
    let scratch = Scratch::new(&scratch_folder(folder))?;
    fs::copy(source, &scratch.path)?;
    fs::create_dir_all(target.parent().unwrap_or(folder))?;
    Ok(fs::rename(&scratch.path, target)?)
}

/// Takes a file whose digest is known.
pub(super) fn move_in(folder: &Path, source: &Path, digest: Digest) -> Result<(), BlobError> {
    let file = File::open(source)?;
    match place(folder, source, &file, digest) {
        Err(BlobError::Store(error)) if is_other_file_system(&error) => {
            copy_in(folder, source)?;
            Ok(fs::remove_file(source)?)
        }
        other => other,
    }
}

pub(super) fn write_in(folder: &Path, content: &[u8], digest: Digest) -> Result<(), BlobError> {
    if is_kept(&path(folder, digest), content.len() as u64) {
        return Ok(());
    }
    let scratch = Scratch::new(&scratch_folder(folder))?;
    let mut output = OpenOptions::new().write(true).open(&scratch.path)?;
    output.write_all(content)?;
    place(folder, &scratch.path, &output, digest)
}

pub(super) fn digest(path: &Path) -> Result<(Digest, u64), BlobError> {
    let mut input = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    Ok(copy(&mut input, &mut io::sink())?)
}

fn copy(input: &mut impl Read, output: &mut impl Write) -> io::Result<(Digest, u64)> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let filled = match input.read(&mut chunk) {
            Ok(0) => return Ok((Digest(hash.finalize().into()), bytes)),
            Ok(filled) => filled,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&chunk[..filled]);
        output.write_all(&chunk[..filled])?;
        bytes += filled as u64;
    }
}

/// Moves the finished file at `from` to its name. Two processes that do it at once put the same bytes there.
fn place(folder: &Path, from: &Path, file: &File, digest: Digest) -> Result<(), BlobError> {
    let target = path(folder, digest);
    if is_kept(&target, file.metadata()?.len()) {
        fs::remove_file(from)?;
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(0o444))?;
    file.sync_all()?;
    let parent = target.parent().expect("a blob's path has folders");
    let grandparent = parent.parent().expect("a blob's path has folders");
    fs::create_dir_all(parent)?;
    fs::rename(from, &target)?;
    // The name must survive a power cut before any event can mention it; so must new folders' names.
    for changed in [parent, grandparent, &folder.join(ALGORITHM)] {
        File::open(changed)?.sync_all()?;
    }
    Ok(())
}

fn is_kept(target: &Path, bytes: u64) -> bool {
    fs::metadata(target).is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes)
}

pub(super) fn is_other_file_system(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::CrossesDevices)
}
