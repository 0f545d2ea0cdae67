//! The `model.bin` of CTranslate2 (as faster-whisper uses it), format versions 5 and 6, little endian.
//!
//! Fused projections are split and every name becomes the Hugging Face one, so that the rest knows one layout.

use super::{damaged, read_bytes};
use crate::error::LoadError;
use std::collections::HashMap;
use std::path::Path;
use tch::{Kind, Tensor};

const SPECIFICATION: &str = "WhisperSpec";
const VERSIONS: std::ops::RangeInclusive<u32> = 5..=6;
/// More variables than this means that the count is damaged; the largest Whisper model has under 1,500.
const VARIABLES_MAX: u32 = 100_000;

/// What `model.bin` holds.
pub(super) struct Model {
    pub(super) tensors: HashMap<String, Tensor>,
    pub(super) encoder_heads: usize,
    pub(super) decoder_heads: usize,
    pub(super) alignment_heads: Vec<(usize, usize)>,
}

/// Reads the file and renames its variables.
pub(super) fn read(path: &Path) -> Result<Model, LoadError> {
    let bytes = read_bytes(path)?;
    let variables = parse(&bytes).map_err(|reason| damaged(path, reason))?;
    rename(&variables).map_err(|reason| LoadError::Unsupported { path: path.to_owned(), reason })
}

/// A reader that never runs past the end.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (head, rest) = self.0.split_at_checked(count).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_le_bytes([self.u8()?, self.u8()?]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from(self.u16()?) | u32::from(self.u16()?) << 16)
    }

    /// A string is its length with the closing NUL, then the bytes.
    fn string(&mut self) -> Result<String, String> {
        let length = usize::from(self.u16()?);
        let bytes = self.take(length)?;
        let bytes = bytes.strip_suffix(&[0]).ok_or("a name does not end where it should")?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "a name is not UTF-8".to_owned())
    }
}

fn parse(bytes: &[u8]) -> Result<HashMap<String, Tensor>, String> {
    let mut cursor = Cursor(bytes);
    let version = cursor.u32()?;
    if !VERSIONS.contains(&version) {
        return Err(format!("it has format version {version}, expected 5 or 6"));
    }
    let specification = cursor.string()?;
    if specification != SPECIFICATION {
        return Err(format!("it is a {specification}, expected a {SPECIFICATION}"));
    }
    let _revision = cursor.u32()?;
    let count = cursor.u32()?;
    if count > VARIABLES_MAX {
        return Err(format!("it claims {count} variables"));
    }
    let mut variables = HashMap::new();
    for _ in 0..count {
        let name = cursor.string()?;
        let tensor = parse_variable(&mut cursor, &name)?;
        variables.insert(name, tensor);
    }
    for _ in 0..cursor.u32()? {
        let (alias, name) = (cursor.string()?, cursor.string()?);
        if let Some(tensor) = variables.get(&name) {
            let tensor = tensor.shallow_clone();
            variables.insert(alias, tensor);
        }
    }
    Ok(dequantised(variables))
}

fn parse_variable(cursor: &mut Cursor, name: &str) -> Result<Tensor, String> {
    let rank = cursor.u8()?;
    let shape = (0..rank).map(|_| cursor.u32().map(i64::from)).collect::<Result<Vec<_>, _>>()?;
    let dtype = cursor.u8()?;
    let data_length = cursor.u32()? as usize;
    let data = cursor.take(data_length)?;
    let kind = match dtype {
        0 => Kind::Float,
        1 => Kind::Int8,
        2 => Kind::Int16,
        3 => Kind::Int,
        4 => Kind::Half,
        5 => Kind::BFloat16,
        other => return Err(format!("{name} has the unknown type {other}")),
    };
    let expected = shape.iter().product::<i64>() as usize * kind.elt_size_in_bytes();
    if data.len() != expected {
        return Err(format!("{name} has {} bytes of data, expected {expected}", data.len()));
    }
    Ok(Tensor::from_data_size(data, &shape, kind))
}

/// Multiplies integer weights out: a weight of row `r` is `value / scale[r]`, with the scales in a variable beside it.
fn dequantised(mut variables: HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let scales: Vec<String> = variables.keys().filter(|name| name.ends_with("_scale")).cloned().collect();
    for scale_name in scales {
        let name = scale_name.trim_end_matches("_scale").to_owned();
        let (Some(scale), Some(weight)) = (variables.get(&scale_name), variables.get(&name)) else { continue };
        let shape = weight.size();
        let rows = if scale.numel() == 1 { 1 } else { shape.first().copied().unwrap_or(1) };
        let values = weight.to_kind(Kind::Float).reshape([rows, -1]) / scale.to_kind(Kind::Float).reshape([-1, 1]);
        variables.insert(name, values.reshape(shape));
    }
    variables
}

