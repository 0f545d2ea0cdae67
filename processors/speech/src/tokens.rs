//! Token ids and their meanings, as the model's own `tokenizer.json` says.

use crate::error::{LanguageError, LoadError};
use std::path::Path;
use tokenizers::Tokenizer;

/// CTranslate2 and the reference tell English-only models by the size of their vocabulary.
const ENGLISH_ONLY_VOCABULARY: usize = 51_864;
/// What Python calls `string.punctuation`.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// Languages that are written without spaces: their words are cut at whole characters.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// A word's text, with the space before it, and its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WordTokens {
    pub(crate) text: String,
    pub(crate) tokens: Vec<i64>,
}

/// The model's vocabulary.
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    pub(crate) end: i64,
    pub(crate) start: i64,
    pub(crate) no_timestamps: i64,
    pub(crate) no_speech: Option<i64>,
    transcribe: Option<i64>,
    /// Language codes with their tokens; empty for an English-only model.
    pub(crate) languages: Vec<(String, i64)>,
    /// Special tokens that are never said.
    pub(crate) never_said: Vec<i64>,
}

impl Tokens {
    /// Reads the tokenizer of the model folder.
    pub(crate) fn load(dir: &Path, vocabulary: usize, is_multilingual: Option<bool>) -> Result<Self, LoadError> {
        let path = dir.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
        let tokenizer =
            Tokenizer::from_bytes(&bytes).map_err(|error| LoadError::Damaged { path: path.clone(), reason: error.to_string() })?;
        let id = |text: &str| tokenizer.token_to_id(text).map(i64::from);
        let needed = |text: &str| {
            id(text).ok_or_else(|| LoadError::Unsupported { path: path.clone(), reason: format!("its vocabulary has no {text}") })
        };
        let (start, end, no_timestamps) = (needed("<|startoftranscript|>")?, needed("<|endoftext|>")?, needed("<|notimestamps|>")?);
        let no_speech = id("<|nospeech|>").or_else(|| id("<|nocaptions|>"));
        let specials = ["<|transcribe|>", "<|translate|>", "<|startofprev|>", "<|startoflm|>"].into_iter().filter_map(id);
        let never_said = specials.chain([start, no_timestamps]).chain(no_speech).collect();
        let is_multilingual = is_multilingual.unwrap_or(vocabulary != ENGLISH_ONLY_VOCABULARY);
        let languages = if is_multilingual { languages(&tokenizer, start) } else { vec![] };
        let transcribe = id("<|transcribe|>");
        Ok(Self { transcribe, end, start, no_timestamps, no_speech, languages, never_said, tokenizer })
    }

    /// Returns the first timestamp's token; those that follow are 20 ms apart.
    pub(crate) fn timestamp_begin(&self) -> i64 {
        self.no_timestamps + 1
    }

    /// Returns the tokens that make the model transcribe `language`.
    pub(crate) fn prompt(&self, language: &str) -> Result<Vec<i64>, LanguageError> {
        if self.languages.is_empty() {
            return if language == "en" { Ok(vec![self.start]) } else { Err(LanguageError::EnglishOnly(language.to_owned())) };
        }
        let Some((_, token)) = self.languages.iter().find(|(code, _)| code == language) else {
            let known = self.languages.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>().join(", ");
            return Err(LanguageError::Unknown { asked: language.to_owned(), known });
        };
        Ok([Some(self.start), Some(*token), self.transcribe].into_iter().flatten().collect())
    }

    /// Returns the text of the tokens; special tokens and timestamps are left out.
    pub(crate) fn text(&self, tokens: &[i64]) -> String {
        let ids: Vec<u32> = tokens.iter().filter(|&&token| token < self.end).map(|&token| token as u32).collect();
        // Decoding fails only for ids outside the vocabulary, which the model cannot produce.
        self.tokenizer.decode(&ids, true).unwrap_or_default()
    }

    /// Returns the tokens of a text.
    pub(crate) fn encode(&self, text: &str) -> anyhow::Result<Vec<i64>> {
        let encoding = self.tokenizer.encode(text, false).map_err(|error| anyhow::anyhow!("splitting text into tokens: {error}"))?;
        Ok(encoding.get_ids().iter().map(|&id| i64::from(id)).collect())
    }

    /// Cuts text tokens into words as `language` is written.
    pub(crate) fn words(&self, tokens: &[i64], language: &str) -> Vec<WordTokens> {
        let characters = self.whole_characters(tokens);
        if WITHOUT_SPACES.contains(&language) {
            return characters;
        }
        let mut words: Vec<WordTokens> = vec![];
        for part in characters {
            let starts_word = part.text.starts_with(' ') || PUNCTUATION.contains(part.text.trim());
            match words.last_mut() {
                Some(word) if !starts_word => {
                    word.text.push_str(&part.text);
                    word.tokens.extend(part.tokens);
                }
                _ => words.push(part),
            }
        }
        words
    }

    /// Groups tokens so that every group is whole characters: a character may be spread over several tokens.
    fn whole_characters(&self, tokens: &[i64]) -> Vec<WordTokens> {
        let whole = self.text(tokens);
        let mut groups = vec![];
        let mut open: Vec<i64> = vec![];
        let mut done_bytes = 0;
        for &token in tokens {
            open.push(token);
            let text = self.text(&open);
            // U+FFFD means half a character, unless the model really said it.
            let is_whole = match text.find('\u{fffd}') {
                None => true,
                Some(at) => whole.get(done_bytes + at..).is_some_and(|rest| rest.starts_with('\u{fffd}')),
            };
            if is_whole {
                done_bytes += text.len();
                groups.push(WordTokens { text, tokens: std::mem::take(&mut open) });
            }
        }
        if let (Some(last), false) = (groups.last_mut(), open.is_empty()) {
            last.tokens.append(&mut open);
        }
        groups
    }
}

/// Language tokens follow the start token, written `<|xx|>`.
fn languages(tokenizer: &Tokenizer, start: i64) -> Vec<(String, i64)> {
    let code = |id: i64| {
        let token = tokenizer.id_to_token(id as u32)?;
        let code = token.strip_prefix("<|")?.strip_suffix("|>")?;
        let is_code = matches!(code.len(), 2..=3) && code.bytes().all(|byte| byte.is_ascii_lowercase());
        is_code.then(|| (code.to_owned(), id))
    };
    (start + 1..).map_while(code).collect()
}
