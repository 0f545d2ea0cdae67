//! Tokens and encoder states to logits, with caches that are allocated once per batch.

use super::layers::{FeedForward, Linear, Norm, Place, SelfAttention, Weight, attend, merge_heads, split_heads};
use super::projection::Projection;
use crate::error::LoadError;
use crate::weights::Weights;
use tch::{IndexOp, Kind, Tensor};

#[derive(Clone)]
struct CrossAttention {
    norm: Norm,
    query: Linear,
    key_value: Linear,
    output: Linear,
    heads: i64,
    /// Of what is remembered; everything else is f32.
    kind: Kind,
}

#[derive(Clone)]
struct Layer {
    attention: SelfAttention,
    cross: CrossAttention,
    feed_forward: FeedForward,
}

#[derive(Clone)]
pub(crate) struct Decoder {
    pub(crate) projection: Projection,
    embed_positions: Weight,
    layers: Vec<Layer>,
    norm: Norm,
    place: Place,
}

/// What cross-attention looks at: one entry per layer.
pub(crate) struct Memory {
    /// `[windows, heads, positions, head width]`, as the values.
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    /// Which window each place belongs to: dropping rows from a cache changes their order.
    pub(crate) order: Vec<usize>,
}

/// The state of rows that are being decoded together; all have the same length.
pub(crate) struct Cache {
    memory: Memory,
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    length: i64,
    rows: i64,
    /// Several rows look at the same window.
    shares_windows: bool,
}

impl CrossAttention {
    fn new(weights: &Weights, layer: &str, heads: i64, width: i64, place: Place) -> Result<Self, LoadError> {
        let name = |part: &str| format!("{layer}.encoder_attn.{part}");
        let key_value = Linear::fused(weights, &[&name("k_proj"), &name("v_proj")], [width, width], place)?;
        let (kind, place) = (place.kind, Place { kind: Kind::Float, ..place });
        Ok(Self {
            norm: Norm::new(weights, &format!("{layer}.encoder_attn_layer_norm"), width, place)?,
            query: Linear::new(weights, &name("q_proj"), [width, width], place)?,
            key_value,
            output: Linear::new(weights, &name("out_proj"), [width, width], place)?,
            heads,
            kind,
        })
    }

    /// Returns the queries `[windows, heads, length, head width]`.
    fn queries(&self, states: &Tensor) -> Tensor {
        split_heads(&self.query.forward(&self.norm.forward(states)), self.heads)
    }

    /// Returns what is added to the states.
    fn output(&self, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Tensor {
        let attended = attend(&queries.to_kind(self.kind), keys, values, false);
        self.output.forward(&merge_heads(&attended).to_kind(Kind::Float))
    }
}

impl Decoder {
    /// Remembers windows in the kind of `memory`; everything else is f32.
    pub(super) fn new(weights: &Weights, heads: i64, width: i64, memory: Place) -> Result<Self, LoadError> {
        let place = Place { kind: Kind::Float, ..memory };
        let layer = |index: usize| -> Result<Layer, LoadError> {
            let name = format!("decoder.layers.{index}");
            Ok(Layer {
                attention: SelfAttention::new(weights, &name, heads, width, place)?,
                cross: CrossAttention::new(weights, &name, heads, width, memory)?,
                feed_forward: FeedForward::new(weights, &name, width, place)?,
            })
        };
        let embedding = place.put(&weights.get("decoder.embed_tokens.weight", &[-1, width])?);
        Ok(Self {
            projection: Projection::new(embedding, memory.kind != Kind::Float),
            embed_positions: place.put(&weights.get("decoder.embed_positions.weight", &[-1, width])?),
            layers: (0..weights.layers("decoder")).map(layer).collect::<Result<_, _>>()?,
            norm: Norm::new(weights, "decoder.layer_norm", width, place)?,
            place: memory,
        })
    }

    /// Returns how many different tokens there are.
    pub(crate) fn vocabulary(&self) -> usize {
        self.projection.tokens() as usize
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

    /// Returns how many bytes a window takes while it is decoded.
    pub(crate) fn window_bytes(&self, positions: usize) -> usize {
        let numbers = 2 * self.layers() * self.embed_positions.size()[1] as usize;
        let cached = self.positions() / 2 * Kind::Float.elt_size_in_bytes();
        numbers * (positions * self.place.kind.elt_size_in_bytes() + cached)
    }

    /// Returns a memory with room for as many windows.
    pub(super) fn memory(&self, windows: usize, positions: usize) -> Memory {
        let empty = |layer: &Layer| {
            let width = self.embed_positions.size()[1] / layer.cross.heads;
            Tensor::empty([windows as i64, layer.cross.heads, positions as i64, width], (self.place.kind, self.place.device))
        };
        let (keys, values) = (self.layers.iter().map(empty).collect(), self.layers.iter().map(empty).collect());
        Memory { keys, values, order: (0..windows).collect() }
    }

    /// Projects encoder states `[windows, positions, width]` once for all steps, into the places from `first` on.
    pub(super) fn remember(&self, memory: &Memory, first: usize, states: &Tensor) {
        for (index, layer) in self.layers.iter().enumerate() {
            let parts = layer.cross.key_value.forward(states).chunk(2, -1);
            for (part, places) in parts.iter().zip([&memory.keys[index], &memory.values[index]]) {
                places.narrow(0, first as i64, states.size()[0]).copy_(&split_heads(part, layer.cross.heads));
            }
        }
    }

    /// Returns an empty cache for `rows` rows of up to `length_max` tokens; each window of the memory gets as many of them.
    pub(crate) fn cache(&self, memory: Memory, rows: usize, length_max: usize) -> Cache {
        let empty = |value: &Tensor| {
            let size = value.size();
            Tensor::empty([rows as i64, size[1], length_max as i64, size[3]], (Kind::Float, self.place.device))
        };
        let keys = memory.values.iter().map(empty).collect();
        let values = memory.values.iter().map(empty).collect();
        let shares_windows = rows > memory.order.len();
        Cache { memory, keys, values, length: 0, rows: rows as i64, shares_windows }
    }

    /// Appends `tokens` (rows × new tokens) and returns the states `[rows, new tokens, width]` that the logits come from.
    pub(crate) fn step(&self, cache: &mut Cache, tokens: &[i64]) -> Tensor {
        let count = tokens.len() as i64 / cache.rows;
        let windows = cache.windows();
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
            // Rows of one window ask together, so that it is read once.
            let size = states.size();
            let queries = layer.cross.queries(&states.view([windows, -1, size[2]]));
            let (keys, values) = (cache.memory.keys[index].i(..windows), cache.memory.values[index].i(..windows));
            states += layer.cross.output(&queries, &keys, &values).view(size.as_slice());
            states = layer.feed_forward.forward(&states);
        }
        cache.length = end;
        self.norm.forward(&states)
    }

