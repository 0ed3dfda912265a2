//! The router, as a plugin sees it.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bus::Bus;
use crate::error::{Error, Result};
use crate::hub::Selection;
use crate::metrics::Metrics;
use crate::namespace::Namespace;
use crate::payload::Emit;

/// What all plugins of an application share.
pub(crate) struct Shared {
    pub(crate) namespaces: HashMap<Arc<str>, Arc<Namespace>>,
    /// Namespaces of plugins that are linked and disabled: publishing there reaches nobody and is no error.
    pub(crate) disabled: HashSet<&'static str>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The router, the bus and the application, as one plugin sees them. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    pub(crate) shared: Arc<Shared>,
    pub(crate) plugin: &'static str,
    pub(crate) threads: Handle,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

impl Host {
    /// Addresses the clients of `namespace`: all of them, unless narrowed.
    pub fn to(&self, namespace: &str) -> Target {
        Target {
            namespace: self.shared.namespaces.get(namespace).cloned(),
            known: self.shared.disabled.contains(namespace),
            selection: Selection::default(),
        }
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &dyn Bus {
        &*self.shared.bus
    }

    /// The application's metrics, for counters of the plugin's own.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The names of the namespaces served, sorted.
    #[must_use]
    pub fn namespaces(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.shared.namespaces.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// Starts a task on the plugin's threads. It is waited for at shutdown, so it should listen to
    /// [`Host::shutdown`]; its panic is logged under `name`.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.threads.spawn(self.tasks.track_future(task));
        let plugin = self.plugin;
        let watch = async move {
            if task.await.is_err_and(|end| end.is_panic()) {
                tracing::error!(plugin, task = name, "a task panicked");
            }
        };
        self.tasks.spawn_on(watch, &self.threads);
    }

    /// Resolves when the application shuts down.
    pub async fn shutdown(&self) {
        self.shutdown.cancelled().await;
    }
}

/// Clients of one namespace, about to be addressed: all, or those of rooms and ids, less the exceptions.
#[must_use = "nothing happens before publish, clients or disconnect"]
pub struct Target {
    namespace: Option<Arc<Namespace>>,
    known: bool,
    selection: Selection,
}

impl Target {
    /// Adds the members of a room.
    pub fn room(mut self, room: impl Into<String>) -> Self {
        self.selection.to.push(room.into());
        self
    }

    /// Adds one client by its public id.
    pub fn client(self, id: impl Into<String>) -> Self {
        self.room(id)
    }

    /// Leaves out the members of a room, or one client by its public id.
    pub fn except(mut self, room: impl Into<String>) -> Self {
        self.selection.except.push(room.into());
        self
    }

    /// Sends an event to every client addressed. The value is encoded once, whatever the number of clients.
    ///
    /// # Errors
    /// `internal` when nobody serves the namespace or the value cannot be written as JSON. Reaching no client is no error.
    pub fn publish<T: Emit + ?Sized>(&self, event: &str, value: &T) -> Result<()> {
        match &self.namespace {
            Some(namespace) => namespace.publish(&self.selection, event, value),
            None if self.known => Ok(()),
            None => Err(Error::internal("no plugin serves this namespace")),
        }
    }

    /// How many clients are addressed.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.namespace.as_ref().map_or(0, |namespace| namespace.hub.count(&self.selection))
    }

    /// Sends a Socket.IO DISCONNECT to every client addressed: they leave the namespace and do not come back by themselves.
    pub fn disconnect(&self) {
        if let Some(namespace) = &self.namespace {
            namespace.hub.disconnect(&self.selection);
        }
    }
}
