//! The binary: parses the command line, opens the data directory, and runs what was asked for.

mod cli;
mod commands;
mod config;
mod engine;
mod lakes;
mod problem;
mod rows;

use clap::Parser;
use cli::{Cli, Command};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::MediaChild) {
        return media::child::serve();
    }
    if matches!(cli.command, Command::LakeChild) {
        runtime::tls::install_provider();
        return lake::query::child::serve();
    }
    if hears(&cli.command) {
        wait_politely();
    }
    runtime::tls::install_provider();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(threads) => threads.block_on(commands::run(cli)),
        Err(error) => problem::report(&anyhow::Error::from(error).context("starting the threads")),
    }
}

/// Tells whether a command has LibTorch work for longer than a moment.
fn hears(command: &Command) -> bool {
    match command {
        Command::Clip(_) | Command::Serve(_) | Command::Bench(_) => true,
        Command::Events(_)
        | Command::Jobs(_)
        | Command::Models(_)
        | Command::Projections(_)
        | Command::Migrate(_)
        | Command::Log(_)
        | Command::Lake(_)
        | Command::LakeChild
        | Command::Doctor
        | Command::Schema(_)
        | Command::MediaChild => false,
    }
}

/// Keeps stack traces out of what people read: an error's text says what happened. Panics still show theirs with `RUST_BACKTRACE`.
const ERRORS_WITHOUT_TRACES: (&str, &str) = ("RUST_LIB_BACKTRACE", "0");

/// Starts this program again with the variable that makes LibTorch's idle threads sleep instead of spin.
///
/// It is read when the library is loaded, so it cannot be set from inside; spinning threads would slow everything else down ten-fold.
fn wait_politely() {
    let defaults = [speech::WAIT_POLICY, ERRORS_WITHOUT_TRACES];
    let unset: Vec<_> = defaults.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if unset.is_empty() {
        return;
    }
    let Ok(exe) = std::env::current_exe() else { return };
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // It returns only when it fails; then the work is slower, not wrong.
    let error = std::process::Command::new(exe).args(arguments).envs(unset).exec();
    eprintln!("could not start again with other settings ({error}): hearing speech will be slow");
}
