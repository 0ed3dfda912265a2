//! The router, as a plugin sees it.

mod everywhere;
mod history;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::everywhere::{Members, Reached};
use crate::bus::Bus;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::hub::{Hub, Publisher, Selection};
use crate::journal::{Keeper, Published};
use crate::metrics::{Metrics, Outbound};
use crate::namespace::Namespace;
use crate::packet::Item;
use crate::payload::{Emit, encode_event};
use crate::peer::NodeId;
use crate::readiness::Status;
use crate::sink::Mode;
use crate::undeclared::Undeclared;

/// What all plugins of an application share.
pub(crate) struct Shared {
    pub(crate) namespaces: Arc<HashMap<Arc<str>, Arc<Namespace>>>,
    /// Namespaces of plugins that are linked and disabled: publishing there reaches nobody and is no error.
    pub(crate) disabled: HashSet<&'static str>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) bus_required: bool,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) hub: Arc<Hub>,
    /// How many plugins' background work has failed and not been started again yet.
    pub(crate) failing: AtomicUsize,
    /// This Carillon.
    pub(crate) node: NodeId,
    /// The other nodes, when the bus is shared with any.
    pub(crate) cluster: Option<Cluster>,
    /// What was sent to namespaces that nobody serves.
    pub(crate) unserved: Undeclared,
}

impl Shared {
    /// The names of the namespaces served, sorted.
    pub(crate) fn namespaces(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.namespaces.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }
}

/// The router, the bus and the application, as one plugin sees them. Cheap to clone.
///
/// ```
/// # use carillon_core::prelude::*;
/// # use carillon_core::testing::Harness;
/// # #[derive(Clone, Deserialize, Serialize, JsonSchema)]
/// # struct Said { text: String }
/// # struct Chat { host: Host }
/// # impl Plugin for Chat {
/// #     const NAME: &'static str = "chat";
/// #     const NAMESPACE: &'static str = "/chat";
/// #     type Config = NoConfig;
/// #     async fn init(_: NoConfig, host: Host) -> Result<Self> { Ok(Self { host }) }
/// #     fn routes(on: &mut Routes<Self>, _: &NoConfig) {
/// #         on.event("say", "Tells everybody.", Self::say);
/// #         on.emits::<Said>("said", "To everybody when somebody says something.");
/// #     }
/// # }
/// # impl Chat {
///     async fn say(self: Arc<Self>, _: Ctx, said: Said) -> Result<()> {
///         self.host.to("/chat").publish("said", &said)
///     }
/// # }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// #     let harness = Harness::of::<Chat>().await;
/// #     let mut client = harness.connect("/chat").await.unwrap();
/// #     let answer = client.call("say", serde_json::json!({"text": "hi"})).await;
/// #     assert_eq!(answer["ok"], true, "{answer}");
/// #     assert_eq!(client.expect("said").await["text"], "hi");
/// # }
/// ```
#[derive(Clone)]
pub struct Host {
    pub(crate) shared: Arc<Shared>,
    pub(crate) plugin: &'static str,
    pub(crate) publisher: Publisher,
    pub(crate) threads: Handle,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

impl Host {
    /// Addresses the clients of `namespace`: all of them, unless narrowed.
    pub fn to(&self, namespace: &str) -> Target {
        let here = self.shared.namespaces.get(namespace).cloned();
        Target {
            shared: Arc::clone(&self.shared),
            publisher: self.publisher,
            namespace: here.as_ref().map_or_else(|| namespace.into(), |here| Arc::clone(&here.name)),
            here,
            selection: Selection::default(),
            local: false,
            mode: None,
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

    /// How many connections this node has in any namespace; each counts once, however many namespaces it is in.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.hub.connections()
    }

    /// The application's state in a word: `Unready` while a plugin's background work has failed or a required bus is
    /// away, `Degraded` while a bus that is not required is away.
    #[must_use]
    pub fn status(&self) -> Status {
        let bus = self.shared.bus.status().up;
        match (self.shared.failing.load(Ordering::Relaxed), bus) {
            (0, true) => Status::Ready,
            (0, false) if !self.shared.bus_required => Status::Degraded,
            _ => Status::Unready,
        }
    }

    /// The names of the namespaces served, sorted.
    #[must_use]
    pub fn namespaces(&self) -> Vec<&str> {
        self.shared.namespaces()
    }

    /// Starts a task on the plugin's threads; from `init` on, where it may begin before other plugins are there. It is
    /// waited for at shutdown, so it should listen to [`Host::shutdown`]; its panic is logged under `name`. Nobody starts it
    /// again: work that has to go on belongs into [`Plugin::run`](crate::Plugin::run).
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
    shared: Arc<Shared>,
    publisher: Publisher,
    namespace: Arc<str>,
    /// When it is served on this node.
    here: Option<Arc<Namespace>>,
    selection: Selection,
    local: bool,
    /// As the event was declared when `None`.
    mode: Option<Mode>,
}

/// A namespace that is served here, and the series of the event that is sent.
type Here<'a> = (&'a Arc<Namespace>, &'a Arc<Outbound>);

impl Target {
    /// Adds the members of a room.
    pub fn room(mut self, room: impl Into<String>) -> Self {
        self.selection.to.push(room.into());
        self
    }

