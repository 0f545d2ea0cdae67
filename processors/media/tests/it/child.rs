//! Media work in a child process: it answers, it is held to its limits, and it does not outlive its parent.

use crate::generated::{Generated, PLAIN, facts};
use domain::artefact::MediaFacts;
use media::child::{ChildError, Death, Limits, Request, Runner, call};
use media::listen::Heard;
use media::{look, probe};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn child() -> Runner {
    Runner::Child { exe: PathBuf::from(env!("CARGO_BIN_EXE_media-child")), arguments: Vec::new() }
}

fn ask<T: serde::de::DeserializeOwned>(runner: &Runner, request: Request, limits: Limits) -> Result<T, ChildError> {
    call(runner, request, limits, &mut |_| {}, &AtomicBool::new(false))
}

/// Work that never ends: opening a pipe that nobody writes to.
fn endless(made: &Generated) -> Request {
    let pipe = made.path("pipe.mp4");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    Request::Listen { path: pipe, wav_out: made.path("a.wav") }
}

#[test]
fn a_child_answers_as_this_process_would() {
    let made = Generated::new();
    let path = made.ffmpeg("a.mp4", PLAIN);
    let request = Request::Probe { path: path.clone(), limits: probe::Limits::default() };
    let facts: MediaFacts = ask(&child(), request, Limits::default()).unwrap();
    assert_eq!(facts, crate::generated::facts(&path));

    let mut told = Vec::new();
    let request = Request::Listen { path: path.clone(), wav_out: made.path("a.wav") };
    let heard: Heard = call(&child(), request.clone(), Limits::default(), &mut |part| told.push(part), &AtomicBool::new(false)).unwrap();
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]) && told.last().is_some_and(|part| *part > 0.5), "{told:?}");
    assert_eq!(heard, ask(&Runner::InProcess, request, Limits::default()).unwrap());

    let request = Request::Look { path: path.clone(), facts: facts.clone() };
    let seen: look::Seen = ask(&child(), request, Limits::for_media(facts.duration_us)).unwrap();
    assert_eq!(seen, look::look(&path, &facts, &mut |_| {}).unwrap());
}

#[test]
fn a_refusal_comes_back_with_its_code_and_sentence() {
    let made = Generated::new();
    let request = Request::Probe { path: made.bytes("a.mp4", b""), limits: probe::Limits::default() };
    for runner in [child(), Runner::InProcess] {
        let refused = ask::<MediaFacts>(&runner, request.clone(), Limits::default()).unwrap_err();
        assert_eq!(refused, ChildError::Refused { code: "EMPTY".into(), message: "the file is empty; choose the video again".into() });
        assert!(refused.is_permanent());
    }
}

#[test]
fn a_child_that_takes_too_long_is_killed() {
    let made = Generated::new();
    let limits = Limits { wall: Duration::from_secs(1), ..Limits::default() };
    let started = Instant::now();
    let error = ask::<Heard>(&child(), endless(&made), limits).unwrap_err();
    assert_eq!(error, ChildError::TimedOut(Duration::from_secs(1)));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_child_is_killed_when_the_caller_changes_its_mind() {
    let made = Generated::new();
    let (request, cancel) = (endless(&made), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| call::<Heard>(&child(), request, Limits::default(), &mut |_| {}, &cancel));
        std::thread::sleep(Duration::from_millis(300));
        cancel.store(true, Ordering::Relaxed);
        assert_eq!(waiting.join().unwrap(), Err(ChildError::Cancelled));
    });
}

#[test]
fn a_child_that_wants_too_much_memory_fails_alone() {
    let made = Generated::new();
    let path = made.ffmpeg("large.mp4", "-f lavfi -i testsrc2=size=3840x2160:rate=25 -t 1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p");
    let request = Request::Look { facts: facts(&path), path };
    let limits = Limits { memory_bytes: 96 * 1024 * 1024, wall: Duration::from_secs(60), ..Limits::default() };
    let error = ask::<look::Seen>(&child(), request.clone(), limits).unwrap_err();
    assert!(!matches!(error, ChildError::Unusable(_) | ChildError::Cancelled), "{error:?}");
    assert!(ask::<look::Seen>(&child(), request, Limits::default()).is_ok(), "with its usual limits it succeeds");
}

#[test]
fn a_child_that_writes_too_much_is_stopped() {
    let made = Generated::new();
    let path = made.ffmpeg("a.mp4", PLAIN);
    let request = Request::Listen { path, wav_out: made.path("a.wav") };
    let limits = Limits { file_bytes: 20_000, ..Limits::default() };
    assert_eq!(ask::<Heard>(&child(), request, limits).unwrap_err(), ChildError::Killed(Death::FileTooLarge));
}

#[test]
fn a_child_that_dies_or_does_not_exist_is_an_error_not_a_hang() {
    let made = Generated::new();
    let request = Request::Probe { path: made.path("a.mp4"), limits: probe::Limits::default() };
    let broken = Runner::Child { exe: "/bin/false".into(), arguments: vec![] };
    assert!(matches!(ask::<MediaFacts>(&broken, request.clone(), Limits::default()), Err(ChildError::Killed(Death::Crashed { .. }))));
    let missing = Runner::Child { exe: made.path("nothing"), arguments: vec![] };
    assert!(matches!(ask::<MediaFacts>(&missing, request, Limits::default()), Err(ChildError::Unusable(_))));
}

#[test]
fn a_child_dies_with_its_parent() {
    let made = Generated::new();
    let request = serde_json::to_string(&endless(&made)).unwrap();
    let limits = serde_json::to_string(&Limits::default()).unwrap();
    // A shell stands in for the parent: it writes the envelope, with itself as the parent, to the child.
    let script = r#"exec 3<<<"{\"request\":$1,\"limits\":$2,\"parent\":$$}"; "$0" <&3 & echo $!; wait"#;
    let mut parent = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_media-child"), &request, &limits])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut line).unwrap();
    let process = PathBuf::from(format!("/proc/{}", line.trim()));
    std::thread::sleep(Duration::from_millis(700));
    assert!(process.exists(), "the child waits for the pipe");
    parent.kill().unwrap();
    parent.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while process.exists() && !is_zombie(&process) {
        assert!(Instant::now() < deadline, "the child outlived its parent");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_zombie(process: &std::path::Path) -> bool {
    std::fs::read_to_string(process.join("stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

#[test]
fn a_child_without_a_request_says_so_and_ends() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_media-child")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(b"nonsense\n").unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("CHILD_UNUSABLE"));
}
