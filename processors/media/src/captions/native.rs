//! The few calls into fontconfig and pango that have no safe binding.
#![expect(unsafe_code, reason = "pango 1.50 takes private fonts only through a fontconfig configuration, which has no safe binding")]

use super::fonts::Choice;
use anyhow::{Result, ensure};
use glib::translate::ToGlibPtr;
use pango::prelude::*;
use std::ffi::{CString, c_int, c_uchar, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A fontconfig configuration of our own.
pub(super) struct Config(*mut c_void);

#[link(name = "fontconfig")]
unsafe extern "C" {
    fn FcConfigCreate() -> *mut c_void;
    fn FcInitLoadConfigAndFonts() -> *mut c_void;
    fn FcConfigAppFontAddFile(config: *mut c_void, file: *const c_uchar) -> c_int;
    fn FcConfigDestroy(config: *mut c_void);
}

#[link(name = "pangoft2-1.0")]
unsafe extern "C" {
    fn pango_fc_font_map_set_config(map: *mut c_void, config: *mut c_void);
}

impl Config {
    pub(super) fn new(choice: Choice) -> Result<Self> {
        // SAFETY: both make a new configuration that the caller owns, or null.
        let config = match choice {
            Choice::Bundled => unsafe { FcConfigCreate() },
            Choice::WithInstalled => unsafe { FcInitLoadConfigAndFonts() },
        };
        ensure!(!config.is_null(), "fontconfig gave no configuration");
        Ok(Self(config))
    }

    pub(super) fn add(&self, file: &Path) -> Result<()> {
        let name = CString::new(file.as_os_str().as_bytes())?;
        // SAFETY: the configuration is alive, the name ends in a zero and is copied.
        let added = unsafe { FcConfigAppFontAddFile(self.0, name.as_ptr().cast()) };
        ensure!(added == 1, "the caption font {} cannot be loaded", file.display());
        Ok(())
    }

    pub(super) fn apply(&self, map: &pango::FontMap) {
        let map: *mut pango::ffi::PangoFontMap = map.upcast_ref::<pango::FontMap>().to_glib_none().0;
        // SAFETY: on Linux pangocairo's own map is a `PangoFcFontMap`; it takes its own reference to the configuration.
        unsafe { pango_fc_font_map_set_config(map.cast(), self.0) }
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: the configuration was made by `new` and is released once.
        unsafe { FcConfigDestroy(self.0) }
    }
}
