//! Words as text: normal forms, stems, joining and sparse vectors. Knows nothing of time.

/// Returns a word in lower case without the punctuation around it; apostrophes are made straight.
pub(crate) fn normal(word: &str) -> String {
    let straight = word.replace(['’', '‘'], "'");
    straight.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

/// Returns an English word without its commonest endings, so that `clips` and `clip` are one term.
pub(crate) fn stem(word: &str) -> String {
    let base = word.strip_suffix("'s").unwrap_or(word);
    if !base.is_ascii() || base.len() < 4 {
        return base.trim_end_matches('\'').to_owned();
    }
    for (ending, replacement) in [("ies", "y"), ("sses", "ss"), ("ingly", ""), ("edly", ""), ("ing", ""), ("ed", ""), ("ly", "")] {
        if let Some(rest) = base.strip_suffix(ending)
            && rest.len() >= 3
        {
            return undouble(&format!("{rest}{replacement}"));
        }
    }
    match base.strip_suffix('s') {
        Some(rest) if !rest.ends_with(['s', 'u', 'i']) => rest.trim_end_matches('e').to_owned(),
        _ => base.trim_end_matches('e').to_owned(),
    }
}

/// `runn` → `run`, `mak` stays; a final `e` goes so that `make` meets `making`.
fn undouble(word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    if let [.., a, b] = letters[..]
        && a == b
        && !"aeiouls".contains(b)
    {
        letters.pop();
    }
    let word: String = letters.into_iter().collect();
    word.trim_end_matches('e').to_owned()
}

/// Tells whether words of this script are written without spaces between them.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}' | '\u{0e00}'..='\u{0e7f}')
}

/// Joins words as they are written: with spaces, but not between characters of unspaced scripts.
pub(crate) fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for word in words {
        let touches = match (text.chars().last(), word.chars().next()) {
            (Some(before), Some(after)) => is_unspaced(before) && is_unspaced(after),
            _ => true,
        };
        if !touches {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Returns `text` with its first letter in upper case.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// A sparse vector over terms, in term order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sparse(pub(crate) Vec<(u32, f64)>);

impl Sparse {
    /// Returns the vector of these weights, added up per term.
    pub(crate) fn of(weights: impl IntoIterator<Item = (u32, f64)>) -> Self {
        let mut weights: Vec<(u32, f64)> = weights.into_iter().collect();
        // A stable sort: weights of one term are always added up in the order they came.
        weights.sort_by_key(|(term, _)| *term);
        weights.dedup_by(|next, sum| {
            let is_same = next.0 == sum.0;
            if is_same {
                sum.1 += next.1;
            }
            is_same
        });
        Self(weights)
    }

    /// Returns the vector at length one; the empty vector stays empty.
    pub(crate) fn unit(mut self) -> Self {
        let length = self.dot(&self).sqrt();
        if length > 0.0 {
            self.0.iter_mut().for_each(|(_, weight)| *weight /= length);
        }
        self
    }

    /// Returns the dot product; for unit vectors, the cosine.
    pub(crate) fn dot(&self, other: &Self) -> f64 {
        let mut rest = other.0.iter().peekable();
        let mut sum = 0.0;
        for (term, weight) in &self.0 {
            while rest.next_if(|(other, _)| other < term).is_some() {}
            if let Some((_, theirs)) = rest.next_if(|(other, _)| other == term) {
                sum += weight * theirs;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_do_not_part_a_word_from_itself() {
        fn check(words: &[&str]) {
            let stems: Vec<String> = words.iter().map(|word| stem(word)).collect();
            assert!(stems.windows(2).all(|pair| pair[0] == pair[1]), "{words:?} became {stems:?}");
        }
        check(&["clips", "clip"]);
        check(&["running", "runs", "run"]);
        check(&["making", "make", "makes"]);
        check(&["story", "stories"]);
        check(&["question", "questions", "questioned"]);
    }

    #[test]
    fn unspaced_scripts_are_joined_without_spaces() {
        assert_eq!(join(["今日", "は", "晴れ。"]), "今日は晴れ。");
        assert_eq!(join(["Hello", "there,", "世界"]), "Hello there, 世界");
    }

    #[test]
    fn a_word_loses_its_punctuation_but_not_its_apostrophe() {
        assert_eq!(normal("“Don’t!”"), "don't");
        assert_eq!(normal("—"), "");
    }
}
