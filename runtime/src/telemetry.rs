//! Logs, traces and metrics of a process: logs to stderr, traces to an OTLP collector when one is configured, metrics as Prometheus text.

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// Bounds of every histogram of seconds: from a synced append to the longest job.
const SECONDS_BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0];

/// Bounds of histograms of counts.
const COUNT_BUCKETS: [f64; 8] = [1.0, 2.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0];

/// How often recorded values are folded into their histograms, which bounds the memory of those that nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object per line.
    Json,
}

/// What a process reports, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Such as `info,runtime=debug`.
    pub filter: String,
    /// How log lines look.
    pub format: Format,
    /// A collector's gRPC address, such as `http://localhost:4317`; without one no trace leaves the process.
    pub otlp_endpoint: Option<String>,
}

/// Keeps telemetry running; traces are sent out when it is dropped.
pub struct Telemetry {
    prometheus: PrometheusHandle,
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Returns a function that renders all metrics in Prometheus text form, for a route.
    pub fn metrics_renderer(&self) -> impl Fn() -> String + Clone + Send + Sync + 'static {
        let prometheus = self.prometheus.clone();
        move || {
            prometheus.run_upkeep();
            prometheus.render()
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.take().map(|traces| traces.shutdown()) {
            tracing::warn!(error = %error, "the last traces were not sent");
        }
    }
}

/// Behind the lake's library: a table that nobody has made yet is an error to it, and none to us, who make it then.
const NO_TABLE_YET: &str = "buoyant_kernel::snapshot=off";

/// Starts logs, metrics and, when configured, traces. Call it once, inside the runtime.
///
/// # Errors
/// When the filter or the endpoint is not understood, or telemetry was started before.
pub fn init(options: &Options) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&options.filter).with_context(|| format!("reading the log filter {:?}", options.filter))?;
    let filter = filter.add_directive(NO_TABLE_YET.parse().context("reading a directive of our own")?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match options.format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let traces = options.otlp_endpoint.as_deref().map(tracer).transpose()?;
    // Traces are whole, however little is written to stderr.
    let spans =
        traces.as_ref().map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer("clipflow")).with_filter(LevelFilter::INFO));
    tracing_subscriber::registry().with(spans).with(lines.with_filter(filter)).try_init().context("starting logs")?;
    Ok(Telemetry { prometheus: recorder()?, traces })
}

fn tracer(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.with_context(|| format!("connecting traces to {endpoint}"))?;
    let resource = Resource::builder().with_service_name("clipflow").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

fn recorder() -> anyhow::Result<PrometheusHandle> {
    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_commits".to_owned()), &COUNT_BUCKETS)?
        .install_recorder()
        .context("starting metrics")?;
    describe();
    let upkeep = prometheus.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    Ok(prometheus)
}

/// Says what this crate's metrics mean; other crates describe their own.
fn describe() {
    metrics::describe_histogram!("clipflow_log_append_seconds", "From handing a commit to the log until its verdict is durable");
    metrics::describe_histogram!("clipflow_log_batch_commits", "Commits that share one sync");
    metrics::describe_gauge!("clipflow_consumer_lag_events", "Events between a consumer's checkpoint and the log's head");
    metrics::describe_gauge!("clipflow_consumer_parked_events", "Events that a consumer gave up on");
    metrics::describe_counter!("clipflow_consumer_events_total", "Events that a consumer applied");
    metrics::describe_counter!("clipflow_consumer_failures_total", "Failed attempts of a consumer");
    metrics::describe_gauge!("clipflow_jobs_running", "Jobs that a processor runs now");
    metrics::describe_histogram!("clipflow_job_seconds", "How long one try of a job takes");
    metrics::describe_counter!("clipflow_jobs_total", "Tries of jobs by outcome");
}

/// Returns the W3C trace context of the current span, when tracing is on.
#[must_use]
pub fn traceparent() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// Makes `span` a part of the trace that `traceparent` names.
pub fn continue_trace(span: &tracing::Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    // An error means that tracing is off.
    drop(span.set_parent(TraceContextPropagator::new().extract(&carrier)));
}
