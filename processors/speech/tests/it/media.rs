//! Test media and the test model, which are not in the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the folder of committed golden files.
pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Returns the path of a test file, or nothing where it may be missing.
pub(crate) fn media(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media");
    let folder = std::env::var_os("CLIPFLOW_TEST_MEDIA").map_or(beside, PathBuf::from);
    present(folder.join(name))
}

/// Returns the folder of the default model, or nothing where it may be missing.
pub(crate) fn tiny_en() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    let models = variable("CLIPFLOW_MODELS").or_else(|| data.map(|data| data.join("clipflow/models")))?;
    present(models.join("tiny.en"))
}

fn present(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{} is missing", path.display());
    eprintln!("skipped: {} is missing", path.display());
    None
}

/// Decodes to 16 kHz mono samples.
pub(crate) fn decode(path: &Path) -> Vec<f32> {
    let arguments = ["-ac", "1", "-ar", "16000", "-f", "f32le", "-"];
    let output = Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(path).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    floats(&output.stdout)
}

/// Returns little-endian numbers.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}
