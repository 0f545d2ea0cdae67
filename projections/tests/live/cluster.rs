//! The cluster that the environment names.

use futures::FutureExt as _;
use projections::Store;
use projections::cql::{self, Keyspace, Options};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use secrecy::{ExposeSecret as _, SecretString};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of the next keyspace of this run.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Who we are on the cluster, and which keyspaces a test made there.
pub(crate) struct Cluster {
    nodes: Vec<String>,
    credentials: (String, SecretString),
    pub(crate) authority: PathBuf,
    made: std::sync::Mutex<Vec<Keyspace>>,
}

impl Cluster {
    pub(crate) fn connect() -> Self {
        let variable = |name: &str| {
            std::env::var(name)
                .unwrap_or_else(|_| panic!("{name} is not set: run `just test-live`, which starts a cluster and says where it is"))
        };
        Self {
            nodes: variable("CLIPFLOW_CQL_NODES").split(',').map(str::to_owned).collect(),
            credentials: (variable("CLIPFLOW_CQL_USERNAME"), variable("CLIPFLOW_CQL_PASSWORD").into()),
            authority: variable("CLIPFLOW_CQL_CA").into(),
            made: std::sync::Mutex::default(),
        }
    }

    /// Returns the way to a keyspace that does not exist yet.
    pub(crate) fn fresh(&self) -> Options {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let keyspace: Keyspace = format!("clipflow_live_{}_{number}", std::process::id()).parse().unwrap();
        self.made.lock().unwrap().push(keyspace.clone());
        Options { nodes: self.nodes.clone(), keyspace, credentials: Some(self.credentials.clone()), authority: None }
    }

    /// Drops a keyspace of ours before the end.
    pub(crate) async fn drop_early(&self, session: &Session, keyspace: &Keyspace) {
        session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await.unwrap();
        // Who is not there belongs to nobody, so it may not be dropped again.
        self.made.lock().unwrap().retain(|made| made != keyspace);
    }

    /// Returns an empty store in a keyspace of its own.
    pub(crate) async fn open(&self) -> Store {
        let options = self.fresh();
        cql::migrate(&options, Some(1)).await.unwrap();
        Store::Cql(cql::Store::open(&options).await.unwrap())
    }

    /// Returns a connection of the test's own.
    pub(crate) async fn session(&self) -> Session {
        let (name, password) = &self.credentials;
        SessionBuilder::new().known_nodes(&self.nodes).user(name, password.expose_secret()).build().await.unwrap()
    }

    /// Runs `test` and drops the keyspaces, also when it panics.
    pub(crate) async fn clean_up_after(&self, test: impl Future<Output = ()>) {
        let outcome = AssertUnwindSafe(test).catch_unwind().await;
        let session = self.session().await;
        let made = std::mem::take(&mut *self.made.lock().unwrap());
        for keyspace in made {
            session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await.unwrap();
        }
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }
}
