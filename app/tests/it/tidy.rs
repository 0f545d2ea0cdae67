//! What the compiler does not check: which crate may use which, file sizes, `unwrap`, and paths of somebody's machine.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file above this says in its module doc why it is one file.
const LINES_MAX: usize = 450;

/// Which of our crates a crate may use. The one-way flow of ARCHITECTURE.md: what is not here is not allowed.
const EDGES: [(&str, &[&str]); 13] = [
    ("domain", &[]),
    ("proto", &["domain"]),
    ("runtime", &["domain", "proto"]),
    ("speech", &["domain"]),
    ("media", &["domain"]),
    ("score", &["domain"]),
    ("edit", &["domain"]),
    ("processors", &["domain", "proto", "runtime", "speech", "media", "score", "edit"]),
    ("projections", &["domain", "proto", "runtime"]),
    ("lake", &["domain", "proto", "runtime"]),
    ("gateway", &["domain", "proto", "runtime", "projections"]),
    ("clipflow", &["domain", "proto", "runtime", "speech", "media", "score", "edit", "processors", "projections", "lake", "gateway"]),
    ("chaos", &["domain", "proto", "runtime"]),
];

/// What tests may use beyond that: the plan of a clip is judged on the faces that are really found.
const TEST_EDGES: [(&str, &str); 1] = [("media", "edit")];

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let metadata = run(Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), EDGES.len(), "a new crate needs a line in EDGES");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let (_, allowed) =
            EDGES.iter().find(|(crate_name, _)| *crate_name == name).unwrap_or_else(|| panic!("{name} has no line in EDGES"));
        let ours = package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["path"].is_string());
        for dependency in ours {
            let is_for_tests = dependency["kind"] == "dev";
            let dependency = dependency["name"].as_str().unwrap();
            let is_allowed = allowed.contains(&dependency) || is_for_tests && TEST_EDGES.contains(&(name, dependency));
            assert!(is_allowed, "{name} may not use {dependency}");
        }
    }
}

#[test]
fn a_long_file_says_why_it_is_one() {
    for path in tracked("*.rs") {
        let text = read(&path);
        let lines = text.lines().count();
        if lines > LINES_MAX {
            let doc: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            assert!(doc.contains("one file"), "{} has {lines} lines and does not say why it is one file", path.display());
        }
    }
}

#[test]
fn nothing_unwraps_outside_tests() {
    let call = [".unw", "rap()"].concat();
    for path in tracked("*.rs") {
        let is_test = path
            .components()
            .any(|part| ["tests", "examples", "bench", "testing.rs", "tests.rs"].iter().any(|name| part.as_os_str() == *name));
        if is_test {
            continue;
        }
        let text = read(&path);
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in (1..).zip(product.lines()) {
            let is_comment = line.trim_start().starts_with("//");
            assert!(is_comment || !line.contains(&call), "{}:{number} unwraps", path.display());
        }
    }
}

#[test]
fn no_file_names_a_path_of_the_machine_it_was_written_on() {
    let homes = ["/ro ot/", "/ho me/", "/wo rk/", "/Us ers/"].map(|parts| parts.replace(' ', ""));
    for path in tracked("*") {
        // Bytes that are no text name nothing.
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            let found = homes.iter().find(|home| names(line, home));
            assert!(found.is_none(), "{}:{number} names {}", path.display(), found.unwrap());
        }
    }
}

/// Tells whether a line names an absolute path that begins with `home`, and not a longer path with it inside.
fn names(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|character| !(character.is_alphanumeric() || "./_-}~".contains(character)))
    })
}

fn tracked(pattern: &str) -> Vec<PathBuf> {
    let listed = run(Command::new("git").args(["ls-files", "-z", "--", pattern]));
    let paths: Vec<_> = listed.split_terminator('\0').map(PathBuf::from).filter(|path| root().join(path).is_file()).collect();
    assert!(!paths.is_empty(), "git lists {pattern}");
    paths
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn run(command: &mut Command) -> String {
    crate::film::run(command.current_dir(root()))
}
