//! What is taken, with which facts, and what is refused, with which words.

use crate::generated::{Generated, PLAIN, facts, footage, refusal};
use domain::MediaTime;
use domain::artefact::FrameRate;
use media::probe::{Limits, ProbeError, Refusal, probe};

fn seconds(path: &std::path::Path) -> f64 {
    facts(path).duration_us.seconds()
}

#[test]
fn an_ordinary_video_has_its_facts_whatever_its_name() {
    let made = Generated::new();
    let path = made.ffmpeg("video.mp4", PLAIN);
    let renamed = made.path("video.txt");
    std::fs::rename(&path, &renamed).unwrap();
    let facts = facts(&renamed);
    let (video, audio) = (facts.video.unwrap(), facts.audio.unwrap());
    assert_eq!((facts.container.as_str(), video.codec.as_str(), audio.codec.as_str()), ("mp4", "h264", "aac"));
    assert_eq!((video.width, video.height, video.rotation_degrees, video.is_variable_rate), (320, 180, 0, false));
    assert_eq!(video.frame_rate, FrameRate { numerator: 30, denominator: 1 });
    assert_eq!((audio.channels, audio.sample_rate_hz), (2, 48_000));
    assert!((facts.duration_us.seconds() - 4.0).abs() < 0.05, "{}", facts.duration_us);
}

#[test]
fn other_containers_and_codecs_are_read() {
    let made = Generated::new();
    let picture = "-f lavfi -i testsrc2=size=320x180:rate=24000/1001 -f lavfi -i sine=sample_rate=48000 -t 3 -pix_fmt yuv420p";
    for (name, encode, container, video, audio) in [
        ("a.mkv", "-c:v libx264 -preset veryfast -c:a libopus", "matroska", "h264", "opus"),
        ("a.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libvorbis", "webm", "vp9", "vorbis"),
        ("a.mov", "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a pcm_s16le", "quicktime", "h265", "pcm"),
        ("a.ts", "-c:v libx264 -preset veryfast -c:a aac", "mpegts", "h264", "aac"),
        ("a.avi", "-c:v mpeg4 -c:a mp3", "avi", "mpeg4", "mp3"),
    ] {
        let facts = facts(&made.ffmpeg(name, &format!("{picture} {encode}")));
        let (picture, sound) = (facts.video.unwrap(), facts.audio.unwrap());
        assert_eq!((facts.container.as_str(), picture.codec.as_str(), sound.codec.as_str()), (container, video, audio), "{name}");
        assert_eq!(picture.frame_rate, FrameRate { numerator: 24_000, denominator: 1_001 }, "{name}");
        assert!(!picture.is_variable_rate, "{name}");
    }
}

#[test]
fn a_turned_phone_video_says_how_far() {
    let made = Generated::new();
    let upright = made.ffmpeg("upright.mp4", PLAIN);
    // ffmpeg counts the other way round.
    let turned = made.ffmpeg("turned.mp4", &format!("-i {} -c copy -metadata:s:v:0 rotate=270", upright.display()));
    let video = facts(&turned).video.unwrap();
    assert_eq!((video.width, video.height, video.rotation_degrees), (320, 180, 90));
}

#[test]
fn a_variable_frame_rate_is_noticed() {
    let made = Generated::new();
    let select = "select=lt(n\\,60)+not(mod(n\\,3))";
    let path = made.ffmpeg(
        "vfr.mp4",
        &format!("-f lavfi -i testsrc2=size=320x180:rate=30 -t 6 -vf {select} -vsync vfr -c:v libx264 -pix_fmt yuv420p"),
    );
    let video = facts(&path).video.unwrap();
    assert!(video.is_variable_rate);
    assert!((16.0..18.5).contains(&video.frame_rate.per_second()), "{:?}", video.frame_rate);
}

#[test]
fn sound_alone_and_picture_alone_are_facts_not_errors() {
    let made = Generated::new();
    let sound = facts(&made.ffmpeg("sound.m4a", "-f lavfi -i sine=sample_rate=44100 -t 3 -c:a aac"));
    assert!(sound.video.is_none() && sound.audio.is_some());
    let picture = facts(&made.ffmpeg("picture.mp4", "-f lavfi -i testsrc2=size=320x180:rate=25 -t 3 -c:v libx264 -pix_fmt yuv420p"));
    assert!(picture.video.is_some() && picture.audio.is_none());
    let Some(speech) = footage("jfk.flac") else { return };
    let speech = facts(&speech);
    assert_eq!((speech.container.as_str(), speech.video.is_none(), speech.audio.unwrap().sample_rate_hz), ("flac", true, 44_100));
}

