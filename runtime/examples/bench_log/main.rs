//! Measures the logs, each beside a peer that takes turns with it in the same run. Prints one JSON object; `RUNS=5` sets the number of rounds.
//!
//! `bench_log embedded`: the log in a file beside bare SQLite; `bench_log embedded growth`: a log of two million commits. `bench_log kafka`: the log on the brokers of `CLIPFLOW_KAFKA_BROKERS` beside
//! a producer and a consumer of the same client library with the same settings.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod embedded;
mod embedded_growth;
mod kafka;
mod kafka_reading;
mod raw;
mod rounds;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let report = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["embedded"] => embedded::report().await,
        ["embedded", "growth"] => embedded_growth::report().await,
        ["kafka", "appends", ref clients @ ..] => kafka::report(clients).await,
        ["kafka", "reading"] => kafka_reading::report().await,
        _ => panic!("bench_log embedded | embedded growth | kafka appends [CLIENTS…] | kafka reading"),
    };
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
}
