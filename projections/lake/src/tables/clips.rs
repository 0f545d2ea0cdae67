//! `clips`: what detection proposed. What became of it is in `decisions`.

use super::{Cell, Cells, Column, Fact, Kind, Table, clip_of, shown};
use domain::clip;
use proto::Event;

pub(super) static CLIPS: Table = Table {
    name: "clips",
    version: 1,
    about: "One row for each proposed clip, as it was proposed.",
    columns: &[
        Column::new("clip", Kind::Text, "the clip's id"),
        Column::new("video", Kind::Text, "of which video"),
        Column::new("rank", Kind::Integer, "its place among the video's proposed clips, from 1"),
        Column::new("score", Kind::Real, "0 to 100 within the video"),
        Column::new("start_us", Kind::Integer, "its in point, in microseconds of film time"),
        Column::new("end_us", Kind::Integer, "its out point, in microseconds of film time"),
        Column::new("video_duration_us", Kind::Integer, "how long the video is, in microseconds"),
        Column::new("title", Kind::Text, "a short title in the video's own words"),
        Column::new("keywords", Kind::Texts, "most telling first"),
        Column::new("reasons", Kind::Texts, "the strongest reasons, in words"),
        Column::new("model", Kind::Text, "which ranker scored it"),
        Column::new("style", Kind::Text, "how its captions look: karaoke, block or clean"),
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
        ("video_duration_us", proposal.video_duration.0.into()),
        ("title", (&*proposal.title).into()),
        ("keywords", Cell::Texts(proposal.keywords.clone())),
        ("reasons", Cell::Texts(proposal.reasons.iter().map(|reason| reason.text.clone()).collect())),
        ("model", (&*proposal.model).into()),
        ("style", shown(proposal.style)),
    ]]
}
