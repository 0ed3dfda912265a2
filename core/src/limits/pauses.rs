//! The tasks that end pauses, on the server's threads: a plugin's may all be blocked.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// See the module's documentation.
pub(crate) struct Pauses {
    tasks: TaskTracker,
    stop: CancellationToken,
    runtime: Handle,
}

impl Pauses {
    /// Tasks of the caller's runtime, until `stop`.
    pub(crate) fn new(tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        Self { tasks: tasks.clone(), stop: stop.clone(), runtime: Handle::current() }
    }

    /// Starts one.
    pub(crate) fn spawn(&self, pause: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(self.stop.clone().run_until_cancelled_owned(pause), &self.runtime);
    }
}
