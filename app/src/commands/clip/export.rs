//! Lays a video's clips into a folder, as files that people understand.

use crate::engine::Store;
use anyhow::Context as _;
use domain::BlobRef;
use domain::clip::{Clip, Known, Rendition};
use domain::id::VideoId;
use domain::video::Video;
use runtime::execute::load;
use std::path::{Path, PathBuf};

/// Longest part of a title in a file name, in characters.
const SLUG_CHARACTERS_MAX: usize = 48;

/// A clip whose files lie in the folder.
pub(super) struct Exported {
    pub(super) clip: Known,
    pub(super) id: domain::id::ClipId,
    /// The MP4 of each rendition, in the order of ratios.
    pub(super) files: Vec<(Rendition, PathBuf)>,
}

/// Writes the newest renditions of a video's clips to `out`, best first.
pub(super) async fn export(store: &Store, video: VideoId, out: &Path) -> anyhow::Result<Vec<Exported>> {
    std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let Video::Known(known) = load::<Video>(&store.log, store.workspace, video.0).await? else {
        anyhow::bail!("the video is gone");
    };
    let mut ids: Vec<_> = known.rendered.iter().map(|(clip, _)| *clip).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut clips = Vec::with_capacity(ids.len());
    for id in ids {
        if let Clip::Known(clip) = load::<Clip>(&store.log, store.workspace, id.0).await? {
            clips.push(Exported { files: vec![], clip: *clip, id });
        }
    }
    clips.sort_by_key(|exported| exported.clip.proposal.rank);
    for exported in &mut clips {
        for (_, rendition) in exported.clip.renditions.values() {
            let ratio = rendition.ratio.to_string().replace(':', "x");
            let stem = format!("{:02}-{}.{ratio}", exported.clip.proposal.rank, slug(&exported.clip.proposal.title));
            exported.files.push((rendition.clone(), lay(store, rendition, &out.join(stem)).await?));
        }
    }
    Ok(clips)
}

async fn lay(store: &Store, rendition: &Rendition, stem: &Path) -> anyhow::Result<PathBuf> {
    let files = [
        ("mp4", &rendition.video),
        ("jpg", &rendition.poster),
        ("srt", &rendition.srt),
        ("vtt", &rendition.vtt),
        ("ass", &rendition.ass),
        ("decisions.json", &rendition.decisions),
    ];
    for (ending, blob) in files {
        copy(store, blob, &with_ending(stem, ending)).await?;
    }
    Ok(with_ending(stem, "mp4"))
}

fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Copies a blob under another name first, so that a file is never seen half written.
async fn copy(store: &Store, blob: &BlobRef, path: &Path) -> anyhow::Result<()> {
    let from = store.blobs.open_local(blob).await?;
    let aside = with_ending(path, "part");
    tokio::fs::copy(from.path(), &aside).await.with_context(|| format!("writing {}", path.display()))?;
    tokio::fs::rename(&aside, path).await.with_context(|| format!("writing {}", path.display()))
}

/// Returns a title as lower-case words with dashes.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for character in title.chars().flat_map(char::to_lowercase) {
        if slug.chars().count() >= SLUG_CHARACTERS_MAX {
            break;
        }
        if character.is_alphanumeric() {
            slug.push(character);
        } else if character != '\'' && character != '’' && !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "clip".into() } else { slug.into() }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_title_becomes_a_file_name_that_any_system_takes() {
        assert_eq!(slug("How can two lines stop a company?"), "how-can-two-lines-stop-a-company");
        assert_eq!(slug("It's 3/4 done..."), "its-3-4-done");
        assert_eq!(slug("¿?"), "clip");
        assert_eq!(slug("مرحبا بالعالم"), "مرحبا-بالعالم");
        assert!(slug(&"long ".repeat(40)).len() <= super::SLUG_CHARACTERS_MAX);
    }
}
