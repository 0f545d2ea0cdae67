//! Widths of words and how they are joined and drawn.

/// Tells whether a character is drawn twice as wide as a letter and stands without spaces: Han, Kana, full-width forms, emoji.
fn is_wide(character: char) -> bool {
    matches!(u32::from(character),
        0x2E80..=0x303E | 0x3041..=0x33FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0xFE30..=0xFE4F
        | 0xFF01..=0xFF60 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD)
}

/// Tells whether words of this script follow one another without a space.
fn is_unspaced(character: char) -> bool {
    is_wide(character) && !matches!(u32::from(character), 0x1F300..=0x1FAFF)
}

/// Tells whether a character adds no width: combining marks, vowel signs, joiners.
fn is_mark(character: char) -> bool {
    matches!(u32::from(character),
        0x0300..=0x036F | 0x0591..=0x05C7 | 0x0610..=0x061A | 0x064B..=0x065F | 0x0670 | 0x200B..=0x200F | 0x2060 | 0xFE00..=0xFE0F)
}

/// Returns the width of a text in letters; wide characters count two, marks nothing.
#[must_use]
pub fn width(text: &str) -> usize {
    let of = |character: char| match character {
        mark if is_mark(mark) => 0,
        wide if is_wide(wide) => 2,
        _ => 1,
    };
    text.chars().map(of).sum()
}

/// Tells whether a word is written in a script without spaces.
pub(super) fn is_unspaced_word(word: &str) -> bool {
    word.chars().next().is_some_and(is_unspaced)
}

/// Tells whether a space stands between two words.
pub(crate) fn needs_space(before: &str, after: &str) -> bool {
    let unspaced = before.chars().next_back().is_some_and(is_unspaced) && after.chars().next().is_some_and(is_unspaced);
    !unspaced && !before.is_empty() && !after.is_empty()
}

/// Returns words as running text, with spaces where the script has them.
#[must_use]
pub fn joined<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    let mut before = "";
    for word in words {
        if needs_space(before, word) {
            text.push(' ');
        }
        text.push_str(word);
        before = word;
    }
    text
}

/// Returns the word in capitals, without the full stop or comma after it; questions and exclamations keep theirs.
pub(super) fn capitals(word: &str) -> String {
    let bare = word.trim_end_matches([',', ';', ':']);
    let is_abbreviation = bare.matches('.').count() != 1;
    let bare = if is_abbreviation { bare } else { bare.trim_end_matches('.') };
    if bare.is_empty() { word.to_uppercase() } else { bare.to_uppercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_count_twice_and_marks_not_at_all() {
        assert_eq!(width("naïve"), 5);
        assert_eq!(width("cafe\u{301}"), 4);
        assert_eq!(width("漢字"), 4);
        assert_eq!(width("שָׁלוֹם"), 4);
    }

    #[test]
    fn only_scripts_with_spaces_are_joined_by_them() {
        assert_eq!(joined(["to", "be"]), "to be");
        assert_eq!(joined(["今日", "は"]), "今日は");
        assert_eq!(joined(["今日", "Rust"]), "今日 Rust");
    }

    #[test]
    fn capitals_drop_stops_and_commas_but_keep_abbreviations_and_questions() {
        for (word, expected) in [("cost,", "COST"), ("end.", "END"), ("U.S.", "U.S."), ("why?", "WHY?"), ("...", "..."), (".", ".")] {
            assert_eq!(capitals(word), expected);
        }
    }
}
