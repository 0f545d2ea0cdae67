//! What is printed about clips.

use super::export::Exported;
use crate::engine::Store;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// Reasons that a table shows of each clip.
const REASONS_SHOWN: usize = 3;

/// Prints one paragraph per clip: file, in, out, score and the strongest reasons.
pub(super) fn table(clips: &[Exported], out: &Path) {
    let mut text = String::new();
    for exported in clips {
        let proposal = &exported.clip.proposal;
        let span = exported.clip.span;
        let line = format!(
            "{:>2}. {}\n    {} to {}  ({:.1} s)   score {:.0}\n",
            proposal.rank,
            proposal.title,
            span.start(),
            span.end(),
            span.duration().seconds(),
            proposal.score
        );
        text.push_str(&line);
        for reason in proposal.reasons.iter().take(REASONS_SHOWN) {
            text.push_str(&format!("    - {}\n", reason.text));
        }
        for (_, file) in &exported.files {
            text.push_str(&format!("    {}\n", file.display()));
        }
        text.push('\n');
    }
    text.push_str(&format!("Subtitles, posters and decision lists lie beside the clips in {}.\n", out.display()));
    write(&text);
}

/// Prints everything that is known of the clips as one JSON document.
pub(super) async fn json(store: &Store, clips: &[Exported]) -> anyhow::Result<()> {
    let mut entries = Vec::with_capacity(clips.len());
    for exported in clips {
        let mut renditions = Vec::with_capacity(exported.files.len());
        for (rendition, file) in &exported.files {
            let decisions: Value = serde_json::from_slice(&store.blobs.get_bytes(&rendition.decisions).await?)?;
            renditions.push(json!({
                "ratio": rendition.ratio,
                "file": file,
                "sha256": rendition.video.sha256,
                "bytes": rendition.video.bytes,
                "decisions": decisions,
            }));
        }
        let proposal = &exported.clip.proposal;
        entries.push(json!({
            "clip": exported.id,
            "video": proposal.video,
            "rank": proposal.rank,
            "title": proposal.title,
            "keywords": proposal.keywords,
            "span": exported.clip.span,
            "score": proposal.score,
            "model": proposal.model,
            "reasons": proposal.reasons,
            "contributions": proposal.contributions,
            "renditions": renditions,
        }));
    }
    write(&format!("{}\n", serde_json::to_string_pretty(&json!({ "clips": entries }))?));
    Ok(())
}

fn write(text: &str) {
    // A reader that went away, as after `| head`, is no error.
    let _gone = std::io::stdout().write_all(text.as_bytes());
}
