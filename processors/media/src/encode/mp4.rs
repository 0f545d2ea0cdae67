//! Writes an MP4 file: one H.264 track, one AAC track, header first, no edit list.
//!
//! GStreamer's muxer starts a picture with reordered frames, and sound with encoder priming, by an edit list, and several platforms ignore
//! those: sound then lags. Here both tracks start at 0 by themselves: composition offsets may be negative (ISO/IEC 14496-12, `ctts` version 1)
//! and the priming packet takes the place of the first samples, which the caller does not encode. Bytes depend on nothing but the input.

use anyhow::{Context, Result, ensure};
use domain::artefact::FrameRate;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Clock ticks per second of the movie header, which only holds durations: fine enough for a tenth of a frame.
const MOVIE_TICKS: u64 = 1_000;

/// Video ticks per frame: composition times need none finer, players like some room.
const TICKS_PER_FRAME: u32 = 512;

/// How much picture and sound alternate in the file.
const INTERLEAVE_SECONDS: f64 = 0.5;

/// Samples per AAC packet.
pub(crate) const PACKET_SAMPLES: u32 = 1_024;

/// A video track; its bytes are in a file of their own, in decoding order.
pub(crate) struct Picture<'a> {
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) rate: FrameRate,
    /// `AVCDecoderConfigurationRecord`.
    pub(crate) configuration: &'a [u8],
    /// In decoding order.
    pub(crate) frames: &'a [EncodedFrame],
    pub(crate) bytes: &'a Path,
}

/// One encoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncodedFrame {
    pub(crate) bytes: u32,
    /// Its place in the order of showing, from 0.
    pub(crate) shown: u64,
    pub(crate) is_key: bool,
}

/// An audio track.
pub(crate) struct Sound<'a> {
    pub(crate) sample_rate: u32,
    pub(crate) channels: u16,
    /// `AudioSpecificConfig`.
    pub(crate) configuration: &'a [u8],
    pub(crate) bitrate_bps: u32,
    pub(crate) packets: &'a [Vec<u8>],
    /// How many samples play; the last packet is cut to it.
    pub(crate) samples: u64,
}

