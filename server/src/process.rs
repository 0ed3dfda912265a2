//! The process itself: how many files it may open, and its series about memory, files, CPU time and threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carillon_core::Result;
use carillon_core::metrics::Metrics;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::metrics::gauge;

/// Files kept back for what is no client: Redis, probes, exporters, logs. Without them the first thing to fail when
/// connections use all files up would be whatever tells about it.
const KEPT_BACK: usize = 64;
/// How old what the system said about the process may be in a scrape.
const FRESH: Duration = Duration::from_millis(100);

/// How many of the `wanted` connections there are files for, beside those of as many `operators`.
pub(crate) fn room_for(wanted: usize, operators: usize, files: Option<u64>) -> usize {
    let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    wanted.min(files.saturating_sub(KEPT_BACK + operators)).max(1)
}

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
    metrics.register(Process::new())?;
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

/// What the system says about the process. It is asked anew after [`FRESH`]: a fifth of what a scrape costs is asking.
#[derive(Clone)]
struct Process {
    collector: Arc<ProcessCollector>,
    last: Arc<Mutex<Option<Answer>>>,
}

/// What it has said, and when.
struct Answer {
    at: Instant,
    families: Vec<MetricFamily>,
}

impl Process {
    fn new() -> Self {
        Self { collector: Arc::new(ProcessCollector::for_self()), last: Arc::default() }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.collector.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(answer) if answer.at.elapsed() < FRESH => answer.families.clone(),
            _ => {
                let families = self.collector.collect();
                last.insert(Answer { at: Instant::now(), families }).families.clone()
            }
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A12: connections never use up the last files.
    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(room_for(50_000, 0, None), 50_000);
        assert_eq!(room_for(50_000, 64, Some(1 << 20)), 50_000);
        assert_eq!(room_for(50_000, 0, Some(1024)), 960);
        assert_eq!(room_for(50_000, 64, Some(1024)), 896);
        assert_eq!(room_for(10, 0, Some(32)), 1);
    }
}
