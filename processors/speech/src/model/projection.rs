//! The decoder's states to logits: all of them exactly, or a rough look at all and an exact one at the likeliest.

use super::layers::Weight;
use tch::{Device, Kind, Tensor};

/// Roughly likeliest tokens that are computed exactly; the likeliest is nearly always first or second among them.
const LIKELIEST: i64 = 8;
/// Largest number of eight bits with a sign.
const BYTE_MAX: f64 = 127.0;
/// Keeps a division by the size of all-zero states or weights from failing.
const SIZE_MIN: f64 = 1e-12;

/// The map from states to logits, which is also the embedding of the tokens.
#[derive(Clone)]
pub(crate) struct Projection {
    /// `[tokens, width]` in f32.
    exact: Weight,
    /// The same in a quarter of the memory, which is what reading it for every token costs.
    rough: Option<Rough>,
}

/// Weights in eight bits.
#[derive(Clone)]
struct Rough {
    /// `[tokens, width]`.
    bytes: Weight,
    /// What each token's bytes are multiplied by.
    scales: Weight,
}

/// What the rules need to know of the first tokens, per row.
pub(crate) struct Likeliest {
    pub(crate) token: Tensor,
    pub(crate) logit: Tensor,
    /// Log of the summed exponentials of all.
    pub(crate) logsumexp: Tensor,
}

impl Projection {
    /// Keeps `embedding` (`[tokens, width]` in f32); `is_rough` allows rough looks.
    pub(super) fn new(embedding: Weight, is_rough: bool) -> Self {
        let rough = (is_rough && has_exact_bytes() && embedding.device() == Device::Cpu).then(|| {
            let (bytes, scales) = to_bytes(&embedding);
            Rough { bytes: bytes.into(), scales: scales.squeeze_dim(1).into() }
        });
        Self { exact: embedding, rough }
    }

    /// Returns how many tokens there are.
    pub(super) fn tokens(&self) -> i64 {
        self.exact.size()[0]
    }

    /// Returns the embeddings of tokens, one after the other.
    pub(super) fn embed(&self, tokens: &Tensor) -> Tensor {
        self.exact.index_select(0, tokens)
    }

    /// Returns all logits.
    pub(crate) fn logits(&self, states: &Tensor) -> Tensor {
        states.linear::<Tensor>(&self.exact, None)
    }

    /// Returns the logits of the tokens from `first` on, of states `[rows, width]`.
    pub(crate) fn logits_from(&self, states: &Tensor, first: i64) -> Tensor {
        states.linear::<Tensor>(&self.exact.narrow(0, first, self.tokens() - first), None)
    }

    /// Returns the likeliest of the tokens before `end`, where `bias` is added to the logits, of states `[rows, width]`.
    pub(crate) fn likeliest(&self, states: &Tensor, bias: &Tensor, end: i64) -> Likeliest {
        let bias = bias.narrow(0, 0, end);
        match &self.rough {
            Some(rough) => self.likeliest_of_rough(rough.logits(states, &bias), states, &bias),
            None => likeliest_of(&(states.linear::<Tensor>(&self.exact.narrow(0, 0, end), None) + bias)),
        }
    }

    fn likeliest_of_rough(&self, rough: Tensor, states: &Tensor, bias: &Tensor) -> Likeliest {
        let (rows, width) = states.size2().expect("states of one position have two dimensions");
        let (rough_best, tokens) = rough.topk(LIKELIEST.min(bias.size()[0]), 1, true, false);
        let flat = tokens.view([-1]);
        let weights = self.embed(&flat).view([rows, -1, width]);
        let exact = weights.matmul(&states.unsqueeze(2)).squeeze_dim(2) + bias.index_select(0, &flat).view([rows, -1]);
        let (logit, at) = exact.max_dim(1, true);
        let sum_of = |logits: Tensor| (logits - &logit).exp_().sum_dim_intlist(1, false, Kind::Float);
        // The others' errors cancel out in the sum; those that matter in it are replaced.
        let sum = sum_of(exact.shallow_clone()) + sum_of(rough) - sum_of(rough_best);
        let logit = logit.squeeze_dim(1);
        Likeliest { token: tokens.gather(1, &at, false).squeeze_dim(1), logsumexp: sum.log() + &logit, logit }
    }
}

fn likeliest_of(logits: &Tensor) -> Likeliest {
    let (logit, token) = logits.max_dim(1, false);
    // logsumexp of LibTorch is several times slower than its parts.
    let logsumexp = (logits - logit.unsqueeze(1)).exp_().sum_dim_intlist(1, false, Kind::Float).log() + &logit;
    Likeliest { token, logit, logsumexp }
}

impl Rough {
    /// Returns the logits of the first tokens, as many as `bias` has.
    fn logits(&self, states: &Tensor, bias: &Tensor) -> Tensor {
        let count = bias.size()[0];
        let (bytes, sizes) = to_bytes(states);
        let sums = bytes.internal_int_mm(&self.bytes.narrow(0, 0, count).transpose(0, 1));
        bias.addcmul(&(sums.to_kind(Kind::Float) * sizes), &self.scales.narrow(0, 0, count))
    }
}

/// Returns each row in eight bits, and what it must be multiplied by.
fn to_bytes(rows: &Tensor) -> (Tensor, Tensor) {
    let scales = rows.abs().amax([1i64].as_slice(), true).clamp_min(SIZE_MIN) / BYTE_MAX;
    ((rows / &scales).round().to_kind(Kind::Int8), scales)
}

/// Tells whether the processor multiplies bytes without overflow: older ones add pairs of products in 16 bits.
#[cfg(target_arch = "x86_64")]
fn has_exact_bytes() -> bool {
    std::arch::is_x86_feature_detected!("avx512vnni")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_exact_bytes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rough_look_finds_what_an_exact_one_finds() {
        tch::manual_seed(1);
        let options = (Kind::Float, Device::Cpu);
        let embedding = || Weight::from(Tensor::randn([1_000, 64], options));
        let never = Tensor::full([400], f64::NEG_INFINITY, options);
        let bias = Tensor::cat(&[Tensor::zeros([10], options), never, Tensor::zeros([590], options)], 0);
        let states = Tensor::randn([5, 64], options);
        let exact = Projection::new(embedding(), false);
        let rough = Projection { rough: Projection::new(exact.exact.clone(), true).rough, ..exact.clone() };
        let (exact, rough) = (exact.likeliest(&states, &bias, 900), rough.likeliest(&states, &bias, 900));
        assert_eq!(exact.token, rough.token);
        assert!((exact.logit - rough.logit).abs().max().double_value(&[]) < 1e-4);
        assert!((exact.logsumexp - rough.logsumexp).abs().max().double_value(&[]) < 0.05);
    }
}
