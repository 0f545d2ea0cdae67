//! The embedded platform in one data directory: log, blobs, consumers, processors.

use crate::cli::{Shared, Work};
use crate::problem::Problem;
use anyhow::Context as _;
use domain::artefact::EncoderSettings;
use domain::id::WorkspaceId;
use domain::workspace::{self, Workspace};
use media::child::Runner;
use processors::{Analyze, Ingest, Render, Score, Tools, Transcribe};
use runtime::blobs::Blobs;
use runtime::clock::Clock;
use runtime::consume::Surroundings;
use runtime::consumers::Consumers;
use runtime::dispatch::{Processor as _, dispatch};
use runtime::execute::{Context, execute};
use runtime::fetch::{self, Reach};
use runtime::ids;
use runtime::log::sqlite::SqliteLog;
use runtime::progress::ProgressChannel;
use runtime::token::Positions;
use std::fs::{File, TryLockError};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Most renders at the same time by default: more would only share the same cores and disks.
const RENDERS_MAX: usize = 8;

/// Videos whose shots and faces are looked for at the same time; each decode already uses several threads.
const LOOKS: NonZeroUsize = NonZeroUsize::MIN;

/// The workspace of an embedded installation. There is one, under the same id everywhere, so that scripts need not ask.
const LOCAL_WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(0x636c_6970_666c_6f77_8000_0000_0000_0001));

/// The log and the blobs of a data directory.
pub(crate) struct Store {
    pub(crate) log: SqliteLog,
    pub(crate) blobs: Blobs,
    pub(crate) workspace: WorkspaceId,
    pub(crate) folder: PathBuf,
    /// Held by whoever runs processors; readers do not need it.
    _lock: Option<File>,
}

impl Store {
    /// Opens a data directory to work in it, and creates it when there is none. One process does so at a time.
    pub(crate) async fn open(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
        let lock = File::create(folder.join("lock")).map_err(|error| unusable(folder, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = format!(
                    "another clipflow works in {}: stop it, use its web page, or choose another folder with --data",
                    folder.display()
                );
                return Err(Problem::new("DATA_IN_USE", reason).into());
            }
            Err(TryLockError::Error(error)) => return Err(unusable(folder, &error).into()),
        }
        let store = Self::assemble(folder, Some(lock))?;
        let context = Context::request(ids::keyed_commit(LOCAL_WORKSPACE, "workspace"), LOCAL_WORKSPACE, "system", Clock::system().now());
        execute::<Workspace>(&store.log, context, LOCAL_WORKSPACE.0, workspace::Command::Create { name: "local".into() }).await?;
        Ok(store)
    }

    /// Opens an existing data directory beside a process that may work in it.
    pub(crate) fn open_for_reading(folder: &Path) -> anyhow::Result<Self> {
        if !folder.join("log.sqlite").is_file() {
            let reason = format!("nothing has happened in {} yet: make clips first, or name another folder with --data", folder.display());
            return Err(Problem::new("NO_DATA", reason).into());
        }
        Self::assemble(folder, None)
    }

    fn assemble(folder: &Path, lock: Option<File>) -> anyhow::Result<Self> {
        Ok(Self {
            log: SqliteLog::open(folder.join("log.sqlite")).context("opening the log")?,
            blobs: Blobs::open(&folder.join("blobs")).context("opening the blobs")?,
            workspace: LOCAL_WORKSPACE,
            folder: folder.to_owned(),
            _lock: lock,
        })
    }
}

fn unusable(folder: &Path, error: &std::io::Error) -> Problem {
    Problem::new("DATA_UNUSABLE", format!("{} cannot be used as data folder ({error}): choose another with --data", folder.display()))
}

