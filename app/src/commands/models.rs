//! `clipflow models`: what is installed, and how to get more.

use crate::cli::{Models, Shared};
use crate::engine::models_folder;
use crate::problem::Problem;
use anyhow::Context as _;
use domain::model::is_name;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runtime::fetch::{self, Reach};
use runtime::models::{LOCK_FILE, Lock, PullError, Source};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Models that can be pulled by name, and the repository that holds each.
const KNOWN: [(&str, &str); 10] = [
    ("tiny.en", "openai/whisper-tiny.en"),
    ("tiny", "openai/whisper-tiny"),
    ("base.en", "openai/whisper-base.en"),
    ("base", "openai/whisper-base"),
    ("small.en", "openai/whisper-small.en"),
    ("small", "openai/whisper-small"),
    ("medium.en", "openai/whisper-medium.en"),
    ("medium", "openai/whisper-medium"),
    ("large-v3", "openai/whisper-large-v3"),
    ("large-v3-turbo", "openai/whisper-large-v3-turbo"),
];

/// The files that make a model.
const FILES: [&str; 4] = ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"];

/// The largest model has 3 GB of weights.
const BYTES_MAX: u64 = 8 << 30;

/// A day is enough for the largest model at 300 kbit/s.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);

pub(crate) async fn run(shared: &Shared, command: Models) -> anyhow::Result<()> {
    let folder = models_folder(shared)?;
    match command {
        Models::List => list(&folder),
        Models::Pull { name, hub, revision, allow_private_addresses } => {
            pull(&folder, &name, &hub, revision, allow_private_addresses).await
        }
        Models::Import { name, folder: from } => import(&folder, &name, &from),
    }
}

fn list(folder: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    writeln!(out, "installed in {}:", folder.display())?;
    for entry in &entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        writeln!(out, "  {name:16} {}", origin(&entry.path()))?;
    }
    if entries.is_empty() {
        writeln!(out, "  none")?;
    }
    writeln!(out, "can be pulled by name:")?;
    for (name, repository) in KNOWN {
        writeln!(out, "  {name:16} {repository}")?;
    }
    Ok(())
}

/// Says where an installed model comes from and what its weights are.
fn origin(folder: &Path) -> String {
    let Some(lock) = std::fs::read(folder.join(LOCK_FILE)).ok().and_then(|bytes| serde_json::from_slice::<Lock>(&bytes).ok()) else {
        return "imported by hand, no lock entry".into();
    };
    let weights = lock.files.iter().max_by_key(|file| file.bytes);
    let digest = weights.map(|file| format!(", {} {} MB, SHA-256 {}", file.path, file.bytes / 1_000_000, file.sha256)).unwrap_or_default();
    format!("{} {} at {}{digest}", lock.source.hub, lock.source.repository, lock.source.revision)
}

async fn pull(models: &Path, name: &str, hub: &str, revision: String, allow_private_addresses: bool) -> anyhow::Result<()> {
    let Some((_, repository)) = KNOWN.into_iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = KNOWN.iter().map(|(known, _)| *known).collect();
        return Err(Problem::new("UNKNOWN_MODEL", format!("there is no model {name}; there are {}", known.join(", "))).into());
    };
    let hub = hub.parse().map_err(|error| Problem::new("BAD_HUB", format!("{hub} is not a web address ({error})")))?;
    let source = Source { hub, repository: repository.into(), revision };
    let reach = if allow_private_addresses { Reach::Anywhere } else { Reach::Public };
    let limits = fetch::Limits { reach, bytes_max: BYTES_MAX, duration_max: DURATION_MAX, ..fetch::Limits::default() };
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left") {
        bar.set_style(style);
    }
    let target = models.join(name);
    let pulled = runtime::models::pull(&source, &FILES, &target, &limits, |progress| {
        bar.set_message(progress.file.to_owned());
        bar.set_length(progress.total);
        bar.set_position(progress.bytes);
    });
    let lock = pulled.await.map_err(problem)?;
    bar.finish_and_clear();
    for file in &lock.files {
        writeln!(std::io::stdout(), "{}  {} bytes  SHA-256 {}", file.path, file.bytes, file.sha256)?;
    }
    Ok(())
}

fn problem(error: PullError) -> anyhow::Error {
    let code = match &error {
        PullError::Wrong { .. } | PullError::NoChecksum { .. } => "MODEL_WRONG",
        PullError::Fetch { .. } => "DOWNLOAD_FAILED",
        PullError::Name(_) | PullError::Keep(_) => "MODEL_NOT_KEPT",
    };
    let advice = "run the same command again to go on where it stopped, or name another hub with --hub";
    Problem::new(code, format!("{:#}; {advice}", anyhow::Error::from(error))).into()
}

/// Copies a model's folder and loads it once, so that a wrong one is refused now and not in the middle of a job.
fn import(models: &Path, name: &str, from: &Path) -> anyhow::Result<()> {
    if !is_name(name) {
        let reason = "a model's name has up to 64 letters, digits, dots, dashes and underscores, and does not begin with a dot";
        return Err(Problem::new("BAD_NAME", reason).into());
    }
    let target = models.join(name);
    if target.exists() {
        let reason = format!("{} exists: remove it first, or choose another name", target.display());
        return Err(Problem::new("MODEL_EXISTS", reason).into());
    }
    speech::Whisper::load(from, speech::Device::Cpu).map_err(|error| Problem::new("MODEL_UNUSABLE", format!("{error:#}")))?;
    let aside = models.join(format!(".{name}.part"));
    let _left_over = std::fs::remove_dir_all(&aside);
    std::fs::create_dir_all(&aside).with_context(|| format!("creating {}", aside.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), aside.join(entry.file_name())).with_context(|| format!("copying {}", entry.path().display()))?;
        }
    }
    std::fs::rename(&aside, &target).with_context(|| format!("naming {}", target.display()))?;
    writeln!(std::io::stdout(), "imported {name} into {}", target.display())?;
    Ok(())
}
