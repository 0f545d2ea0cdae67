//! One file per command.

mod bench;
mod bench_stores;
mod clip;
mod doctor;
mod events;
mod jobs;
mod lake;
mod log;
mod migrate;
mod models;
mod projections;
mod schema;
mod serve;

use crate::cli::{Cli, Command};
use crate::problem;
use runtime::telemetry;
use std::process::ExitCode;

/// Runs a command and says how it went.
pub(crate) async fn run(cli: Cli) -> ExitCode {
    let shared = cli.shared;
    let options = telemetry::Options {
        filter: shared.log.clone(),
        format: if shared.log_json { telemetry::Format::Json } else { telemetry::Format::Text },
        otlp_endpoint: shared.otlp.clone(),
    };
    let telemetry = match telemetry::init(&options) {
        Ok(telemetry) => telemetry,
        Err(error) => return problem::report(&error),
    };
    let outcome = match cli.command {
        Command::Clip(options) => clip::run(&shared, options).await,
        Command::Serve(options) => serve::run(&shared, options, &telemetry).await,
        Command::Events(options) => events::run(&shared, options).await,
        Command::Jobs(command) => jobs::run(&shared, command).await,
        Command::Models(command) => models::run(&shared, command).await,
        Command::Log(command) => log::run(&shared, command).await,
        Command::Migrate(options) => migrate::run(&options).await,
        Command::Projections(command) => projections::run(&shared, command).await,
        Command::Doctor => doctor::run(&shared),
        Command::Schema(options) => schema::run(&options),
        Command::Lake(options) => lake::run(&shared, options).await,
        Command::Bench(command) => bench::run(&shared, command).await,
        Command::MediaChild | Command::LakeChild => Ok(()),
    };
    drop(telemetry);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => problem::report(&error),
    }
}
