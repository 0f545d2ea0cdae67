//! What a process works with and on: log, blobs and consumers, in a data directory or where the configuration says; and the processors.

use crate::cli::{Role, Shared, Work};
use crate::config::Config;
use crate::problem::Problem;
use anyhow::Context as _;
use domain::artefact::EncoderSettings;
use domain::id::WorkspaceId;
use domain::workspace::{self, Workspace};
use media::child::Runner;
use processors::{Analyze, Ingest, Render, Score, Tools, Transcribe};
use runtime::blobs::{BlobSettings, Blobs};
use runtime::clock::Clock;
use runtime::consume::Surroundings;
use runtime::consumers::Consumers;
use runtime::dispatch::{self, Desk, Processor, dispatch, hand_out, work_off};
use runtime::execute::{Context, execute};
use runtime::fetch::{self, Reach};
use runtime::ids;
use runtime::log::any::AnyLog;
use runtime::log::kafka::{self, KafkaLog, LogProblem};
use runtime::log::sqlite::{NewerFile, SqliteLog};
use runtime::progress::{ProgressChannel, relay};
use runtime::token::Positions;
use std::fs::{File, TryLockError};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Most renders at the same time by default: more would only share the same cores and disks.
const RENDERS_MAX: usize = 8;

/// Videos whose shots and faces are looked for at the same time; each decode already uses several threads.
const LOOKS: NonZeroUsize = NonZeroUsize::MIN;

/// The workspace of an embedded installation. There is one, under the same id everywhere, so that scripts need not ask.
pub(crate) const LOCAL_WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(0x636c_6970_666c_6f77_8000_0000_0000_0001));

/// Every processor, by name: each has a topic of jobs in a log on Kafka.
pub(crate) const PROCESSORS: [&str; 5] = [Ingest::NAME, Transcribe::NAME, Analyze::NAME, Score::NAME, Render::NAME];

/// The log and the blobs of a data directory.
pub(crate) struct Store {
    pub(crate) log: AnyLog,
    /// How to reach the log when it is on Kafka.
    kafka: Option<kafka::Settings>,
    pub(crate) blobs: Blobs,
    pub(crate) workspace: WorkspaceId,
    pub(crate) folder: PathBuf,
    /// Held by whoever runs processors; readers do not need it.
    _lock: Option<File>,
    /// Goes when this is dropped.
    _copy: Option<tempfile::TempDir>,
}

impl Store {
    /// Opens a data directory to work in it, and creates it when there is none. One process does so at a time.
    ///
    /// The workspace of a log on Kafka is made by [`Engine::start`], because a sequencer of our own may have to run first.
    pub(crate) async fn open(shared: &Shared) -> anyhow::Result<Self> {
        let folder = shared.data.as_path();
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
        let store = Self::assemble(shared, folder, folder, Some(lock)).await?;
        if store.kafka.is_none() {
            store.create_workspace().await?;
        }
        Ok(store)
    }

    /// Makes the workspace of this installation, where there is none yet.
    async fn create_workspace(&self) -> anyhow::Result<()> {
        let context = Context::request(ids::keyed_commit(LOCAL_WORKSPACE, "workspace"), LOCAL_WORKSPACE, "system", Clock::system().now());
        execute::<Workspace>(&self.log, context, LOCAL_WORKSPACE.0, workspace::Command::Create { name: "local".into() }).await?;
        Ok(())
    }

    /// Opens an existing data directory beside a process that may work in it.
    pub(crate) async fn open_for_reading(shared: &Shared) -> anyhow::Result<Self> {
        let folder = shared.data.as_path();
        if shared.config.is_some() {
            // The copies in the folder itself belong to whoever works there; read models may be looked at beside them.
            let own = tempfile::tempdir().context("making a folder for a copy of the log")?;
            let mut store = Self::assemble(shared, folder, own.path(), None).await?;
            store._copy = Some(own);
            return Ok(store);
        }
        if !folder.join("log.sqlite").is_file() {
            let reason = format!("nothing has happened in {} yet: make clips first, or name another folder with --data", folder.display());
            return Err(Problem::new("NO_DATA", reason).into());
        }
        Self::assemble(shared, folder, folder, None).await
    }

