//! The command line. Doc comments here are what `--help` says.

use crate::lakes::{Lake, LakePlace};
use crate::rows::Cluster;
use clap::{Args, Parser, Subcommand};
use domain::artefact::{CaptionStyle, Ratio};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Turns long videos into short, captioned vertical clips, and says why.
///
/// Everything that happens is kept as an event in one data directory, so that every clip can be explained, replayed and rendered again.
#[derive(Debug, Parser)]
#[command(
    name = "clipflow",
    version,
    max_term_width = 110,
    arg_required_else_help = true,
    after_help = "\
Examples:
  clipflow clip talk.mp4                         clips of a talk, in ./clips
  clipflow clip talk.mp4 --count 5 --ratio 9:16,1:1 --style block
  clipflow serve                                 the same with a web page and GraphQL, on 127.0.0.1:8080
  clipflow events --follow                       what happens, as it happens
  clipflow doctor                                is everything installed?"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) shared: Shared,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
pub(crate) struct Shared {
    /// Where events, media and read models are kept.
    #[arg(long, global = true, value_name = "DIR", env = "CLIPFLOW_DATA", default_value = "data")]
    pub(crate) data: PathBuf,

    /// Where the engines are, when not everything is in the data directory; see docs/distributed.md.
    #[arg(long, global = true, value_name = "FILE", env = "CLIPFLOW_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Where models are kept [default: $XDG_DATA_HOME/clipflow/models].
    #[arg(long, global = true, value_name = "DIR", env = "CLIPFLOW_MODELS")]
    pub(crate) models: Option<PathBuf>,

    /// What is written to stderr, as for the env_logger crate: error, warn, info, debug, or per module.
    #[arg(long, global = true, value_name = "FILTER", env = "CLIPFLOW_LOG", default_value = "warn")]
    pub(crate) log: String,

    /// Log lines as JSON.
    #[arg(long, global = true, env = "CLIPFLOW_LOG_JSON")]
    pub(crate) log_json: bool,

    /// Sends traces to this OpenTelemetry collector (gRPC), such as http://127.0.0.1:4317.
    #[arg(long, global = true, value_name = "URL", env = "CLIPFLOW_OTLP")]
    pub(crate) otlp: Option<String>,
}

#[cfg(test)]
impl Shared {
    /// Returns the defaults with this data directory.
    pub(crate) fn for_data(data: &std::path::Path) -> Self {
        Self { data: data.to_owned(), config: None, models: None, log: "warn".to_owned(), log_json: false, otlp: None }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes clips of a video and prints why each was chosen.
    Clip(Clip),
    /// Runs everything in one process: web page, GraphQL, uploads, processors, read models.
    Serve(Serve),
    /// Prints what happened, as CloudEvents, one JSON object per line.
    Events(Events),
    /// Lists work that was put aside by any process, and has it done once more.
    #[command(subcommand)]
    Jobs(Jobs),
    /// Lists, downloads and imports the models that hear speech.
    #[command(subcommand)]
    Models(Models),
    /// Makes the log on Kafka, or checks it from end to end.
    #[command(subcommand)]
    Log(Log),
    /// Shows how far the read models are, or builds one again from the log.
    Projections(Projections),
    /// Asks SQL of everything that happened, and keeps the Delta tables behind it in shape.
    Lake(Lake),
    /// Makes the tables of the read models on a Cassandra cluster.
    Migrate(Migrate),
    /// Checks that everything needed is installed, and says how to get what is not.
    Doctor,
    /// Prints the GraphQL schema, or writes every generated contract.
    Schema(Schema),
    /// Measures this machine; used by `just bench`.
    #[command(subcommand, hide = true)]
    Bench(Bench),
    /// Decodes or encodes one file with limits; started by the other commands.
    #[command(hide = true)]
    MediaChild,
    /// Answers one question of SQL with limits; started by the other commands.
    #[command(hide = true)]
    LakeChild,
}

/// How a video is turned into clips.
#[derive(Clone, Debug, Args)]
pub(crate) struct Clip {
    /// A video file, or an http(s) address.
    pub(crate) video: String,

