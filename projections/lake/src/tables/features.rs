//! `features`: what the ranker saw of each proposed clip. Spans that were considered and not proposed are in the detection blob only.

use super::{Cell, Cells, Column, Fact, Kind, Table, clip_of, shown};
use domain::clip;
use proto::Event;

pub(super) static FEATURES: Table = Table {
    name: "features",
    version: 1,
    about: "One row for each proposed candidate, with every feature and what it added to the score.",
    columns: &[
        Column::new("clip", Kind::Text, "the clip that the candidate became"),
        Column::new("video", Kind::Text, "of which video"),
        Column::new("rank", Kind::Integer, "its place among the video's proposed clips, from 1"),
        Column::new("score", Kind::Real, "0 to 100 within the video"),
        Column::new("start_us", Kind::Integer, "its in point, in microseconds of film time"),
        Column::new("end_us", Kind::Integer, "its out point, in microseconds of film time"),
        Column::new("model", Kind::Text, "which ranker scored it"),
        Column::new("contributions", Kind::Contributions, "every feature with what it added to the score"),
    ],
    rows,
};

fn rows(fact: &Fact<'_>) -> Vec<Cells> {
    let Some(Event::Clip(clip::Event::Proposed(proposal))) = fact.event else { return vec![] };
    vec![vec![
        ("clip", clip_of(fact.recorded)),
        ("video", shown(proposal.video)),
        ("rank", proposal.rank.into()),
        ("score", proposal.score.into()),
        ("start_us", proposal.span.start().0.into()),
        ("end_us", proposal.span.end().0.into()),
        ("model", (&*proposal.model).into()),
        ("contributions", Cell::Contributions(proposal.contributions.clone())),
    ]]
}
