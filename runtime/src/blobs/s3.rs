//! A bucket: how it is reached, and links that let a browser at one object of it.

use super::settings::{Encryption, S3Settings};
use super::{BlobError, error};
use anyhow::Context as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector};
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::signer::Signer as _;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use reqwest::Method;
use reqwest::header::{HeaderValue, IF_NONE_MATCH};
use std::pin::Pin;
use std::time::Duration;
use url::Url;

/// Longest time for one request with its body: a part of 8 MiB at 70 kB/s.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(120);

/// How long a connection may take to be made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Tries after the first: with the waits between them, 6 s for a server that starts anew.
const RETRIES_MAX: usize = 6;

/// After this no further try is made.
const RETRY_TIME_MAX: Duration = Duration::from_secs(60);

const RETRY_WAIT: BackoffConfig =
    BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 };

/// What tells a program of AWS who it is, on machines that have an identity of their own.
const IDENTITY: [&str; 7] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// A bucket.
pub(super) struct Bucket {
    s3: AmazonS3,
    /// The same bucket, at the address that browsers use.
    public: AmazonS3,
    prefix: Key,
    /// Scheme, host and port of links.
    pub(super) public_origin: String,
}

impl Bucket {
    pub(super) fn open(settings: &S3Settings, variable: impl Fn(&str) -> Option<String>) -> Result<Self, BlobError> {
        settings.check()?;
        let prefix = Key::parse(&settings.prefix).map_err(|error| BlobError::bad_setting("prefix", error.to_string()))?;
        let mut builder = builder(settings);
        match settings.secrets(&variable)? {
            Some(secrets) => {
                builder = builder.with_access_key_id(secrets.access_key).with_secret_access_key(secrets.secret_key);
                if let Some(token) = secrets.session_token {
                    builder = builder.with_token(token);
                }
            }
            None => {
                for name in IDENTITY {
                    if let Some(value) = variable(name) {
                        builder = builder.with_config(option(&name.to_ascii_lowercase()), value);
                    }
                }
            }
        }
        let public_endpoint = settings.public_endpoint.as_ref().or(settings.endpoint.as_ref());
        let public_origin = match public_endpoint {
            Some(url) => url.origin().ascii_serialization(),
            None if is_host_name(&settings.bucket) => format!("https://{}.s3.{}.amazonaws.com", settings.bucket, settings.region),
            None => format!("https://s3.{}.amazonaws.com", settings.region),
        };
        let s3 = at(builder.clone(), settings.endpoint.as_ref(), &settings.bucket)?;
        // The same credentials, so that a role's are asked for once.
        let public = at(builder.with_credentials(s3.credentials().clone()), public_endpoint, &settings.bucket)?;
        Ok(Self { s3, public, prefix, public_origin })
    }

    /// Returns the store of everything under the prefix.
    pub(super) fn store(&self) -> PrefixStore<AmazonS3> {
        PrefixStore::new(self.s3.clone(), self.prefix.clone())
    }

    /// Returns an address at which whoever has it may read or write one object for a while.
    pub(super) async fn sign(&self, method: Method, key: &Key, lasts: Duration) -> Result<Url, BlobError> {
        let key: Key = self.prefix.parts().chain(key.parts()).collect();
        self.public.signed_url(method, &key, lasts).await.map_err(|error| error::failed("signing a link", error))
    }
}

fn builder(settings: &S3Settings) -> AmazonS3Builder {
    let client = ClientOptions::new()
        .with_timeout(REQUEST_TIME_MAX)
        .with_connect_timeout(CONNECT_TIME_MAX)
        .with_default_content_type("application/octet-stream")
        .with_allow_http(settings.endpoint.as_ref().is_some_and(|url| url.scheme() == "http"));
    let retry = RetryConfig { backoff: RETRY_WAIT, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIME_MAX };
    let builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_client_options(client)
        .with_retry(retry)
        .with_http_connector(Connector)
        // S3 checks each body on arrival, keeps the sum, and checks it again when it assembles the parts.
        .with_checksum_algorithm(Checksum::SHA256)
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    match &settings.encryption {
        None => builder,
        Some(Encryption::Aes256) => builder.with_config(option("aws_server_side_encryption"), "AES256"),
        Some(Encryption::Kms(key)) => builder.with_sse_kms_encryption(key),
    }
}

fn option(name: &str) -> AmazonS3ConfigKey {
    name.parse().expect("object_store knows its options")
}

fn at(builder: AmazonS3Builder, endpoint: Option<&Url>, bucket: &str) -> Result<AmazonS3, BlobError> {
    let builder = match endpoint {
        Some(url) => builder.with_endpoint(url.as_str().trim_end_matches('/')),
        None => builder.with_virtual_hosted_style_request(is_host_name(bucket)),
    };
    Ok(builder.build().context("setting up S3")?)
}

/// Tells whether the bucket's name can stand before AWS's in a certificate.
fn is_host_name(bucket: &str) -> bool {
    !bucket.contains('.')
}

/// Makes the usual connections, and asks for one thing more: `object_store` ends an upload in parts without a condition.
#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Once(ReqwestConnector::default().connect(options)?)))
    }
}

/// Ends an upload in parts only where nothing has the name yet: a blob is written once.
#[derive(Debug)]
struct Once(HttpClient);

impl HttpService for Once {
    fn call<'a, 'b>(&'a self, mut request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let is_end = request.method() == Method::POST && request.uri().query().is_some_and(|query| query.starts_with("uploadId="));
        if is_end {
            request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        Box::pin(async move { self.0.execute(request).await })
    }
}
