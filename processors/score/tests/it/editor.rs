//! Would an editor accept it? A talk written for people, read as an editor reads: titles, endings, reasons.

use crate::made::monologue;
use domain::artefact::Detection;
use score::ranker::Linear;
use score::{Wish, detect};

fn clips() -> Detection {
    let (transcript, analysis, _) = monologue();
    detect(&transcript, &analysis, transcript.duration_us, &Wish::default(), &Linear::frozen())
}

#[test]
fn the_stories_of_a_talk_are_found_whole() {
    let found = clips();
    for clip in &found.chosen {
        println!("{:.1} {} {} | {:?}", clip.score, clip.span, clip.title, clip.keywords);
        clip.reasons.iter().for_each(|reason| println!("     {}", reason.text));
        println!("     {}", clip.text);
    }
    let with = |words: &str| found.chosen.iter().find(|clip| clip.text.contains(words)).unwrap_or_else(|| panic!("no clip has “{words}”"));
    let bread = with("Have you ever wondered");
    assert_eq!(bread.title, "Why your bread at home never tastes like bread from a bakery");
    assert!(bread.text.starts_with("Have you ever") && bread.text.ends_with("a fridge and some patience."));
    let worst = with("The compressor had died");
    assert_eq!(worst.title, "The worst day of my life");
    assert!(worst.text.contains("I learned more about business"), "the story has no ending");
    let grandmother = with("My grandmother baked");
    assert_eq!(grandmother.title, "Why do I still do this?");
}

#[test]
fn greetings_goodbyes_and_hesitations_are_left_out() {
    let found = clips();
    for clip in &found.chosen {
        for dull in ["Good morning everyone", "Can everyone hear me", "See you next time", "brought to you by", "where was I"] {
            assert!(!clip.text.contains(dull), "a clip has “{dull}”: {}", clip.text);
        }
    }
}

#[test]
fn every_clip_has_a_title_keywords_and_three_reasons() {
    for clip in clips().chosen {
        assert!((8..=75).contains(&clip.title.chars().count()), "{}", clip.title);
        assert!(clip.title.starts_with(char::is_uppercase));
        assert!(clip.keywords.len() >= 3);
        assert!(clip.reasons.len() >= 3, "{:?}", clip.reasons);
        let mut texts: Vec<&str> = clip.reasons.iter().map(|reason| reason.text.as_str()).collect();
        texts.dedup();
        assert_eq!(texts.len(), clip.reasons.len());
    }
}
