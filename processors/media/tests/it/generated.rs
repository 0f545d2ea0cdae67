//! Files that `ffmpeg` makes, the real footage beside the repository, and tools to compare with.

use domain::artefact::MediaFacts;
use domain::{MediaTime, Span};
use media::probe::{Limits, ProbeError, probe};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with what one test makes.
pub(crate) struct Generated {
    folder: tempfile::TempDir,
}

impl Generated {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs ffmpeg with these words (no word may contain white space) and the named output, and returns the output's path.
    pub(crate) fn ffmpeg(&self, name: &str, arguments: &str) -> PathBuf {
        let out = self.path(name);
        let run = Command::new("ffmpeg").args(["-y", "-v", "error"]).args(arguments.split_whitespace()).arg(&out).output().unwrap();
        assert!(run.status.success(), "ffmpeg {arguments}: {}", String::from_utf8_lossy(&run.stderr));
        out
    }

    /// 12 s at 25 frames a second: six pictures that share no colours, cut hard every two seconds, with a tone; `encode` follows.
    pub(crate) fn six_shots(&self, name: &str, encode: &str) -> PathBuf {
        let pictures = ["smptebars", "mandelbrot", "color=c=0x204060", "testsrc2", "color=c=0xd0b040", "rgbtestsrc"];
        let inputs: String = pictures
            .iter()
            .map(|picture| format!("-f lavfi -i {picture}{}size=480x270:rate=25 ", if picture.contains('=') { ':' } else { '=' }))
            .collect();
        let trims: String = (0..6).map(|index| format!("[{index}:v]trim=duration=2,setpts=PTS-STARTPTS[v{index}];")).collect();
        let joined = format!("{trims}[v0][v1][v2][v3][v4][v5]concat=n=6,noise=alls=6:allf=t,format=yuv420p");
        self.ffmpeg(
            name,
            &format!("{inputs} -f lavfi -i sine=frequency=220:sample_rate=48000 -filter_complex {joined} -t 12 -c:a aac {encode}"),
        )
    }

    /// Writes bytes under a name.
    pub(crate) fn bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Four seconds of a moving test picture with a tone, H.264 and AAC.
pub(crate) const PLAIN: &str = "-f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i sine=frequency=330:sample_rate=48000 -t 4 \
    -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac -ac 2";

/// Returns a file of the shared test media; `None`, said aloud, where it is missing (on CI that is a failure).
pub(crate) fn footage(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CLIPFLOW_TEST_MEDIA").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media"));
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").is_err(), "{} is missing", path.display());
    eprintln!("skipped: {} is missing", path.display());
    None
}

/// Runs a Python script that prints JSON; `None`, said aloud, where Python or what it imports is missing.
pub(crate) fn python(script: &str, argument: &Path) -> Option<serde_json::Value> {
    let python = std::env::var_os("CLIPFLOW_PYTHON").unwrap_or_else(|| "python3".into());
    let run = Command::new(python).arg("-c").arg(script).arg(argument).output();
    match run {
        Ok(Output { status, stdout, .. }) if status.success() => Some(serde_json::from_slice(&stdout).unwrap()),
        Ok(Output { stderr, .. }) if std::env::var_os("CLIPFLOW_PYTHON").is_none() => {
            eprintln!("skipped, set CLIPFLOW_PYTHON: {}", String::from_utf8_lossy(&stderr).lines().last().unwrap_or_default());
            None
        }
        other => panic!("the Python of CLIPFLOW_PYTHON failed: {other:?}"),
    }
}

pub(crate) fn facts(path: &Path) -> MediaFacts {
    probe(path, Limits::default()).unwrap()
}

/// Returns the stable name of the refusal.
pub(crate) fn refusal(path: &Path) -> &'static str {
    match probe(path, Limits::default()) {
        Err(ProbeError::Refused(refusal)) => {
            assert!(refusal.to_string().contains(';'), "{refusal}: what is wrong; what to do");
            refusal.code()
        }
        other => panic!("{} was not refused: {other:?}", path.display()),
    }
}

pub(crate) fn span(start: f64, end: f64) -> Span {
    Span::new(MediaTime::from_seconds(start), MediaTime::from_seconds(end)).unwrap()
}
