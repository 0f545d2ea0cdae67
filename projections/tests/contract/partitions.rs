//! A log of several partitions: each is read by itself, and its rows are those that it would have alone.

use super::histories::Histories;
use super::{HOME, OTHER, surroundings};
use domain::id::{CommitId, WorkspaceId};
use projections::store::Target;
use projections::{ALL, Store, run};
use proto::{Recorded, StreamName};
use runtime::log::simulated::{Faults, SimulatedLog};
use runtime::log::{AppendError, Appended, Commit, Filter, Log, Partition, Reading, Verdict};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

const SEED: u64 = 23;
const COMMANDS: usize = 800;

/// Logs side by side, one for each partition.
#[derive(Clone)]
struct Split(Vec<SimulatedLog>);

impl Split {
    fn of(&self, workspace: WorkspaceId) -> &SimulatedLog {
        &self.0[self.partition(workspace).0 as usize]
    }
}

impl Log for Split {
    async fn append(&self, commit: Commit) -> Result<Appended, AppendError> {
        self.of(commit.workspace).append(commit).await
    }

    async fn verdict(&self, workspace: WorkspaceId, commit: CommitId) -> anyhow::Result<Option<Verdict>> {
        self.of(workspace).verdict(workspace, commit).await
    }

    async fn read_stream(&self, workspace: WorkspaceId, stream: &StreamName, from: u64, limit: usize) -> anyhow::Result<Vec<Recorded>> {
        self.of(workspace).read_stream(workspace, stream, from, limit).await
    }

    fn read(&self, partition: Partition, from: u64, filter: Filter) -> Reading {
        self.0[partition.0 as usize].read(Partition::EMBEDDED, from, filter)
    }

    async fn head(&self, partition: Partition) -> anyhow::Result<u64> {
        self.0[partition.0 as usize].head(Partition::EMBEDDED).await
    }

    fn partition(&self, workspace: WorkspaceId) -> Partition {
        Partition((workspace.0.as_u128() % self.0.len() as u128) as u32)
    }

    fn partitions(&self) -> Vec<Partition> {
        (0..self.0.len() as u32).map(Partition).collect()
    }
}

pub(crate) async fn partitions_do_not_disturb_one_another(store: Store) {
    let log = Split((0..3).map(|number| SimulatedLog::new(SEED + number, Faults::NONE)).collect());
    // Two in one partition, one in another, none in the third but later one.
    let workspaces = [HOME, OTHER, WorkspaceId(Uuid::from_u128(4))];
    let around = surroundings();
    let projectors = [(); 2].map(|()| tokio::spawn(run::run(log.clone(), store.clone(), around.clone())));
    Histories::new(log.clone(), SEED, &workspaces).happen(COMMANDS).await;
    Histories::new(log.clone(), SEED + 1, &[WorkspaceId(Uuid::from_u128(3))]).happen(COMMANDS / 4).await;
    let mut applied = 0;
    for partition in log.partitions() {
        let head = log.head(partition).await.unwrap();
        assert!(head > 10, "partition {} has {head} events", partition.0);
        applied += head;
        for model in ALL {
            around.positions.wait(model.name, partition, head.checked_sub(1), Duration::from_secs(60)).await.unwrap();
        }
    }
    let status = store.status(&log, &ALL).await.unwrap();
    assert!(status.iter().all(|status| (status.lag, status.applied) == (0, applied)), "{status:?}");
    for model in ALL {
        let mut alone = [0; 32];
        for part in &log.0 {
            let folder = TempDir::new().unwrap();
            let file = Store::open(&folder.path().join("rows.sqlite"), &ALL).unwrap();
            run::catch_up(part, &file, model, Target::Live).await.unwrap();
            // Digests of disjoint sets of rows add up by exclusive or.
            alone.iter_mut().zip(file.digest(model).await.unwrap().0).for_each(|(sum, byte)| *sum ^= byte);
        }
        assert_eq!(store.digest(model).await.unwrap().0, alone, "seed {SEED}: {}", model.name);
        let rebuilt = store.rebuild(&log, model.name).await.unwrap();
        assert!(rebuilt.is_same() && rebuilt.applied == applied, "seed {SEED}: {rebuilt:?}");
    }
    around.shutdown.cancel();
    for projector in projectors {
        projector.await.unwrap().unwrap();
    }
}