#[test]
fn real_footage_is_taken() {
    let (Some(voice), Some(stage)) = (footage("voice-42s.mp4"), footage("stage-faces-10s.mp4")) else { return };
    assert_eq!(facts(&voice).video.unwrap().frame_rate, FrameRate { numerator: 30, denominator: 1 });
    assert_eq!(facts(&stage).video.unwrap().frame_rate, FrameRate { numerator: 30_000, denominator: 1_001 });
    assert!((seconds(&voice) - 42.4).abs() < 0.2 && (seconds(&stage) - 10.0).abs() < 0.2);
}

#[test]
fn what_is_no_video_is_refused_by_content() {
    let made = Generated::new();
    assert_eq!(refusal(&made.bytes("empty.mp4", b"")), "EMPTY");
    assert_eq!(refusal(&made.bytes("text.mp4", b"this is no video at all")), "NOT_A_VIDEO");
    assert_eq!(refusal(&made.bytes("paper.mp4", b"%PDF-1.7\n")), "NOT_A_VIDEO");
    let noise: Vec<u8> = (0..100_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_eq!(refusal(&made.bytes("noise.mp4", &noise)), "NOT_A_VIDEO");
    assert_eq!(refusal(&made.ffmpeg("still.png", "-f lavfi -i testsrc2=size=64x64 -frames:v 1")), "NOT_A_VIDEO");
    assert!(matches!(probe(&made.path("missing.mp4"), Limits::default()), Err(ProbeError::Unreadable(_))));
}

#[test]
fn a_playlist_is_refused_before_anything_it_names_is_opened() {
    let made = Generated::new();
    let secret = made.ffmpeg("secret.ts", "-f lavfi -i testsrc2=size=64x64:rate=25 -t 2 -c:v libx264 -pix_fmt yuv420p");
    let list = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{}\n#EXT-X-ENDLIST\n", secret.display());
    assert_eq!(refusal(&made.bytes("video.mp4", list.as_bytes())), "PLAYLIST");
    // An ID3 tag before it would carry it past the first look; GStreamer's playlist demuxers are out of use then.
    let tagged = [b"ID3\x04\0\0\0\0\0\x0a".as_slice(), &[0; 10], list.as_bytes()].concat();
    assert!(matches!(refusal(&made.bytes("tagged.mp3", &tagged)), "NOT_A_VIDEO" | "DAMAGED" | "UNSUPPORTED_CODEC"));
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let made = Generated::new();
    let cut = |name: &str, whole: &std::path::Path, part: f64| {
        let bytes = std::fs::read(whole).unwrap();
        made.bytes(name, &bytes[..(bytes.len() as f64 * part) as usize])
    };
    let at_start = made.ffmpeg("start.mp4", &format!("{} -movflags +faststart", PLAIN.replace("-t 4", "-t 20")));
    assert_eq!(refusal(&cut("cut1.mp4", &at_start, 0.6)), "TRUNCATED");
    let at_end = made.ffmpeg("end.mp4", PLAIN);
    assert_eq!(refusal(&cut("cut2.mp4", &at_end, 0.6)), "TRUNCATED");
    let matroska = made.ffmpeg("whole.mkv", &PLAIN.replace("-t 4", "-t 20"));
    assert_eq!(refusal(&cut("cut3.mkv", &matroska, 0.6)), "TRUNCATED");
}

#[test]
fn too_long_too_large_and_too_wide_are_refused_with_the_limit() {
    let made = Generated::new();
    let long = made.ffmpeg("long.mp4", "-f lavfi -i color=size=64x64:rate=1/60 -t 36000 -c:v libx264 -pix_fmt yuv420p");
    assert_eq!(refusal(&long), "TOO_LONG");
    let wide = made.ffmpeg("wide.mp4", "-f lavfi -i color=size=9000x64:rate=25 -t 1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p");
    assert_eq!(refusal(&wide), "TOO_MANY_PIXELS");
    let limits = Limits { file_bytes: 1_000, ..Limits::default() };
    assert!(matches!(probe(&wide, limits), Err(ProbeError::Refused(Refusal::TooLarge { limit: 1_000, .. }))));
    let limits = Limits { duration_us: MediaTime::from_millis(500), ..Limits::default() };
    let short = made.ffmpeg("short.mp4", PLAIN);
    let Err(ProbeError::Refused(refused)) = probe(&short, limits) else { panic!("it is longer than half a second") };
    assert!(refused.to_string().starts_with("the video is 0:04.0"), "{refused}");
}

#[test]
fn an_encrypted_file_is_refused() {
    let made = Generated::new();
    let key = "76a6c65c5ea762046bd749a2e632ccbb";
    let encrypted =
        format!("{PLAIN} -encryption_scheme cenc-aes-ctr -encryption_key {key} -encryption_kid a7e61c373e219033c21091fa607bf3b8");
    assert_eq!(refusal(&made.ffmpeg("encrypted.mp4", &encrypted)), "ENCRYPTED");
}
