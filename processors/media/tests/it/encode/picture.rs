//! Which frames are shown, and how they are arranged.

use super::bench::{Bench, HD, counted, decoded, facts, list, psnr, span};
use domain::artefact::{CameraKey, Layout, Ratio};

/// Renders a span of a counter and compares the numbers that are seen.
fn check(rate: &str, extra: &str, start_ms: u64, out_rate: (u32, u32), expected: &[u64]) {
    let bench = Bench::new();
    let source = bench.counter(rate, 8.0, extra);
    let frames = expected.len() as u64;
    let end_ms = start_ms + frames * 1_000 * u64::from(out_rate.1) / u64::from(out_rate.0);
    let rendered = bench.render(&source, &list(vec![span(start_ms, end_ms)], out_rate, frames));
    assert_eq!(counted(&rendered.video), expected, "{rate} {extra}");
}

#[test]
fn every_frame_of_the_rendition_is_its_frame_of_the_original() {
    check("30", "", 0, (30, 1), &(0..60).collect::<Vec<_>>());
    check("30", "", 3_100, (30, 1), &(93..153).collect::<Vec<_>>());
    check("25", "", 2_040, (25, 1), &(51..101).collect::<Vec<_>>());
    check("30000/1001", "", 2_002, (30_000, 1_001), &(60..120).collect::<Vec<_>>());
}

#[test]
fn other_rates_show_the_nearest_frame() {
    check("60", "", 1_000, (30, 1), &(0..60).map(|frame| 60 + frame * 2).collect::<Vec<_>>());
    check("24", "", 1_000, (30, 1), &(0..60).map(|frame| 24 + (frame * 24 + 11) / 30).collect::<Vec<_>>());
}

#[test]
fn frames_that_are_missing_are_held() {
    let held: Vec<u64> = (30..90).map(|frame| if frame % 5 == 3 { frame - 1 } else { frame }).collect();
    check("30", "select=not(eq(mod(n\\,5)\\,3)),", 1_000, (30, 1), &held);
}

#[test]
fn ranges_are_joined_in_their_order() {
    let bench = Bench::new();
    let source = bench.counter("30", 8.0, "");
    let list = list(vec![span(5_000, 6_000), span(1_000, 1_500)], (30, 1), 45);
    let expected: Vec<u64> = (150..180).chain(30..45).collect();
    assert_eq!(counted(&bench.render(&source, &list).video), expected);
}

#[test]
fn colours_and_places_are_those_that_ffmpeg_shows() {
    let bench = Bench::new();
    let source = bench.ffmpeg(
        &format!("-f lavfi -i testsrc2=size=640x360:rate=30,gblur=sigma=2 -t 2 -c:v libx264 -preset veryfast -crf 10 -bf 3 {HD}"),
        "in.mp4",
    );
    let mut list = list(vec![span(500, 1_500)], (30, 1), 30);
    (list.audio, list.encoder.crf) = (None, 8);
    let rendered = bench.render(&source, &list);
    let ours = decoded("", &rendered.video, "-vf select=eq(n\\,7) -frames:v 1 -f rawvideo -pix_fmt yuv420p");
    let crop = "crop=202:360:219:0,scale=360:640:flags=bilinear";
    let frame = |index: u64| decoded("", &source, &format!("-vf select=eq(n\\,{index}),{crop} -frames:v 1 -f rawvideo -pix_fmt yuv420p"));
    let same = psnr(&ours, &frame(22));
    assert!(same > 30.0, "{same} dB");
    for neighbour in [21, 23] {
        let other = psnr(&ours, &frame(neighbour));
        assert!(other < same - 4.0, "frame {neighbour}: {other} dB, ours {same} dB");
    }
}

#[test]
fn turned_originals_are_shown_upright() {
    let bench = Bench::new();
    let flat = bench.ffmpeg(&format!("-f lavfi -i testsrc=size=640x360:rate=30,gblur=sigma=2 -t 1 -c:v libx264 -crf 10 {HD}"), "flat.mp4");
    for degrees in [90_u16, 180, 270] {
        // ffmpeg counts counter-clockwise.
        let arguments = format!("-i {} -c copy -metadata:s:v rotate={}", flat.display(), 360 - degrees);
        let turned = bench.ffmpeg(&arguments, "turned.mp4");
        let mut list = list(vec![span(0, 1_000)], (30, 1), 30);
        (list.audio, list.encoder.crf) = (None, 8);
        let rendered = bench.try_render(&turned, &facts(degrees), &list).unwrap();
        let ours = decoded("", &rendered.video, "-frames:v 1 -f rawvideo -pix_fmt gray");
        let crop = if degrees == 180 { "crop=202:360:219:0," } else { "" };
        let upright = decoded("", &turned, &format!("-vf {crop}scale=360:640:flags=bilinear -frames:v 1 -f rawvideo -pix_fmt gray"));
        let found = psnr(&ours, &upright);
        assert!(found > 25.0, "{degrees}: {found} dB");
    }
}

