use super::*;
use crate::blob::Digest;
use crate::testing::given;
use uuid::Uuid;

fn blob(byte: u8) -> BlobRef {
    BlobRef { sha256: Digest([byte; 32]), bytes: 1, media_type: "video/mp4".into() }
}

fn span(start_s: u64, end_s: u64) -> Span {
    Span::new(MediaTime::from_millis(start_s * 1_000), MediaTime::from_millis(end_s * 1_000)).unwrap()
}

fn proposal() -> Box<Proposal> {
    Box::new(Proposal {
        video: VideoId(Uuid::from_u128(1)),
        original: blob(1),
        video_duration: MediaTime::from_millis(300_000),
        words: blob(2),
        analysis: blob(3),
        rank: 1,
        span: span(10, 40),
        score: 81.5,
        title: "Why bread rises".into(),
        keywords: vec!["bread".into()],
        contributions: vec![],
        reasons: vec![],
        model: "frozen-1".into(),
        style: CaptionStyle::Karaoke,
    })
}

fn proposed() -> Event {
    Event::Proposed(proposal())
}

fn rejected() -> Event {
    Event::Rejected { reason: "too long".into() }
}

fn requested(revision: u32) -> Event {
    Event::RenderRequested {
        video: VideoId(Uuid::from_u128(1)),
        revision,
        original: blob(1),
        words: blob(2),
        analysis: blob(3),
        span: span(10, 40),
        ratio: Ratio::Portrait,
        style: CaptionStyle::Karaoke,
        settings: RenderSettings::full_size(Ratio::Portrait, EncoderSettings::default()),
    }
}

fn request(ratio: Ratio) -> Command {
    Command::RequestRender { ratio, encoder: EncoderSettings::default() }
}

fn rendition() -> Rendition {
    Rendition {
        ratio: Ratio::Portrait,
        video: blob(4),
        poster: blob(5),
        srt: blob(6),
        vtt: blob(7),
        ass: blob(8),
        decisions: blob(9),
        duration: MediaTime::from_millis(30_000),
    }
}

fn rendered() -> Event {
    Event::Rendered { revision: 0, rendition: rendition() }
}

fn failure() -> Failure {
    Failure { code: "ENCODER_FAILED".into(), reason: "the encoder stopped".into() }
}

#[test]
fn proposing_twice_happens_once() {
    given::<Clip>([]).when(Command::Propose(proposal())).then_again(Command::Propose(proposal())).then_nothing();
}

#[test]
fn a_proposal_outside_the_video_is_refused() {
    let mut outside = proposal();
    outside.span = span(290, 310);
    given::<Clip>([])
        .when(Command::Propose(outside))
        .then_err(Error::SpanOutsideVideo { span: span(290, 310), duration: MediaTime::from_millis(300_000) });
}

#[test]
fn an_open_clip_can_be_accepted_once() {
    given::<Clip>([proposed()]).when(Command::Accept).then([Event::Accepted]);
    given::<Clip>([proposed(), Event::Accepted]).when(Command::Accept).then_nothing();
}

#[test]
fn a_rejected_clip_cannot_be_accepted_edited_or_rendered() {
    for command in
        [Command::Accept, Command::Retrim { span: span(12, 40) }, Command::Restyle { style: CaptionStyle::Block }, request(Ratio::Square)]
    {
        given::<Clip>([proposed(), rejected()]).when(command).then_err(Error::Rejected { reason: "too long".into() });
    }
}

#[test]
fn an_accepted_clip_cannot_be_rejected() {
    given::<Clip>([proposed(), Event::Accepted]).when(Command::Reject { reason: "no".into() }).then_err(Error::AlreadyAccepted);
}

#[test]
fn a_rejection_needs_a_reason() {
    given::<Clip>([proposed()]).when(Command::Reject { reason: " ".into() }).then_err(Error::BadReason);
    given::<Clip>([proposed()]).when(Command::Reject { reason: "too long".into() }).then([rejected()]);
    given::<Clip>([proposed(), rejected()]).when(Command::Reject { reason: "other".into() }).then_nothing();
}

#[test]
fn retrimming_says_where_it_was_and_where_it_is() {
    given::<Clip>([proposed()])
        .when(Command::Retrim { span: span(12, 40) })
        .then([Event::Retrimmed { from: span(10, 40), to: span(12, 40) }]);
    given::<Clip>([proposed()]).when(Command::Retrim { span: span(10, 40) }).then_nothing();
}

