//! Failures that a caller can tell apart; everything else is `anyhow`.

use std::path::PathBuf;
use thiserror::Error;

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// There is no such folder.
    #[error("there is no model folder {0}; fetch the model or give the path of one that was downloaded")]
    NoFolder(PathBuf),
    /// The folder holds neither `model.safetensors` nor `model.bin`.
    #[error("{0} holds neither model.safetensors (Hugging Face) nor model.bin (CTranslate2); fetch the model again")]
    NoWeights(PathBuf),
    /// A file that belongs to the model is missing or cannot be read.
    #[error("cannot read {path}; fetch the model again")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is cut off or is not what its name says.
    #[error("{path} is damaged: {reason}; fetch the model again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a clause.
        reason: String,
    },
    /// The weights are whole but are not a Whisper model that this version can run.
    #[error("{path} is not a Whisper model that can be run here: {reason}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a clause.
        reason: String,
    },
}

/// Why the asked-for device cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DeviceError {
    /// The text names no device.
    #[error("unknown device {0:?}; use auto, cpu or cuda:N")]
    Unknown(String),
    /// CUDA was asked for and is not there.
    #[error(
        "device cuda:{asked} is not available ({found} found by this LibTorch); use --device cpu, or set LIBTORCH to a LibTorch built with CUDA"
    )]
    NoCuda {
        /// The asked-for number.
        asked: usize,
        /// How many devices there are.
        found: usize,
    },
}

/// Why audio cannot be transcribed as asked.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LanguageError {
    /// The model has no such language.
    #[error("unknown language {asked:?}; this model knows {known}")]
    Unknown {
        /// The asked-for code.
        asked: String,
        /// Known codes, separated by commas.
        known: String,
    },
    /// An English-only model was asked for another language.
    #[error("this model knows only English, not {0:?}; use a multilingual model such as base")]
    EnglishOnly(String),
}
