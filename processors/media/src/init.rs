//! Starts GStreamer once, shuts its doors to the network, and checks that everything ClipFlow needs is installed.

use gstreamer as gst;
use gstreamer::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::OnceLock;

/// Every element that some file or render needs, and the Debian package that brings it.
const NEEDED: &[(&str, &str)] = &[
    ("filesrc", "libgstreamer1.0-0"),
    ("appsink", "gstreamer1.0-plugins-base"),
    ("appsrc", "gstreamer1.0-plugins-base"),
    ("decodebin", "gstreamer1.0-plugins-base"),
    ("uridecodebin", "gstreamer1.0-plugins-base"),
    ("queue", "libgstreamer1.0-0"),
    ("capsfilter", "libgstreamer1.0-0"),
    ("fakesink", "libgstreamer1.0-0"),
    ("filesink", "libgstreamer1.0-0"),
    ("videoconvert", "gstreamer1.0-plugins-base"),
    ("videoscale", "gstreamer1.0-plugins-base"),
    ("audioconvert", "gstreamer1.0-plugins-base"),
    ("audioresample", "gstreamer1.0-plugins-base"),
    ("opusdec", "gstreamer1.0-plugins-base"),
    ("vorbisdec", "gstreamer1.0-plugins-base"),
    ("vorbisenc", "gstreamer1.0-plugins-base"),
    ("oggdemux", "gstreamer1.0-plugins-base"),
    ("qtdemux", "gstreamer1.0-plugins-good"),
    ("matroskademux", "gstreamer1.0-plugins-good"),
    ("avidemux", "gstreamer1.0-plugins-good"),
    ("flacdec", "gstreamer1.0-plugins-good"),
    ("vp9dec", "gstreamer1.0-plugins-good"),
    ("jpegenc", "gstreamer1.0-plugins-good"),
    ("vp8enc", "gstreamer1.0-plugins-good"),
    ("webmmux", "gstreamer1.0-plugins-good"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("h265parse", "gstreamer1.0-plugins-bad"),
    ("tsdemux", "gstreamer1.0-plugins-bad"),
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("avdec_h264", "gstreamer1.0-libav"),
    ("avdec_aac", "gstreamer1.0-libav"),
    ("avenc_aac", "gstreamer1.0-libav"),
];

/// Elements that open further addresses which they find *inside* a file: playlists, sessions, projects, image sequences.
/// A playlist whose segments are `file:///…` discloses local files, and one with `http://…` reaches into the network.
const FOLLOW_ADDRESSES: &[&str] =
    &["hlsdemux", "hlsdemux2", "dashdemux", "dashdemux2", "mssdemux", "mssdemux2", "sdpdemux", "gesdemux", "multifilesrc", "splitmuxsrc"];

/// What is not installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPlugins(pub Vec<MissingPlugin>);

/// A GStreamer element that is not installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPlugin {
    /// Name of the element, such as `x264enc`; `gstreamer` when not even the library starts.
    pub element: String,
    /// Debian and Ubuntu package that contains it.
    pub package: String,
}

impl std::error::Error for MissingPlugins {}

impl fmt::Display for MissingPlugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements: Vec<&str> = self.0.iter().map(|missing| missing.element.as_str()).collect();
        let mut packages: Vec<&str> = self.0.iter().map(|missing| missing.package.as_str()).collect();
        packages.sort_unstable();
        packages.dedup();
        write!(f, "GStreamer lacks {}; install it with: apt-get install {}", elements.join(", "), packages.join(" "))
    }
}

/// Starts GStreamer, or returns what it said the first time.
///
/// # Errors
/// [`MissingPlugins`] names each element that is not installed, and its Debian package.
pub fn init() -> Result<(), MissingPlugins> {
    static STARTED: OnceLock<Result<(), MissingPlugins>> = OnceLock::new();
    STARTED.get_or_init(start).clone()
}

fn start() -> Result<(), MissingPlugins> {
    if gst::init().is_err() {
        return Err(MissingPlugins(vec![MissingPlugin { element: "gstreamer".into(), package: "libgstreamer1.0-0".into() }]));
    }
    forbid_addresses();
    missing(NEEDED)
}

fn missing(needed: &[(&str, &str)]) -> Result<(), MissingPlugins> {
    let missing: Vec<MissingPlugin> = needed
        .iter()
        .filter(|(element, _)| gst::ElementFactory::find(element).is_none())
        .map(|(element, package)| MissingPlugin { element: (*element).to_string(), package: (*package).to_string() })
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(MissingPlugins(missing)) }
}

/// Takes every element that could open another address out of automatic choice.
fn forbid_addresses() {
    let network_sources = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::SRC, gst::Rank::NONE)
        .into_iter()
        .filter(|factory| factory.metadata("klass").is_some_and(|class| class.contains("Network")));
    let followers = FOLLOW_ADDRESSES.iter().filter_map(|name| gst::ElementFactory::find(name));
    for factory in network_sources.chain(followers) {
        factory.set_rank(gst::Rank::NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_element_is_named_with_its_package() {
        gst::init().expect("GStreamer is installed where tests run");
        let refused = missing(&[("filesrc", "a"), ("nosuchelement", "gstreamer1.0-nowhere")]).expect_err("it does not exist");
        assert_eq!(refused.to_string(), "GStreamer lacks nosuchelement; install it with: apt-get install gstreamer1.0-nowhere");
    }

    #[test]
    fn nothing_that_follows_addresses_is_chosen_automatically() {
        init().expect("GStreamer and its plugins are installed where tests run");
        for name in FOLLOW_ADDRESSES {
            let Some(factory) = gst::ElementFactory::find(name) else { continue };
            assert_eq!(factory.rank(), gst::Rank::NONE, "{name}");
        }
        let http = gst::ElementFactory::find("souphttpsrc").or_else(|| gst::ElementFactory::find("curlhttpsrc"));
        assert!(http.is_none_or(|factory| factory.rank() == gst::Rank::NONE));
    }
}
