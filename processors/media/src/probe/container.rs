//! Recognises containers by their first bytes: a list of what is let through, so that everything else stays out.

use super::{ProbeError, Refusal};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much is looked at: transport streams show themselves by a sync byte per 188 or 192 bytes.
const HEAD_BYTES: u64 = 4_096;

/// A fragmented MP4 has two atoms per fragment: six hours of fragments of a quarter of a second.
const ATOMS_MAX: usize = 200_000;

/// An atom has at least a size and a name.
const SMALLEST_ATOM: u64 = 8;

/// Bytes per transport stream packet, and per packet with a time code before it.
const TS_PACKET: usize = 188;
const M2TS_PACKET: usize = 192;

/// Returns the short name of the container at `path`.
pub(super) fn recognise(path: &Path, limit: u64) -> Result<&'static str, ProbeError> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Refusal::NotAVideo { found: "it is not a regular file".to_string() }.into());
    }
    let bytes = metadata.len();
    if bytes == 0 {
        return Err(Refusal::Empty.into());
    }
    if bytes > limit {
        return Err(Refusal::TooLarge { bytes, limit }.into());
    }
    let mut head = Vec::new();
    (&file).take(HEAD_BYTES).read_to_end(&mut head)?;
    let name = from_head(&head)?;
    if ["mp4", "quicktime"].contains(&name) {
        check_atoms(&file, bytes)?;
    }
    Ok(name)
}

/// Checks that every top-level atom of an MP4 ends inside the file, and that the index is among them.
fn check_atoms(mut file: &File, bytes: u64) -> Result<(), ProbeError> {
    let truncated = |found: String| ProbeError::from(Refusal::Truncated { found });
    let (mut offset, mut has_index) = (0, false);
    for _ in 0..ATOMS_MAX {
        if offset + SMALLEST_ATOM > bytes {
            break;
        }
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(offset))?;
        let length = file.read(&mut head)?;
        has_index |= head[4..8] == *b"moov";
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => bytes - offset,
            1 if length == 16 => u64::from_be_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]]),
            size => u64::from(size),
        };
        offset = offset.saturating_add(size.max(SMALLEST_ATOM));
    }
    if offset > bytes {
        return Err(truncated(format!("it has {bytes} of {offset} bytes")));
    }
    if has_index { Ok(()) } else { Err(truncated("its index is missing".to_string())) }
}

fn from_head(head: &[u8]) -> Result<&'static str, Refusal> {
    if is_playlist(head) {
        return Err(Refusal::Playlist);
    }
    let has = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let contains = |magic: &[u8]| head.windows(magic.len()).any(|window| window == magic);
    let is_packets_of =
        |size: usize, offset: usize| head.len() > 2 * size && (0..3).all(|n| head.get(n * size + offset).is_none_or(|&byte| byte == 0x47));
    let name = if has(4, b"ftypqt  ") {
        "quicktime"
    } else if has(4, b"ftypavif") || has(4, b"ftypheic") || has(4, b"ftypmif1") {
        return Err(Refusal::NotAVideo { found: "it is a still picture".to_string() });
    } else if has(4, b"ftyp") {
        "mp4"
    } else if [b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"].iter().any(|atom| has(4, *atom)) {
        "quicktime"
    } else if has(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
        if contains(b"webm") { "webm" } else { "matroska" }
    } else if has(0, b"RIFF") && has(8, b"AVI ") {
        "avi"
    } else if (has(0, b"RIFF") || has(0, b"RF64")) && has(8, b"WAVE") {
        "wav"
    } else if has(0, b"OggS") {
        "ogg"
    } else if has(0, b"fLaC") {
        "flac"
    } else if has(0, b"FLV\x01") {
        "flv"
    } else if has(0, &[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11]) {
        "asf"
    } else if has(0, &[0x06, 0x0e, 0x2b, 0x34, 0x02, 0x05, 0x01, 0x01]) {
        "mxf"
    } else if has(0, &[0, 0, 1, 0xba]) {
        "mpeg"
    } else if is_packets_of(TS_PACKET, 0) || is_packets_of(M2TS_PACKET, 4) {
        "mpegts"
    } else if has(0, b"FORM") && (has(8, b"AIFF") || has(8, b"AIFC")) {
        "aiff"
    } else if has(0, b"ID3") || (has(0, &[0xff]) && head.get(1).is_some_and(|byte| byte & 0xe0 == 0xe0)) {
        "mpeg-audio"
    } else {
        return Err(Refusal::NotAVideo { found: describe(head).to_string() });
    };
    Ok(name)
}

