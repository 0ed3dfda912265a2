//! One shard as its connections see it: where it is, and which channels are its own.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use super::super::address::Server;
use super::routes::{Routes, SeatId, is_of};
use super::slot::Slot;

/// Names tried for one whose slot a shard has: enough for a shard with a single slot.
const TRIES: u32 = 1_000_000;

/// One shard of a cluster, whoever its master is.
#[derive(Clone)]
pub(in super::super) struct Shard {
    id: SeatId,
    /// What names of Carillon's own channels begin with.
    own: Arc<str>,
    routes: watch::Receiver<Arc<Routes>>,
    doubt: Arc<Notify>,
    trouble: Arc<Mutex<String>>,
}

impl Shard {
    pub(super) fn new(
        id: SeatId,
        own: Arc<str>,
        routes: watch::Receiver<Arc<Routes>>,
        doubt: Arc<Notify>,
        trouble: Arc<Mutex<String>>,
    ) -> Self {
        Self { id, own, routes, doubt, trouble }
    }

    fn now(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.borrow())
    }

    /// Its master. Whoever connects has reason to ask whether it still is.
    pub(in super::super) fn server(&self) -> Result<Arc<Server>, String> {
        self.doubt();
        self.now().server(self.id).ok_or_else(|| {
            let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            format!("no node tells who has which slots ({trouble})")
        })
    }

    /// Returns once another server is its master, or it is no shard any more.
    pub(in super::super) async fn left(&self, server: &Server) -> String {
        let mut routes = self.routes.clone();
        let other = |routes: &Arc<Routes>| routes.server(self.id).is_none_or(|now| now.address != server.address);
        match routes.wait_for(other).await.ok().and_then(|routes| routes.server(self.id)) {
            Some(now) => format!("{} has taken the place of {}", now.address, server.address),
            None => "it has no slots any more".to_owned(),
        }
    }

    /// Returns once its master is another one than this, or is known at all.
    pub(in super::super) async fn news(&self, tried: Option<&Server>) {
        let mut routes = self.routes.clone();
        let tried = tried.map(|tried| &*tried.address);
        let other = |routes: &Arc<Routes>| routes.server(self.id).is_some_and(|now| Some(&*now.address) != tried);
        drop(routes.wait_for(other).await);
    }

    /// Tells when slots have moved.
    pub(in super::super) fn routes(&self) -> watch::Receiver<Arc<Routes>> {
        self.routes.clone()
    }

    /// For people.
    pub(in super::super) fn name(&self) -> String {
        match self.now().server(self.id) {
            Some(server) => format!("the shard at {}", server.address),
            None => "the cluster".to_owned(),
        }
    }

    /// Whether a channel is published and listened to here.
    pub(in super::super) fn owns(&self, channel: &str) -> bool {
        self.routes.borrow().is_at(channel, self.id)
    }

    /// Whether a channel is a shard channel.
    pub(in super::super) fn is_sharded(&self, channel: &str) -> bool {
        is_of(channel, &self.own)
    }

    /// Whether a message that came here is to be handed on. All nodes are told of plain channels, and two may have been
    /// subscribed to one for a moment.
    pub(in super::super) fn may_deliver(&self, channel: &str) -> bool {
        self.is_sharded(channel) || self.owns(channel)
    }

    /// A channel whose name begins so, of a slot that it has.
    pub(in super::super) fn probe(&self, name: &str) -> Option<Arc<str>> {
        let routes = self.now();
        // Whoever has a master has slots.
        routes.server(self.id)?;
        let tag = (0..TRIES).map(|n| n.to_string()).find(|tag| routes.has(Slot::of(tag), self.id))?;
        Some(format!("{name}:{{{tag}}}").into())
    }

    /// Somebody was told that it has not got what it should have: the nodes are asked at once.
    pub(in super::super) fn doubt(&self) {
        self.doubt.notify_one();
    }
}
