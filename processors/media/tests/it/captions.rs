//! Captions as they are seen in rendered frames.

use crate::encode::bench::{Bench, HD, list, rgb, span};
use domain::artefact::{CaptionStyle, Captions, Cue, CueWord, Ratio};
use std::path::PathBuf;

const WIDTH: usize = 540;
const HEIGHT: usize = 960;

/// A caption over a grey picture: words of 200 ms each, from 200 ms on.
struct Shot {
    video: PathBuf,
    _bench: Bench,
}

impl Shot {
    fn new(style: CaptionStyle, lines: &[&[&str]]) -> Self {
        let bench = Bench::new();
        let source = bench.ffmpeg(&format!("-f lavfi -i color=gray:size=640x360:rate=30 -t 3 -c:v libx264 -crf 10 {HD}"), "grey.mp4");
        let mut list = list(vec![span(0, 2_000)], (30, 1), 60);
        (list.audio, list.encoder.crf) = (None, 8);
        (list.picture.ratio, list.picture.width, list.picture.height) = (Ratio::Portrait, WIDTH as u32, HEIGHT as u32);
        let mut at = 0;
        let lines: Vec<Vec<CueWord>> = lines
            .iter()
            .map(|line| {
                let word = |text: &&str| {
                    at += 200;
                    CueWord { text: (*text).to_string(), span: span(at, at + 200) }
                };
                line.iter().map(word).collect()
            })
            .collect();
        list.captions = Some(Captions { style, cues: vec![Cue { span: span(200, at + 200), lines }] });
        Self { video: bench.render(&source, &list).video, _bench: bench }
    }

    /// Returns the frame in the middle of the time of word `index`.
    fn word(&self, index: u64) -> Seen {
        self.frame(9 + index * 6)
    }

    fn frame(&self, frame: u64) -> Seen {
        Seen(rgb(&self.video, frame))
    }
}

struct Seen(Vec<[u8; 3]>);

/// A box of pixels: left, top, right, bottom.
type Found = (usize, usize, usize, usize);

impl Seen {
    /// Returns the box of all pixels that `is` says yes to.
    fn find(&self, is: impl Fn([u8; 3]) -> bool) -> Option<Found> {
        let mut found: Option<Found> = None;
        for (index, _) in self.0.iter().enumerate().filter(|(_, pixel)| is(**pixel)) {
            let (x, y) = (index % WIDTH, index / WIDTH);
            found = Some(found.map_or((x, y, x + 1, y + 1), |(l, t, r, b)| (l.min(x), t.min(y), r.max(x + 1), b.max(y + 1))));
        }
        found
    }

    fn drawn(&self) -> Option<Found> {
        let grey = self.0[0];
        self.find(|pixel| pixel.iter().zip(grey).any(|(value, grey)| value.abs_diff(grey) > 24))
    }
}

fn violet([red, green, blue]: [u8; 3]) -> bool {
    blue > 180 && green < 110 && red < 170
}

fn yellow([red, green, blue]: [u8; 3]) -> bool {
    red > 190 && green > 150 && blue < 110
}

fn middle((left, _, right, _): Found) -> usize {
    left.midpoint(right)
}

#[test]
fn a_pill_lights_each_word_while_it_is_spoken_and_at_no_other_frame() {
    let shot = Shot::new(CaptionStyle::Karaoke, &[&["WHY", "DID"], &["THEY", "LEAVE?"]]);
    let pills: Vec<Found> = (0..4).map(|word| shot.word(word).find(violet).unwrap()).collect();
    assert!(middle(pills[0]) < middle(pills[1]) && middle(pills[2]) < middle(pills[3]), "{pills:?}");
    assert!(pills[0].1 < pills[2].1 && pills[1].1.abs_diff(pills[0].1) <= 4, "the second line is below the first: {pills:?}");
    // The first word begins with frame 6, the second with frame 12; the cue ends with frame 30.
    assert!(shot.frame(5).drawn().is_none() && shot.frame(30).drawn().is_none());
    assert!(middle(shot.frame(6).find(violet).unwrap()).abs_diff(middle(pills[0])) <= 2);
    assert!(middle(shot.frame(11).find(violet).unwrap()).abs_diff(middle(pills[0])) <= 2);
    assert!(middle(shot.frame(12).find(violet).unwrap()).abs_diff(middle(pills[1])) <= 2);
    assert!(middle(shot.frame(29).find(violet).unwrap()).abs_diff(middle(pills[3])) <= 2);
}

