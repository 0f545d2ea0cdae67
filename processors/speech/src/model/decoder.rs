//! Tokens and encoder states to logits, with caches that are allocated once per batch.

use super::layers::{FeedForward, Linear, Norm, Place, SelfAttention, attend, merge_heads, split_heads};
use crate::error::LoadError;
use crate::weights::Weights;
use tch::{Device, IndexOp, Kind, Tensor};

struct CrossAttention {
    norm: Norm,
    query: Linear,
    key_value: Linear,
    output: Linear,
    heads: i64,
}

struct Layer {
    attention: SelfAttention,
    cross: CrossAttention,
    feed_forward: FeedForward,
}

pub(crate) struct Decoder {
    embed_tokens: Tensor,
    embed_positions: Tensor,
    layers: Vec<Layer>,
    norm: Norm,
    device: Device,
}

/// What cross-attention looks at: one entry per layer.
pub(crate) struct Memory {
    /// Keys are `[rows, heads, head width, positions]`: transposed, since every step multiplies by them.
    keys: Vec<Tensor>,
    /// Values are `[rows, heads, positions, head width]`.
    values: Vec<Tensor>,
    /// Which window each row belongs to: dropping rows from a cache changes their order.
    pub(crate) order: Vec<usize>,
}

/// The state of rows that are being decoded together; all have the same length.
pub(crate) struct Cache {
    memory: Memory,
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    length: i64,
    rows: i64,
}

impl CrossAttention {
    fn new(weights: &Weights, layer: &str, heads: i64, width: i64, place: Place) -> Result<Self, LoadError> {
        let name = |part: &str| format!("{layer}.encoder_attn.{part}");
        Ok(Self {
            norm: Norm::new(weights, &format!("{layer}.encoder_attn_layer_norm"), width, place)?,
            query: Linear::new(weights, &name("q_proj"), [width, width], place)?,
            key_value: Linear::fused(weights, &[&name("k_proj"), &name("v_proj")], [width, width], place)?,
            output: Linear::new(weights, &name("out_proj"), [width, width], place)?,
            heads,
        })
    }

    /// Returns the attention's raw scores `[rows, heads, length, positions]`.
    fn scores(&self, states: &Tensor, keys: &Tensor) -> Tensor {
        let query = split_heads(&self.query.forward(&self.norm.forward(states)), self.heads);
        let scale = (*query.size().last().expect("a query has dimensions") as f64).powf(-0.5);
        (query * scale).matmul(keys)
    }

    /// Returns what is added to the states.
    fn output(&self, scores: &Tensor, values: &Tensor) -> Tensor {
        self.output.forward(&merge_heads(&scores.softmax(-1, Kind::Float).matmul(values)))
    }
}

impl Decoder {
    pub(super) fn new(weights: &Weights, heads: i64, width: i64, device: Device) -> Result<Self, LoadError> {
        let place = Place { device, kind: Kind::Float };
        let layer = |index: usize| -> Result<Layer, LoadError> {
            let name = format!("decoder.layers.{index}");
            Ok(Layer {
                attention: SelfAttention::new(weights, &name, heads, width, place)?,
                cross: CrossAttention::new(weights, &name, heads, width, place)?,
                feed_forward: FeedForward::new(weights, &name, width, place)?,
            })
        };
        Ok(Self {
            embed_tokens: place.put(&weights.get("decoder.embed_tokens.weight", &[-1, width])?),
            embed_positions: place.put(&weights.get("decoder.embed_positions.weight", &[-1, width])?),
            layers: (0..weights.layers("decoder")).map(layer).collect::<Result<_, _>>()?,
            norm: Norm::new(weights, "decoder.layer_norm", width, place)?,
            device,
        })
    }

    /// Returns how many different tokens there are.
    pub(crate) fn vocabulary(&self) -> usize {
        self.embed_tokens.size()[0] as usize
    }

    /// Returns how many tokens a row can hold.
    pub(crate) fn positions(&self) -> usize {
        self.embed_positions.size()[0] as usize
    }

