//! Threads of the lake's own: encoding files and answering SQL takes the processor for long, and others must not wait for that.

use anyhow::Context as _;
use std::future::Future;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Plans of SQL are walked by recursion, as deep as the text nests.
const STACK_BYTES: usize = 32 << 20;

/// Threads that wait for files: a table is read in a few places at the same time.
const WAITING_MAX: usize = 8;

/// Some threads. Dropping it ends what runs there.
#[derive(Debug)]
pub(crate) struct Pool(Option<Runtime>);

impl Pool {
    pub(crate) fn start(name: &str, threads: usize) -> anyhow::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder
            .worker_threads(threads)
            .thread_name(name)
            .max_blocking_threads(WAITING_MAX)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build();
        Ok(Self(Some(runtime.with_context(|| format!("starting the threads of {name}"))?)))
    }

    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.as_ref().expect("it is taken only when this is dropped").spawn(work)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