#[test]
fn captions_stay_in_the_safe_area_and_long_words_shrink() {
    for lines in [&[&["A"][..]][..], &[&["INCOMPREHENSIBILITIES", "EVERYWHERE"], &["UNQUESTIONABLY"]]] {
        for style in [CaptionStyle::Karaoke, CaptionStyle::Block] {
            let seen = Shot::new(style, lines).word(0);
            let (left, top, right, bottom) = seen.drawn().unwrap();
            assert!(left >= 54 && right <= 450 && top >= 125 && bottom <= 720 + 1, "{style} {lines:?}: {:?}", (left, top, right, bottom));
            assert!(bottom > 660, "{style}: at the bottom of the area");
        }
    }
}

#[test]
fn the_spoken_word_of_a_block_is_yellow_on_dark() {
    let shot = Shot::new(CaptionStyle::Block, &[&["every", "creator"]]);
    let (first, second) = (shot.word(0).find(yellow).unwrap(), shot.word(1).find(yellow).unwrap());
    assert!(first.2 <= second.0 + 4, "{first:?} {second:?}");
    let dark = shot.word(0).find(|pixel| pixel.iter().all(|value| *value < 50)).unwrap();
    assert!(dark.0 < first.0 && dark.2 > second.2, "the block is behind both");
}

#[test]
fn arabic_and_hebrew_run_from_right_to_left() {
    for words in [["مرحبا", "بكم", "جميعا"], ["שלום", "לכל", "העולם"]] {
        let shot = Shot::new(CaptionStyle::Karaoke, &[&words]);
        let pills: Vec<usize> = (0..3).map(|word| middle(shot.word(word).find(violet).unwrap())).collect();
        assert!(pills[0] > pills[1] && pills[1] > pills[2], "{words:?}: {pills:?}");
    }
}

#[test]
fn letters_of_arabic_are_joined() {
    // All four letters of the word join; a zero-width non-joiner keeps them apart.
    let gaps = |text: &str| {
        let seen = Shot::new(CaptionStyle::Block, &[&[text]]).word(0);
        let (left, top, right, bottom) = seen.find(yellow).unwrap();
        let is_empty = |x: &usize| (top..bottom).all(|y| !yellow(seen.0[y * WIDTH + x]));
        (left..right).filter(is_empty).count()
    };
    let (joined, apart) = (gaps("محمد"), gaps("م\u{200c}ح\u{200c}م\u{200c}د"));
    assert!(joined == 0 && apart > 1, "columns without ink: joined {joined}, apart {apart}");
}

#[test]
fn emoji_keep_their_colours_and_place() {
    let shot = Shot::new(CaptionStyle::Karaoke, &[&["HOT", "🔥", "TAKE"]]);
    let flame = shot.word(0).find(|[red, green, blue]| red > 200 && (60..200).contains(&green) && blue < 90).unwrap();
    let (before, after) = (shot.word(0).find(violet).unwrap(), shot.word(2).find(violet).unwrap());
    assert!(before.2 <= flame.0 + 6 && flame.2 <= after.0 + 6, "{before:?} {flame:?} {after:?}");
    assert!(flame.2 - flame.0 > 10 && flame.3 - flame.1 > 10, "a picture, not a speck: {flame:?}");
}

#[test]
fn a_clean_picture_has_no_captions() {
    assert!(Shot::new(CaptionStyle::Clean, &[&["NOTHING"]]).word(0).drawn().is_none());
}
