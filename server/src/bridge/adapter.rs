//! The way into socketioxide's queue of one client for packets we have encoded ourselves.
//!
//! `socket.emit` takes neither raw JSON with attachments nor acks of several raw arguments. An adapter can send any
//! packet, so ours hands everything to socketioxide's local one and keeps it reachable.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use socketioxide::adapter::Emitter;
use socketioxide_core::adapter::{BroadcastOptions, CoreAdapter, CoreLocalAdapter, DefinedAdapter, SocketEmitter};
use socketioxide_core::packet::Packet;

/// The answers to a call, one per client it went to.
pub(super) type Answers = <Emitter as SocketEmitter>::AckStream;

/// The adapter of one namespace.
pub(super) struct Raw {
    local: CoreLocalAdapter<Emitter>,
    all: Raws,
}

impl Raw {
    /// Sends packets to single clients, at once and without a task.
    pub(super) fn local(&self) -> &CoreLocalAdapter<Emitter> {
        &self.local
    }
}

/// Every namespace's adapter, by name. Clones are the same list. The namespaces own their adapters, not the list.
#[derive(Clone, Default)]
pub(super) struct Raws(Arc<RwLock<HashMap<String, Weak<Raw>>>>);

impl Raws {
    /// The adapter of a namespace that is being served.
    pub(super) fn get(&self, namespace: &str) -> Option<Arc<Raw>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(namespace)?.upgrade()
    }
}

impl CoreAdapter<Emitter> for Raw {
    type Error = Infallible;
    type State = Raws;
    type AckStream = Answers;
    type InitRes = ();

    fn new(all: &Raws, local: CoreLocalAdapter<Emitter>) -> Self {
        Self { local, all: all.clone() }
    }

    /// Called once per namespace, when it is registered.
    fn init(self: Arc<Self>, on_success: impl FnOnce() + Send + 'static) {
        let mut all = self.all.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(self.local.path().to_string(), Arc::downgrade(&self));
        on_success();
    }

    async fn broadcast_with_ack(
        &self,
        packet: Packet,
        options: BroadcastOptions,
        timeout: Option<Duration>,
    ) -> Result<Answers, Infallible> {
        Ok(self.local.broadcast_with_ack(packet, options, timeout).0)
    }

    fn get_local(&self) -> &CoreLocalAdapter<Emitter> {
        &self.local
    }
}

impl DefinedAdapter for Raw {}