/// Renames to Hugging Face names and splits fused projections.
fn rename(variables: &HashMap<String, Tensor>) -> Result<Model, String> {
    let mut names = Names { variables, tensors: HashMap::new() };
    for convolution in ["conv1", "conv2"] {
        names.put(&format!("encoder.{convolution}.weight"), &format!("encoder/{convolution}/weight"))?;
        names.put(&format!("encoder.{convolution}.bias"), &format!("encoder/{convolution}/bias"))?;
    }
    names.put("decoder.embed_tokens.weight", "decoder/embeddings/weight")?;
    for side in ["encoder", "decoder"] {
        names.put(&format!("{side}.embed_positions.weight"), &format!("{side}/position_encodings/encodings"))?;
        names.norm(&format!("{side}.layer_norm"), &format!("{side}/layer_norm"))?;
        let layers = (0..).take_while(|layer| variables.contains_key(&format!("{side}/layer_{layer}/ffn/linear_0/weight"))).count();
        for layer in 0..layers {
            names.layer(&format!("{side}.layers.{layer}"), &format!("{side}/layer_{layer}"), side == "decoder")?;
        }
    }
    let tensors = names.tensors;
    let count = |name: &str| variables.get(name).filter(|value| value.numel() == 1).map(|value| value.int64_value(&[]) as usize);
    let encoder_heads = count("encoder/num_heads").ok_or("the number of heads is missing")?;
    let decoder_heads = count("decoder/num_heads").unwrap_or(encoder_heads);
    let alignment_heads = match variables.get("decoder/alignment_heads") {
        Some(pairs) if pairs.size().len() == 2 && pairs.size()[1] == 2 => {
            (0..pairs.size()[0]).map(|row| (pairs.int64_value(&[row, 0]) as usize, pairs.int64_value(&[row, 1]) as usize)).collect()
        }
        _ => vec![],
    };
    Ok(Model { tensors, encoder_heads, decoder_heads, alignment_heads })
}

struct Names<'a> {
    variables: &'a HashMap<String, Tensor>,
    tensors: HashMap<String, Tensor>,
}

impl Names<'_> {
    fn variable(&self, name: &str) -> Result<Tensor, String> {
        self.variables.get(name).map(Tensor::shallow_clone).ok_or_else(|| format!("variable {name} is missing"))
    }

    fn put(&mut self, name: &str, variable: &str) -> Result<(), String> {
        let tensor = self.variable(variable)?;
        self.tensors.insert(name.to_owned(), tensor);
        Ok(())
    }

    fn norm(&mut self, name: &str, variable: &str) -> Result<(), String> {
        self.put(&format!("{name}.weight"), &format!("{variable}/gamma"))?;
        self.put(&format!("{name}.bias"), &format!("{variable}/beta"))
    }

    fn linear(&mut self, name: &str, variable: &str) -> Result<(), String> {
        self.put(&format!("{name}.weight"), &format!("{variable}/weight"))?;
        self.put(&format!("{name}.bias"), &format!("{variable}/bias"))
    }

    /// Splits a fused projection into equal parts.
    fn split(&mut self, name: &str, variable: &str, parts: &[&str]) -> Result<(), String> {
        for kind in ["weight", "bias"] {
            let fused = self.variable(&format!("{variable}/{kind}"))?;
            if fused.size()[0] % parts.len() as i64 != 0 {
                return Err(format!("{variable} cannot be split into {} parts", parts.len()));
            }
            for (part, tensor) in parts.iter().zip(fused.chunk(parts.len() as i64, 0)) {
                self.tensors.insert(format!("{name}.{part}.{kind}"), tensor);
            }
        }
        Ok(())
    }

    fn layer(&mut self, name: &str, variable: &str, has_cross_attention: bool) -> Result<(), String> {
        self.split(&format!("{name}.self_attn"), &format!("{variable}/self_attention/linear_0"), &["q_proj", "k_proj", "v_proj"])?;
        self.linear(&format!("{name}.self_attn.out_proj"), &format!("{variable}/self_attention/linear_1"))?;
        self.norm(&format!("{name}.self_attn_layer_norm"), &format!("{variable}/self_attention/layer_norm"))?;
        if has_cross_attention {
            self.linear(&format!("{name}.encoder_attn.q_proj"), &format!("{variable}/attention/linear_0"))?;
            self.split(&format!("{name}.encoder_attn"), &format!("{variable}/attention/linear_1"), &["k_proj", "v_proj"])?;
            self.linear(&format!("{name}.encoder_attn.out_proj"), &format!("{variable}/attention/linear_2"))?;
            self.norm(&format!("{name}.encoder_attn_layer_norm"), &format!("{variable}/attention/layer_norm"))?;
        }
        self.linear(&format!("{name}.fc1"), &format!("{variable}/ffn/linear_0"))?;
        self.linear(&format!("{name}.fc2"), &format!("{variable}/ffn/linear_1"))?;
        self.norm(&format!("{name}.final_layer_norm"), &format!("{variable}/ffn/layer_norm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a file of one variable.
    fn file(name: &str, shape: &[u32], dtype: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = 6u32.to_le_bytes().to_vec();
        let string = |bytes: &mut Vec<u8>, text: &str| {
            bytes.extend_from_slice(&(text.len() as u16 + 1).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        };
        string(&mut bytes, SPECIFICATION);
        bytes.extend_from_slice(&3u32.to_le_bytes());
        bytes.extend_from_slice(&1u32.to_le_bytes());
        string(&mut bytes, name);
        bytes.push(shape.len() as u8);
        shape.iter().for_each(|size| bytes.extend_from_slice(&size.to_le_bytes()));
        bytes.push(dtype);
        bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes
    }

    #[test]
    fn a_variable_is_read_with_its_shape() {
        let variables = parse(&file("x", &[2, 1], 1, &[3, 250])).expect("it is whole");
        assert_eq!(variables["x"].size(), [2, 1]);
        assert_eq!(variables["x"].int64_value(&[1, 0]), -6);
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused() {
        let whole = file("x", &[2], 0, &[0; 8]);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn integer_weights_are_divided_by_the_scale_of_their_row() {
        let mut variables = HashMap::new();
        variables.insert("w/weight".to_owned(), Tensor::from_slice(&[10i8, 20, 30, 40]).reshape([2, 2]));
        variables.insert("w/weight_scale".to_owned(), Tensor::from_slice(&[10f32, 20.0]));
        let weights = Vec::<f32>::try_from(dequantised(variables)["w/weight"].reshape([-1])).expect("four numbers");
        assert_eq!(weights, [1.0, 2.0, 1.5, 2.0]);
    }
}
