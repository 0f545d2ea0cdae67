//! The network: log-mel, encoder and decoder. Sizes come from the tensors' shapes, heads from the configuration.
//!
//! Nothing here knows tokens' meanings, rules or times.

pub(crate) mod decoder;
mod encoder;
mod layers;
pub(crate) mod mel;
pub(crate) mod projection;

use crate::error::LoadError;
use crate::weights::{Settings, Weights};
use decoder::{Decoder, Memory};
use encoder::Encoder;
use layers::Place;
use mel::Mel;
use tch::{Device, Kind, Tensor};

/// Audio frames per encoder position: the second convolution has stride two.
const FRAMES_PER_POSITION: i64 = 2;

/// How the network computes what costs most: the encoder, what the decoder remembers of it, and the first look at all tokens.
/// Everything else, and the choice between the likeliest tokens, is always computed in 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// In 16 and 8 bits where the processor multiplies them in hardware: a third of the time, and the same words on the test media.
    #[default]
    Fast,
    /// In 32 bits everywhere.
    Exact,
}

/// The whole network on one device. A clone shares the weights.
#[derive(Clone)]
pub(crate) struct Network {
    mel: Mel,
    encoder: Encoder,
    pub(crate) decoder: Decoder,
    pub(crate) device: Device,
}

impl Network {
    /// Builds the network and checks every shape.
    pub(crate) fn new(weights: &Weights, settings: &Settings, device: Device, precision: Precision) -> Result<Self, LoadError> {
        let conv1 = weights.get("encoder.conv1.weight", &[-1, -1, 3])?.size();
        let (width, mels) = (conv1[0], conv1[1]);
        for (side, heads) in [("encoder", settings.encoder_heads), ("decoder", settings.decoder_heads)] {
            if heads == 0 || width % heads as i64 != 0 {
                return Err(weights.unsupported(format!("the {side} has {heads} heads for a width of {width}")));
            }
        }
        let place = Place { device, kind: encoder_kind(device, precision) };
        let encoder = Encoder::new(weights, settings.encoder_heads as i64, width, place)?;
        let decoder = Decoder::new(weights, settings.decoder_heads as i64, width, place)?;
        Ok(Self { mel: Mel::new(mels, encoder.positions() * FRAMES_PER_POSITION, device), encoder, decoder, device })
    }

    /// Returns how many samples of 16 kHz one window holds.
    pub(crate) fn window_samples(&self) -> usize {
        self.mel.frames() as usize * mel::HOP
    }

    /// Returns how many encoder positions one window has.
    pub(crate) fn positions(&self) -> usize {
        self.encoder.positions() as usize
    }

    /// Returns what the decoder needs of the windows; each is padded with silence.
    pub(crate) fn memory(&self, windows: &[&[f32]]) -> Memory {
        // A processor is fastest while one window's numbers fit into its caches; a graphics card wants many windows.
        let together = if self.device == Device::Cpu { 1 } else { windows.len().max(1) };
        let memory = self.decoder.memory(windows.len(), self.positions());
        for (index, windows) in windows.chunks(together).enumerate() {
            self.decoder.remember(&memory, index * together, &self.encode(windows));
        }
        memory
    }

    /// Returns the encoder's states `[windows, positions, width]`; each window is padded with silence.
    pub(crate) fn encode(&self, windows: &[&[f32]]) -> Tensor {
        self.encoder.forward(&self.mel.forward(windows))
    }

    /// Returns the log-mel features `[windows, mels, frames]`.
    pub(crate) fn features(&self, windows: &[&[f32]]) -> Tensor {
        self.mel.forward(windows)
    }
}

/// Returns the kind that the encoder computes in: bf16 only where the processor multiplies it in hardware.
fn encoder_kind(device: Device, precision: Precision) -> Kind {
    match device {
        _ if precision == Precision::Exact => Kind::Float,
        Device::Cuda(_) => Kind::Half,
        _ if has_fast_bf16() => Kind::BFloat16,
        _ => Kind::Float,
    }
}

#[cfg(target_arch = "x86_64")]
fn has_fast_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_fast_bf16() -> bool {
    false
}
