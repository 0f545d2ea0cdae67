//! What encoder and decoder share.

use crate::error::LoadError;
use crate::weights::Weights;
use std::ops::Deref;
use tch::{Device, Kind, Tensor};

/// Whisper's layer norms use PyTorch's default.
const NORM_EPSILON: f64 = 1e-5;

/// Numbers that never change once they are loaded: a clone shares them, so that each thread has the network at no cost.
pub(super) struct Weight(Tensor);

impl Clone for Weight {
    fn clone(&self) -> Self {
        Self(self.0.shallow_clone())
    }
}

impl Deref for Weight {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.0
    }
}

impl From<Tensor> for Weight {
    fn from(tensor: Tensor) -> Self {
        Self(tensor)
    }
}

/// Where and in what kind a layer's tensors live.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) device: Device,
    pub(super) kind: Kind,
}

impl Place {
    pub(super) fn put(self, tensor: &Tensor) -> Weight {
        tensor.to_device(self.device).to_kind(self.kind).contiguous().into()
    }
}

/// An affine map.
#[derive(Clone)]
pub(super) struct Linear {
    weight: Weight,
    bias: Weight,
}

impl Linear {
    pub(super) fn new(weights: &Weights, name: &str, shape: [i64; 2], place: Place) -> Result<Self, LoadError> {
        Self::fused(weights, &[name], shape, place)
    }

    /// Stacks several maps of the same input into one, so that they cost one multiplication. A missing bias is zero.
    pub(super) fn fused(weights: &Weights, names: &[&str], shape: [i64; 2], place: Place) -> Result<Self, LoadError> {
        let mut parts = Vec::with_capacity(names.len());
        let mut biases = Vec::with_capacity(names.len());
        for name in names {
            parts.push(weights.get(&format!("{name}.weight"), &shape)?);
            let bias_name = format!("{name}.bias");
            biases.push(if weights.has(&bias_name) {
                weights.get(&bias_name, &shape[..1])?
            } else {
                Tensor::zeros([shape[0]], (Kind::Float, Device::Cpu))
            });
        }
        Ok(Self { weight: place.put(&Tensor::cat(&parts, 0)), bias: place.put(&Tensor::cat(&biases, 0)) })
    }

    pub(super) fn forward(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, Some(&*self.bias))
    }
}

/// A layer norm over the last dimension.
#[derive(Clone)]
pub(super) struct Norm {
    weight: Weight,
    bias: Weight,
    width: i64,
}

impl Norm {
    pub(super) fn new(weights: &Weights, name: &str, width: i64, place: Place) -> Result<Self, LoadError> {
        let weight = place.put(&weights.get(&format!("{name}.weight"), &[width])?);
        let bias = place.put(&weights.get(&format!("{name}.bias"), &[width])?);
        Ok(Self { weight, bias, width })
    }

    pub(super) fn forward(&self, input: &Tensor) -> Tensor {
        input.layer_norm([self.width], Some(&*self.weight), Some(&*self.bias), NORM_EPSILON, false)
    }
}

/// The two-layer network after each attention, with its norm and residual.
#[derive(Clone)]
pub(super) struct FeedForward {
    norm: Norm,
    expand: Linear,
    contract: Linear,
}

impl FeedForward {
    pub(super) fn new(weights: &Weights, name: &str, width: i64, place: Place) -> Result<Self, LoadError> {
        let hidden = weights.get(&format!("{name}.fc1.weight"), &[-1, width])?.size()[0];
        Ok(Self {
            norm: Norm::new(weights, &format!("{name}.final_layer_norm"), width, place)?,
            expand: Linear::new(weights, &format!("{name}.fc1"), [hidden, width], place)?,
            contract: Linear::new(weights, &format!("{name}.fc2"), [width, hidden], place)?,
        })
    }

    pub(super) fn forward(&self, input: &Tensor) -> Tensor {
        input + self.contract.forward(&self.expand.forward(&self.norm.forward(input)).gelu("none"))
    }
}

/// Self-attention's projections with its norm: one fused map in, one map out.
#[derive(Clone)]
pub(super) struct SelfAttention {
    norm: Norm,
    input: Linear,
    pub(super) output: Linear,
    heads: i64,
}

impl SelfAttention {
    pub(super) fn new(weights: &Weights, layer: &str, heads: i64, width: i64, place: Place) -> Result<Self, LoadError> {
        let name = |part: &str| format!("{layer}.self_attn.{part}");
        let input = Linear::fused(weights, &[&name("q_proj"), &name("k_proj"), &name("v_proj")], [width, width], place)?;
        let output = Linear::new(weights, &name("out_proj"), [width, width], place)?;
        Ok(Self { norm: Norm::new(weights, &format!("{layer}.self_attn_layer_norm"), width, place)?, input, output, heads })
    }

    /// Returns query, key and value as `[batch, heads, length, head width]`.
    pub(super) fn project(&self, input: &Tensor) -> (Tensor, Tensor, Tensor) {
        let parts = self.input.forward(&self.norm.forward(input)).chunk(3, -1);
        (split_heads(&parts[0], self.heads), split_heads(&parts[1], self.heads), split_heads(&parts[2], self.heads))
    }
}

/// Turns `[batch, length, width]` into `[batch, heads, length, head width]` without a copy.
pub(super) fn split_heads(input: &Tensor, heads: i64) -> Tensor {
    let (batch, length, width) = input.size3().expect("states have three dimensions");
    input.view([batch, length, heads, width / heads]).transpose(1, 2)
}

/// Turns `[batch, heads, length, head width]` into `[batch, length, width]`.
pub(super) fn merge_heads(input: &Tensor) -> Tensor {
    let (batch, heads, length, head_width) = input.size4().expect("heads have four dimensions");
    input.transpose(1, 2).reshape([batch, length, heads * head_width])
}

/// Returns attention over `key` and `value`.
pub(super) fn attend(query: &Tensor, key: &Tensor, value: &Tensor, is_causal: bool) -> Tensor {
    Tensor::scaled_dot_product_attention::<Tensor>(query, key, value, None, 0.0, is_causal, None, false)
}
