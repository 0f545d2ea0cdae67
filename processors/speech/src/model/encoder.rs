//! Audio features to states.

use super::layers::{FeedForward, Norm, Place, SelfAttention, Weight, attend, merge_heads};
use crate::error::LoadError;
use crate::weights::Weights;
use tch::{Kind, Tensor};

#[derive(Clone)]
struct Layer {
    attention: SelfAttention,
    feed_forward: FeedForward,
}

#[derive(Clone)]
pub(super) struct Encoder {
    conv1: (Weight, Weight),
    conv2: (Weight, Weight),
    embed_positions: Weight,
    layers: Vec<Layer>,
    norm: Norm,
    kind: Kind,
}

impl Encoder {
    pub(super) fn new(weights: &Weights, heads: i64, width: i64, place: Place) -> Result<Self, LoadError> {
        let convolution = |name: &str, input: i64| -> Result<(Weight, Weight), LoadError> {
            let weight = weights.get(&format!("encoder.{name}.weight"), &[width, input, 3])?;
            Ok((place.put(&weight), place.put(&weights.get(&format!("encoder.{name}.bias"), &[width])?)))
        };
        let layer = |index: usize| -> Result<Layer, LoadError> {
            let name = format!("encoder.layers.{index}");
            let attention = SelfAttention::new(weights, &name, heads, width, place)?;
            Ok(Layer { attention, feed_forward: FeedForward::new(weights, &name, width, place)? })
        };
        Ok(Self {
            conv1: convolution("conv1", -1)?,
            conv2: convolution("conv2", width)?,
            embed_positions: place.put(&weights.get("encoder.embed_positions.weight", &[-1, width])?),
            layers: (0..weights.layers("encoder")).map(layer).collect::<Result<_, _>>()?,
            norm: Norm::new(weights, "encoder.layer_norm", width, place)?,
            kind: place.kind,
        })
    }

    pub(super) fn positions(&self) -> i64 {
        self.embed_positions.size()[0]
    }

    /// Maps `[batch, mels, 2 × positions]` to states `[batch, positions, width]`, in the kind that it computes in.
    pub(super) fn forward(&self, features: &Tensor) -> Tensor {
        let input = features.to_kind(self.kind);
        let hidden = input.conv1d(&self.conv1.0, Some(&*self.conv1.1), [1], [1], [1], 1).gelu("none");
        let hidden = hidden.conv1d(&self.conv2.0, Some(&*self.conv2.1), [2], [1], [1], 1).gelu("none");
        let mut states = hidden.transpose(1, 2).contiguous() + &*self.embed_positions;
        for layer in &self.layers {
            let (query, key, value) = layer.attention.project(&states);
            states += layer.attention.output.forward(&merge_heads(&attend(&query, &key, &value, false)));
            states = layer.feed_forward.forward(&states);
        }
        self.norm.forward(&states)
    }
}