    /// Adds one client by its public id. A room of that name is another matter.
    pub fn client(mut self, id: impl Into<String>) -> Self {
        self.selection.clients.push(id.into());
        self
    }

    /// Leaves out the members of a room, or one client by its public id.
    pub fn except(mut self, room: impl Into<String>) -> Self {
        self.selection.except.push(room.into());
        self
    }

    /// Stays on this node: clients of other Carillons on the same bus are not addressed.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// A client that has not read an older publish of this event gets this one in its place.
    pub fn latest(mut self) -> Self {
        self.mode = Some(Mode::Latest);
        self
    }

    /// A client for which anything is waiting already does not get this one.
    pub fn volatile(mut self) -> Self {
        self.mode = Some(Mode::Volatile);
        self
    }

    /// What may become of the publish on its way to a client that does not read fast enough; else as the event was declared.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    fn cluster(&self) -> Option<&Cluster> {
        self.shared.cluster.as_ref().filter(|_| !self.local && self.is_known())
    }

    /// The journal that keeps this, if any does.
    fn keeper(&self) -> Option<&Keeper> {
        self.here.as_ref().and_then(|namespace| namespace.keeper()).filter(|_| !self.local)
    }

    /// Sends an event to every client addressed, on every Carillon of the bus. The value is encoded once, whatever the
    /// number of clients. This node's clients are served at once, the others' as soon as the bus allows. Where it is kept in
    /// a journal (`journal.namespaces`) that others share, all are served in the order of the journal.
    ///
    /// # Errors
    /// `overloaded` when the namespace has too much waiting already (`router.max_pending_bytes`,
    /// `router.max_pending_publishes`): nothing is sent then; [`publish_wait`](Self::publish_wait) waits for room.
    /// `internal` when nobody serves the namespace or the value cannot be written as JSON. Reaching no client is no error.
    #[track_caller]
    pub fn publish<T: Emit + ?Sized>(&self, event: &str, value: &T) -> Result<()> {
        let (here, copy) = self.encode(event, value, Location::caller())?;
        if let Some((namespace, series)) = here {
            if let Some(keeper) = self.keeper() {
                return namespace.publish_kept(keeper, Published { selection: &self.selection, series, copy: &copy });
            }
            namespace.publish_item(self.publisher, &self.selection, series, &copy)?;
        }
        self.to_other_nodes(&copy);
        Ok(())
    }

    /// [`publish`](Self::publish), as soon as the namespace has room for it: a publisher goes no faster than the
    /// clients are served. Dropping the future before it is done publishes nothing.
    ///
    /// # Errors
    /// `internal`, as [`publish`](Self::publish).
    #[track_caller]
    pub fn publish_wait<T: Emit + ?Sized>(&self, event: &str, value: &T) -> impl Future<Output = Result<()>> + Send {
        let at = Location::caller();
        async move {
            let (here, copy) = self.encode(event, value, at)?;
            if let Some((namespace, series)) = here {
                if let Some(keeper) = self.keeper() {
                    let publish = Published { selection: &self.selection, series, copy: &copy };
                    return namespace.publish_kept_wait(keeper, publish).await;
                }
                namespace.publish_item_wait(self.publisher, &self.selection, series, &copy).await;
            }
            self.to_other_nodes(&copy);
            Ok(())
        }
    }

    /// Whether any Carillon of this kind serves the namespace.
    fn is_known(&self) -> bool {
        self.here.is_some() || self.shared.disabled.contains(&*self.namespace)
    }

    /// The namespace as far as it is served here, the packet, and what may become of it.
    fn encode<T: Emit + ?Sized>(
        &self,
        event: &str,
        value: &T,
        at: &Location<'_>,
    ) -> Result<(Option<Here<'_>>, (Item, Mode))> {
        let here = self.here.as_ref().map(|namespace| (namespace, namespace.note(event, at)));
        if !self.is_known() {
            let known = self.shared.namespaces().join(", ");
            let namespace = &self.namespace;
            self.shared.unserved.note_unserved(namespace, event, at);
            return Err(Error::internal(format!(
                "no plugin serves {namespace}, published to at {at}; there are: {known}"
            )));
        }
        let mode = self.mode.unwrap_or_else(|| here.map_or(Mode::All, |(_, series)| series.mode));
        let item = encode_event(&self.namespace, event, value)?;
        Ok((here, (item, mode)))
    }

    fn to_other_nodes(&self, (item, mode): &(Item, Mode)) {
        if let Some(cluster) = self.cluster() {
            cluster.publish(&self.namespace, &self.selection, item, *mode);
        }
    }

    /// How many of this node's clients are addressed.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.here.as_ref().map_or(0, |namespace| namespace.hub.count(namespace.space, &self.selection))
    }

    /// Sends a Socket.IO DISCONNECT to every client addressed: they leave the namespace and do not come back by themselves.
    pub fn disconnect(&self) {
        if let Some(namespace) = &self.here {
            namespace.hub.disconnect(self.publisher, namespace.space, &self.selection);
        }
        if let Some(cluster) = self.cluster() {
            cluster.disconnect(&self.namespace, &self.selection);
        }
    }
}
