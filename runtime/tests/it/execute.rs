//! Commands become events once, whatever the log does.

use crate::counter::{AboveLimit, Command, Counter, id, request, workspace};
use proto::Wire as _;
use runtime::execute::{Context, ExecuteError, TransactError, Transaction, execute, load};
use runtime::log::simulated::{Faults, SimulatedLog};
use runtime::log::sqlite::SqliteLog;
use runtime::log::{Log, Partition};

fn log() -> SimulatedLog {
    SimulatedLog::new(1, Faults::NONE)
}

async fn count(log: &impl Log, counter: u128) -> u64 {
    load::<Counter>(log, workspace(), id(counter)).await.unwrap().count
}

#[tokio::test]
async fn a_command_appends_what_it_decides() {
    let log = log();
    let first = execute::<Counter>(&log, request(1), id(1), Command::Add(5)).await.unwrap();
    let second = execute::<Counter>(&log, request(2), id(1), Command::Add(6)).await.unwrap();
    assert_eq!((first.events.len(), first.is_repeat, second.token.position), (1, false, Some(1)));
    assert_eq!(count(&log, 1).await, 11);
    let events = log.read_stream(workspace(), &runtime_stream(1), 0, 10).await.unwrap();
    assert_eq!([events[0].id, events[1].id], [first.events[0], second.events[0]]);
}

fn runtime_stream(counter: u128) -> proto::StreamName {
    <Counter as proto::Wire>::stream(id(counter))
}

#[tokio::test]
async fn a_refusal_appends_nothing_and_says_which_rule() {
    let log = log();
    let refused = execute::<Counter>(&log, request(1), id(1), Command::Add(1_001)).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(AboveLimit))));
    assert_eq!(log.head(Partition::EMBEDDED).await.unwrap(), 0);
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_result() {
    let log = log();
    let first = execute::<Counter>(&log, request(1), id(1), Command::Add(600)).await.unwrap();
    // Decided anew it would be refused.
    let again = execute::<Counter>(&log, request(1), id(1), Command::Add(600)).await.unwrap();
    assert!(again.is_repeat);
    assert_eq!((first.events, first.token), (again.events, again.token));
    assert_eq!(count(&log, 1).await, 600);
}

#[tokio::test]
async fn what_has_happened_already_appends_nothing_and_its_reader_sees_it() {
    let log = log();
    execute::<Counter>(&log, request(1), id(1), Command::Reach(5)).await.unwrap();
    let receipt = execute::<Counter>(&log, request(2), id(1), Command::Reach(5)).await.unwrap();
    assert_eq!((receipt.events.len(), receipt.token.position), (0, Some(0)));
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing_and_sees_its_own_decisions() {
    let log = log();
    let add = |commit, second| {
        let transaction = Transaction::new(&log, request(commit)).then::<Counter>(id(1), Command::Add(10));
        transaction.then::<Counter>(id(2), Command::Add(second)).then::<Counter>(id(1), Command::Reach(15)).commit()
    };
    let Err(TransactError::Refused(refusal)) = add(1, 1_001).await else { panic!("expected a refusal") };
    assert_eq!(refusal.downcast_ref(), Some(&AboveLimit));
    assert_eq!(log.head(Partition::EMBEDDED).await.unwrap(), 0);

    let receipt = add(2, 20).await.unwrap();
    assert_eq!(receipt.events.len(), 3);
    assert_eq!((count(&log, 1).await, count(&log, 2).await), (15, 20));
}

async fn many_writers_add_up(log: impl Log) {
    const WRITERS: u128 = 6;
    const ADDS: u128 = 10;
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                for number in 0..ADDS {
                    let commit = 1 + writer * 1_000 + number;
                    loop {
                        match execute::<Counter>(&log, request(commit), id(1), Command::Add(1)).await {
                            Ok(_) => break,
                            // What a client does: the same request again.
                            Err(ExecuteError::Log(_)) => {}
                            // Eight losses in a row: a new request.
                            Err(ExecuteError::Conflict(_)) => {
                                let context = request(commit + 1_000_000);
                                if execute::<Counter>(&log, context, id(1), Command::Add(1)).await.is_ok() {
                                    break;
                                }
                            }
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    crate::counter::until("every addition to be there once", async || count(&log, 1).await == 60).await;
    assert_eq!(count(&log, 1).await, 60);
}

#[tokio::test]
async fn concurrent_commands_are_each_applied_once_on_a_faulty_log() {
    for seed in 0..4 {
        println!("seed {seed}");
        many_writers_add_up(SimulatedLog::new(seed, Faults::SOME)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_commands_are_each_applied_once_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    many_writers_add_up(SqliteLog::open(folder.path().join("log.sqlite")).unwrap()).await;
}

#[tokio::test]
async fn a_clock_that_jumps_changes_what_is_told_of_the_time_and_nothing_of_the_order() {
    let log = SimulatedLog::new(1, Faults::NONE);
    let clock = [1_000_000, 5, u64::MAX / 2, 0, 1_000_001].map(domain::Timestamp);
    for (now, commit) in clock.into_iter().zip(1..) {
        let context = Context { now, ..request(commit) };
        execute::<Counter>(&log, context, id(1), Command::Add(1)).await.unwrap();
    }
    let events = log.read_stream(workspace(), &Counter::stream(id(1)), 0, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| (event.version, event.position)).collect::<Vec<_>>(), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(events.iter().map(|event| event.metadata.at).collect::<Vec<_>>(), clock);
    assert_eq!(load::<Counter>(&log, workspace(), id(1)).await.unwrap().count, 5);
}
