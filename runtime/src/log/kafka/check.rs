//! Walks a whole log and tells what is wrong with it.

use super::settings::Settings;
use super::topics::{self, Generation};
use super::{follow, wire};
use crate::log::sequencer::{Assembler, Body};
use anyhow::Context as _;
use proto::Recorded;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message as _;
use std::collections::HashMap;
use std::fmt;

/// Findings that are listed one by one; more are only counted.
const FINDINGS_MAX: usize = 100;

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records looked at.
    pub records: u64,
    /// Events that count.
    pub events: u64,
    /// Commits that were rejected.
    pub rejected: u64,
    /// Records that were there already: a sequencer took over while another still wrote. Harmless.
    pub duplicates: u64,
    /// Events whose type this program does not know. Harmless.
    pub unknown: u64,
    /// What should not be, in words; the first hundred.
    pub findings: Vec<String>,
    /// How many there are.
    pub wrong: u64,
}

impl Report {
    fn wrong(&mut self, finding: String) {
        self.wrong += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// Reads every event of the log, from the first to the last there is now.
///
/// # Errors
/// When the brokers cannot be read; what is wrong with the log is in the report.
pub async fn check(settings: &Settings) -> anyhow::Result<Report> {
    let generation = topics::generation(settings).await?;
    topics::check_partitions(settings, &generation).await?;
    let settings = settings.clone();
    tokio::task::spawn_blocking(move || walk(&settings, &generation)).await.context("the walk panicked")?
}

fn walk(settings: &Settings, generation: &Generation) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for partition in 0..i32::try_from(generation.partitions)? {
        walk_partition(settings, partition, &mut report)?;
    }
    Ok(report)
}

fn walk_partition(settings: &Settings, partition: i32, report: &mut Report) -> anyhow::Result<()> {
    let topic = settings.events();
    let client: BaseConsumer = settings.reader("check").create()?;
    let (first, end) = follow::watermarks(settings, &client, &topic, partition)?;
    if first > 0 {
        report.wrong(format!("partition {partition}: the records before {first} were deleted"));
    }
    if first == end {
        return Ok(());
    }
    let mut walk = Walk { assembler: Assembler::default(), versions: HashMap::new(), report };
    follow::read_through(settings, &client, (&topic, partition), first..end, |record| {
        walk.look(record, &Position { partition, offset: record.offset() });
        Ok(())
    })
}

/// Where a record is, as findings say it.
struct Position {
    partition: i32,
    offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}, record {}", self.partition, self.offset)
    }
}

struct Walk<'a> {
    assembler: Assembler,
    /// The next version of each stream.
    versions: HashMap<crate::log::sequencer::StreamKey, u64>,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn look(&mut self, record: &impl rdkafka::Message, place: &Position) {
        self.report.records += 1;
        let output = match wire::output_from_record(record) {
            Ok(output) => output,
            Err(error) => return self.report.wrong(format!("{place} cannot be read: {error:#}")),
        };
        if self.assembler.has(output.place) {
            return self.report.duplicates += 1;
        }
        let last = output.place;
        let next_position = match &output.body {
            Body::Event(event) => {
                self.look_at_event(event, place);
                event.position + 1
            }
            Body::Rejected { .. } => {
                self.report.rejected += 1;
                self.assembler.next_position()
            }
        };
        if let Err(disorder) = self.assembler.push(output) {
            self.report.wrong(format!("{place}: {disorder}"));
            // Go on behind the gap, so that one gap is told once.
            self.assembler = Assembler::after(Some(last), next_position);
        }
    }

    fn look_at_event(&mut self, event: &Recorded, place: &Position) {
        self.report.events += 1;
        let next = self.versions.entry((event.workspace, event.stream.clone())).or_default();
        if event.version != *next {
            self.report.wrong(format!("{place}: {} goes from version {} to {}", event.stream, *next, event.version));
        }
        *next = event.version + 1;
        match event.event() {
            Ok(Some(_)) => {}
            Ok(None) => self.report.unknown += 1,
            Err(error) => self.report.wrong(format!("{place}: the payload cannot be read: {error}")),
        }
    }
}
