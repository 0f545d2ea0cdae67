//! Posters as ffmpeg decodes them.

use crate::encode::bench::{Bench, HD, decoded, facts, list, psnr, span};
use domain::artefact::{CaptionStyle, Captions, Cue, CueWord};
use media::poster::poster;

#[test]
fn a_poster_is_its_frame_without_captions() {
    let bench = Bench::new();
    let source = bench
        .ffmpeg(&format!("-f lavfi -i testsrc2=size=640x360:rate=30,gblur=sigma=2 -t 3 -c:v libx264 -crf 10 -bf 3 -g 60 {HD}"), "in.mp4");
    let mut list = list(vec![span(1_000, 3_000)], (30, 1), 60);
    (list.audio, list.encoder.crf, list.poster_frame) = (None, 8, 41);
    let rendered = bench.render(&source, &list);
    let frame = |index: u64| decoded("", &rendered.video, &format!("-vf select=eq(n\\,{index}) -frames:v 1 -f rawvideo -pix_fmt rgb24"));
    let words = vec![vec![CueWord { text: "CAPTION".into(), span: span(0, 2_000) }]];
    list.captions = Some(Captions { style: CaptionStyle::Karaoke, cues: vec![Cue { span: span(0, 2_000), lines: words }] });
    let out = bench.path("poster.jpg");
    poster(&source, &facts(0), &list, &out).unwrap();
    let still = decoded("", &out, "-f rawvideo -pix_fmt rgb24");
    let same = psnr(&still, &frame(41));
    assert!(same > 28.0, "{same} dB");
    assert!(psnr(&still, &frame(40)) < same - 2.0 && psnr(&still, &frame(42)) < same - 2.0, "neighbours are other pictures");
    assert_eq!(&std::fs::read(&out).unwrap()[..2], [0xff, 0xd8], "a JPEG file");
}

#[test]
fn a_frame_that_is_not_there_has_no_poster() {
    let bench = Bench::new();
    let source = bench.counter("30", 2.0, "");
    let mut list = list(vec![span(0, 1_000)], (30, 1), 30);
    list.poster_frame = 30;
    let refused = poster(&source, &facts(0), &list, &bench.path("poster.jpg")).unwrap_err();
    assert_eq!(refused.to_string(), "the rendition has no frame 30 for a poster");
}
