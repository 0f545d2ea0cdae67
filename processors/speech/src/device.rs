//! Where the network runs.

use crate::error::DeviceError;
use std::str::FromStr;

/// Where the network runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The first CUDA device when there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = DeviceError;
    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let number = other.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Self::Cuda).ok_or_else(|| DeviceError::Unknown(other.to_owned()))
            }
        }
    }
}

impl Device {
    /// Returns LibTorch's name of the device.
    pub(crate) fn resolve(self) -> Result<tch::Device, DeviceError> {
        let found = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
        match self {
            Self::Auto => Ok(if found > 0 { tch::Device::Cuda(0) } else { tch::Device::Cpu }),
            Self::Cpu => Ok(tch::Device::Cpu),
            Self::Cuda(asked) if asked < found => Ok(tch::Device::Cuda(asked)),
            Self::Cuda(asked) => Err(DeviceError::NoCuda { asked, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_from_text() {
        assert_eq!("auto".parse(), Ok(Device::Auto));
        assert_eq!("cuda:1".parse(), Ok(Device::Cuda(1)));
        assert_eq!("gpu".parse::<Device>(), Err(DeviceError::Unknown("gpu".into())));
    }

    #[test]
    fn a_missing_cuda_device_is_refused_by_name() {
        let refusal = Device::Cuda(999).resolve().expect_err("nobody has a thousand devices");
        assert!(refusal.to_string().contains("cuda:999"), "{refusal}");
    }
}
