//! A loaded model and what can be asked of it.

use crate::device::Device;
use crate::model::mel::SAMPLE_RATE;
use crate::model::{Network, Precision};
use crate::tokens::Tokens;
use crate::vad;
use crate::weights::{self, Settings};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use tch::{Kind, no_grad};

/// What windows that are decoded at the same time may take: half a gigabyte is enough to read weights rarely, and leaves the rest
/// of a small machine to the other stages.
const WINDOWS_BYTES_MAX: usize = 512 << 20;

/// A stream with fewer windows reads all weights for too few of them; its core helps another stream instead.
const STREAM_WINDOWS_MIN: usize = 2;

/// A loaded Whisper model.
pub struct Whisper {
    pub(crate) network: Network,
    pub(crate) tokens: Tokens,
    pub(crate) settings: Settings,
    /// The folder's name, such as `tiny.en`.
    pub(crate) name: String,
    /// Cores.
    pub(crate) threads: i32,
}

/// How windows are shared out between threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Batches that are heard side by side.
    pub(crate) streams: usize,
    /// Windows in a batch.
    pub(crate) batch_max: usize,
    /// LibTorch's threads in each stream.
    pub(crate) threads: i32,
}

impl Whisper {
    /// Loads a model folder: Hugging Face's (`model.safetensors`) or CTranslate2's (`model.bin`).
    ///
    /// # Errors
    /// A [`crate::LoadError`] when the folder is not a whole model, a [`crate::DeviceError`] when the device is not there.
    pub fn load(dir: &Path, device: Device) -> Result<Self> {
        Self::load_with(dir, device, Precision::default())
    }