/// Processors at work on a store.
pub(crate) struct Engine {
    pub(crate) surroundings: Surroundings,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Engine {
    /// Starts every processor on `store`, first on what was parked: the disk may have space now, or a bug may be mended.
    pub(crate) async fn start(store: &Store, shared: &Shared, work: &Work, shutdown: CancellationToken) -> anyhow::Result<Self> {
        media::init().map_err(|missing| Problem::new("MISSING_PLUGIN", missing.to_string()))?;
        media::encode::check(&encoder(work)).map_err(|error| Problem::new("BAD_ENCODER", format!("{error:#}")))?;
        let surroundings = Surroundings {
            consumers: Consumers::open(&store.folder.join("consumers.sqlite"))?,
            positions: Positions::default(),
            progress: ProgressChannel::default(),
            clock: Clock::system(),
            disk_full: Default::default(),
            shutdown,
        };
        for processor in [Ingest::NAME, Transcribe::NAME, Analyze::NAME, Score::NAME, Render::NAME] {
            surroundings.consumers.replay_all(processor).await?;
        }
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        let renders = work.renders.map_or(cores.min(RENDERS_MAX), |renders| renders as usize);
        let renders = NonZeroUsize::new(renders).context("at least one clip is rendered at a time")?;
        let tools = tools(store, shared, work)?;
        let mut tasks = JoinSet::new();
        let one = NonZeroUsize::MIN;
        tasks.spawn(dispatch(store.log.clone(), Ingest(tools.clone()), LOOKS, surroundings.clone()));
        tasks.spawn(dispatch(store.log.clone(), Transcribe::new(tools.clone()), one, surroundings.clone()));
        tasks.spawn(dispatch(store.log.clone(), Analyze(tools.clone()), LOOKS, surroundings.clone()));
        tasks.spawn(dispatch(store.log.clone(), Score(tools.clone()), one, surroundings.clone()));
        tasks.spawn(dispatch(store.log.clone(), Render(tools), renders, surroundings.clone()));
        Ok(Self { surroundings, tasks })
    }

    /// Keeps the read models in `rows` up to date as well.
    pub(crate) fn project(&mut self, store: &Store, rows: projections::Store) {
        self.tasks.spawn(projections::run::run(store.log.clone(), rows, self.surroundings.clone()));
    }

    /// Returns the first failure of a processor; never returns while all are well.
    pub(crate) async fn failure(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a processor ended before it was told to"),
            Some(Err(panic)) => anyhow::Error::from(panic).context("a processor panicked"),
        }
    }

    /// Lets running work end, as far as it does so soon.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.surroundings.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a processor panicked")??;
        }
        Ok(())
    }
}

fn tools(store: &Store, shared: &Shared, work: &Work) -> anyhow::Result<Tools> {
    let exe = std::env::current_exe().context("finding this program")?;
    Ok(Tools {
        blobs: store.blobs.clone(),
        media: Runner::Child { exe, arguments: vec!["media-child".into()] },
        models: models_folder(shared)?,
        device: work.device.parse().map_err(|error: speech::DeviceError| Problem::new("BAD_DEVICE", error.to_string()))?,
        fetch: fetch::Limits { reach: reach(work.allow_private_addresses), ..Default::default() },
    })
}

fn reach(allow_private_addresses: bool) -> Reach {
    if allow_private_addresses { Reach::Anywhere } else { Reach::Public }
}

/// Returns the encoder settings that were asked for.
pub(crate) fn encoder(work: &Work) -> EncoderSettings {
    EncoderSettings { video_encoder: work.encoder.clone(), preset: work.preset.clone(), crf: work.crf, ..EncoderSettings::default() }
}

/// Returns where models are kept.
pub(crate) fn models_folder(shared: &Shared) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &shared.models {
        return Ok(folder.clone());
    }
    let base = std::env::var_os("XDG_DATA_HOME").filter(|base| !base.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    let base = base.ok_or_else(|| Problem::new("NO_HOME", "there is no home folder to keep models in: name a folder with --models"))?;
    Ok(base.join("clipflow/models"))
}