/// Writes `picture` and `sound` to `out`.
pub(crate) fn write(out: &Path, picture: &Picture<'_>, sound: Option<&Sound<'_>>) -> Result<()> {
    let chunks = interleave(picture, sound);
    let size = chunks.iter().map(|chunk| chunk.bytes).sum::<u64>() + 16;
    let ftyp = atom(b"ftyp", &[b"isom", &0x200_u32.to_be_bytes(), b"isom", b"iso4", b"avc1", b"mp41"]);
    // Offsets are as wide for every value, so the header's length does not depend on them.
    let start = ftyp.len() as u64 + header(picture, sound, &chunks, 0).len() as u64 + 16;
    let moov = header(picture, sound, &chunks, start);
    let file = File::create(out).with_context(|| format!("creating {}", out.display()))?;
    let mut file = BufWriter::new(file);
    file.write_all(&ftyp)?;
    file.write_all(&moov)?;
    file.write_all(&[&1_u32.to_be_bytes()[..], b"mdat", &size.to_be_bytes()].concat())?;
    let mut video = BufReader::new(File::open(picture.bytes).context("reading the encoded picture")?);
    let mut packets = sound.map_or(&[][..], |sound| sound.packets).iter();
    for chunk in &chunks {
        match chunk.kind {
            Kind::Picture => {
                let copied = std::io::copy(&mut video.by_ref().take(chunk.bytes), &mut file)?;
                ensure!(copied == chunk.bytes, "the encoded picture is shorter than its frames");
            }
            Kind::Sound => {
                for packet in packets.by_ref().take(chunk.samples) {
                    file.write_all(packet)?;
                }
            }
        }
    }
    file.flush().with_context(|| format!("writing {}", out.display()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Picture,
    Sound,
}

/// Samples of one track that lie together in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    kind: Kind,
    samples: usize,
    bytes: u64,
}

fn interleave(picture: &Picture<'_>, sound: Option<&Sound<'_>>) -> Vec<Chunk> {
    let per_chunk = |per_second: f64| ((per_second * INTERLEAVE_SECONDS).round() as usize).max(1);
    let sum = |frames: &[EncodedFrame]| frames.iter().map(|frame| u64::from(frame.bytes)).sum();
    let chunk = |kind, samples, bytes| Chunk { kind, samples, bytes };
    let pictures = picture.frames.chunks(per_chunk(picture.rate.per_second())).map(|part| chunk(Kind::Picture, part.len(), sum(part)));
    let packets_per_second = sound.map_or(1.0, |sound| f64::from(sound.sample_rate) / f64::from(PACKET_SAMPLES));
    let packets = sound.map_or(&[][..], |sound| sound.packets);
    let mut sounds = packets
        .chunks(per_chunk(packets_per_second))
        .map(|part| chunk(Kind::Sound, part.len(), part.iter().map(|packet| packet.len() as u64).sum()));
    let mut chunks = Vec::new();
    for picture in pictures {
        chunks.push(picture);
        chunks.extend(sounds.next());
    }
    chunks.extend(sounds);
    chunks
}

fn header(picture: &Picture<'_>, sound: Option<&Sound<'_>>, chunks: &[Chunk], start: u64) -> Vec<u8> {
    let offsets = |kind| {
        let mut at = start;
        let mut found = Vec::new();
        for chunk in chunks {
            if chunk.kind == kind {
                found.push((at, chunk.samples as u32));
            }
            at += chunk.bytes;
        }
        found
    };
    let seconds = picture.frames.len() as f64 / picture.rate.per_second();
    let longest = sound.map_or(0.0, |sound| sound.samples as f64 / f64::from(sound.sample_rate)).max(seconds);
    let tracks = if sound.is_some() { 2_u32 } else { 1 };
    let mut mvhd = Vec::new();
    words(&mut mvhd, &[0, 0, 0, MOVIE_TICKS as u32, movie_ticks(longest), 0x0001_0000, 0x0100_0000, 0, 0]);
    words(&mut mvhd, &MATRIX);
    words(&mut mvhd, &[0, 0, 0, 0, 0, 0, tracks + 1]);
    let video = video_track(picture, movie_ticks(seconds), &offsets(Kind::Picture));
    let audio = sound.map_or(Vec::new(), |sound| audio_track(sound, &offsets(Kind::Sound)));
    atom(b"moov", &[&atom(b"mvhd", &[&mvhd]), &video, &audio])
}

/// The unit matrix of 14496-12: nothing is turned or scaled.
const MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

/// Undetermined, in the packed ISO 639-2 of `mdhd`.
const LANGUAGE: u32 = 0x55c4;

fn video_track(picture: &Picture<'_>, duration: u32, offsets: &[(u64, u32)]) -> Vec<u8> {
    let frames = picture.frames;
    // Unusual rates are fractions of large numbers: those are fine enough by themselves.
    let per_frame = if picture.rate.numerator < u32::MAX / TICKS_PER_FRAME { TICKS_PER_FRAME } else { 1 };
    let (ticks, delta) = (picture.rate.numerator * per_frame, picture.rate.denominator * per_frame);
    let mut entry = vec![0, 0, 0, 0, 0, 0, 0, 1];
    entry.extend([0; 16]);
    entry.extend(picture.width.to_be_bytes());
    entry.extend(picture.height.to_be_bytes());
    words(&mut entry, &[0x0048_0000, 0x0048_0000, 0, 0x0001_0000]);
    entry.extend([0; 30]);
    entry.extend([0, 0x18, 0xff, 0xff]);
    // BT.709 primaries, transfer and matrix, limited range; square pixels.
    let colour = atom(b"colr", &[b"nclx", &[0, 1, 0, 1, 0, 1, 0]]);
    let square = atom(b"pasp", &[&1_u32.to_be_bytes(), &1_u32.to_be_bytes()]);
    let stsd = sample_description(&atom(b"avc1", &[&entry, &atom(b"avcC", &[picture.configuration]), &colour, &square]));
    let stts = full(b"stts", 0, &[1, frames.len() as u32, delta]);
    let shifts = frames.iter().enumerate().map(|(decoded, frame)| (frame.shown as i64 - decoded as i64) * i64::from(delta));
    let runs = run_lengths(shifts.map(|shift| shift as i32 as u32));
    let ctts = full(b"ctts", 1, &counted(&runs));
    let keys: Vec<u32> = (1_u32..).zip(frames).filter(|(_, frame)| frame.is_key).map(|(number, _)| number).collect();
    let mut stss = vec![keys.len() as u32];
    stss.extend(keys);
    let sizes = sample_sizes(frames.iter().map(|frame| frame.bytes));
    let tables = [stsd, stts, ctts, full(b"stss", 0, &stss), sample_to_chunk(offsets), sizes, chunk_offsets(offsets)];
    let media = Media {
        ticks,
        duration: frames.len() as u64 * u64::from(delta),
        handler: *b"vide",
        name: b"VideoHandler\0",
        header: full_flags(b"vmhd", 1, &[0, 0]),
        tables: tables.concat(),
    };
    let (width, height) = (u32::from(picture.width) << 16, u32::from(picture.height) << 16);
    track(1, duration, 0, (width, height), &media)
}

fn audio_track(sound: &Sound<'_>, offsets: &[(u64, u32)]) -> Vec<u8> {
    let mut entry = vec![0, 0, 0, 0, 0, 0, 0, 1];
    entry.extend([0; 8]);
    entry.extend(sound.channels.to_be_bytes());
    entry.extend([0, 16, 0, 0, 0, 0]);
    words(&mut entry, &[sound.sample_rate << 16]);
    let stsd = sample_description(&atom(b"mp4a", &[&entry, &elementary_stream(sound)]));
    let packets = sound.packets.len() as u32;
    let last = sound.samples.saturating_sub(u64::from(packets.saturating_sub(1)) * u64::from(PACKET_SAMPLES)) as u32;
    let lengths = (0..packets).map(|index| if index + 1 == packets { last } else { PACKET_SAMPLES });
    let stts = full(b"stts", 0, &counted(&run_lengths(lengths)));
    let sizes = sample_sizes(sound.packets.iter().map(|packet| packet.len() as u32));
    let media = Media {
        ticks: sound.sample_rate,
        duration: sound.samples,
        handler: *b"soun",
        name: b"SoundHandler\0",
        header: full(b"smhd", 0, &[0]),
        tables: [stsd, stts, sample_to_chunk(offsets), sizes, chunk_offsets(offsets)].concat(),
    };
    let seconds = sound.samples as f64 / f64::from(sound.sample_rate);
    track(2, movie_ticks(seconds), 0x0100_0000, (0, 0), &media)
}

/// What `mdia` holds.
struct Media {
    ticks: u32,
    duration: u64,
    handler: [u8; 4],
    name: &'static [u8],
    header: Vec<u8>,
    tables: Vec<u8>,
}

fn track(number: u32, duration: u32, volume: u32, (width, height): (u32, u32), media: &Media) -> Vec<u8> {
    let mut tkhd = vec![0, 0, 0, 3];
    words(&mut tkhd, &[0, 0, number, 0, duration, 0, 0, 0, volume]);
    words(&mut tkhd, &MATRIX);
    words(&mut tkhd, &[width, height]);
    let mut mdhd = vec![1, 0, 0, 0];
    mdhd.extend([0; 16]);
    words(&mut mdhd, &[media.ticks]);
    mdhd.extend(media.duration.to_be_bytes());
    words(&mut mdhd, &[LANGUAGE << 16]);
    let handler = atom(b"hdlr", &[&[0; 8], &media.handler, &[0; 12], media.name]);
    // Flag 1: the samples are in this file.
    let references = atom(b"dinf", &[&atom(b"dref", &[&[0; 4], &1_u32.to_be_bytes(), &full_flags(b"url ", 1, &[])])]);
    let information = atom(b"minf", &[&media.header, &references, &atom(b"stbl", &[&media.tables])]);
    atom(b"trak", &[&atom(b"tkhd", &[&tkhd]), &atom(b"mdia", &[&atom(b"mdhd", &[&mdhd]), &handler, &information])])
}

/// Returns the `esds` box: MPEG-4 descriptors of an AAC stream (ISO/IEC 14496-1, 7.2.6).
fn elementary_stream(sound: &Sound<'_>) -> Vec<u8> {
    let specific = descriptor(5, &[sound.configuration]);
    let rate = sound.bitrate_bps.to_be_bytes();
    let decoder = descriptor(4, &[&[0x40, 0x15, 0, 0, 0], &rate, &rate, &specific]);
    let stream = descriptor(3, &[&[0, 2, 0], &decoder, &descriptor(6, &[&[2]])]);
    atom(b"esds", &[&[0; 4], &stream])
}

fn descriptor(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    debug_assert!(body.len() < 128, "one byte holds the length of these descriptors");
    [&[tag, body.len() as u8], body.as_slice()].concat()
}

fn sample_description(entry: &[u8]) -> Vec<u8> {
    atom(b"stsd", &[&[0; 4], &1_u32.to_be_bytes(), entry])
}

fn sample_sizes(sizes: impl Iterator<Item = u32>) -> Vec<u8> {
    let sizes: Vec<u32> = sizes.collect();
    let mut table = vec![0, sizes.len() as u32];
    table.extend(sizes);
    full(b"stsz", 0, &table)
}

fn sample_to_chunk(chunks: &[(u64, u32)]) -> Vec<u8> {
    let mut table: Vec<u32> = vec![0];
    let mut held = None;
    for (number, (_, samples)) in (1_u32..).zip(chunks) {
        if held != Some(samples) {
            held = Some(samples);
            table.extend([number, *samples, 1]);
            table[0] += 1;
        }
    }
    full(b"stsc", 0, &table)
}

fn chunk_offsets(chunks: &[(u64, u32)]) -> Vec<u8> {
    let mut table = vec![chunks.len() as u32];
    table.extend(chunks.iter().flat_map(|(offset, _)| [(offset >> 32) as u32, *offset as u32]));
    full(b"co64", 0, &table)
}

fn run_lengths(values: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((count, held)) if *held == value => *count += 1,
            _ => runs.push((1, value)),
        }
    }
    runs
}

