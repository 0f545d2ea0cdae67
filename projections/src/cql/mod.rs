//! The distributed store: every read model on a CQL cluster. Tested against Apache Cassandra 5.0 through the `scylla` driver; ScyllaDB
//! speaks the same protocol, and was never tried.
//!
//! **Order comes from timestamps.** Every write is blind and carries `USING TIMESTAMP (position + 1) * 4096 + index`, where `position` is
//! the event's place in the log and `index` the write's place among those of the event. A row belongs to one partition of the log, so all
//! its writes have different timestamps, in the order in which they happened: for every cell the last one wins, whenever and how often
//! each arrives. (Of equal timestamps a deletion would win; there are none, so an event may delete a row and write it anew.)
//! Redelivery, replay, two projectors at once and one that wakes up late are harmless. Nobody else may write: a statement without a
//! timestamp takes the clock's, which is later than every position, until the read model is rebuilt.
//!
//! **Rows first, then the checkpoint.** They are no transaction here. After a crash between them the rows are written again, the same.
//!
//! **A rebuild never stops anybody.** See `builds`.

mod apply;
mod builds;
mod cells;
mod migrate;
mod requests;
mod statements;

use crate::store::{ROWS_MAX, scoped};
use crate::table::{Table, Value};
use crate::{Model, Row, rows};
use anyhow::{Context as _, Result, bail};
use cells::{Bound, bind_key};
use domain::id::WorkspaceId;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
pub use migrate::{Migration, migrate, migrations};
use requests::Prepared;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::Consistency;
use scylla::value::CqlValue;
use secrecy::{ExposeSecret as _, SecretString};
use statements::Physical;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How long the cluster may take to let us in.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long one request may take, tries on other nodes included: a person waits for a query.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// How long a change of the schema may take: nodes agree on it one after the other.
const SCHEMA_CHANGE_MAX: Duration = Duration::from_secs(60);

/// A read that has no answer after this is also asked of another replica: well above the usual, well below what a person notices.
const SPECULATE_AFTER: Duration = Duration::from_millis(100);

/// Other replicas that a slow read is asked of.
const SPECULATIONS_MAX: usize = 1;

/// Rows that one page of an answer has at most.
const PAGE_ROWS: i32 = 500;

/// Points that one query asks for at the same time.
const READS_AT_ONCE: usize = 32;

/// How often a read or a write starts over because a rebuild changed which build is live; that happens minutes apart.
const REPLANS_MAX: u32 = 5;

/// Where the cluster is, and who we are there.
#[derive(Clone, Debug)]
pub struct Options {
    /// Some of its nodes, as `host:port`; the driver finds the others.
    pub nodes: Vec<String>,
    /// Where our tables are.
    pub keyspace: Keyspace,
    /// Name and password, where the cluster asks for them.
    pub credentials: Option<(String, SecretString)>,
    /// The authority whose certificates the nodes show, as PEM. Without it connections are plain, passwords included.
    pub authority: Option<PathBuf>,
}

/// The name of a keyspace: lower-case letters, digits and `_`, starting with a letter, at most 48.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace(String);

impl FromStr for Keyspace {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_plain || text.len() > 48 || !text.starts_with(|first: char| first.is_ascii_lowercase()) {
            bail!("a keyspace is named with at most 48 lower-case letters, digits and _, the first a letter, such as clipflow");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A handle on the keyspace. A clone is another handle.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    keyspace: Keyspace,
    session: Session,
    prepared: Prepared,
    reads: ExecutionProfileHandle,
    writes: ExecutionProfileHandle,
}

impl Store {
    /// Connects to a keyspace that `migrate` has prepared.
    ///
    /// # Errors
    /// The cluster cannot be reached or refuses us, or the keyspace lacks a migration.
    pub async fn open(options: &Options) -> Result<Self> {
        let store = Self::connect(options).await?;
        migrate::check(&store).await?;
        Ok(store)
    }

