//! Turns logits into tokens: the reference's rules, greedy choice, seeded sampling and beam search.

mod beam;
mod greedy;
pub(crate) mod guard;
mod loops;
pub(crate) mod rules;

use crate::model::Network;
use crate::tokens::Tokens;
use crate::weights::Settings;
pub(crate) use guard::Trust;
use rules::Rules;
use tch::{Kind, Tensor};

/// The first timestamp is at most one second in, unless the model says otherwise.
const MAX_INITIAL_TIMESTAMP: usize = 50;

/// What one window was heard as.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hypothesis {
    /// Text and timestamp tokens, without the end token.
    pub(crate) tokens: Vec<i64>,
    /// Log-probability of each token when it was chosen.
    pub(crate) logprobs: Vec<f32>,
    /// Mean over the tokens and the end token.
    pub(crate) mean_logprob: f32,
    /// Probability that nobody speaks.
    pub(crate) no_speech: f32,
    /// The token at which a loop begins; decoding stopped in it.
    pub(crate) loop_start: Option<usize>,
}

impl Hypothesis {
    /// Returns the hypothesis that nothing was said, with the numbers of `instead`.
    fn silence(instead: &Self) -> Self {
        Self { tokens: vec![], logprobs: vec![], loop_start: None, ..*instead }
    }
}

/// What does not change between windows.
pub(crate) struct Decoding<'a> {
    network: &'a Network,
    tokens: &'a Tokens,
    pub(crate) rules: Rules,
    /// Added to the logits: minus infinity for tokens that are never chosen.
    bias: Tensor,
    /// The same for the first token.
    first_bias: Tensor,
    prompt: Vec<i64>,
}

impl<'a> Decoding<'a> {
    pub(crate) fn new(network: &'a Network, tokens: &'a Tokens, settings: &Settings, prompt: Vec<i64>) -> Self {
        let vocabulary = network.decoder.vocabulary();
        let bias_without = |ids: &mut dyn Iterator<Item = i64>| {
            let mut bias = vec![0f32; vocabulary];
            ids.filter_map(|id| usize::try_from(id).ok().filter(|&id| id < vocabulary)).for_each(|id| bias[id] = f32::NEG_INFINITY);
            Tensor::from_slice(&bias).to_device(network.device)
        };
        // Some configurations list the end token among the suppressed ones by mistake; without it nothing ever ends.
        let always = || settings.suppressed.iter().chain(&tokens.never_said).copied().filter(|&id| id != tokens.end);
        let rules = Rules {
            end: tokens.end,
            timestamp_begin: tokens.timestamp_begin(),
            timestamp_end: (tokens.timestamp_begin() + network.positions() as i64 + 1).min(vocabulary as i64),
            max_initial: settings.max_initial_timestamp.unwrap_or(MAX_INITIAL_TIMESTAMP) as i64,
        };
        Self {
            network,
            tokens,
            rules,
            bias: bias_without(&mut always()),
            first_bias: bias_without(&mut always().chain(settings.suppressed_first.iter().copied())),
            prompt,
        }
    }

    /// A window gets half of the decoder's positions, as in the reference.
    fn tokens_max(&self) -> usize {
        self.network.decoder.positions() / 2
    }

    /// Returns the probability that nobody speaks, from the states after the start token.
    fn no_speech(&self, prompt_states: &Tensor) -> Vec<f32> {
        let rows = prompt_states.size()[0] as usize;
        let Some(token) = self.tokens.no_speech else { return vec![0.0; rows] };
        let logits = self.network.decoder.projection.logits(&prompt_states.select(1, 0));
        let probabilities = logits.softmax(-1, Kind::Float).select(1, token);
        Vec::try_from(probabilities.to_device(tch::Device::Cpu)).expect("a row of f32")
    }
}
