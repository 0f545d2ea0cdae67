//! Where blobs are kept, as an operator writes it down. Secrets are never settings: they come from a file or the environment.

use super::BlobError;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// Where blobs are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobSettings {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a bucket.
    S3(Box<S3Settings>),
}

/// A bucket, and how to use it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// Where S3 answers, such as `https://minio.example.org:9000`; AWS of the region when left out. `http` only on this machine.
    pub endpoint: Option<Url>,
    /// Where browsers reach the same server, when that is another address: direct links are signed for it.
    pub public_endpoint: Option<Url>,
    /// Which bucket. It must exist.
    pub bucket: String,
    /// What every key starts with, such as `clipflow/media`; nothing when left out.
    #[serde(default)]
    pub prefix: String,
    /// The bucket's region; what a server that has none expects (often `us-east-1`).
    pub region: String,
    /// A file of lines `aws_access_key_id = …`, `aws_secret_access_key = …` and perhaps `aws_session_token = …`. Without it the environment
    /// counts (`CLIPFLOW_S3_ACCESS_KEY`, `CLIPFLOW_S3_SECRET_KEY`, `CLIPFLOW_S3_SESSION_TOKEN`), and then the identity that the cloud gives the machine.
    pub credentials_file: Option<PathBuf>,
    /// How S3 encrypts what it stores; as the bucket says when left out.
    pub encryption: Option<Encryption>,
    /// Bytes of one part of an upload.
    #[serde(default = "part_bytes")]
    pub part_bytes: usize,
    /// Parts that are on their way at the same time, in each direction and for each blob.
    #[serde(default = "parts_at_once")]
    pub parts_at_once: usize,
    /// Where tools find blobs as files. Processes may share it.
    pub cache_folder: PathBuf,
    /// Most bytes in that folder, without files that are being made.
    #[serde(default = "cache_bytes_max")]
    pub cache_bytes_max: u64,
}

/// How S3 encrypts what it stores.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// With keys of S3 (SSE-S3).
    Aes256,
    /// With a key of the key management service, by its id or ARN (SSE-KMS).
    Kms(String),
}

/// 10,000 parts are allowed, so this is good for 80 GB: four times the largest upload.
fn part_bytes() -> usize {
    8 << 20
}

/// Enough to fill a gigabit at 30 ms; memory is this times [`part_bytes`] for each blob on its way.
fn parts_at_once() -> usize {
    4
}

/// Two of the largest uploads (20 GiB each), with their sound.
fn cache_bytes_max() -> u64 {
    50 << 30
}

/// S3 takes no part under 5 MiB but the last; with larger ones than 64 MiB four uploads would need a gigabyte of memory.
const PART_BYTES: std::ops::RangeInclusive<usize> = 5 << 20..=64 << 20;

/// More only share the same line.
const PARTS_AT_ONCE: std::ops::RangeInclusive<usize> = 1..=16;

/// A key and its secret.
pub(super) struct Secrets {
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) session_token: Option<String>,
}

