//! Several threads at one list of tasks.
//!
//! A decoder's steps are too small to be shared out between threads, so each thread takes whole batches instead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Does every task on the thread of one of the `workers` and returns the results in the tasks' order.
///
/// `finished` is called on the caller's thread with the number of tasks that are done, after each.
pub(crate) fn side_by_side<W: Send, T: Sync, R: Send>(
    workers: Vec<W>,
    tasks: &[T],
    work: impl Fn(&W, &T) -> R + Sync,
    mut finished: impl FnMut(usize),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut results: Vec<Option<R>> = tasks.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        for worker in workers {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let Some((index, task)) = take(next, tasks) {
                    if sender.send((index, work(&worker, task))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (done, (index, result)) in receiver.iter().enumerate() {
            results[index] = Some(result);
            finished(done + 1);
        }
    });
    results.into_iter().flatten().collect()
}

fn take<'a, T>(next: &AtomicUsize, tasks: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    tasks.get(index).map(|task| (index, task))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_tasks() {
        let tasks: Vec<u64> = (0..20).collect();
        let mut counts = vec![];
        let results = side_by_side(
            vec![1, 1, 1],
            &tasks,
            |factor, task| {
                std::thread::sleep(std::time::Duration::from_millis(20 - task));
                factor * task
            },
            |count| counts.push(count),
        );
        assert_eq!(results, tasks);
        assert_eq!(counts, (1..=20).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_to_do_gives_nothing() {
        assert!(side_by_side(vec![()], &[], |(), task: &u8| *task, |_| {}).is_empty());
    }
}