fn counted(runs: &[(u32, u32)]) -> Vec<u32> {
    let mut table = vec![runs.len() as u32];
    table.extend(runs.iter().flat_map(|(count, value)| [*count, *value]));
    table
}

fn movie_ticks(seconds: f64) -> u32 {
    (seconds * MOVIE_TICKS as f64).round() as u32
}

fn words(to: &mut Vec<u8>, values: &[u32]) {
    to.extend(values.iter().flat_map(|value| value.to_be_bytes()));
}

fn full(name: &[u8; 4], version: u8, values: &[u32]) -> Vec<u8> {
    let mut body = vec![version, 0, 0, 0];
    words(&mut body, values);
    atom(name, &[&body])
}

fn full_flags(name: &[u8; 4], flags: u8, values: &[u32]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, flags];
    words(&mut body, values);
    atom(name, &[&body])
}

fn atom(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], name, &body].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;

    #[test]
    fn boxes_say_their_length_and_name() {
        assert_eq!(full(b"stts", 0, &[1, 90, 512]), b"\0\0\0\x18stts\0\0\0\0\0\0\0\x01\0\0\0\x5a\0\0\x02\0");
        assert_eq!(full_flags(b"url ", 1, &[]), b"\0\0\0\x0curl \0\0\0\x01");
        assert_eq!(
            sample_to_chunk(&[(0, 15), (9, 15), (18, 4)])[12..],
            [0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 15, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1]
        );
        assert_eq!(chunk_offsets(&[(0x1_0000_0002, 1)])[12..], [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2]);
    }

    #[test]
    fn the_stream_descriptor_holds_the_decoder_configuration() {
        let sound =
            Sound { sample_rate: 48_000, channels: 2, configuration: &[0x11, 0x90], bitrate_bps: 160_000, packets: &[], samples: 0 };
        let expected = [
            0, 0, 0, 39, b'e', b's', b'd', b's', 0, 0, 0, 0, 3, 25, 0, 2, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 2, 0x71, 0, 0, 2, 0x71, 0, 5,
            2, 0x11, 0x90, 6, 1, 2,
        ];
        let written = elementary_stream(&sound);
        assert_eq!(written[12..], expected[12..]);
        assert_eq!(written.len(), expected.len());
    }

    /// Three frames in the order I P B, shown I B P, and two packets of which the last plays by half.
    #[test]
    fn a_small_file_is_written_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let (video, out) = (folder.path().join("video"), folder.path().join("out.mp4"));
        std::fs::write(&video, b"IIIPPB").unwrap();
        let frame = |bytes, shown, is_key| EncodedFrame { bytes, shown, is_key };
        let picture = Picture {
            width: 360,
            height: 640,
            rate: FrameRate { numerator: 30, denominator: 1 },
            configuration: &[1, 100, 0, 31],
            frames: &[frame(3, 0, true), frame(2, 2, false), frame(1, 1, false)],
            bytes: &video,
        };
        let packets = [vec![0xaa, 0xbb], vec![0xcc]];
        let sound = Sound {
            sample_rate: 48_000,
            channels: 2,
            configuration: &[0x11, 0x90],
            bitrate_bps: 160_000,
            packets: &packets,
            samples: 1_536,
        };
        write(&out, &picture, Some(&sound)).unwrap();
        let bytes = std::fs::read(&out).unwrap();
        let within = |name: &[u8], body: &[u8]| {
            let at = bytes.windows(4).position(|window| window == name).unwrap() + 4;
            assert_eq!(&bytes[at..at + body.len()], body, "{}", String::from_utf8_lossy(name));
        };
        assert_eq!(&bytes[..32], b"\0\0\0\x20ftypisom\0\0\x02\0isomiso4avc1mp41");
        // Offsets of 0, +1 and -1 frames of 512 ticks.
        within(b"ctts", &[1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 1, 0xff, 0xff, 0xfe, 0]);
        within(b"stss", &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
        within(b"mdat", b"\0\0\0\0\0\0\0\x19IIIPPB\xaa\xbb\xcc");
        let sound_times: Vec<u8> = [0, 2, 1, 1_024, 1, 512_u32].iter().flat_map(|value| value.to_be_bytes()).collect();
        let at = bytes.windows(4).rposition(|window| window == b"stts").unwrap() + 4;
        assert_eq!(&bytes[at..at + sound_times.len()], sound_times);
        let at = bytes.windows(4).position(|window| window == b"co64").unwrap() + 12;
        let first = u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        assert_eq!(&bytes[first..first + 3], b"III", "offsets point at samples");
        assert!(!bytes.windows(4).any(|window| window == b"elst"));
    }
}
