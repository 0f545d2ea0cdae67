//! A data folder and the program that works in it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A folder of one test, with the data folder in it.
pub(crate) struct Room {
    folder: TempDir,
    data: PathBuf,
}

/// How a run ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Room {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self { folder, data }
    }

    /// The same with the data folder elsewhere.
    pub(crate) fn with_data(data: PathBuf) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), data }
    }

    /// Returns the data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the program with these words and this room's data folder. Traces are asked for, so that tests see none is shown.
    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clipflow"));
        command.args(words).arg("--data").arg(&self.data).current_dir(self.folder.path()).env("RUST_BACKTRACE", "1");
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Ran {
        finish(self.command(words))
    }

    /// Clips `video` with what keeps tests quick, into `clips`.
    pub(crate) fn clip(&self, video: impl AsRef<Path>, more: &str) -> Ran {
        finish(self.clip_command(video, more))
    }

    pub(crate) fn clip_command(&self, video: impl AsRef<Path>, more: &str) -> Command {
        let mut command = self.command(&["clip"]);
        command.arg(video.as_ref()).args(["--out", "clips", "--preset", "ultrafast"]).args(more.split_whitespace());
        command
    }

    /// Returns every event of the log, oldest first.
    pub(crate) fn events(&self) -> Vec<Value> {
        let ran = self.run(&["events"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Starts `clipflow events --follow`.
    pub(crate) fn follow(&self) -> Following {
        Following(self.command(&["events", "--follow"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Returns the files in `clips`, by name.
    pub(crate) fn clips(&self, ending: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("clips")).into_iter().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.to_string_lossy().ends_with(ending));
        files.sort();
        files
    }
}

/// A follower of the log, which ends with its test.
pub(crate) struct Following(pub(crate) Child);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub(crate) fn finish(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran { code: output.status.code(), out: String::from_utf8(output.stdout).unwrap(), err: String::from_utf8(output.stderr).unwrap() }
}

impl Ran {
    /// Asserts that the run was refused with one sentence that has `words` in it, and nothing that only a programmer understands.
    #[track_caller]
    pub(crate) fn refused(&self, code: &str, words: &str) {
        let Self { err, .. } = self;
        assert_eq!(self.code, Some(1), "exit code, with {err}");
        let (last, before) = err.trim_end().rsplit_once('\n').map_or((err.trim_end(), ""), |(before, last)| (last, before));
        let sentence = last.strip_prefix(&format!("error[{code}]: "));
        let sentence = sentence.unwrap_or_else(|| panic!("the last line is not error[{code}]: {err}"));
        assert!(sentence.contains(words), "{words:?} is not in {sentence:?}");
        for line in before.lines() {
            assert!(line.ends_with(": done"), "a line besides the sentence: {line:?}\nof\n{err}");
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(&self) {
        assert_eq!(self.code, Some(0), "{}", self.err);
    }
}

/// Returns the type of a CloudEvent.
pub(crate) fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap()
}