#[test]
fn a_slow_camera_moves_by_parts_of_a_pixel() {
    let bench = Bench::new();
    // Bright to the right of the middle, with a soft edge; where it is seen says where the camera is.
    let edge = "nullsrc=size=640x360:rate=30,format=gray,geq=lum='16+219*clip((X-300)/40,0,1)'";
    let source = bench.ffmpeg(&format!("-f lavfi -i {edge} -t 3 -c:v libx264 -crf 6 {HD}"), "edge.mp4");
    let mut list = list(vec![span(0, 3_000)], (30, 1), 90);
    (list.audio, list.encoder.crf) = (None, 6);
    // 32 pixels of the original in three seconds: a fifth of a pixel of the rendition's 360 per frame and a bit.
    let camera = vec![CameraKey { frame: 0, x: 0.48, y: 0.5, height: 1.0 }, CameraKey { frame: 89, x: 0.53, y: 0.5, height: 1.0 }];
    list.layout[0].layout = Layout::Single { camera };
    let rows = decoded("", &bench.render(&source, &list).video, "-vf format=gray,crop=360:1:0:320 -f rawvideo -pix_fmt gray");
    let edges: Vec<f64> = rows
        .chunks_exact(360)
        .map(|row| {
            let (dark, bright) = (f64::from(row[0]), f64::from(row[359]));
            row.iter().map(|luma| (bright - f64::from(*luma)) / (bright - dark)).sum()
        })
        .collect();
    let steps: Vec<f64> = edges.windows(2).map(|pair| pair[0] - pair[1]).collect();
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    let worst = steps.iter().map(|step| (step - mean).abs()).fold(0.0, f64::max);
    let expected = 32.0 / 89.0 * 640.0 / 360.0;
    assert!((mean - expected).abs() < 0.03, "{mean} pixels a frame, expected {expected}");
    assert!(worst < 0.25, "a step is {worst} pixels off");
    assert!(steps.iter().all(|step| *step > 0.0), "the camera never turns back");
}

#[test]
fn a_fitted_picture_is_whole_and_its_backdrop_dark_and_soft() {
    let bench = Bench::new();
    let source = bench.ffmpeg(&format!("-f lavfi -i testsrc2=size=640x360:rate=30,gblur=sigma=2 -t 1 -c:v libx264 -crf 8 {HD}"), "in.mp4");
    for (ratio, width, height) in [(Ratio::Portrait, 360, 640), (Ratio::Square, 360, 360)] {
        let mut list = list(vec![span(0, 1_000)], (30, 1), 30);
        (list.audio, list.encoder.crf) = (None, 8);
        (list.picture.ratio, list.picture.width, list.picture.height) = (ratio, width, height);
        list.layout[0].layout = Layout::FitBlur;
        let rendered = bench.render(&source, &list);
        let ours = decoded("", &rendered.video, "-frames:v 1 -f rawvideo -pix_fmt gray");
        let whole = decoded("", &source, "-vf scale=360:202:flags=bilinear -frames:v 1 -f rawvideo -pix_fmt gray");
        let top = (height as usize - 202) / 4 * 2;
        let found = psnr(&ours[top * 360..(top + 202) * 360], &whole);
        assert!(found > 25.0, "{ratio}: {found} dB");
        let (above, steps) = ours[..(top - 4) * 360].chunks_exact(360).fold((0.0, 0), |(sum, steps), row| {
            let step = row.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap_or(0);
            (sum + row.iter().map(|luma| f64::from(*luma)).sum::<f64>() / 360.0, steps.max(step))
        });
        let middle = whole.iter().map(|luma| f64::from(*luma)).sum::<f64>() / whole.len() as f64;
        assert!(above / (top - 4) as f64 <= middle * 0.75, "{ratio}: the backdrop is darker");
        assert!(steps <= 8, "{ratio}: the backdrop has an edge of {steps}");
    }
}
