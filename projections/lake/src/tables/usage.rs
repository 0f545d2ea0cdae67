//! `usage`: what work a workspace asked for. Sums of it are what a bill is made of.

use super::{Cells, Column, Fact, Kind, Table};
use domain::{BlobRef, clip, transcript, video};
use proto::Event;

pub(super) static USAGE: Table = Table {
    name: "usage",
    version: 1,
    about: "One row for each piece of work that was done for a workspace.",
    columns: &[
        Column::new("meter", Kind::Text, "`ingested`, `heard` or `rendered` (seconds of media), or `stored` (bytes written)"),
        Column::new("quantity", Kind::Real, "how much, in `unit`"),
        Column::new("unit", Kind::Text, "`s` or `bytes`"),
        Column::new("stream", Kind::Text, "what the work was done for, such as `video-018f…`"),
    ],
    rows,
};

fn rows(fact: &Fact<'_>) -> Vec<Cells> {
    let Some(event) = fact.event else { return vec![] };
    let (seconds, blobs) = match event {
        Event::Video(event) => of_video(event),
        Event::Transcript(event) => of_transcript(event, fact.origin),
        Event::Clip(event) => of_clip(event),
        Event::Workspace(_) | Event::Publication(_) | Event::Model(_) | Event::Job(_) => return vec![],
    };
    let stored: u64 = blobs.iter().map(|blob| blob.bytes).sum();
    let mut meters: Vec<_> = seconds.into_iter().map(|(meter, seconds)| (meter, seconds, "s")).collect();
    if stored > 0 {
        meters.push(("stored", stored as f64, "bytes"));
    }
    let stream = fact.recorded.stream.as_str();
    meters
        .into_iter()
        .map(|(meter, quantity, unit)| {
            vec![("meter", meter.into()), ("quantity", quantity.into()), ("unit", unit.into()), ("stream", stream.into())]
        })
        .collect()
}

/// Seconds of media by meter, and what was written.
type Work<'a> = (Option<(&'static str, f64)>, Vec<&'a BlobRef>);

fn of_video(event: &video::Event) -> Work<'_> {
    match event {
        video::Event::Ingested { original, facts, sound, .. } => {
            let sound = sound.iter().flat_map(|sound| [&sound.wav, &sound.measures]);
            (Some(("ingested", facts.duration_us.seconds())), std::iter::once(original).chain(sound).collect())
        }
        video::Event::Analyzed { analysis } => (None, vec![analysis]),
        video::Event::ClipsProposed { detection, .. } | video::Event::NothingFound { detection, .. } => (None, vec![detection]),
        video::Event::Submitted { .. }
        | video::Event::Refused(_)
        | video::Event::TranscriptAttached { .. }
        | video::Event::ReadyToScore { .. }
        | video::Event::RenderSettled { .. }
        | video::Event::Completed { .. }
        | video::Event::StageFailed { .. }
        | video::Event::StageRetried { .. }
        | video::Event::Deleted => (None, vec![]),
    }
}

fn of_transcript<'a>(event: &'a transcript::Event, origin: Option<&Event>) -> Work<'a> {
    match event {
        transcript::Event::ChunkTranscribed { index, words } => {
            let chunk = match origin {
                Some(Event::Transcript(transcript::Event::Begun { chunks, .. })) => chunks.get(*index as usize),
                _ => None,
            };
            (chunk.map(|span| ("heard", (span.end().0 - span.start().0) as f64 / 1e6)), vec![words])
        }
        transcript::Event::Completed { words, .. } | transcript::Event::Imported { words, .. } => (None, vec![words]),
        transcript::Event::Begun { .. } | transcript::Event::ChunkRequested { .. } | transcript::Event::ReadyToAssemble { .. } => {
            (None, vec![])
        }
    }
}

fn of_clip(event: &clip::Event) -> Work<'_> {
    match event {
        clip::Event::Rendered { rendition, .. } => {
            let clip::Rendition { video, poster, srt, vtt, ass, decisions, duration, .. } = rendition;
            (Some(("rendered", duration.seconds())), vec![video, poster, srt, vtt, ass, decisions])
        }
        clip::Event::Proposed(_)
        | clip::Event::Accepted
        | clip::Event::Rejected { .. }
        | clip::Event::Retrimmed { .. }
        | clip::Event::Restyled { .. }
        | clip::Event::RenderRequested { .. }
        | clip::Event::RenderFailed { .. }
        | clip::Event::Deleted => (None, vec![]),
    }
}
