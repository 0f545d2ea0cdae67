//! `decisions`: what editors did with proposed clips, beside what the ranker had seen of them. This is what a ranker learns from.

use super::{Cell, Cells, Column, Fact, Kind, Table, clip_of, shown};
use domain::{Span, clip};
use proto::Event;

pub(super) static DECISIONS: Table = Table {
    name: "decisions",
    version: 1,
    about: "One row for each decision of an editor about a clip, with the features that the ranker had seen.",
    columns: &[
        Column::new("clip", Kind::Text, "the clip's id"),
        Column::new("video", Kind::Text, "of which video"),
        Column::new("decision", Kind::Text, "`accepted`, `rejected`, `retrimmed` or `restyled`"),
        Column::new("actor", Kind::Text, "who decided"),
        Column::new("reason", Kind::Text, "why it was rejected, in the editor's words"),
        Column::new("from_start_us", Kind::Integer, "in point before a retrim, in microseconds of film time"),
        Column::new("from_end_us", Kind::Integer, "out point before a retrim, in microseconds of film time"),
        Column::new("to_start_us", Kind::Integer, "in point after a retrim, in microseconds of film time"),
        Column::new("to_end_us", Kind::Integer, "out point after a retrim, in microseconds of film time"),
        Column::new("style", Kind::Text, "the captions that were chosen by a restyle"),
        Column::new("rank", Kind::Integer, "the clip's place when it was proposed, from 1"),
        Column::new("score", Kind::Real, "its score when it was proposed, 0 to 100 within the video"),
        Column::new("model", Kind::Text, "the ranker that proposed it"),
        Column::new("contributions", Kind::Contributions, "every feature with what it had added to the score"),
    ],
    rows,
};

fn rows(fact: &Fact<'_>) -> Vec<Cells> {
    let Some(Event::Clip(event)) = fact.event else { return vec![] };
    let (decision, details) = match event {
        clip::Event::Accepted => ("accepted", vec![]),
        clip::Event::Rejected { reason } => ("rejected", vec![("reason", (&**reason).into())]),
        clip::Event::Retrimmed { from, to } => ("retrimmed", moved(from, to)),
        clip::Event::Restyled { style } => ("restyled", vec![("style", shown(style))]),
        clip::Event::Proposed(_)
        | clip::Event::RenderRequested { .. }
        | clip::Event::Rendered { .. }
        | clip::Event::RenderFailed { .. }
        | clip::Event::Deleted => return vec![],
    };
    let mut cells =
        vec![("clip", clip_of(fact.recorded)), ("decision", decision.into()), ("actor", (&*fact.recorded.metadata.actor).into())];
    cells.extend(details);
    if let Some(Event::Clip(clip::Event::Proposed(proposal))) = fact.origin {
        cells.extend([
            ("video", shown(proposal.video)),
            ("rank", proposal.rank.into()),
            ("score", proposal.score.into()),
            ("model", (&*proposal.model).into()),
            ("contributions", Cell::Contributions(proposal.contributions.clone())),
        ]);
    }
    vec![cells]
}

fn moved(from: &Span, to: &Span) -> Cells {
    vec![
        ("from_start_us", from.start().0.into()),
        ("from_end_us", from.end().0.into()),
        ("to_start_us", to.start().0.into()),
        ("to_end_us", to.end().0.into()),
    ]
}
