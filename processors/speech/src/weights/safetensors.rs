//! The safetensors format: a JSON header with names, types, shapes and offsets, then the data.

use super::{damaged, read_bytes, read_json};
use crate::error::LoadError;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// The header's length is a u64 in front of it.
const LENGTH_BYTES: usize = 8;

/// One tensor's entry in the header.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<i64>,
    data_offsets: (usize, usize),
}

/// The index of a model that is split over several files.
#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

/// Returns the files that hold the weights of the folder.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let whole = dir.join("model.safetensors");
    if whole.exists() {
        return Ok(vec![whole]);
    }
    let index: Index = read_json(&dir.join("model.safetensors.index.json"))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// Reads every tensor of a file.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Tensor)>, LoadError> {
    parse(&read_bytes(path)?).map_err(|reason| damaged(path, reason))
}

/// Returns the tensors in `bytes`, or a clause that says what is wrong.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, String> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or("it is shorter than its header")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|error| error.to_string())?;
    let (header, data) = rest.split_at_checked(length).ok_or("its header is cut off")?;
    let header: HashMap<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|error| format!("its header is not JSON ({error})"))?;
    let mut tensors = Vec::with_capacity(header.len());
    for (name, value) in header {
        if name == "__metadata__" {
            continue;
        }
        let entry: Entry = serde_json::from_value(value).map_err(|error| format!("the entry of {name} is not understood ({error})"))?;
        let kind = kind(&entry.dtype).ok_or_else(|| format!("{name} has the unknown type {}", entry.dtype))?;
        let (start, end) = entry.data_offsets;
        let bytes = data.get(start..end).ok_or_else(|| format!("the data of {name} is cut off"))?;
        let expected = entry.shape.iter().product::<i64>() as usize * kind.elt_size_in_bytes();
        if bytes.len() != expected {
            return Err(format!("{name} has {} bytes of data, expected {expected}", bytes.len()));
        }
        tensors.push((name, Tensor::from_data_size(bytes, &entry.shape, kind)));
    }
    Ok(tensors)
}

fn kind(dtype: &str) -> Option<Kind> {
    match dtype {
        "F64" => Some(Kind::Double),
        "F32" => Some(Kind::Float),
        "F16" => Some(Kind::Half),
        "BF16" => Some(Kind::BFloat16),
        "I64" => Some(Kind::Int64),
        "I32" => Some(Kind::Int),
        "I8" => Some(Kind::Int8),
        "U8" => Some(Kind::Uint8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_off_file_is_named_as_such() {
        assert_eq!(parse(&[1, 2, 3]).expect_err("too short"), "it is shorter than its header");
        assert_eq!(parse(&[9, 0, 0, 0, 0, 0, 0, 0, b'{']).expect_err("no header"), "its header is cut off");
    }

    #[test]
    fn data_that_does_not_fit_the_shape_is_refused() {
        let header = br#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(&[0; 4]);
        assert_eq!(parse(&bytes).expect_err("one number for two"), "x has 4 bytes of data, expected 8");
    }
}