/// Tells whether this is text that names other files: HLS, DASH, Smooth Streaming, SDP, PLS, ASX, concat and the like.
fn is_playlist(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let starts = ["#EXTM3U", "v=0\r", "v=0\n", "[playlist]", "[Reference]", "ffconcat", "<ASX", "<asx", "file '", "RTSPtext"];
    let is_xml_list =
        text.starts_with('<') && ["<MPD", "<SmoothStreamingMedia", "<smil", "<playlist", "<ges"].iter().any(|tag| text.contains(tag));
    is_xml_list || starts.iter().any(|start| text.starts_with(start))
}

fn describe(head: &[u8]) -> &'static str {
    let has = |magic: &[u8]| head.starts_with(magic);
    if has(&[0xff, 0xd8]) || has(b"\x89PNG") || has(b"GIF8") || has(b"BM") || has(b"II*\0") {
        "it is a still picture"
    } else if has(b"%PDF") {
        "it is a PDF document"
    } else if has(b"PK\x03\x04") || has(&[0x1f, 0x8b]) || has(b"Rar!") || has(b"7z\xbc\xaf") {
        "it is an archive"
    } else if head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        "it is text"
    } else {
        "its first bytes are of no known container"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &[u8], expected: Result<&str, &str>) {
        assert_eq!(from_head(head).map_err(|refusal| refusal.code()), expected, "{:?}", String::from_utf8_lossy(head));
    }

    #[test]
    fn containers_are_recognised_whatever_the_file_is_called() {
        check(b"\0\0\0\x20ftypisom", Ok("mp4"));
        check(b"\0\0\0\x14ftypqt  ", Ok("quicktime"));
        check(b"\0\0\0\x08wide\0\0\0\0mdat", Ok("quicktime"));
        check(b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", Ok("matroska"));
        check(b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm", Ok("webm"));
        check(b"RIFF\0\0\0\0AVI LIST", Ok("avi"));
        check(b"fLaC\0\0\0\x22", Ok("flac"));
        let packets: Vec<u8> = (0..TS_PACKET * 4).map(|index| if index % TS_PACKET == 0 { 0x47 } else { 0xff }).collect();
        check(&packets, Ok("mpegts"));
    }

    #[test]
    fn playlists_of_every_kind_stay_out() {
        for playlist in [
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\nfile:///etc/passwd\n",
            "\u{feff}#EXTM3U\n",
            "  \n#EXTM3U\n",
            "<?xml version=\"1.0\"?><MPD></MPD>",
            "<SmoothStreamingMedia/>",
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
            "[playlist]\nFile1=/etc/passwd",
            "ffconcat version 1.0\nfile '/etc/passwd'",
        ] {
            check(playlist.as_bytes(), Err("PLAYLIST"));
        }
    }

    #[test]
    fn other_files_are_named() {
        check(b"%PDF-1.7\n%\xe2\xe3", Err("NOT_A_VIDEO"));
        check(b"hello world, this is a text", Err("NOT_A_VIDEO"));
        check(b"\x89PNG\r\n\x1a\n", Err("NOT_A_VIDEO"));
        check(b"\0\0\0\x1cftypavif", Err("NOT_A_VIDEO"));
    }
}
