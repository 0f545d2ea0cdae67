//! One event of every type, with every field set.

use domain::artefact::{
    AudioFacts, CaptionStyle, Contribution, EncoderSettings, FeatureGroup, FrameRate, MediaFacts, Ratio, Reason, RenderSettings, VideoFacts,
};
use domain::blob::Digest;
use domain::clip::{self, Proposal, Rendition};
use domain::id::{ClipId, EventId, TranscriptId, VideoId};
use domain::model::{self, Task};
use domain::video::{self, Failure, RenderOutcome, Sound, Source, Stage, Wish};
use domain::{BlobRef, MediaTime, Span, job, publication, transcript, workspace};
use proto::Event;
use uuid::Uuid;

fn blob(byte: u8) -> BlobRef {
    BlobRef { sha256: Digest([byte; 32]), bytes: 1_000 + u64::from(byte), media_type: "video/mp4".into() }
}

fn span(start_us: u64, end_us: u64) -> Span {
    Span::new(MediaTime(start_us), MediaTime(end_us)).unwrap()
}

fn clip_id() -> ClipId {
    ClipId(Uuid::from_u128(0x11))
}

fn video_id() -> VideoId {
    VideoId(Uuid::from_u128(0x22))
}

fn failure() -> Failure {
    Failure { code: "NOT_A_VIDEO".into(), reason: "the file is a text file".into() }
}

fn encoder() -> EncoderSettings {
    EncoderSettings { video_encoder: "nvh264enc".into(), preset: "slow".into(), crf: 23, key_frame_frames: 48, audio_bitrate_bps: 192_000 }
}

fn wish() -> Wish {
    Wish {
        count: Some(6),
        ratios: Ratio::ALL.to_vec(),
        style: CaptionStyle::Block,
        length_min: MediaTime(15_000_000),
        length_max: MediaTime(60_000_000),
        model: "tiny.en".into(),
        language: Some("en".into()),
        encoder: encoder(),
    }
}

fn facts() -> MediaFacts {
    MediaFacts {
        container: "mp4".into(),
        duration_us: MediaTime(180_000_000),
        video: Some(VideoFacts {
            codec: "h264".into(),
            width: 1920,
            height: 1080,
            frame_rate: FrameRate { numerator: 30_000, denominator: 1_001 },
            is_variable_rate: true,
            rotation_degrees: 90,
        }),
        audio: Some(AudioFacts { codec: "aac".into(), channels: 2, sample_rate_hz: 48_000 }),
    }
}

pub(crate) fn every_event() -> Vec<Event> {
    [workspaces(), videos(), transcripts(), clips(), publications(), models(), jobs()].concat()
}

fn workspaces() -> Vec<Event> {
    let events = [workspace::Event::Created { name: "home".into() }, workspace::Event::Renamed { name: "work".into() }];
    events.map(Event::Workspace).into()
}

fn videos() -> Vec<Event> {
    use video::Event::{
        Analyzed, ClipsProposed, Completed, Deleted, Ingested, NothingFound, ReadyToScore, Refused, RenderSettled, StageFailed,
        StageRetried, Submitted, TranscriptAttached,
    };
    let url = Source::Url { url: "https://example.com/talk.mp4".into() };
    let events = [
        Submitted { title: "A talk".into(), source: url, subtitles: Some(blob(1)), wish: wish() },
        Ingested {
            original: blob(2),
            facts: facts(),
            sound: Some(Sound { wav: blob(6), measures: blob(16) }),
            subtitles: Some(blob(1)),
            wish: wish(),
        },
        Refused(failure()),
        TranscriptAttached { transcript: TranscriptId(Uuid::from_u128(0x33)), words: blob(3) },
        Analyzed { analysis: blob(4) },
        ReadyToScore { original: blob(2), words: blob(3), analysis: blob(4), duration: MediaTime(180_000_000), wish: wish() },
        ClipsProposed { detection: blob(5), clips: vec![clip_id()], ratios: vec![Ratio::Portrait, Ratio::Square] },
        NothingFound { detection: blob(5), explanation: "nobody speaks".into() },
        RenderSettled { clip: clip_id(), ratio: Ratio::Tall, outcome: RenderOutcome::Rendered },
        Completed { rendered: 5, failed: 1 },
        StageFailed { stage: Stage::Transcribe, failure: failure() },
        StageRetried { stage: Stage::Render },
        Deleted,
    ];
    events.map(Event::Video).into()
}

