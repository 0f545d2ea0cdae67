//! Where the tables are: a folder of this machine, or a bucket.

use crate::batch;
use crate::tables::Table;
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use deltalake::logstore::{LogStore, LogStoreFactory, LogStoreRef, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaResult, DeltaTable, DeltaTableBuilder, DeltaTableError};
use object_store::ObjectStore;
use runtime::blobs::{Encryption, S3Settings, bucket};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// The lake as an operator writes it down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A folder for the tables.
    pub folder: Option<PathBuf>,
    /// A bucket for the tables, instead of a folder.
    pub s3: Option<Bucket>,
    /// See [`crate::follow::Limits`].
    #[serde(default)]
    pub flush: crate::follow::Limits,
}

/// A bucket for the tables. Secrets are where those of the blobs' bucket are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Where S3 answers; AWS of the region when left out. It must honour `If-None-Match` on a put.
    pub endpoint: Option<Url>,
    /// Which bucket. It must exist.
    pub bucket: String,
    /// What every key starts with; nothing when left out.
    #[serde(default)]
    pub prefix: String,
    /// The bucket's region.
    pub region: String,
    /// See [`S3Settings::credentials_file`].
    pub credentials_file: Option<PathBuf>,
    /// See [`S3Settings::encryption`].
    pub encryption: Option<Encryption>,
}

/// The place of all tables. A clone is another handle.
#[derive(Clone, Debug)]
pub struct Lake {
    root: Url,
    /// `None` for a folder: the crate opens those itself.
    store: Option<Arc<dyn ObjectStore>>,
}

/// Which state of a table is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Latest,
    Version(u64),
    At(DateTime<Utc>),
}

impl Lake {
    /// Opens the lake where the settings say.
    ///
    /// # Errors
    /// They name no place or two, or it cannot be used.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        match (&settings.folder, &settings.s3) {
            (Some(folder), None) => Self::in_folder(folder),
            (None, Some(bucket)) => Self::in_bucket(bucket),
            _ => anyhow::bail!("the lake is in a folder or in a bucket: name one of them"),
        }
    }

    /// Opens the lake in a folder, and makes the folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
        let folder = folder.canonicalize().with_context(|| format!("finding the folder {}", folder.display()))?;
        let root = Url::from_directory_path(&folder).ok().with_context(|| format!("{} is not a folder's path", folder.display()))?;
        Ok(Self { root, store: None })
    }

    /// Opens the lake in a bucket.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn in_bucket(settings: &Bucket) -> anyhow::Result<Self> {
        let Bucket { endpoint, bucket: name, prefix, region, credentials_file, encryption } = settings.clone();
        let settings =
            S3Settings { endpoint, prefix, credentials_file, encryption, ..S3Settings::new(name.clone(), region, PathBuf::new()) };
        let store = bucket(&settings).context("opening the lake's bucket")?;
        let scheme = Url::parse("s3://").context("naming buckets")?;
        logstore_factories().insert(scheme, Arc::new(Conditional));
        // The prefix is in the store already.
        let root = Url::parse(&format!("s3://{name}/")).context("naming the bucket")?;
        Ok(Self { root, store: Some(store) })
    }

    /// Returns the address of a table, for other Delta readers and for messages.
    #[must_use]
    pub fn address(&self, table: &Table) -> String {
        format!("{}{}", self.root, table.name)
    }

    /// Returns a table, or `None` when nobody has written it yet.
    pub(crate) async fn table(&self, table: &Table, state: State) -> anyhow::Result<Option<DeltaTable>> {
        let mut delta = self.unread(table)?;
        let loaded = match state {
            State::Latest => delta.load().await,
            State::Version(version) => delta.load_version(version).await,
            State::At(time) => delta.load_with_datetime(time).await,
        };
        match loaded {
            Ok(()) => Ok(Some(delta)),
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("opening the table {}", table.name)),
        }
    }

    /// Returns a table; makes it when there is none.
    pub(crate) async fn table_or_new(&self, table: &Table) -> anyhow::Result<DeltaTable> {
        if let Some(delta) = self.table(table, State::Latest).await? {
            return Ok(delta);
        }
        let made = CreateBuilder::new()
            .with_log_store(self.unread(table)?.log_store())
            .with_table_name(table.name)
            .with_comment(table.about)
            .with_columns(table.all_columns().map(batch::field))
            .with_partition_columns(["date"])
            .with_save_mode(SaveMode::Ignore)
            .await;
        match made {
            Ok(delta) => Ok(delta),
            // Somebody else made it a moment ago, or the disk says why not.
            Err(error) => {
                let error = anyhow::Error::from(error).context(format!("making the table {}", table.name));
                self.table(table, State::Latest).await?.ok_or(error)
            }
        }
    }

    fn unread(&self, table: &Table) -> anyhow::Result<DeltaTable> {
        let address = self.root.join(&format!("{}/", table.name)).context("naming a table")?;
        if let Ok(folder) = address.to_file_path() {
            std::fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
        }
        let mut builder = DeltaTableBuilder::from_url(address.clone())?;
        if let Some(store) = &self.store {
            builder = builder.with_storage_backend(store.clone(), address);
        }
        Ok(builder.build()?)
    }
}

/// Commits by a put that succeeds only where nothing has the name yet, as S3 has it since 2024.
#[derive(Debug)]
struct Conditional;

impl LogStoreFactory for Conditional {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        let store: LogStoreRef = default_logstore(prefixed_store, root_store, location, options);
        Ok(store)
    }
}