    /// Where the clips go.
    #[arg(long, value_name = "DIR", default_value = "clips")]
    pub(crate) out: PathBuf,

    /// How many clips; without it the length of the video decides (4 to 12).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(domain::video::CLIP_COUNT_MAX)))]
    pub(crate) count: Option<u32>,

    /// Aspect ratios, each clip in each: 9:16, 4:5, 1:1, 16:9.
    #[arg(long, value_name = "RATIOS", value_delimiter = ',', default_value = "9:16")]
    pub(crate) ratio: Vec<Ratio>,

    /// How captions look: karaoke (the spoken word lights up), block, or clean (none burnt in).
    #[arg(long, default_value = "karaoke")]
    pub(crate) style: CaptionStyle,

    /// Shortest and longest clip, in seconds.
    #[arg(long, value_name = "MIN-MAX", default_value = "15-60", value_parser = parse_lengths)]
    pub(crate) lengths: (f64, f64),

    /// The model that hears the words; see `clipflow models list`.
    #[arg(long, value_name = "NAME", default_value = "tiny.en")]
    pub(crate) model: String,

    /// The language that is spoken, as an ISO 639-1 code; without it a multilingual model detects it.
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,

    /// Use these words instead of listening: SRT, WebVTT or Whisper JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) transcript: Option<PathBuf>,

    /// Print the clips with all their reasons and their decision lists as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) work: Work,
}

/// How much of the machine is used.
#[derive(Clone, Debug, Args)]
pub(crate) struct Work {
    /// Where speech is heard: auto, cpu, or cuda:N with a CUDA LibTorch.
    #[arg(long, value_name = "DEVICE", env = "CLIPFLOW_DEVICE", default_value = "auto")]
    pub(crate) device: String,

    /// Clips that are rendered at the same time [default: one per core, at most 8].
    #[arg(long, value_name = "N", env = "CLIPFLOW_RENDERS", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) renders: Option<u32>,

    /// The GStreamer element that encodes H.264, such as x264enc or nvh264enc.
    #[arg(long, value_name = "ELEMENT", env = "CLIPFLOW_ENCODER", default_value = "x264enc")]
    pub(crate) encoder: String,

    /// x264 preset: slower is smaller.
    #[arg(long, value_name = "PRESET", env = "CLIPFLOW_PRESET", default_value = "veryfast")]
    pub(crate) preset: String,

    /// x264 quality, 0 to 51: lower is better and larger.
    #[arg(long, value_name = "CRF", env = "CLIPFLOW_CRF", default_value_t = 21, value_parser = clap::value_parser!(u32).range(0..=51))]
    pub(crate) crf: u32,

    /// Allow downloads from private addresses, such as a server in your own network.
    #[arg(long, env = "CLIPFLOW_ALLOW_PRIVATE_ADDRESSES")]
    pub(crate) allow_private_addresses: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen. Anything but loopback should sit behind TLS.
    #[arg(long, value_name = "ADDRESS", env = "CLIPFLOW_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Shows Prometheus metrics here too, without a key: a process without a gateway has no other place for them.
    #[arg(long, value_name = "ADDRESS", env = "CLIPFLOW_METRICS")]
    pub(crate) metrics: Option<SocketAddr>,

    /// What this process does; several processes with a data directory each may share the work of one log on Kafka.
    #[arg(long, value_name = "ROLES", value_delimiter = ',', default_value = "gateway,sequencer,workers")]
    pub(crate) roles: Vec<Role>,

    #[command(flatten)]
    pub(crate) work: Work,

    #[command(flatten)]
    pub(crate) cluster: Cluster,

