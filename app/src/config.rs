//! The configuration file: where the engines are. Without one, everything is in the data directory.

use crate::problem::Problem;
use runtime::log::kafka;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What `--config` names, in TOML.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The log on Kafka.
    pub(crate) log: Option<kafka::Settings>,
    /// Where media is kept, for processes that share it.
    pub(crate) blobs: Option<BlobFolder>,
}

/// A folder that all processes see.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlobFolder {
    /// Its path.
    pub(crate) folder: PathBuf,
}

impl Config {
    /// Reads the file, if one is named.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Problem> {
        let Some(path) = path else { return Ok(Self::default()) };
        let problem = |reason: String| Problem::new("BAD_CONFIG", format!("{} cannot be used: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| problem(error.to_string()))?;
        if let Some(log) = &mut config.log {
            log.brokers = from_environment(&log.brokers).map_err(&problem)?;
            for value in log.client.values_mut() {
                *value = from_environment(value).map_err(&problem)?;
            }
        }
        Ok(config)
    }
}

/// Returns the value, or that of the variable when it is written `$NAME`, so that secrets need not be in a file.
fn from_environment(value: &str) -> Result<String, String> {
    match value.strip_prefix('$') {
        None => Ok(value.to_owned()),
        Some(name) => std::env::var(name).map_err(|_| format!("it takes a value from the environment variable {name}, which is not set")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, Problem> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("clipflow.toml");
        std::fs::write(&path, text).expect("a file can be written");
        Config::load(Some(&path))
    }

    #[test]
    fn a_setting_that_does_not_exist_is_refused_by_name() {
        let refused = load("[log]\nbroker = \"localhost:9092\"").expect_err("there is no such setting");
        assert!(refused.reason.contains("broker"), "{refused}");
    }

    #[test]
    fn values_come_from_the_environment_when_they_are_written_so() {
        let config = load("[log]\nbrokers = \"$PATH\"").expect("it can be used");
        assert_eq!(config.log.map(|log| log.brokers), std::env::var("PATH").ok());
        let refused = load("[log]\nbrokers = \"$CLIPFLOW_SURELY_NOT_SET\"").expect_err("there is no such variable");
        assert!(refused.reason.contains("CLIPFLOW_SURELY_NOT_SET"), "{refused}");
    }
}