    /// Runs whole rows at once, one per window, and returns the cross-attention scores, before softmax, of the asked-for heads
    /// as `[windows, asked heads, length, positions]`. Rows are in the memory's order.
    pub(crate) fn cross_scores(&self, memory: &Memory, tokens: &[i64], heads: &[(usize, usize)]) -> Tensor {
        let mut states = self.embed(tokens, memory.order.len() as i64, 0);
        let mut asked = Vec::with_capacity(heads.len());
        let last = heads.iter().map(|&(layer, _)| layer).max().unwrap_or(0);
        for (index, layer) in self.layers.iter().enumerate().take(last + 1) {
            let (query, key, value) = layer.attention.project(&states);
            states += layer.attention.output.forward(&merge_heads(&attend(&query, &key, &value, true)));
            let queries = layer.cross.queries(&states);
            let scale = (*queries.size().last().expect("a query has dimensions") as f64).powf(-0.5);
            for &(_, head) in heads.iter().filter(|&&(of, _)| of == index) {
                let keys = memory.keys[index].select(1, head as i64).to_kind(Kind::Float);
                asked.push((queries.select(1, head as i64) * scale).matmul(&keys.transpose(1, 2)));
            }
            if index < last {
                states += layer.cross.output(&queries, &memory.keys[index], &memory.values[index]);
                states = layer.feed_forward.forward(&states);
            }
        }
        Tensor::stack(&asked, 1)
    }

    fn embed(&self, tokens: &[i64], rows: i64, first: i64) -> Tensor {
        let count = tokens.len() as i64 / rows;
        let ids = Tensor::from_slice(tokens).to_device(self.place.device);
        let embedded = self.projection.embed(&ids).view([rows, count, -1]);
        embedded + self.embed_positions.narrow(0, first, count)
    }
}

impl Cache {
    fn windows(&self) -> i64 {
        if self.shares_windows { self.memory.order.len() as i64 } else { self.rows }
    }

    /// Drops a row: it changes places with the last one, so that only two rows are copied.
    /// Rows that share windows can only be dropped when there is one window.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        let last = self.rows - 1;
        if row as i64 != last {
            for tensor in self.keys.iter().chain(&self.values) {
                tensor.i(row as i64).narrow(1, 0, self.length).copy_(&tensor.i(last).narrow(1, 0, self.length));
            }
            if !self.shares_windows {
                self.memory.swap(row, last as usize);
            }
        }
        self.rows = last;
    }

    /// Returns the memory with all its windows, those of dropped rows too, in the order that it says.
    pub(crate) fn into_memory(self) -> Memory {
        self.memory
    }

    /// Makes row `i` continue what row `from[i]` has been; the rows must share their window.
    pub(crate) fn reorder(&mut self, from: &[i64]) {
        let index = Tensor::from_slice(from).to_device(self.keys[0].device());
        for tensor in self.keys.iter().chain(&self.values) {
            let filled = tensor.narrow(2, 0, self.length);
            filled.narrow(0, 0, from.len() as i64).copy_(&filled.index_select(0, &index));
        }
    }
}

impl Memory {
    /// Returns all windows as they are, without a copy.
    pub(crate) fn all(&self) -> Self {
        let share = |tensors: &[Tensor]| tensors.iter().map(Tensor::shallow_clone).collect();
        Self { keys: share(&self.keys), values: share(&self.values), order: self.order.clone() }
    }

    /// Returns one window, without a copy.
    pub(crate) fn window(&self, window: usize) -> Self {
        let place = self.order.iter().position(|&of| of == window).expect("a window keeps a place") as i64;
        let pick = |tensors: &[Tensor]| tensors.iter().map(|tensor| tensor.narrow(0, place, 1)).collect();
        Self { keys: pick(&self.keys), values: pick(&self.values), order: vec![0] }
    }

    fn swap(&mut self, one: usize, other: usize) {
        for tensor in self.keys.iter().chain(&self.values) {
            let kept = tensor.i(one as i64).copy();
            tensor.i(one as i64).copy_(&tensor.i(other as i64));
            tensor.i(other as i64).copy_(&kept);
        }
        self.order.swap(one, other);
    }
}
