//! Films that `espeak-ng` and `ffmpeg` make, once for all runs of the tests, and the real footage beside the repository.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// What is said in the talk: two topics with a hook each, some twenty seconds.
const WORDS: &str = "Why do most teams lose their best idea in the first week? Because nobody writes it down. \
    We lost two million dollars in a single night. The reason was one line in a file that nobody had read. \
    Now let us talk about music. A good song repeats itself, but never in the same way. \
    The listener waits for the chorus, and then the drummer stops. That silence is the best moment of the night.";

/// Settings that give the talk two clips.
pub(crate) const TWO_CLIPS: &str = "--lengths 4-14 --count 2";

/// A talk of some twenty seconds, 480×270, H.264 with B-frames and AAC.
pub(crate) fn talk() -> PathBuf {
    made("talk.mp4", |path| {
        let sound = path.with_extension("wav");
        run(Command::new("espeak-ng").args(["-v", "en-us", "-s", "165", "-w"]).arg(&sound).arg(WORDS));
        let arguments = "-f lavfi -i testsrc2=s=480x270:r=25 -i SOUND -c:v libx264 -preset ultrafast -bf 2 -g 50 -pix_fmt yuv420p \
            -c:a aac -b:a 96k -shortest -movflags +faststart -f mp4";
        ffmpeg(arguments, &sound, path);
        std::fs::remove_file(sound).unwrap();
    })
}

/// Returns a file that ffmpeg makes of the talk, which stands as `TALK` in the arguments, or of nothing.
pub(crate) fn of_talk(name: &str, arguments: &str) -> PathBuf {
    let talk = if arguments.contains("TALK") { talk() } else { PathBuf::new() };
    made(name, |path| ffmpeg(&arguments.replace("TALK", "SOUND"), &talk, path))
}

/// Returns a file with these bytes.
pub(crate) fn of_bytes(name: &str, bytes: &[u8]) -> PathBuf {
    made(name, |path| std::fs::write(path, bytes).unwrap())
}

/// Returns a file of the shared test media; `None`, said aloud, where it is missing (on CI that is a failure).
pub(crate) fn footage(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CLIPFLOW_TEST_MEDIA").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media"));
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is missing", path.display());
    eprintln!("skipped: {} is missing", path.display());
    None
}

/// Returns a file in the target folder, made by `make` unless an earlier test or run did.
fn made(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("films-1");
    let path = folder.join(name);
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if !path.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let aside = folder.join(format!("part-{name}"));
        make(&aside);
        std::fs::rename(aside, &path).unwrap();
    }
    path
}

/// Runs ffmpeg with these words (none may contain white space); `SOUND` stands for the input.
fn ffmpeg(arguments: &str, input: &Path, out: &Path) {
    let words = arguments.split_whitespace().map(|word| if word == "SOUND" { input.as_os_str() } else { word.as_ref() });
    run(Command::new("ffmpeg").args(["-nostdin", "-y", "-v", "error"]).args(words).arg(out));
}

#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
