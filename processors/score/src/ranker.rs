//! From percentiles to a score, feature by feature.

use crate::features::FEATURES;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Judges spans by the percentiles of their features.
///
/// The frozen first ranker is linear; a trained one may be anything, as long as it says what each feature added.
pub trait Ranker {
    /// Its name, such as `frozen-1`.
    fn name(&self) -> &str;
    /// The raw score of a span before any feature spoke.
    fn bias(&self) -> f64;
    /// Judges spans. `features` are the indexes of [`FEATURES`] that were measured; each row holds their percentiles in that order.
    fn judge(&self, features: &[usize], rows: &[Vec<f64>]) -> Vec<Judgement>;
}

/// What each feature added to one span's raw score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// In the order of the measured features: the weight at this point, and what was added.
    pub effects: Vec<Effect>,
}

/// One feature's part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Effect {
    /// How much the raw score changes per unit of percentile.
    pub weight: f64,
    /// What was added to the raw score.
    pub effect: f64,
}

impl Judgement {
    /// Returns the raw score.
    #[must_use]
    pub fn raw(&self, bias: f64) -> f64 {
        self.effects.iter().fold(bias, |sum, part| sum + part.effect)
    }
}

/// One weight per feature, as a text file of `name value` lines that people can read and review.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    name: String,
    bias: f64,
    weights: BTreeMap<&'static str, f64>,
}

/// Why a weights file was refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum WeightsError {
    /// A line is neither `name value` nor a comment.
    #[error("line {line} of the weights is not `name value`: {text}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// A feature that is not measured here.
    #[error("line {line} of the weights names an unknown feature: {feature}")]
    UnknownFeature {
        /// Which line, from 1.
        line: usize,
        /// The name.
        feature: String,
    },
    /// A name or the bias is missing.
    #[error("the weights have no line `{0}`")]
    Missing(&'static str),
}

impl Linear {
    /// Returns the ranker that ships with ClipFlow.
    #[must_use]
    pub fn frozen() -> Self {
        include_str!("../rankers/frozen-1.txt").parse().expect("the built-in weights are tested")
    }

    /// Returns the SHA-256 of the weights in their normal form, in hex: the same numbers have the same digest, whatever the comments.
    #[must_use]
    pub fn digest(&self) -> String {
        Sha256::digest(self.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns a feature's weight; features without one do not count.
    #[must_use]
    pub fn weight(&self, feature: &str) -> f64 {
        self.weights.get(feature).copied().unwrap_or(0.0)
    }
}

impl Ranker for Linear {
    fn name(&self) -> &str {
        &self.name
    }

    fn bias(&self) -> f64 {
        self.bias
    }

    /// Weights are scaled up where features are missing, so that a score means the same with and without a picture.
    fn judge(&self, features: &[usize], rows: &[Vec<f64>]) -> Vec<Judgement> {
        let weights: Vec<f64> = features.iter().map(|&at| self.weight(FEATURES[at].name)).collect();
        let all: f64 = self.weights.values().map(|weight| weight.abs()).sum();
        let present: f64 = weights.iter().map(|weight| weight.abs()).sum();
        let scale = if present > 0.0 { all / present } else { 1.0 };
        let effect = |(weight, percentile): (&f64, &f64)| Effect { weight: weight * scale, effect: weight * scale * (percentile - 0.5) };
        rows.iter().map(|row| Judgement { effects: weights.iter().zip(row).map(effect).collect() }).collect()
    }
}

impl FromStr for Linear {
    type Err = WeightsError;

    fn from_str(text: &str) -> Result<Self, WeightsError> {
        let (mut name, mut bias, mut weights) = (None, None, BTreeMap::new());
        for (at, raw) in text.lines().enumerate() {
            let line = raw.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let refused = || WeightsError::Line { line: at + 1, text: raw.to_owned() };
            let (key, value) = line.split_once(' ').ok_or_else(refused)?;
            if key == "name" {
                name = Some(value.trim().to_owned());
                continue;
            }
            let number: f64 = value.trim().parse().map_err(|_| refused())?;
            if !number.is_finite() {
                return Err(refused());
            }
            if key == "bias" {
                bias = Some(number);
                continue;
            }
            let known = FEATURES.iter().find(|feature| feature.name == key);
            let feature = known.ok_or_else(|| WeightsError::UnknownFeature { line: at + 1, feature: key.to_owned() })?;
            weights.insert(feature.name, number);
        }
        let name = name.ok_or(WeightsError::Missing("name"))?;
        let bias = bias.ok_or(WeightsError::Missing("bias"))?;
        Ok(Self { name, bias, weights })
    }
}

/// The normal form of the weights file.
impl fmt::Display for Linear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "name {}\nbias {}", self.name, self.bias)?;
        self.weights.iter().try_for_each(|(feature, weight)| writeln!(f, "{feature} {weight}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_ranker_weighs_every_feature_and_survives_a_round_trip() {
        let frozen = Linear::frozen();
        assert!(FEATURES.iter().all(|feature| frozen.weight(feature.name) != 0.0));
        assert_eq!(frozen.to_string().parse::<Linear>().unwrap(), frozen);
        assert_eq!(frozen.digest().len(), 64);
    }

    #[test]
    fn bad_weights_are_refused_with_their_line() {
        fn check(text: &str, expected: WeightsError) {
            assert_eq!(text.parse::<Linear>().unwrap_err(), expected);
        }
        check("name a\nbias 1\nhok 2", WeightsError::UnknownFeature { line: 3, feature: "hok".to_owned() });
        check("name a\nbias x", WeightsError::Line { line: 2, text: "bias x".to_owned() });
        check("name a\nbias NaN", WeightsError::Line { line: 2, text: "bias NaN".to_owned() });
        check("bias 1", WeightsError::Missing("name"));
        check("name a # no bias", WeightsError::Missing("bias"));
    }

    #[test]
    fn a_missing_feature_leaves_the_scale_of_the_score() {
        let ranker: Linear = "name a\nbias 50\nhook_question 10\nfaces 10".parse().unwrap();
        let place = |name: &str| FEATURES.iter().position(|feature| feature.name == name).unwrap();
        let both = ranker.judge(&[place("hook_question"), place("faces")], &[vec![1.0, 1.0]]);
        let one = ranker.judge(&[place("hook_question")], &[vec![1.0]]);
        assert_eq!(both[0].raw(50.0), 60.0);
        assert_eq!(one[0].raw(50.0), 60.0);
    }
}