    /// Every statement is prepared, and so sent to a node that has the row, which is the driver's default.
    async fn connect(options: &Options) -> Result<Self> {
        let profile = || ExecutionProfile::builder().consistency(Consistency::LocalQuorum).request_timeout(Some(REQUEST_MAX));
        let speculation = SimpleSpeculativeExecutionPolicy { max_retry_count: SPECULATIONS_MAX, retry_interval: SPECULATE_AFTER };
        let writes = profile().build().into_handle();
        let reads = profile().speculative_execution_policy(Some(Arc::new(speculation))).build().into_handle();
        let mut builder = SessionBuilder::new()
            .known_nodes(&options.nodes)
            .connection_timeout(CONNECT_MAX)
            .schema_agreement_timeout(SCHEMA_CHANGE_MAX)
            .default_execution_profile_handle(writes.clone());
        if let Some(file) = &options.authority {
            builder = builder.tls_context(Some(tls(file)?));
        }
        if let Some((name, password)) = &options.credentials {
            builder = builder.user(name, password.expose_secret());
        }
        let connected = tokio::time::timeout(CONNECT_MAX * 2, builder.build()).await;
        let session = connected
            .map_err(anyhow::Error::from)
            .and_then(|session| Ok(session?))
            .with_context(|| format!("connecting to the CQL cluster at {}", options.nodes.join(", ")))?;
        let keyspace = options.keyspace.clone();
        Ok(Self(Arc::new(Shared { keyspace, session, prepared: Prepared::default(), reads, writes })))
    }

    pub(crate) async fn get_many<R: Row>(&self, workspace: WorkspaceId, keys: Vec<Vec<Value>>) -> Result<Vec<Option<R>>> {
        let keys = keys.into_iter().map(|key| bind_key(R::TABLE, scoped(workspace, key))).collect::<Result<Vec<_>>>()?;
        let found = self.read_live::<R, _>(|physical| self.points(physical.point(), keys.clone()).boxed()).await?;
        found.into_iter().map(|cells| cells.map(rows::decode::<R>).transpose()).collect()
    }

    pub(crate) async fn range<R: Row>(
        &self,
        workspace: WorkspaceId,
        partition: Vec<Value>,
        after: Option<Vec<Value>>,
        limit: u32,
    ) -> Result<Vec<R>> {
        let is_after = after.is_some();
        let key = scoped(workspace, partition).into_iter().chain(after.into_iter().flatten());
        let mut values = bind_key(R::TABLE, key.collect())?;
        let limit = i32::try_from(limit.min(ROWS_MAX))?;
        if limit == 0 {
            // CQL, unlike SQL, refuses to return nothing.
            return Ok(vec![]);
        }
        values.push(Some(CqlValue::Int(limit)));
        let found = self.read_live::<R, _>(|physical| self.rows(physical.range(is_after), values.clone()).boxed()).await?;
        found.into_iter().map(rows::decode::<R>).collect()
    }

    /// Reads from the live build, and again from the new one when a rebuild took the old one away meanwhile.
    async fn read_live<'a, R: Row, T>(&self, read: impl Fn(Physical<'_>) -> BoxFuture<'a, Result<T>> + Send) -> Result<T> {
        let model = Model::of::<R::Of>();
        let table: &'static Table = R::TABLE;
        let mut build = self.live(model).await?;
        for _ in 0..REPLANS_MAX {
            match read(self.physical(model, table, build)).await {
                Ok(found) => return Ok(found),
                Err(error) => {
                    let now = self.live(model).await?;
                    if now == build {
                        return Err(error).with_context(|| format!("reading {}", table.name));
                    }
                    build = now;
                }
            }
        }
        bail!("{} was rebuilt {REPLANS_MAX} times during one query", model.name)
    }

    fn physical(&self, model: Model, table: &'static Table, build: u32) -> Physical<'_> {
        Physical { keyspace: Some(&self.0.keyspace), table, version: model.version, build }
    }

    async fn points(&self, text: String, keys: Vec<Vec<Bound>>) -> Result<Vec<Option<Vec<Value>>>> {
        let reads: Vec<_> = keys.into_iter().map(|key| self.rows(text.clone(), key)).collect();
        let found: Vec<Vec<Vec<Value>>> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().map(|rows| rows.into_iter().next()).collect())
    }
}

/// Returns the settings of connections to nodes whose certificates an authority in `file` has signed.
fn tls(file: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).with_context(|| format!("reading {}", file.display()))?;
    for certificate in certificates {
        let certificate = certificate.with_context(|| format!("reading a certificate in {}", file.display()))?;
        roots.add(certificate).with_context(|| format!("trusting a certificate in {}", file.display()))?;
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
