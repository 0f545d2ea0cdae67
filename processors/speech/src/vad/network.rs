//! Silero VAD for 16 kHz: a short-time Fourier transform and four convolutions over many frames at once, then one LSTM cell frame by frame.
//!
//! The weights are `assets/silero_vad_16k_f16.safetensors`; `assets/silero_vad.py` made them.

use super::spans::FRAME;
use crate::weights::safetensors;
use std::collections::HashMap;
use std::sync::OnceLock;
use tch::{Device, Kind, Tensor, no_grad};

static WEIGHTS: &[u8] = include_bytes!("../../assets/silero_vad_16k_f16.safetensors");

/// Samples of the frame before that each frame sees.
const CONTEXT: usize = 64;
/// Samples mirrored at the end of each frame.
const MIRRORED: i64 = 64;
/// Frames that go through the convolutions together: enough to keep the processor busy in about 40 MB.
const BATCH: usize = 1_024;
/// Hop of the transform.
const HOP: i64 = 128;
/// Width of the recurrent state.
const WIDTH: usize = 128;

/// Plain numbers, so that one copy serves every thread.
struct Weights(HashMap<String, (Vec<i64>, Vec<f32>)>);

fn weights() -> &'static Weights {
    static PARSED: OnceLock<Weights> = OnceLock::new();
    PARSED.get_or_init(|| {
        let tensors = safetensors::parse(WEIGHTS).expect("the file in the program is whole");
        let numbers = |tensor: Tensor| {
            let flat = tensor.to_kind(Kind::Float).reshape([-1]);
            (tensor.size(), Vec::try_from(flat).expect("a vector of f32"))
        };
        Weights(tensors.into_iter().map(|(name, tensor)| (name, numbers(tensor))).collect())
    })
}

impl Weights {
    fn numbers(&self, name: &str) -> &[f32] {
        &self.0.get(name).expect("the file in the program has every tensor").1
    }

    fn tensor(&self, name: &str) -> Tensor {
        let (shape, numbers) = self.0.get(name).expect("the file in the program has every tensor");
        Tensor::from_slice(numbers).reshape(shape)
    }
}

/// Returns the probability of speech in each frame; the last one is filled up with silence.
pub(super) fn probabilities(samples: &[f32]) -> Vec<f32> {
    let frames = samples.len().div_ceil(FRAME);
    let front = no_grad(Front::new);
    let mut cell = Cell::new();
    let mut probabilities = Vec::with_capacity(frames);
    for first in (0..frames).step_by(BATCH) {
        let count = BATCH.min(frames - first);
        let gates = no_grad(|| front.gates(&framed(samples, first, count), count));
        probabilities.extend(gates.chunks_exact(4 * WIDTH).map(|gates| cell.step(gates)));
    }
    probabilities
}

/// Returns frames with the context before them, one after the other.
fn framed(samples: &[f32], first: usize, count: usize) -> Vec<f32> {
    let mut framed = vec![0f32; count * (CONTEXT + FRAME)];
    for (index, frame) in framed.chunks_exact_mut(CONTEXT + FRAME).enumerate() {
        let start = (first + index) * FRAME;
        let from = start.saturating_sub(CONTEXT);
        let to = samples.len().min(start + FRAME);
        let offset = CONTEXT - (start - from);
        frame[offset..offset + to - from].copy_from_slice(&samples[from..to]);
    }
    framed
}

/// Everything before the recurrent cell.
struct Front {
    transform: Tensor,
    convolutions: Vec<(Tensor, Tensor, i64)>,
    gates: (Tensor, Tensor),
}

impl Front {
    fn new() -> Self {
        let weights = weights();
        let convolution = |(index, stride): (usize, i64)| {
            (weights.tensor(&format!("conv{index}.weight")), weights.tensor(&format!("conv{index}.bias")), stride)
        };
        let bias = weights.tensor("lstm_cell.bias_ih") + weights.tensor("lstm_cell.bias_hh");
        Self {
            transform: weights.tensor("stft_conv.weight"),
            convolutions: [(1, 1), (2, 2), (3, 2), (4, 1)].into_iter().map(convolution).collect(),
            gates: (weights.tensor("lstm_cell.weight_ih"), bias),
        }
    }

    /// Returns what each frame adds to the cell's four gates.
    fn gates(&self, framed: &[f32], count: usize) -> Vec<f32> {
        let audio = Tensor::from_slice(framed).reshape([count as i64, 1, -1]).reflection_pad1d([0, MIRRORED]);
        let parts = audio.conv1d::<Tensor>(&self.transform, None, [HOP], [0], [1], 1).chunk(2, 1);
        let mut states = (parts[0].square() + parts[1].square()).sqrt();
        for (weight, bias, stride) in &self.convolutions {
            states = states.conv1d(weight, Some(bias), [*stride], [1], [1], 1).relu();
        }
        let gates = states.squeeze_dim(2).linear(&self.gates.0, Some(&self.gates.1));
        Vec::try_from(gates.to_device(Device::Cpu).contiguous().view([-1])).expect("a vector of f32")
    }
}

/// The recurrent cell in plain Rust: one frame is too little work for a call into LibTorch.
struct Cell {
    recurrent: &'static [f32],
    output: &'static [f32],
    output_bias: f32,
    hidden: [f32; WIDTH],
    memory: [f32; WIDTH],
}

impl Cell {
    fn new() -> Self {
        let weights = weights();
        Self {
            recurrent: weights.numbers("lstm_cell.weight_hh"),
            output: weights.numbers("final_conv.weight"),
            output_bias: weights.numbers("final_conv.bias")[0],
            hidden: [0.0; WIDTH],
            memory: [0.0; WIDTH],
        }
    }

    fn step(&mut self, input: &[f32]) -> f32 {
        let mut gates = [0f32; 4 * WIDTH];
        for ((gate, input), row) in gates.iter_mut().zip(input).zip(self.recurrent.chunks_exact(WIDTH)) {
            *gate = input + dot(row, &self.hidden);
        }
        for index in 0..WIDTH {
            let [input, forget, fresh, output] = std::array::from_fn(|gate| gates[gate * WIDTH + index]);
            self.memory[index] = sigmoid(forget) * self.memory[index] + sigmoid(input) * fresh.tanh();
            self.hidden[index] = sigmoid(output) * self.memory[index].tanh();
        }
        let positive: [f32; WIDTH] = std::array::from_fn(|index| self.hidden[index].max(0.0));
        sigmoid(dot(self.output, &positive) + self.output_bias)
    }
}

/// Sums in eight lanes, so that the compiler makes vector code of it.
fn dot(row: &[f32], state: &[f32; WIDTH]) -> f32 {
    let mut lanes = [0f32; 8];
    for (row, state) in row.chunks_exact(8).zip(state.chunks_exact(8)) {
        for lane in 0..8 {
            lanes[lane] += row[lane] * state[lane];
        }
    }
    lanes.iter().sum()
}

fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}
