//! Pictures in I420: what is decoded, what is composed.

use anyhow::{Context, Result, ensure};
use domain::artefact::Picture;
use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

/// One component of a picture.
#[derive(Clone, Copy)]
pub(crate) struct Plane<'a> {
    /// Rows, `stride` bytes apart.
    pub(crate) data: &'a [u8],
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
    /// Samples across.
    pub(crate) width: usize,
    /// Samples down.
    pub(crate) height: usize,
}

impl<'a> Plane<'a> {
    pub(crate) fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..y * self.stride + self.width]
    }
}

/// One component of a picture that is being composed.
pub(crate) struct PlaneMut<'a> {
    /// Rows, `stride` bytes apart.
    pub(crate) data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
    /// Samples across.
    pub(crate) width: usize,
    /// Samples down.
    pub(crate) height: usize,
}

impl PlaneMut<'_> {
    pub(crate) fn row(&mut self, y: usize) -> &mut [u8] {
        &mut self.data[y * self.stride..y * self.stride + self.width]
    }

    /// Returns a box of it as a plane of its own.
    pub(crate) fn part(&mut self, left: usize, top: usize, width: usize, height: usize) -> PlaneMut<'_> {
        let start = top * self.stride + left;
        let end = (start + height * self.stride).min(self.data.len());
        PlaneMut { data: &mut self.data[start..end], stride: self.stride, width, height }
    }
}

/// A decoded picture, upright.
pub(crate) struct Frame {
    pixels: Pixels,
    /// Width of a pixel over its height.
    pub(crate) pixel_aspect: f64,
}

enum Pixels {
    Decoded(Box<gst_video::VideoFrame<gst_video::video_frame::Readable>>),
    Turned(Planes),
}

/// A picture of our own, without padding: Y, U, V.
pub(crate) struct Planes {
    width: usize,
    height: usize,
    data: [Vec<u8>; 3],
}

impl Planes {
    /// Returns a picture of `width` by `height`, all zero.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        Self { width, height, data: [vec![0; width * height], vec![0; chroma], vec![0; chroma]] }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    pub(crate) fn planes(&self) -> [Plane<'_>; 3] {
        let (width, height) = (self.width, self.height);
        std::array::from_fn(|index| {
            let (width, height) = if index == 0 { (width, height) } else { (width.div_ceil(2), height.div_ceil(2)) };
            Plane { data: &self.data[index], stride: width, width, height }
        })
    }

    pub(crate) fn planes_mut(&mut self) -> [PlaneMut<'_>; 3] {
        let (width, height) = (self.width, self.height);
        let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        let [y, u, v] = &mut self.data;
        [
            PlaneMut { data: y, stride: width, width, height },
            PlaneMut { data: u, stride: chroma_width, width: chroma_width, height: chroma_height },
            PlaneMut { data: v, stride: chroma_width, width: chroma_width, height: chroma_height },
        ]
    }
}

impl Frame {
    /// Takes a decoded I420 buffer and turns it clockwise by `rotation_degrees`.
    pub(crate) fn new(buffer: gst::Buffer, info: &gst_video::VideoInfo, rotation_degrees: u16) -> Result<Self> {
        let aspect = f64::from(info.par().numer()) / f64::from(info.par().denom());
        let decoded =
            gst_video::VideoFrame::from_buffer_readable(buffer, info).map_err(|_| anyhow::anyhow!("cannot read a decoded frame"))?;
        if rotation_degrees == 0 {
            return Ok(Self { pixels: Pixels::Decoded(Box::new(decoded)), pixel_aspect: aspect });
        }
        let upright = turned(decoded_planes(&decoded), rotation_degrees);
        let pixel_aspect = if rotation_degrees % 180 == 90 { aspect.recip() } else { aspect };
        Ok(Self { pixels: Pixels::Turned(upright), pixel_aspect })
    }

    pub(crate) fn planes(&self) -> [Plane<'_>; 3] {
        match &self.pixels {
            Pixels::Decoded(frame) => decoded_planes(frame),
            Pixels::Turned(planes) => planes.planes(),
        }
    }
}

