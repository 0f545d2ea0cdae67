//! From the chunks of a transcript to the whole.

use domain::MediaTime;
use domain::artefact::Transcript;

/// Returns the chunks, which are in order and do not overlap, as one transcript.
pub(super) fn join(chunks: Vec<Transcript>, language: &str, model: &str) -> Transcript {
    let duration_us = chunks.iter().map(|chunk| chunk.duration_us).max().unwrap_or(MediaTime::ZERO);
    let segments = chunks.into_iter().flat_map(|chunk| chunk.segments).collect();
    Transcript { language: language.into(), model: model.into(), duration_us, segments }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Span;
    use domain::artefact::Segment;

    fn chunk(start_ms: u64) -> Transcript {
        let span = Span::new(MediaTime::from_millis(start_ms), MediaTime::from_millis(start_ms + 500)).expect("it is not empty");
        let segment = Segment { span, text: "yes".into(), words: vec![], mean_logprob: -0.1, no_speech_probability: 0.0 };
        Transcript { language: "en".into(), model: "tiny.en".into(), duration_us: span.end(), segments: vec![segment] }
    }

    #[test]
    fn chunks_follow_one_another() {
        let whole = join(vec![chunk(0), chunk(60_000)], "en", "tiny.en");
        assert_eq!(whole.segments.len(), 2);
        assert_eq!(whole.duration_us, MediaTime::from_millis(60_500));
    }

    #[test]
    fn nothing_heard_is_an_empty_transcript() {
        assert_eq!(join(vec![], "en", "tiny.en").segments, vec![]);
    }
}
