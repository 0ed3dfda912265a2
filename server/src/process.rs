//! Series about the process itself: memory, files and CPU time, and how busy the server's threads are.

use std::sync::Arc;

use carillon_core::Result;
use carillon_core::metrics::Metrics;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use tokio::runtime::Handle;

use crate::metrics::gauge;

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