fn transcripts() -> Vec<Event> {
    use transcript::Event::{Begun, ChunkRequested, ChunkTranscribed, Completed, Imported, ReadyToAssemble};
    let (language, model) = ("en".to_owned(), "tiny.en".to_owned());
    let events = [
        Begun { video: video_id(), audio: blob(6), chunks: vec![span(0, 5), span(5, 9)], language: language.clone(), model: model.clone() },
        ChunkRequested { video: video_id(), audio: blob(6), index: 1, span: span(5, 9), language: language.clone(), model: model.clone() },
        ChunkTranscribed { index: 1, words: blob(7) },
        ReadyToAssemble { video: video_id(), chunks: vec![blob(7), blob(8)], language: language.clone(), model: model.clone() },
        Completed { video: video_id(), words: blob(9), word_count: 42, language: language.clone(), model },
        Imported { video: video_id(), words: blob(9), word_count: 42, language, format: "srt".into() },
    ];
    events.map(Event::Transcript).into()
}

fn clips() -> Vec<Event> {
    use clip::Event::{Accepted, Deleted, Proposed, Rejected, RenderFailed, RenderRequested, Rendered, Restyled, Retrimmed};
    let contribution = Contribution {
        feature: "hook_question".into(),
        group: FeatureGroup::Hook,
        value: 1.0,
        percentile: 0.9,
        weight: 2.5,
        effect: 2.25,
        at: span(10_000_000, 12_000_000),
    };
    let reason = Reason { text: "opens with a question".into(), feature: "hook_question".into(), at_us: MediaTime(10_000_000) };
    let proposal = Proposal {
        video: video_id(),
        original: blob(2),
        video_duration: MediaTime(180_000_000),
        words: blob(9),
        analysis: blob(4),
        rank: 1,
        span: span(10_000_000, 40_000_000),
        score: 87.5,
        title: "Why bread rises".into(),
        keywords: vec!["bread".into(), "yeast".into()],
        contributions: vec![contribution],
        reasons: vec![reason],
        model: "frozen-1".into(),
        style: CaptionStyle::Karaoke,
    };
    let requested = RenderRequested {
        video: video_id(),
        revision: 2,
        original: blob(2),
        words: blob(9),
        analysis: blob(4),
        span: span(10_000_000, 40_000_000),
        ratio: Ratio::Landscape,
        style: CaptionStyle::Clean,
        settings: RenderSettings { encoder: encoder(), width: 1280, height: 720, target_lufs: -16.0, captions_version: 2 },
    };
    let rendition = Rendition {
        ratio: Ratio::Square,
        video: blob(10),
        poster: blob(11),
        srt: blob(12),
        vtt: blob(13),
        ass: blob(14),
        decisions: blob(15),
        duration: MediaTime(30_000_000),
    };
    let events = [
        Proposed(Box::new(proposal)),
        Accepted,
        Rejected { reason: "too long".into() },
        Retrimmed { from: span(10, 40), to: span(12, 40) },
        Restyled { style: CaptionStyle::Block },
        requested,
        Rendered { revision: 2, rendition },
        RenderFailed { revision: 2, ratio: Ratio::Portrait, failure: failure() },
        Deleted,
    ];
    events.map(Event::Clip).into()
}

fn publications() -> Vec<Event> {
    let events = [
        publication::Event::Drafted { clip: clip_id(), text: "Look at this".into() },
        publication::Event::Reworded { text: "See this".into() },
        publication::Event::Discarded,
    ];
    events.map(Event::Publication).into()
}

fn jobs() -> Vec<Event> {
    let parking = job::Parking {
        processor: "render".into(),
        cause: EventId(Uuid::from_u128(0x33)),
        cause_type: "clip.render_requested".into(),
        cause_stream: "clip-00000000-0000-0000-0000-000000000011".into(),
        position: 7,
        attempts: 5,
        error: "writing the rendition: no disk".into(),
    };
    let (processor, position) = ("render".to_owned(), 7);
    let events = [
        job::Event::Parked(parking),
        job::Event::ReplayRequested { processor: processor.clone(), position },
        job::Event::Finished { processor, position },
    ];
    events.map(Event::Job).into()
}

fn models() -> Vec<Event> {
    let registered = model::Event::Registered {
        name: "tiny.en".into(),
        task: Task::Transcribe,
        digest: Digest([16; 32]),
        origin: "openai/whisper-tiny.en".into(),
    };
    [registered, model::Event::Promoted, model::Event::Retired].map(Event::Model).into()
}
