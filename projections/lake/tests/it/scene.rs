//! A log in which things happened, a lake beside it, and what both hold.

#[allow(dead_code, reason = "others use the rest of it")]
#[path = "../../../tests/contract/histories.rs"]
mod histories;

use domain::id::WorkspaceId;
use futures::StreamExt as _;
use histories::Histories;
use lake::Lake;
use lake::follow::{Limits, Synced, sync};
use lake::query::{self, Answer, AsOf, QueryError, Reader};
use proto::Recorded;
use runtime::log::sqlite::SqliteLog;
use runtime::log::{Filter, Item, Log as _, Partition};
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const HOME: WorkspaceId = WorkspaceId(Uuid::from_u128(1));
pub(crate) const OTHER: WorkspaceId = WorkspaceId(Uuid::from_u128(2));

pub(crate) struct Scene {
    pub(crate) log: SqliteLog,
    pub(crate) lake: Lake,
    histories: Histories<SqliteLog>,
    folder: TempDir,
}

impl Scene {
    /// Opens an empty log and an empty lake.
    pub(crate) fn new(seed: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let log = SqliteLog::open(folder.path().join("log.sqlite")).unwrap();
        let lake = Lake::in_folder(&folder.path().join("lake")).unwrap();
        let histories = Histories::new(log.clone(), seed, &[HOME, OTHER]);
        Self { log, lake, histories, folder }
    }

    /// Opens a log in which `commands` random commands were given to two workspaces, and a lake that holds it.
    pub(crate) async fn told(seed: u64, commands: usize) -> Self {
        let mut scene = Self::new(seed);
        scene.happen(commands).await;
        scene.sync().await;
        scene
    }

    pub(crate) async fn happen(&mut self, commands: usize) {
        self.histories.happen(commands).await;
    }

    pub(crate) async fn sync(&self) -> Synced {
        sync(self.log.clone(), self.lake.clone(), small()).await.unwrap()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Returns every event of the log.
    pub(crate) async fn events(&self) -> Vec<Recorded> {
        let mut reading = self.log.read(Partition::EMBEDDED, 0, Filter::all());
        let mut events = Vec::new();
        while let Item::Event(event) = reading.next().await.unwrap().unwrap() {
            events.push(event);
        }
        events
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(self.lake.clone(), query::Limits::default()).unwrap()
    }

    pub(crate) async fn ask(&self, workspace: WorkspaceId, sql: &str) -> Result<Answer, QueryError> {
        self.reader().query(workspace, sql.to_owned(), None).await
    }

    pub(crate) async fn ask_as_of(&self, sql: &str, as_of: AsOf) -> Result<Answer, QueryError> {
        self.reader().query(HOME, sql.to_owned(), Some(as_of)).await
    }

    /// Returns the positions that both workspaces see in a table, in order.
    pub(crate) async fn positions(&self, table: &str) -> Vec<u64> {
        let mut all = Vec::new();
        for workspace in [HOME, OTHER] {
            let answer = self.ask(workspace, &format!("select position from {table}")).await.unwrap();
            all.extend(answer.rows.iter().map(|row| row[0].as_u64().unwrap()));
        }
        all.sort_unstable();
        all
    }
}

/// Few rows in each commit, so that there are many.
pub(crate) fn small() -> Limits {
    Limits { rows: 60, ..Limits::default() }
}

/// Returns the only value of an answer.
pub(crate) fn one(answer: &Answer) -> &Value {
    assert_eq!((answer.rows.len(), answer.columns.len()), (1, 1), "{answer:?}");
    &answer.rows[0][0]
}
