//! Rows by id, read together when many fields of one query ask for them.

use async_graphql::dataloader::Loader;
use domain::id::{ClipId, VideoId, WorkspaceId};
use projections::table::Value;
use projections::{Store, clips, videos};
use std::collections::HashMap;
use std::sync::Arc;

/// Reads rows.
pub(crate) struct Rows(pub(crate) Store);

/// A video of a workspace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct VideoKey(pub(crate) WorkspaceId, pub(crate) VideoId);

/// A clip of a workspace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClipKey(pub(crate) WorkspaceId, pub(crate) ClipId);

impl Loader<VideoKey> for Rows {
    type Value = videos::Row;
    type Error = Arc<anyhow::Error>;
    async fn load(&self, keys: &[VideoKey]) -> Result<HashMap<VideoKey, videos::Row>, Arc<anyhow::Error>> {
        let mut found = HashMap::new();
        for (workspace, keys) in by_workspace(keys, |key| key.0) {
            let rows = self.0.get_many(workspace, keys.iter().map(|key| vec![Value::shown(&key.1)]).collect()).await?;
            found.extend(keys.into_iter().zip(rows).filter_map(|(key, row)| Some((key, row?))));
        }
        Ok(found)
    }
}

impl Loader<ClipKey> for Rows {
    type Value = clips::Row;
    type Error = Arc<anyhow::Error>;
    async fn load(&self, keys: &[ClipKey]) -> Result<HashMap<ClipKey, clips::Row>, Arc<anyhow::Error>> {
        let mut found = HashMap::new();
        for (workspace, keys) in by_workspace(keys, |key| key.0) {
            let rows = self.0.get_many(workspace, keys.iter().map(|key| vec![Value::shown(&key.1)]).collect()).await?;
            found.extend(keys.into_iter().zip(rows).filter_map(|(key, row)| Some((key, row?))));
        }
        Ok(found)
    }
}

fn by_workspace<K: Copy>(keys: &[K], workspace: impl Fn(&K) -> WorkspaceId) -> HashMap<WorkspaceId, Vec<K>> {
    let mut groups: HashMap<WorkspaceId, Vec<K>> = HashMap::new();
    for key in keys {
        groups.entry(workspace(key)).or_default().push(*key);
    }
    groups
}