impl S3Settings {
    /// Returns settings with the usual numbers.
    #[must_use]
    pub fn new(bucket: impl Into<String>, region: impl Into<String>, cache_folder: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: None,
            public_endpoint: None,
            bucket: bucket.into(),
            prefix: String::new(),
            region: region.into(),
            credentials_file: None,
            encryption: None,
            part_bytes: part_bytes(),
            parts_at_once: parts_at_once(),
            cache_folder: cache_folder.into(),
            cache_bytes_max: cache_bytes_max(),
        }
    }

    pub(super) fn check(&self) -> Result<(), BlobError> {
        for (setting, endpoint) in [("endpoint", &self.endpoint), ("public_endpoint", &self.public_endpoint)] {
            if let Some(url) = endpoint {
                check_endpoint(setting, url)?;
            }
        }
        if self.bucket.len() < 3 || self.bucket.contains('/') {
            return Err(BlobError::bad_setting("bucket", format!("{:?} is not the name of a bucket", self.bucket)));
        }
        if self.region.is_empty() {
            return Err(BlobError::bad_setting("region", "it is empty"));
        }
        if !PART_BYTES.contains(&self.part_bytes) {
            return Err(BlobError::bad_setting("part_bytes", "a part has 5 MiB to 64 MiB"));
        }
        if !PARTS_AT_ONCE.contains(&self.parts_at_once) {
            return Err(BlobError::bad_setting("parts_at_once", "1 to 16 parts go at the same time"));
        }
        Ok(())
    }

    /// Returns the key and its secret, or `None` where the machine's own identity counts.
    pub(super) fn secrets(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Secrets>, BlobError> {
        if let Some(path) = &self.credentials_file {
            return read_secrets(path).map(Some);
        }
        let given = |name| variable(name).filter(|value| !value.is_empty());
        match (given("CLIPFLOW_S3_ACCESS_KEY"), given("CLIPFLOW_S3_SECRET_KEY")) {
            (Some(access_key), Some(secret_key)) => {
                Ok(Some(Secrets { access_key, secret_key, session_token: given("CLIPFLOW_S3_SESSION_TOKEN") }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(BlobError::bad_setting("CLIPFLOW_S3_SECRET_KEY", "there is an access key without its secret")),
            (None, Some(_)) => Err(BlobError::bad_setting("CLIPFLOW_S3_ACCESS_KEY", "there is a secret without its access key")),
        }
    }
}

/// Media and signatures do not cross a network in the open.
fn check_endpoint(setting: &'static str, url: &Url) -> Result<(), BlobError> {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
        return Err(BlobError::bad_setting(setting, format!("{url} must start with https://; http:// is for this machine alone")));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.path() != "/" {
        return Err(BlobError::bad_setting(setting, "it has a scheme, a host and a port, and nothing else"));
    }
    Ok(())
}

fn read_secrets(path: &Path) -> Result<Secrets, BlobError> {
    let bad = |problem: String| BlobError::bad_setting("credentials_file", problem);
    let text = std::fs::read_to_string(path).map_err(|error| bad(format!("{} cannot be read ({error})", path.display())))?;
    let find = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    let missing = |name| bad(format!("{} has no line {name} = …", path.display()));
    Ok(Secrets {
        access_key: find("aws_access_key_id").ok_or_else(|| missing("aws_access_key_id"))?,
        secret_key: find("aws_secret_access_key").ok_or_else(|| missing("aws_secret_access_key"))?,
        session_token: find("aws_session_token"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> S3Settings {
        S3Settings::new("media", "us-east-1", "cache")
    }

    fn setting(result: Result<impl Sized, BlobError>) -> &'static str {
        match result {
            Ok(_) => "none",
            Err(BlobError::Unusable { setting, .. }) => setting,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        let check = |url: &str| setting(S3Settings { endpoint: Some(url.parse().unwrap()), ..settings() }.check());
        assert_eq!(check("https://s3.example.org"), "none");
        assert_eq!(check("http://127.0.0.1:9000"), "none");
        assert_eq!(check("http://[::1]:9000"), "none");
        assert_eq!(check("http://localhost:9000"), "none");
        assert_eq!(check("http://s3.example.org"), "endpoint");
        assert_eq!(check("http://127.0.0.1.example.org"), "endpoint");
        assert_eq!(check("ftp://localhost"), "endpoint");
        assert_eq!(check("https://key:secret@s3.example.org"), "endpoint");
        assert_eq!(check("https://s3.example.org/bucket"), "endpoint");
    }

    #[test]
    fn numbers_and_names_have_limits() {
        assert_eq!(setting(S3Settings { part_bytes: 1 << 20, ..settings() }.check()), "part_bytes");
        assert_eq!(setting(S3Settings { parts_at_once: 0, ..settings() }.check()), "parts_at_once");
        assert_eq!(setting(S3Settings { bucket: "a/b/c".into(), ..settings() }.check()), "bucket");
        assert_eq!(setting(S3Settings { region: String::new(), ..settings() }.check()), "region");
    }

    #[test]
    fn secrets_come_from_the_file_or_else_the_environment() {
        let environment = |name: &str| match name {
            "CLIPFLOW_S3_ACCESS_KEY" => Some("key".to_owned()),
            "CLIPFLOW_S3_SECRET_KEY" => Some("secret".to_owned()),
            _ => None,
        };
        assert_eq!(settings().secrets(environment).unwrap().unwrap().access_key, "key");
        assert!(settings().secrets(|_| None).unwrap().is_none());
        assert_eq!(
            setting(settings().secrets(|name| environment(name).filter(|_| name.ends_with("ACCESS_KEY")))),
            "CLIPFLOW_S3_SECRET_KEY"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        std::fs::write(&path, "[default]\naws_access_key_id = other\naws_secret_access_key=it=is\n").unwrap();
        let from_file = S3Settings { credentials_file: Some(path.clone()), ..settings() };
        let secrets = from_file.secrets(environment).unwrap().unwrap();
        assert_eq!((secrets.access_key.as_str(), secrets.secret_key.as_str()), ("other", "it=is"));
        std::fs::write(&path, "aws_access_key_id = other\n").unwrap();
        assert_eq!(setting(from_file.secrets(environment)), "credentials_file");
    }

    #[test]
    fn settings_are_read_as_people_write_them() {
        let text = r#"{ "s3": { "endpoint": "http://127.0.0.1:9000", "bucket": "media", "region": "us-east-1", "cache_folder": "cache",
            "encryption": { "kms": "alias/media" } } }"#;
        let BlobSettings::S3(read) = serde_json::from_str(text).unwrap() else { panic!("a bucket") };
        assert_eq!(read.encryption, Some(Encryption::Kms("alias/media".into())));
        assert_eq!(read.part_bytes, part_bytes());
        let folder: BlobSettings = serde_json::from_str(r#"{ "folder": "data/blobs" }"#).unwrap();
        assert_eq!(folder, BlobSettings::Folder("data/blobs".into()));
        assert!(serde_json::from_str::<BlobSettings>(r#"{ "s3": { "bucket": "media", "secret_key": "x" } }"#).is_err());
    }
}
