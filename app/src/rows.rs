//! Where the read models of this process are: in the data directory, or on a cluster.

use crate::problem::Problem;
use anyhow::Context as _;
use clap::Args;
use projections::cql::{self, Keyspace};
use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// The password of the cluster, for those who keep secrets in the environment.
const PASSWORD: &str = "CLIPFLOW_CQL_PASSWORD";

/// Read models on Apache Cassandra or ScyllaDB instead of in the data directory.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Read models on a cluster")]
pub(crate) struct Cluster {
    /// Some nodes of a Cassandra cluster that keeps the read models, instead of the data directory.
    #[arg(long, global = true, value_name = "HOST:PORT,…", env = "CLIPFLOW_CQL_NODES", value_delimiter = ',')]
    pub(crate) cql_nodes: Vec<String>,

    /// The keyspace there.
    #[arg(long, global = true, value_name = "NAME", env = "CLIPFLOW_CQL_KEYSPACE")]
    pub(crate) cql_keyspace: Option<Keyspace>,

    /// Who we are there. The password is in CLIPFLOW_CQL_PASSWORD or in the file below.
    #[arg(long, global = true, value_name = "NAME", env = "CLIPFLOW_CQL_USERNAME")]
    pub(crate) cql_username: Option<String>,

    /// A file with the password and nothing else.
    #[arg(long, global = true, value_name = "FILE", env = "CLIPFLOW_CQL_PASSWORD_FILE")]
    pub(crate) cql_password_file: Option<PathBuf>,

    /// A PEM file with the authority of the nodes' certificates; without it connections are not encrypted.
    #[arg(long, global = true, value_name = "FILE", env = "CLIPFLOW_CQL_CA")]
    pub(crate) cql_ca: Option<PathBuf>,
}

impl Cluster {
    /// Opens the read models, on the cluster when one is named, otherwise in `folder`.
    pub(crate) async fn open(&self, folder: &Path) -> anyhow::Result<projections::Store> {
        if self.cql_nodes.is_empty() {
            return projections::Store::open(&folder.join("rows.sqlite"), &projections::ALL).context("opening the read models");
        }
        let store = cql::Store::open(&self.options()?).await.map_err(|error| unusable(&error))?;
        Ok(projections::Store::Cql(store))
    }

    /// Returns what a connection needs.
    pub(crate) fn options(&self) -> anyhow::Result<cql::Options> {
        let incomplete =
            |missing: &str| Problem::new("CLUSTER_INCOMPLETE", format!("the cluster of the read models is not named whole: {missing}"));
        if self.cql_nodes.is_empty() {
            return Err(incomplete("add --cql-nodes").into());
        }
        let keyspace = self.cql_keyspace.clone().ok_or_else(|| incomplete("add --cql-keyspace"))?;
        let credentials = match &self.cql_username {
            None => None,
            Some(name) => {
                let password = self.password()?.ok_or_else(|| incomplete(&format!("set {PASSWORD}, or add --cql-password-file")))?;
                Some((name.clone(), password))
            }
        };
        Ok(cql::Options { nodes: self.cql_nodes.clone(), keyspace, credentials, authority: self.cql_ca.clone() })
    }

    fn password(&self) -> anyhow::Result<Option<SecretString>> {
        if let Some(file) = &self.cql_password_file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Problem::new("CLUSTER_INCOMPLETE", format!("cannot read the password of the cluster from {} ({error})", file.display()))
            })?;
            return Ok(Some(text.trim_end_matches(['\n', '\r']).into()));
        }
        #[allow(clippy::disallowed_methods, reason = "clap would accept it on the command line, where others can read it")]
        let password = std::env::var(PASSWORD).ok();
        Ok(password.map(SecretString::from))
    }
}

/// Says what is wrong with the cluster; the driver's own words name the node and the cause.
pub(crate) fn unusable(error: &anyhow::Error) -> Problem {
    Problem::new(
        "CLUSTER_UNUSABLE",
        format!(
            "the cluster of the read models cannot be used: {error:#}: look at --cql-nodes, --cql-keyspace, --cql-username with its password, and --cql-ca"
        ),
    )
}
