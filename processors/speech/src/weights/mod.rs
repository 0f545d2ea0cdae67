//! Reads a model folder into tensors with Hugging Face names, whatever its format.
//!
//! Nothing here knows what a layer computes; `model` checks names and shapes.

mod ctranslate2;
pub(crate) mod safetensors;

use crate::error::LoadError;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Tensors by name, and where they came from for messages.
pub(crate) struct Weights {
    tensors: HashMap<String, Tensor>,
    pub(crate) path: PathBuf,
}

impl Weights {
    /// Returns a tensor as f32, checked against `shape`; a negative size fits everything.
    pub(crate) fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, LoadError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(self.unsupported(format!("tensor {name} is missing")));
        };
        let size = tensor.size();
        let fits = size.len() == shape.len() && size.iter().zip(shape).all(|(&has, &wants)| wants < 0 || has == wants);
        if !fits {
            return Err(self.unsupported(format!("tensor {name} has shape {size:?}, expected {shape:?}")));
        }
        Ok(tensor.to_kind(Kind::Float))
    }

    /// Tells whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Returns how many layers `side` (`encoder` or `decoder`) has.
    pub(crate) fn layers(&self, side: &str) -> usize {
        (0..).take_while(|layer| self.tensors.contains_key(&format!("{side}.layers.{layer}.fc1.weight"))).count()
    }

    /// Returns the error that says why these weights cannot be used.
    pub(crate) fn unsupported(&self, reason: String) -> LoadError {
        LoadError::Unsupported { path: self.path.clone(), reason }
    }
}

/// What the configuration files say; sizes come from the tensors.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) encoder_heads: usize,
    pub(crate) decoder_heads: usize,
    /// Pairs of layer and head whose cross-attention follows time; empty when nobody said.
    pub(crate) alignment_heads: Vec<(usize, usize)>,
    /// Tokens that are never chosen.
    pub(crate) suppressed: Vec<i64>,
    /// Tokens that are never chosen first.
    pub(crate) suppressed_first: Vec<i64>,
    /// Whether the model knows more than English, where a file says so.
    pub(crate) is_multilingual: Option<bool>,
    /// Latest first timestamp in steps, where a file says so.
    pub(crate) max_initial_timestamp: Option<usize>,
}

/// A model folder as read.
pub(crate) struct Folder {
    pub(crate) weights: Weights,
    pub(crate) settings: Settings,
}

/// Reads the folder `dir`.
pub(crate) fn read(dir: &Path) -> Result<Folder, LoadError> {
    if !dir.is_dir() {
        return Err(LoadError::NoFolder(dir.to_owned()));
    }
    if dir.join("model.safetensors").exists() || dir.join("model.safetensors.index.json").exists() {
        return read_hugging_face(dir);
    }
    if dir.join("model.bin").exists() {
        return read_ctranslate2(dir);
    }
    Err(LoadError::NoWeights(dir.to_owned()))
}

/// `config.json` of a Hugging Face folder.
#[derive(Deserialize)]
struct HuggingFaceConfig {
    encoder_attention_heads: usize,
    decoder_attention_heads: usize,
    #[serde(default)]
    suppress_tokens: Option<Vec<i64>>,
    #[serde(default)]
    begin_suppress_tokens: Option<Vec<i64>>,
}

/// `generation_config.json` of a Hugging Face folder.
#[derive(Default, Deserialize)]
#[serde(default)]
struct GenerationConfig {
    alignment_heads: Option<Vec<(usize, usize)>>,
    suppress_tokens: Option<Vec<i64>>,
    begin_suppress_tokens: Option<Vec<i64>>,
    is_multilingual: Option<bool>,
    max_initial_timestamp_index: Option<usize>,
}

/// `config.json` of a CTranslate2 folder.
#[derive(Default, Deserialize)]
#[serde(default)]
struct CTranslate2Config {
    alignment_heads: Option<Vec<(usize, usize)>>,
    suppress_ids: Vec<i64>,
    suppress_ids_begin: Vec<i64>,
}

fn read_hugging_face(dir: &Path) -> Result<Folder, LoadError> {
    let config: HuggingFaceConfig = read_json(&dir.join("config.json"))?;
    let generation_path = dir.join("generation_config.json");
    let generation: GenerationConfig = if generation_path.exists() { read_json(&generation_path)? } else { GenerationConfig::default() };
    let mut tensors = HashMap::new();
    for path in safetensors::files(dir)? {
        for (name, tensor) in safetensors::read(&path)? {
            tensors.insert(name.strip_prefix("model.").unwrap_or(&name).to_owned(), tensor);
        }
    }
    let settings = Settings {
        encoder_heads: config.encoder_attention_heads,
        decoder_heads: config.decoder_attention_heads,
        alignment_heads: generation.alignment_heads.unwrap_or_default(),
        suppressed: generation.suppress_tokens.or(config.suppress_tokens).unwrap_or_default(),
        suppressed_first: generation.begin_suppress_tokens.or(config.begin_suppress_tokens).unwrap_or_default(),
        is_multilingual: generation.is_multilingual,
        max_initial_timestamp: generation.max_initial_timestamp_index,
    };
    Ok(Folder { weights: Weights { tensors, path: dir.join("model.safetensors") }, settings })
}

fn read_ctranslate2(dir: &Path) -> Result<Folder, LoadError> {
    let config: CTranslate2Config = read_json(&dir.join("config.json"))?;
    let path = dir.join("model.bin");
    let model = ctranslate2::read(&path)?;
    let alignment_heads = config.alignment_heads.unwrap_or(model.alignment_heads);
    let settings = Settings {
        encoder_heads: model.encoder_heads,
        decoder_heads: model.decoder_heads,
        alignment_heads,
        suppressed: config.suppress_ids,
        suppressed_first: config.suppress_ids_begin,
        is_multilingual: None,
        max_initial_timestamp: None,
    };
    Ok(Folder { weights: Weights { tensors: model.tensors, path }, settings })
}

/// Reads and parses a JSON file of the model.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let bytes = read_bytes(path)?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, format!("it is not the JSON expected ({error})")))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })
}

fn damaged(path: &Path, reason: impl Into<String>) -> LoadError {
    LoadError::Damaged { path: path.to_owned(), reason: reason.into() }
}
