//! A client process: a real appender and reader of the log, told what to do by lines on its standard input. It can be killed like any other.

use crate::LOCAL_WORKSPACE;
use crate::talk::{Answer, Ask, Outcome, Part, Question, Said};
use anyhow::Context as _;
use domain::Timestamp;
use domain::clip::{self, Clip};
use domain::id::{CommitId, EventId, WorkspaceId};
use domain::video::{self, Source, Video, Wish};
use proto::{Metadata, NewEvent, StreamName, Wire};
use runtime::log::kafka::{KafkaLog, Settings};
use runtime::log::{AppendError, Commit, Log, StreamAppend};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

/// How long a read waits for what it must have seen.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks.
const READ_POLL: Duration = Duration::from_millis(5);

/// Most events of a stream that are read at once; more than a run writes between a client's look at a stream and its read.
const READ_EVENTS_MAX: usize = 4_096;

/// Answers on their way to the harness.
const ANSWERS_MAX: usize = 256;

/// An address that workers refuse for good, so that a video is settled with one event and no file is needed.
const REFUSED_URL: &str = "http://127.0.0.1:9/talk.mp4";

/// Does what standard input asks until it ends.
pub(crate) async fn run(settings: Settings, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).context("making the folder of the copy")?;
    let log = KafkaLog::open(settings, folder).await?;
    let (answers, mut ready) = mpsc::channel::<Answer>(ANSWERS_MAX);
    let writer = tokio::spawn(async move {
        let mut out = tokio::io::stdout();
        while let Some(answer) = ready.recv().await {
            let mut line = serde_json::to_vec(&answer)?;
            line.push(b'\n');
            out.write_all(&line).await?;
            out.flush().await?;
        }
        anyhow::Ok(())
    });
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let Question { id, ask } = serde_json::from_str(&line).with_context(|| format!("reading {line}"))?;
        let (log, answers) = (log.clone(), answers.clone());
        tokio::spawn(async move {
            let said = answer(&log, ask).await;
            let head = log.head(log.partition(LOCAL_WORKSPACE)).await.unwrap_or(0);
            // Nobody to tell: the harness has ended.
            drop(answers.send(Answer { id, said, head }).await);
        });
    }
    drop(answers);
    writer.await?
}

async fn answer(log: &KafkaLog, ask: Ask) -> Said {
    match ask {
        Ask::Append { workspace, commit: id, at_us, parts } => match commit(workspace, id, at_us, parts) {
            Ok(commit) => Said::Append { commit: id, outcome: append(log, commit).await },
            Err(error) => Said::Failed { why: format!("{error:#}") },
        },
        Ask::Read { stream, from, after } => match tokio::time::timeout(READ_PATIENCE, read(log, &stream, from, after)).await {
            Ok(Ok(events)) => Said::Read { events },
            Ok(Err(error)) => Said::Failed { why: format!("{error:#}") },
            Err(_) => Said::Failed { why: format!("position {after} did not come within {} s", READ_PATIENCE.as_secs()) },
        },
    }
}

async fn append(log: &KafkaLog, commit: Commit) -> Outcome {
    match log.append(commit).await {
        Ok(appended) => Outcome::Accepted { first: appended.first_position, last: appended.last_position },
        Err(AppendError::Conflict(conflict)) => {
            let actual = conflict.actual.map_or(-1, |version| i64::try_from(version).unwrap_or(i64::MAX));
            Outcome::Rejected { stream: conflict.stream.to_string(), actual }
        }
        Err(error) => {
            eprintln!("{:#}", anyhow::Error::from(error));
            Outcome::Unknown
        }
    }
}

/// Waits for the token, then reads: linearizable when the token is the highest that anybody has.
async fn read(log: &KafkaLog, stream: &str, from: u64, after: u64) -> anyhow::Result<Vec<EventId>> {
    let partition = log.partition(LOCAL_WORKSPACE);
    while log.head(partition).await? < after {
        tokio::time::sleep(READ_POLL).await;
    }
    let events = log.read_stream(LOCAL_WORKSPACE, &stream.parse()?, from, READ_EVENTS_MAX).await?;
    anyhow::ensure!(events.len() < READ_EVENTS_MAX, "{stream} has too many events for one read");
    Ok(events.into_iter().map(|event| event.id).collect())
}

fn commit(workspace: WorkspaceId, id: CommitId, at_us: u64, parts: Vec<Part>) -> anyhow::Result<Commit> {
    let append = |part: Part| {
        let stream: StreamName = part.stream.parse()?;
        let events = part.events.iter().map(|event| new_event(&stream, *event)).collect();
        anyhow::Ok(StreamAppend { expected: part.expected(), stream, events })
    };
    let streams = parts.into_iter().map(append).collect::<anyhow::Result<_>>()?;
    let metadata = Metadata { at: Timestamp(at_us), actor: "chaos".to_owned(), correlation: id.0, causation: None, traceparent: None };
    Ok(Commit { id, workspace, streams, metadata })
}

/// Returns a real event, so that read models have something to fold: a clip is turned down, or a video submitted that workers must answer.
fn new_event(stream: &StreamName, id: EventId) -> NewEvent {
    if stream.category() == Video::CATEGORY {
        let source = Source::Url { url: REFUSED_URL.to_owned() };
        let submitted = video::Event::Submitted { title: id.to_string(), source, subtitles: None, wish: Wish::default() };
        Video::new_event(id, &submitted)
    } else {
        Clip::new_event(id, &clip::Event::Rejected { reason: id.to_string() })
    }
}
