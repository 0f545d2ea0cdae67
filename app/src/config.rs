//! The configuration file: where the engines are. Without one, everything is in the data directory.

use crate::problem::Problem;
use runtime::blobs::BlobSettings;
use runtime::log::kafka;
use serde::Deserialize;
use std::path::Path;

/// What `--config` names, in TOML.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The log on Kafka.
    pub(crate) log: Option<kafka::Settings>,
    /// Where media is kept, for processes that share it.
    pub(crate) blobs: Option<BlobSettings>,
    /// The Delta tables of everything that happened.
    pub(crate) lake: Option<lake::Settings>,
}

impl Config {
    /// Reads the file, if one is named. A text that is `$NAME` stands for that environment variable, so that secrets need not be in a file.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Problem> {
        let Some(path) = path else { return Ok(Self::default()) };
        let problem = |reason: String| Problem::new("BAD_CONFIG", format!("{} cannot be used: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
        let mut table: toml::Table = toml::from_str(&text).map_err(|error| problem(error.to_string()))?;
        for (_, value) in &mut table {
            fill_in(value).map_err(&problem)?;
        }
        table.try_into().map_err(|error: toml::de::Error| problem(error.to_string()))
    }
}

/// Puts the environment's values where `$NAME` stands.
#[expect(clippy::disallowed_methods, reason = "the configuration names the variables, so the command line cannot")]
fn fill_in(value: &mut toml::Value) -> Result<(), String> {
    match value {
        toml::Value::String(text) => {
            if let Some(name) = text.strip_prefix('$') {
                *text =
                    std::env::var(name).map_err(|_| format!("it takes a value from the environment variable {name}, which is not set"))?;
            }
            Ok(())
        }
        toml::Value::Array(values) => values.iter_mut().try_for_each(fill_in),
        toml::Value::Table(table) => table.iter_mut().try_for_each(|(_, value)| fill_in(value)),
        _ => Ok(()),
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
    #[expect(clippy::disallowed_methods, reason = "any variable that is always set")]
    fn values_come_from_the_environment_when_they_are_written_so() {
        let config = load("[log]\nbrokers = \"$PATH\"").expect("it can be used");
        assert_eq!(config.log.map(|log| log.brokers), std::env::var("PATH").ok());
        let refused = load("[log]\nbrokers = \"$CLIPFLOW_SURELY_NOT_SET\"").expect_err("there is no such variable");
        assert!(refused.reason.contains("CLIPFLOW_SURELY_NOT_SET"), "{refused}");
    }

    #[test]
    fn a_lake_is_in_a_folder_or_in_a_bucket() {
        let folder = load("[lake]\nfolder = \"lake\"\n[lake.flush]\nseconds = 5").expect("it is whole").lake.expect("it is there");
        assert_eq!((folder.folder.as_deref(), folder.flush.seconds), (Some(Path::new("lake")), 5));
        assert_eq!(folder.flush.rows, lake::follow::Limits::default().rows);
        let bucket = load("[lake.s3]\nbucket = \"clips\"\nregion = \"eu-central-1\"").expect("it is whole").lake.expect("it is there");
        assert_eq!(bucket.s3.map(|bucket| bucket.bucket).as_deref(), Some("clips"));
        assert!(load("[lake]\nbucket = \"clips\"").expect_err("no such setting").reason.contains("bucket"));
    }
}