    #[command(flatten)]
    pub(crate) place: LakePlace,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Migrate {
    /// Replicas of each row in each data centre, for a keyspace that does not exist yet.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) replicas: Option<u32>,

    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// A part of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Web page, GraphQL, uploads and media, with read models of its own.
    Gateway,
    /// Judges commits on Kafka; nothing in an embedded log.
    Sequencer,
    /// Check, hear, look, score and render.
    Workers,
    /// Writes the events on Kafka once more with JSON as data, to the topic PREFIX.events.json.
    Json,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Log {
    /// Makes the topics of the log that the configuration names. Refuses where there is a log.
    Init {
        /// Partitions, fixed for the life of the log; a workspace is always in one.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(runtime::log::kafka::PARTITIONS_MAX)))]
        partitions: u32,
        /// Copies of each partition, on as many brokers.
        #[arg(long, default_value_t = 3)]
        replication: u32,
        /// Copies that must have a record before it counts.
        #[arg(long, default_value_t = 2)]
        min_insync: u32,
    },
    /// Reads every event and reports gaps, duplicates and what cannot be read.
    Check,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Schema {
    /// Write `graphql/schema.graphql`, `events/v1/*.json` and `cql/*.cql` below this folder instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Events {
    /// Keep printing what comes.
    #[arg(long)]
    pub(crate) follow: bool,

    /// Only of this video, its transcript and its clips.
    #[arg(long, value_name = "ID")]
    pub(crate) video: Option<domain::id::VideoId>,

    /// From this position of the log on.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub(crate) from: u64,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Jobs {
    /// Lists the jobs that are parked, oldest first.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one of them with its whole error, as JSON.
    Show {
        /// Its id.
        job: domain::id::JobId,
    },
    /// Has jobs done once more, by whichever worker is free; what they did before is not done twice.
    Replay {
        /// Their ids.
        #[arg(required_unless_present = "all")]
        jobs: Vec<domain::id::JobId>,
        /// All that are parked.
        #[arg(long, conflicts_with = "jobs")]
        all: bool,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Models {
    /// Lists installed models, and those that can be pulled by name.
    List,
    /// Downloads a model from the hub, resuming where it stopped, and checks its digests.
    Pull {
        /// Such as tiny.en, base.en, base or small.
        name: String,
        /// The hub, or a mirror of it.
        #[arg(long, value_name = "URL", env = "CLIPFLOW_HUB", default_value = "https://huggingface.co")]
        hub: String,
        /// Branch, tag or commit.
        #[arg(long, value_name = "REVISION", default_value = "main")]
        revision: String,
        /// Allow a hub at a private address.
        #[arg(long)]
        allow_private_addresses: bool,
    },
    /// Takes a model from a folder: Hugging Face (safetensors) or CTranslate2 (model.bin).
    Import {
        /// What to call it.
        name: String,
        /// The folder.
        folder: PathBuf,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Projections {
    #[command(subcommand)]
    pub(crate) command: ProjectionsCommand,

    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ProjectionsCommand {
    /// Shows every read model with its version, checkpoint and lag.
    Status,
    /// Builds a read model again beside the old one, compares the two and switches over.
    Rebuild {
        /// Its name.
        name: String,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Bench {
    /// Hears a 16 kHz WAV or a video, and prints how long it took.
    Transcribe {
        /// The file.
        file: PathBuf,
        /// The model.
        #[arg(long, default_value = "tiny.en")]
        model: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Finds shots, faces, loudness and prosody, and prints how long it took.
    Analyze {
        /// The file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Fills a log and writes it to a lake, and prints rows per second.
    Lake {
        /// How many events.
        #[arg(long, default_value_t = 100_000)]
        events: u64,
    },
    /// Fills a log and folds it into empty read models, and prints rows per second.
    Rows {
        /// How many events.
        #[arg(long, default_value_t = 20_000)]
        events: u64,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Renders 30 seconds, and prints how long it took.
    Render {
        /// The file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

fn parse_lengths(text: &str) -> Result<(f64, f64), String> {
    let parts = text.split_once('-').and_then(|(min, max)| Some((min.trim().parse().ok()?, max.trim().parse().ok()?)));
    match parts {
        Some((min, max)) if min >= 3.0 && max <= 180.0 && min < max => Ok((min, max)),
        _ => Err("write the shortest and the longest clip in seconds, between 3 and 180, such as 15-60".into()),
    }
}
