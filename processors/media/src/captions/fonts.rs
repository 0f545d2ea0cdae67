//! The fonts of captions: bundled, and loaded for captions alone.
//!
//! What the bundle covers (Latin, Greek, Cyrillic, Arabic, Hebrew, common emoji) looks the same on every machine, whatever is installed there.
//! Other scripts are drawn with the machine's fonts.

use super::native::Config;
use anyhow::{Context, Result};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

/// Bundled font files; all under the SIL Open Font License, see `assets/fonts/README.md`.
const BUNDLED: [(&str, &[u8]); 5] = [
    ("Inter-Black.otf", include_bytes!("../../assets/fonts/Inter-Black.otf")),
    ("Inter-Bold.otf", include_bytes!("../../assets/fonts/Inter-Bold.otf")),
    ("NotoSansArabic-Bold.ttf", include_bytes!("../../assets/fonts/NotoSansArabic-Bold.ttf")),
    ("NotoSansHebrew-Bold.ttf", include_bytes!("../../assets/fonts/NotoSansHebrew-Bold.ttf")),
    ("NotoColorEmoji-subset.ttf", include_bytes!("../../assets/fonts/NotoColorEmoji-subset.ttf")),
];

/// Families in the order in which they are asked for a character; the last ones are not bundled.
pub(super) const FAMILIES: &str = "Inter,Noto Sans Arabic,Noto Sans Hebrew,Noto Color Emoji,Noto Sans CJK SC,Noto Sans,sans-serif";

/// Which fonts may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The bundle alone: the same on every machine.
    Bundled,
    /// The bundle, and the machine's fonts for what it lacks.
    WithInstalled,
}

/// Returns a font map that knows the fonts of `choice`, and no others.
pub(super) fn font_map(choice: Choice) -> Result<pango::FontMap> {
    let files = unpacked()?;
    let map = pangocairo::FontMap::new();
    let config = Config::new(choice)?;
    for file in &files {
        config.add(file)?;
    }
    config.apply(&map);
    Ok(map)
}

/// Writes the bundle where font libraries can open it, once per machine and bundle, and returns the files.
fn unpacked() -> Result<Vec<PathBuf>> {
    let mut hasher = DefaultHasher::new();
    BUNDLED.hash(&mut hasher);
    let folder = std::env::temp_dir().join(format!("clipflow-fonts-{:016x}", hasher.finish()));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    BUNDLED
        .iter()
        .map(|(name, bytes)| {
            let file = folder.join(name);
            // A file that someone else put there is replaced or refused, not trusted.
            if std::fs::read(&file).is_ok_and(|found| found == *bytes) {
                return Ok(file);
            }
            let part = folder.join(format!("{name}.{}-{:?}", std::process::id(), std::thread::current().id()));
            std::fs::write(&part, bytes)
                .and_then(|()| std::fs::rename(&part, &file))
                .with_context(|| format!("writing the caption font {}", file.display()))?;
            Ok(file)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use pango::prelude::*;

    #[test]
    fn the_bundle_is_all_that_captions_see() {
        let map = font_map(Choice::Bundled).unwrap();
        let mut families: Vec<String> = map.list_families().iter().map(|family| family.name().to_string()).collect();
        families.sort();
        families.retain(|family| !["Monospace", "Sans", "Serif", "System-ui"].contains(&family.as_str()));
        assert_eq!(families, ["Inter", "Noto Color Emoji", "Noto Sans Arabic", "Noto Sans Hebrew"]);
    }
}