#[test]
fn a_clip_that_would_be_too_short_or_outside_is_not_retrimmed() {
    given::<Clip>([proposed()])
        .when(Command::Retrim { span: span(10, 12) })
        .then_err(Error::BadLength { length: MediaTime::from_millis(2_000) });
    given::<Clip>([proposed()])
        .when(Command::Retrim { span: span(280, 301) })
        .then_err(Error::SpanOutsideVideo { span: span(280, 301), duration: MediaTime::from_millis(300_000) });
}

#[test]
fn restyling_to_the_same_style_is_nothing() {
    given::<Clip>([proposed()])
        .when(Command::Restyle { style: CaptionStyle::Block })
        .then([Event::Restyled { style: CaptionStyle::Block }]);
    given::<Clip>([proposed()]).when(Command::Restyle { style: CaptionStyle::Karaoke }).then_nothing();
}

#[test]
fn a_render_is_requested_once_per_revision() {
    let request = request(Ratio::Portrait);
    given::<Clip>([proposed()]).when(request.clone()).then([requested(0)]);
    given::<Clip>([proposed(), requested(0)]).when(request.clone()).then_nothing();
    given::<Clip>([proposed(), requested(0), rendered()]).when(request).then_nothing();
}

#[test]
fn a_request_carries_what_the_bytes_depend_on_so_that_another_process_makes_the_same() {
    let encoder = EncoderSettings { crf: 30, preset: "slow".into(), ..EncoderSettings::default() };
    let command = Command::RequestRender { ratio: Ratio::Tall, encoder: encoder.clone() };
    let events = Clip::default().evolve(&proposed()).decide(command, crate::testing::NOW).unwrap();
    let [Event::RenderRequested { settings, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&settings.encoder, settings.width, settings.height), (&encoder, 1080, 1350));
}

#[test]
fn an_edit_makes_a_new_render_of_the_original_possible() {
    let events = [proposed(), requested(0), rendered(), Event::Restyled { style: CaptionStyle::Block }];
    let Event::RenderRequested { video, original, words, analysis, span, ratio, settings, .. } = requested(1) else { unreachable!() };
    given::<Clip>(events).when(request(Ratio::Portrait)).then([Event::RenderRequested {
        video,
        revision: 1,
        original,
        words,
        analysis,
        span,
        ratio,
        style: CaptionStyle::Block,
        settings,
    }]);
}

#[test]
fn a_rendition_is_recorded_once_and_only_when_it_was_asked_for() {
    let record = Command::RecordRender { revision: 0, rendition: Box::new(rendition()) };
    given::<Clip>([proposed(), requested(0)]).when(record.clone()).then([rendered()]);
    given::<Clip>([proposed(), requested(0), rendered()]).when(record.clone()).then_nothing();
    given::<Clip>([proposed()]).when(record).then_err(Error::NotRequested { revision: 0, ratio: Ratio::Portrait });
}

#[test]
fn a_failed_render_can_be_requested_again() {
    let fail = Command::FailRender { revision: 0, ratio: Ratio::Portrait, failure: failure() };
    let failed = Event::RenderFailed { revision: 0, ratio: Ratio::Portrait, failure: failure() };
    given::<Clip>([proposed(), requested(0)]).when(fail.clone()).then([failed.clone()]);
    given::<Clip>([proposed(), requested(0), failed.clone()]).when(fail).then_nothing();
    given::<Clip>([proposed(), requested(0), failed]).when(request(Ratio::Portrait)).then([requested(0)]);
}

#[test]
fn a_rendition_that_arrives_after_a_rejection_is_still_recorded() {
    given::<Clip>([proposed(), requested(0), rejected()])
        .when(Command::RecordRender { revision: 0, rendition: Box::new(rendition()) })
        .then([rendered()]);
}

#[test]
fn a_deleted_clip_takes_no_command_but_delete() {
    given::<Clip>([proposed(), Event::Deleted]).when(Command::Accept).then_err(Error::Deleted);
    given::<Clip>([proposed(), Event::Deleted]).when(Command::Delete).then_nothing();
    given::<Clip>([]).when(Command::Accept).then_err(Error::Absent);
}