    /// Copies of a log on Kafka are kept in `copies`, everything else in `folder`.
    async fn assemble(shared: &Shared, folder: &Path, copies: &Path, lock: Option<File>) -> anyhow::Result<Self> {
        let Config { log: kafka, blobs, .. } = Config::load(shared.config.as_deref())?;
        let log = match &kafka {
            None => AnyLog::Sqlite(SqliteLog::open(folder.join("log.sqlite")).map_err(log_problem)?),
            Some(settings) => AnyLog::Kafka(KafkaLog::open(settings.clone(), copies).await.map_err(log_problem)?),
        };
        let blobs = blobs.unwrap_or_else(|| BlobSettings::Folder(folder.join("blobs")));
        Ok(Self {
            log,
            kafka,
            _copy: None,
            blobs: Blobs::from_settings(&blobs).context("opening the blobs")?,
            workspace: LOCAL_WORKSPACE,
            folder: folder.to_owned(),
            _lock: lock,
        })
    }
}

/// Returns what a person sees when a log cannot be used.
pub(crate) fn log_problem(error: anyhow::Error) -> anyhow::Error {
    if error.is::<NewerFile>() {
        let reason = "a newer clipflow has worked in this data folder: use that one, or another folder with --data; nothing was changed";
        return Problem::new("NEWER_DATA", reason).into();
    }
    let code = match error.downcast_ref() {
        Some(LogProblem::Absent { .. }) => "NO_LOG",
        Some(LogProblem::Unreachable { .. }) => "KAFKA_UNREACHABLE",
        Some(LogProblem::Refused { .. }) => "KAFKA_REFUSED",
        Some(LogProblem::OtherGeneration { .. }) => "OTHER_LOG",
        Some(LogProblem::OtherRule { .. }) => "OTHER_RULE",
        None => return error,
    };
    Problem::new(code, error.to_string()).into()
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
    /// Starts what `roles` ask for on `store`; processors first on what was parked: the disk may have space now, or a bug may be mended.
    pub(crate) async fn start(
        store: &Store,
        shared: &Shared,
        work: &Work,
        roles: &[Role],
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        let surroundings = Surroundings {
            consumers: Consumers::open(&store.folder.join("consumers.sqlite"))?,
            positions: Positions::default(),
            progress: ProgressChannel::default(),
            clock: Clock::system(),
            disk_full: Default::default(),
            shutdown,
        };
        let mut engine = Self { surroundings, tasks: JoinSet::new() };
        if let AnyLog::Kafka(log) = &store.log
            && roles.contains(&Role::Sequencer)
        {
            let (log, folder, blobs) = (log.clone(), store.folder.clone(), store.blobs.clone());
            let shutdown = engine.surroundings.shutdown.clone();
            engine.tasks.spawn(async move { log.sequence(&folder, &blobs, shutdown).await });
        }
        if store.kafka.is_some() {
            store.create_workspace().await?;
        }
        if let Some(settings) = &store.kafka {
            engine.relay_progress(settings, roles);
            if roles.contains(&Role::Json) {
                let (settings, shutdown) = (settings.clone(), engine.surroundings.shutdown.clone());
                engine.tasks.spawn(kafka::write_json(settings, shutdown));
            }
        }
        if roles.contains(&Role::Workers) {
            engine.work(store, shared, work).await?;
        }
        Ok(engine)
    }

    async fn work(&mut self, store: &Store, shared: &Shared, work: &Work) -> anyhow::Result<()> {
        media::init().map_err(|missing| Problem::new("MISSING_PLUGIN", missing.to_string()))?;
        media::encode::check(&encoder(work)).map_err(|error| Problem::new("BAD_ENCODER", format!("{error:#}")))?;
        if store.kafka.is_none() {
            self.replay_parked(store).await?;
        }
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        let renders = work.renders.map_or(cores.min(RENDERS_MAX), |renders| renders as usize);
        let renders = NonZeroUsize::new(renders).context("at least one clip is rendered at a time")?;
        let tools = tools(store, shared, work)?;
        let one = NonZeroUsize::MIN;
        let desks = [
            self.employ(store, Ingest(tools.clone()), LOOKS),
            self.employ(store, Transcribe::new(tools.clone()), one),
            self.employ(store, Analyze(tools.clone()), LOOKS),
            self.employ(store, Score(tools.clone()), one),
            self.employ(store, Render(tools), renders),
        ];
        if let Some(settings) = store.kafka.clone() {
            let (desks, shutdown) = (desks.into_iter().flatten().collect(), self.surroundings.shutdown.clone());
            self.tasks.spawn(async move { hand_out(desks, &settings, shutdown).await });
        }
        Ok(())
    }

    /// Asks once more for everything that was put aside: by us when the log could not be written, or on the log.
    async fn replay_parked(&self, store: &Store) -> anyhow::Result<()> {
        for processor in PROCESSORS {
            self.surroundings.consumers.replay_all(processor).await?;
        }
        for parked in dispatch::parked_jobs(&store.log, store.workspace).await? {
            let context = Context::request(ids::fresh_commit(), store.workspace, "system", Clock::system().now());
            dispatch::replay(&store.log, context, parked.job).await.with_context(|| format!("asking for {} once more", parked.job))?;
        }
        Ok(())
    }

    /// Lets a processor do its jobs: all of them in an embedded log, those that its group gives us on Kafka, where it has a desk.
    fn employ<P: Processor>(&mut self, store: &Store, processor: P, workers: NonZeroUsize) -> Option<Desk> {
        let (log, surroundings) = (store.log.clone(), self.surroundings.clone());
        let Some(settings) = store.kafka.clone() else {
            self.tasks.spawn(dispatch(log, processor, workers, surroundings));
            return None;
        };
        let processor = Arc::new(processor);
        let desk = Desk::of(processor.clone(), &settings);
        self.tasks.spawn(async move { work_off(log, processor, workers, &settings, surroundings).await });
        Some(desk)
    }

    /// Shares progress with other processes of a log on Kafka: a worker tells, a gateway hears.
    fn relay_progress(&mut self, settings: &kafka::Settings, roles: &[Role]) {
        let us = ids::fresh();
        let with = || (self.surroundings.progress.clone(), settings.clone(), self.surroundings.shutdown.clone());
        if roles.contains(&Role::Workers) {
            let (progress, settings, shutdown) = with();
            self.tasks.spawn(async move { relay::tell(progress, us, &settings, shutdown).await });
        }
        if roles.contains(&Role::Gateway) {
            let (progress, settings, shutdown) = with();
            self.tasks.spawn(async move { relay::hear(progress, us, &settings, shutdown).await });
        }
    }

    /// Keeps the read models in `rows` up to date as well.
    pub(crate) fn project(&mut self, store: &Store, rows: projections::Store) {
        self.tasks.spawn(projections::run::run(store.log.clone(), rows, self.surroundings.clone()));
    }

    /// Keeps the lake up to date as well.
    pub(crate) fn write_lake(&mut self, store: &Store, lake: lake::Lake, limits: lake::follow::Limits) {
        let Surroundings { positions, shutdown, .. } = self.surroundings.clone();
        self.tasks.spawn(lake::follow::follow(store.log.clone(), lake, limits, positions, shutdown));
    }

    /// Returns the first failure of a processor; never returns while all are well, or end because they were told to.
    pub(crate) async fn failure(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) | None if self.surroundings.shutdown.is_cancelled() => std::future::pending().await,
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