fn decoded_planes(frame: &gst_video::VideoFrame<gst_video::video_frame::Readable>) -> [Plane<'_>; 3] {
    std::array::from_fn(|index| Plane {
        data: frame.plane_data(index as u32).expect("I420 has three planes"),
        stride: frame.plane_stride()[index] as usize,
        width: frame.comp_width(index as u32) as usize,
        height: frame.comp_height(index as u32) as usize,
    })
}

/// Returns the format of composed pictures: I420, square pixels, BT.709 in limited range.
pub(crate) fn picture_info(picture: &Picture) -> Result<gst_video::VideoInfo> {
    let Picture { width, height, frame_rate: rate, .. } = *picture;
    ensure!(width % 2 == 0 && height % 2 == 0 && width > 0 && height > 0, "a rendition needs even sides, not {width}x{height}");
    let fraction = gst::Fraction::new(i32::try_from(rate.numerator)?, i32::try_from(rate.denominator)?);
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
        .fps(fraction)
        .par((1, 1))
        .colorimetry(&"bt709".parse()?)
        .chroma_site(gst_video::VideoChromaSite::H_COSITED)
        .build()?;
    Ok(info)
}

/// Returns the three planes of a mapped output frame.
pub(crate) fn output_planes<'a>(frame: &'a mut gst_video::VideoFrameRef<&mut gst::BufferRef>) -> Result<[PlaneMut<'a>; 3]> {
    let strides: [usize; 3] = std::array::from_fn(|index| frame.plane_stride()[index] as usize);
    let sizes: [(usize, usize); 3] =
        std::array::from_fn(|index| (frame.comp_width(index as u32) as usize, frame.comp_height(index as u32) as usize));
    let planes = frame.planes_data_mut();
    let mut planes = planes.into_iter().enumerate().map(|(index, data)| PlaneMut {
        data,
        stride: strides[index],
        width: sizes[index].0,
        height: sizes[index].1,
    });
    let mut next = || planes.next().context("an output frame lacks a plane");
    Ok([next()?, next()?, next()?])
}

fn turned(source: [Plane<'_>; 3], rotation_degrees: u16) -> Planes {
    let (width, height) = (source[0].width, source[0].height);
    let mut upright = if rotation_degrees % 180 == 90 { Planes::new(height, width) } else { Planes::new(width, height) };
    for (from, to) in source.into_iter().zip(upright.planes_mut()) {
        turn_plane(from, to, rotation_degrees);
    }
    upright
}

/// Rows of the source that are turned together, so that the lines of the cache that they fill are used before they leave.
const TURN_ROWS: usize = 16;

fn turn_plane(from: Plane<'_>, mut to: PlaneMut<'_>, rotation_degrees: u16) {
    if rotation_degrees == 180 {
        for y in 0..to.height {
            let source = from.row(from.height - 1 - y);
            to.row(y).iter_mut().zip(source.iter().rev()).for_each(|(to, from)| *to = *from);
        }
        return;
    }
    for band in (0..from.height).step_by(TURN_ROWS) {
        let rows = band..(band + TURN_ROWS).min(from.height);
        for x in 0..from.width {
            let target = if rotation_degrees == 90 { x } else { from.width - 1 - x };
            let row = to.row(target);
            for y in rows.clone() {
                let column = if rotation_degrees == 90 { from.height - 1 - y } else { y };
                row[column] = from.data[y * from.stride + x];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rotation_degrees: u16, expected: &[u8]) {
        let source = Plane { data: &[1, 2, 3, 0, 4, 5, 6, 0], stride: 4, width: 3, height: 2 };
        let (width, height) = if rotation_degrees == 180 { (3, 2) } else { (2, 3) };
        let mut data = vec![0; 6];
        turn_plane(source, PlaneMut { data: &mut data, stride: width, width, height }, rotation_degrees);
        assert_eq!(data, expected, "{rotation_degrees} degrees");
    }

    #[test]
    fn pictures_turn_clockwise() {
        check(90, &[4, 1, 5, 2, 6, 3]);
        check(180, &[6, 5, 4, 3, 2, 1]);
        check(270, &[3, 6, 2, 5, 1, 4]);
    }
}