    /// Loads a model folder to compute with the given precision.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(dir: &Path, device: Device, precision: Precision) -> Result<Self> {
        let device = device.resolve()?;
        let threads = i32::try_from(std::thread::available_parallelism().map_or(1, |count| count.get())).context("counting processors")?;
        tch::set_num_threads(threads);
        let weights::Folder { weights, mut settings } = weights::read(dir)?;
        let network = no_grad(|| Network::new(&weights, &settings, device, precision))?;
        let tokens = Tokens::load(dir, network.decoder.vocabulary(), settings.is_multilingual)?;
        if tokens.timestamp_begin() >= network.decoder.vocabulary() as i64 {
            return Err(weights.unsupported("its vocabulary has no timestamps".to_owned()).into());
        }
        check_alignment_heads(&network, &mut settings).map_err(|reason| weights.unsupported(reason))?;
        let name = dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { network, tokens, settings, name, threads })
    }

    /// Returns how to hear so many windows at once: on a graphics card in one stream, else in as many as there are cores.
    pub(crate) fn plan(&self, windows: usize, batch_size: usize) -> Plan {
        let batch_size = batch_size.max(1);
        if self.network.device != tch::Device::Cpu {
            return Plan { streams: 1, batch_max: batch_size, threads: self.threads };
        }
        let together_max = (WINDOWS_BYTES_MAX / self.network.decoder.window_bytes(self.network.positions())).max(1);
        let streams = (self.threads.max(1) as usize).min(windows.div_ceil(STREAM_WINDOWS_MIN)).min(together_max).max(1);
        let threads = (self.threads / streams as i32).max(1);
        Plan { streams, batch_max: batch_size.min(together_max / streams), threads }
    }

    /// Tells whether the model knows more than English.
    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        !self.tokens.languages.is_empty()
    }

    /// Returns the codes of the languages that the model knows.
    #[must_use]
    pub fn languages(&self) -> Vec<&str> {
        if self.is_multilingual() { self.tokens.languages.iter().map(|(code, _)| code.as_str()).collect() } else { vec!["en"] }
    }

    /// Returns the likeliest language of the first window of speech, with its probability; `("en", 1)` for an English-only model.
    ///
    /// # Errors
    /// When nobody speaks.
    pub fn detect_language(&self, samples: &[f32]) -> Result<(String, f32)> {
        if !self.is_multilingual() {
            return Ok(("en".to_owned(), 1.0));
        }
        let speech = vad::pieces(samples, self.network.window_samples());
        let windows = crate::windows::pack(&speech, self.network.window_samples());
        let window = windows.first().context("nobody speaks, so there is no language to detect")?;
        no_grad(|| self.language_of(&window.audio(samples)))
    }

    /// Returns the likeliest language of one window.
    pub(crate) fn language_of(&self, window: &[f32]) -> Result<(String, f32)> {
        let decoder = &self.network.decoder;
        let mut cache = decoder.cache(self.network.memory(&[window]), 1, 1);
        let logits = decoder.projection.logits(&decoder.step(&mut cache, &[self.tokens.start])).view([-1]);
        let ids: Vec<i64> = self.tokens.languages.iter().map(|&(_, id)| id).collect();
        let index = tch::Tensor::from_slice(&ids).to_device(self.network.device);
        let probabilities = logits.index_select(0, &index).softmax(-1, Kind::Float);
        let (probability, at) = probabilities.max_dim(0, false);
        let at = usize::try_from(at.int64_value(&[])).context("reading the likeliest language")?;
        Ok((self.tokens.languages[at].0.clone(), probability.double_value(&[]) as f32))
    }

    /// Returns the log-mel features, row by row (mels × frames), of one window, for comparison with other implementations.
    ///
    /// # Errors
    /// When `samples` are longer than one window.
    pub fn features(&self, samples: &[f32]) -> Result<Vec<f32>> {
        self.check_window(samples)?;
        no_grad(|| Ok(Vec::try_from(self.network.features(&[samples]).to_device(tch::Device::Cpu).contiguous().view([-1]))?))
    }

    /// Returns the encoder's states, position by position, of one window, for comparison with other implementations.
    ///
    /// # Errors
    /// When `samples` are longer than one window.
    pub fn encoder_states(&self, samples: &[f32]) -> Result<Vec<f32>> {
        self.check_window(samples)?;
        no_grad(|| {
            Ok(Vec::try_from(self.network.encode(&[samples]).to_device(tch::Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]))?)
        })
    }

    /// Returns the decoder's logits, token by token, for one window and the given tokens, for comparison with other implementations.
    ///
    /// The tokens go through the cache one at a time, as when transcribing.
    ///
    /// # Errors
    /// When `samples` are longer than one window or there are more tokens than the decoder has positions.
    pub fn logits(&self, samples: &[f32], tokens: &[i64]) -> Result<Vec<f32>> {
        self.check_window(samples)?;
        let decoder = &self.network.decoder;
        ensure!(tokens.len() <= decoder.positions(), "{} tokens are more than the decoder holds", tokens.len());
        no_grad(|| {
            let mut cache = decoder.cache(self.network.memory(&[samples]), 1, tokens.len());
            let rows = tokens.iter().map(|&token| {
                let logits = decoder.projection.logits(&decoder.step(&mut cache, &[token]));
                Vec::<f32>::try_from(logits.to_device(tch::Device::Cpu).view([-1]))
            });
            Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
        })
    }

    fn check_window(&self, samples: &[f32]) -> Result<()> {
        let seconds = self.network.window_samples() / SAMPLE_RATE;
        ensure!(samples.len() <= self.network.window_samples(), "one window holds {seconds} s, got {} samples", samples.len());
        Ok(())
    }
}

/// Checks the heads that word times come from; where nobody names them, the upper half of the layers is used, as in the reference.
fn check_alignment_heads(network: &Network, settings: &mut Settings) -> Result<(), String> {
    let (layers, heads) = (network.decoder.layers(), network.decoder.heads());
    if settings.alignment_heads.is_empty() {
        settings.alignment_heads = (layers / 2..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head))).collect();
    }
    match settings.alignment_heads.iter().find(|&&(layer, head)| layer >= layers || head >= heads) {
        Some((layer, head)) => Err(format!("alignment head {layer}/{head} is not among its {layers} layers of {heads} heads")),
        None if layers == 0 => Err("its decoder has no layers".to_owned()),
        None => Ok(()),
    }
}
