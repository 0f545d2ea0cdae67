//! `performance`: what became of publications. The log knows drafts so far; what platforms measure becomes columns once it is events.

use super::{Cell, Cells, Column, Fact, Kind, Table, shown};
use domain::id::PublicationId;
use domain::publication;
use proto::Event;

pub(super) static PERFORMANCE: Table = Table {
    name: "performance",
    version: 1,
    about: "One row for each thing that happened to a publication.",
    columns: &[
        Column::new("publication", Kind::Text, "the publication's id"),
        Column::new("clip", Kind::Text, "of which clip"),
        Column::new("happening", Kind::Text, "`drafted`, `reworded` or `discarded`"),
        Column::new("text_characters", Kind::Integer, "length of the text that goes with it; absent when it was discarded"),
    ],
    rows,
};

fn rows(fact: &Fact<'_>) -> Vec<Cells> {
    let Some(Event::Publication(event)) = fact.event else { return vec![] };
    let (happening, text) = match event {
        publication::Event::Drafted { text, .. } => ("drafted", Some(text)),
        publication::Event::Reworded { text } => ("reworded", Some(text)),
        publication::Event::Discarded => ("discarded", None),
    };
    let clip = match (event, fact.origin) {
        (publication::Event::Drafted { clip, .. }, _) | (_, Some(Event::Publication(publication::Event::Drafted { clip, .. }))) => {
            shown(clip)
        }
        _ => Cell::Absent,
    };
    vec![vec![
        ("publication", shown(PublicationId(fact.recorded.stream.id()))),
        ("clip", clip),
        ("happening", happening.into()),
        ("text_characters", text.map(|text| text.chars().count() as u64).into()),
    ]]
}
