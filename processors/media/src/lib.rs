//! All media work on GStreamer: probe, decode, analyse, draw captions, encode
