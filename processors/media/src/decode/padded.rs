//! Takes pictures as the decoder lays them out.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

/// Tells the elements before `sink` that rows may be padded. FFmpeg's decoder otherwise copies every picture to take its padding away,
/// and so does whatever else decodes into memory of its own; the readers go by the stride in any case.
pub(crate) fn take_padded(sink: &gst_app::AppSink) {
    let pad = sink.static_pad("sink").expect("an application sink has one pad");
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| match info.query_mut().map(gst::QueryRef::view_mut) {
        Some(gst::QueryViewMut::Allocation(allocation)) => {
            allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
            gst::PadProbeReturn::Handled
        }
        _ => gst::PadProbeReturn::Ok,
    });
}
