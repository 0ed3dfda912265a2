//! The process itself: how many files it may open, and its series about memory, files, CPU time and threads.

use std::sync::Arc;

use carillon_core::Result;
use carillon_core::metrics::Metrics;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Handle;

use crate::metrics::gauge;

/// Raises the number of files this process may open to what the system allows it, and returns that number; `None` where
/// there is no limit. Every connection is a file.
pub(crate) fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Some systems cap it lower than they say; what was there stays.
        Err(_) => limit.current,
    }
}

/// Registers `process_*` and `tokio_*` with the application's metrics.
///
/// # Errors
/// When a name is taken.
pub(crate) fn register(metrics: &Metrics, runtime: &Handle) -> Result<()> {
    metrics.register(Process(Arc::new(ProcessCollector::for_self())))?;
    let workers = gauge(metrics, "tokio_workers", "Threads that carry connections.")?;
    let tasks = gauge(metrics, "tokio_tasks", "Tasks alive on those threads.")?;
    let waiting =
        gauge(metrics, "tokio_queue_depth", "Tasks that wait for one of those threads, in the shared queue.")?;
    let runtime = runtime.clone();
    metrics.before_scrape(move || {
        let now = runtime.metrics();
        workers.set(count(now.num_workers()));
        tasks.set(count(now.num_alive_tasks()));
        waiting.set(count(now.global_queue_depth()));
    });
    Ok(())
}

/// The collector is not `Clone`, which the application's registry asks for.
#[derive(Clone)]
struct Process(Arc<ProcessCollector>);

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.collect()
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