    /// Returns how many layers there are.
    pub(crate) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Returns how many heads each layer has.
    pub(crate) fn heads(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.cross.heads as usize)
    }

    /// Projects encoder states `[rows, positions, width]` once for all steps.
    pub(crate) fn memory(&self, states: &Tensor) -> Memory {
        let (mut keys, mut values) = (vec![], vec![]);
        for layer in &self.layers {
            let parts = layer.cross.key_value.forward(states).chunk(2, -1);
            keys.push(split_heads(&parts[0], layer.cross.heads).transpose(2, 3).contiguous());
            values.push(split_heads(&parts[1], layer.cross.heads).contiguous());
        }
        let order = (0..states.size()[0] as usize).collect();
        Memory { keys, values, order }
    }

    /// Returns an empty cache for rows of up to `length_max` tokens.
    pub(crate) fn cache(&self, memory: Memory, length_max: usize) -> Cache {
        let rows = memory.values.first().map_or(0, |value| value.size()[0]);
        let empty = |value: &Tensor| {
            let size = value.size();
            Tensor::empty([rows, size[1], length_max as i64, size[3]], (Kind::Float, self.device))
        };
        let keys = memory.values.iter().map(empty).collect();
        let values = memory.values.iter().map(empty).collect();
        Cache { memory, keys, values, length: 0, rows }
    }

    /// Appends `tokens` (rows × new tokens) and returns the logits `[rows, new tokens, vocabulary]`.
    pub(crate) fn step(&self, cache: &mut Cache, tokens: &[i64]) -> Tensor {
        let count = tokens.len() as i64 / cache.rows;
        let mut states = self.embed(tokens, cache.rows, cache.length);
        let end = cache.length + count;
        for (index, layer) in self.layers.iter().enumerate() {
            let (query, key, value) = layer.attention.project(&states);
            let keys = cache.keys[index].i(..cache.rows);
            let values = cache.values[index].i(..cache.rows);
            keys.narrow(2, cache.length, count).copy_(&key);
            values.narrow(2, cache.length, count).copy_(&value);
            // Several new tokens come only first, when the cache holds nothing else: then causal means lower triangle.
            let attended = attend(&query, &keys.narrow(2, 0, end), &values.narrow(2, 0, end), count > 1);
            states += layer.attention.output.forward(&merge_heads(&attended));
            let memory_keys = cache.memory.keys[index].i(..cache.rows);
            let memory_values = cache.memory.values[index].i(..cache.rows);
            states += layer.cross.output(&layer.cross.scores(&states, &memory_keys), &memory_values);
            states = layer.feed_forward.forward(&states);
        }
        cache.length = end;
        self.norm.forward(&states).linear::<Tensor>(&self.embed_tokens, None)
    }

    /// Runs whole rows at once and returns the cross-attention scores, before softmax, of the asked-for heads
    /// as `[rows, asked heads, length, positions]`. Rows are in the memory's order.
    pub(crate) fn cross_scores(&self, memory: &Memory, tokens: &[i64], heads: &[(usize, usize)]) -> Tensor {
        let rows = memory.values.first().map_or(0, |value| value.size()[0]);
        let mut states = self.embed(tokens, rows, 0);
        let mut asked = Vec::with_capacity(heads.len());
        let last = heads.iter().map(|&(layer, _)| layer).max().unwrap_or(0);
        for (index, layer) in self.layers.iter().enumerate().take(last + 1) {
            let (query, key, value) = layer.attention.project(&states);
            states += layer.attention.output.forward(&merge_heads(&attend(&query, &key, &value, true)));
            let scores = layer.cross.scores(&states, &memory.keys[index]);
            for &(_, head) in heads.iter().filter(|&&(of, _)| of == index) {
                asked.push(scores.select(1, head as i64));
            }
            states += layer.cross.output(&scores, &memory.values[index]);
            states = layer.feed_forward.forward(&states);
        }
        Tensor::stack(&asked, 1)
    }

    fn embed(&self, tokens: &[i64], rows: i64, first: i64) -> Tensor {
        let count = tokens.len() as i64 / rows;
        let ids = Tensor::from_slice(tokens).to_device(self.device);
        let embedded = self.embed_tokens.index_select(0, &ids).view([rows, count, -1]);
        embedded + self.embed_positions.narrow(0, first, count)
    }
}

impl Cache {
    /// Drops a row: it changes places with the last one, so that only two rows are copied.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        let last = self.rows - 1;
        if row as i64 != last {
            for tensor in self.memory.keys.iter().chain(&self.memory.values) {
                let dropped = tensor.i(row as i64).copy();
                tensor.i(row as i64).copy_(&tensor.i(last));
                tensor.i(last).copy_(&dropped);
            }
            for tensor in self.keys.iter().chain(&self.values) {
                tensor.i(row as i64).narrow(1, 0, self.length).copy_(&tensor.i(last).narrow(1, 0, self.length));
            }
            self.memory.order.swap(row, last as usize);
        }
        self.rows = last;
    }

    /// Returns the memory with all its rows, dropped ones too, in the order that it says.
    pub(crate) fn into_memory(self) -> Memory {
        self.memory
    }

    /// Makes row `i` continue what row `from[i]` has been; the rows must share their encoder states.
    pub(crate) fn reorder(&mut self, from: &[i64]) {
        let index = Tensor::from_slice(from).to_device(self.keys[0].device());
        for tensor in self.keys.iter().chain(&self.values) {
            let filled = tensor.narrow(2, 0, self.length);
            filled.narrow(0, 0, from.len() as i64).copy_(&filled.index_select(0, &index));
        }
    }
}

impl Memory {
    /// Returns a memory whose row `i` is row `from[i]` of this one.
    pub(crate) fn select(&self, from: &[i64]) -> Self {
        let index = Tensor::from_slice(from);
        let pick = |tensors: &[Tensor]| tensors.iter().map(|tensor| tensor.index_select(0, &index.to_device(tensor.device()))).collect();
        Self { keys: pick(&self.keys), values: pick(&self.values), order: (0..from.len()).collect() }
    }
}
