//! `clipflow doctor`: is everything there, and if not, how to get it.

use crate::cli::Shared;
use crate::engine::models_folder;
use crate::problem::Problem;
use std::io::Write;
use std::path::Path;

/// Free space below which a video of an hour may not fit with its clips.
const FREE_BYTES_MIN: u64 = 5 * 1024 * 1024 * 1024;

/// What was looked at.
struct Check {
    name: &'static str,
    /// What was found, or what to do.
    outcome: Result<String, String>,
}

pub(crate) fn run(shared: &Shared) -> anyhow::Result<()> {
    let checks = [gstreamer(), libtorch(), models(shared), space(shared)];
    let mut out = std::io::stdout();
    for Check { name, outcome } in &checks {
        let (mark, text) = match outcome {
            Ok(found) => ("ok     ", found),
            Err(advice) => ("MISSING", advice),
        };
        writeln!(out, "{mark} {name:10} {text}")?;
    }
    let missing = checks.iter().filter(|check| check.outcome.is_err()).count();
    if missing == 0 {
        Ok(())
    } else {
        Err(Problem::new("NOT_READY", format!("{missing} of {} checks failed; what to do stands beside each", checks.len())).into())
    }
}

fn gstreamer() -> Check {
    let outcome = media::init().map(|()| "every element that ClipFlow needs is installed".into()).map_err(|missing| missing.to_string());
    Check { name: "GStreamer", outcome }
}

fn libtorch() -> Check {
    // The program does not start without it.
    Check { name: "LibTorch", outcome: Ok("loaded".into()) }
}

fn models(shared: &Shared) -> Check {
    let outcome = match models_folder(shared) {
        Err(error) => Err(error.to_string()),
        Ok(folder) => {
            let mut names: Vec<_> =
                std::fs::read_dir(&folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()).collect();
            names.sort_by_key(std::fs::DirEntry::file_name);
            let names: Vec<_> = names.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            if names.is_empty() {
                Err(format!("no model in {}: run `clipflow models pull tiny.en`", folder.display()))
            } else {
                Ok(format!("{} in {}", names.join(", "), folder.display()))
            }
        }
    };
    Check { name: "models", outcome }
}

fn space(shared: &Shared) -> Check {
    // The folder may not exist yet; its first existing ancestor lies on the same disk.
    let existing = shared.data.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let outcome = match free_bytes(existing) {
        Ok(bytes) if bytes >= FREE_BYTES_MIN => Ok(format!("{} GB free for {}", bytes / 1_000_000_000, shared.data.display())),
        Ok(bytes) => {
            Err(format!("only {} MB free for {}: free some, or choose another disk with --data", bytes / 1_000_000, shared.data.display()))
        }
        Err(error) => Err(format!("{} cannot be looked at ({error}): choose another folder with --data", existing.display())),
    };
    Check { name: "disk", outcome }
}

fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
