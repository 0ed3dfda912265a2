//! Every Engine.IO session of this process: found by id, limited in number, swept, and closed together at the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use carillon_core::metrics::Deliveries;
use carillon_core::sink::Reason;
use carillon_core::throttle::Throttle;
use tokio_util::sync::CancellationToken;

use crate::link::{Limits, Link};
use crate::metrics::Metrics;

/// How often sessions are looked at: for those without a namespace, and to sample what is waiting for clients.
const SWEEP: Duration = Duration::from_secs(5);

/// Ends the polling session of an id; the Socket.IO bridge knows how.
type CloseSession = Box<dyn Fn(&str) + Send + Sync>;

/// The sessions. They are owned by their requests, this is only the register.
pub(crate) struct Links {
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    deliveries: Arc<Deliveries>,
    /// Limits log lines about slow clients to one a second.
    slow: Throttle,
    register: RwLock<Register>,
    close: OnceLock<CloseSession>,
    /// The server is going away: no new sessions.
    refusing: AtomicBool,
}

#[derive(Default)]
struct Register {
    /// Every session, by the number it got here.
    all: HashMap<u64, Weak<Link>>,
    next: u64,
    /// Those that began with polling, whose later requests name them.
    named: HashMap<Box<str>, Weak<Link>>,
}

impl Links {
    pub(crate) fn new(limits: Limits, metrics: Arc<Metrics>, deliveries: Arc<Deliveries>) -> Arc<Self> {
        Arc::new(Self {
            limits: Arc::new(limits),
            metrics,
            deliveries,
            slow: Throttle::per_second(),
            register: RwLock::default(),
            close: OnceLock::new(),
            refusing: AtomicBool::new(false),
        })
    }

    /// Who can close a polling session; set once, by the bridge.
    pub(crate) fn on_close(&self, close: impl Fn(&str) + Send + Sync + 'static) {
        self.close.set(Box::new(close)).ok();
    }

    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The ledger of published copies.
    pub(crate) fn deliveries(&self) -> &Arc<Deliveries> {
        &self.deliveries
    }

    /// From now on there are no new sessions.
    pub(crate) fn refuse_new(&self) {
        self.refusing.store(true, Ordering::Release);
    }

    /// Whether there are no new sessions any more.
    pub(crate) fn refusing(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }

    /// A new session.
    pub(crate) fn open(self: &Arc<Self>) -> Arc<Link> {
        self.metrics.sessions.inc();
        let mut register = self.write();
        let number = register.next;
        register.next += 1;
        let link = Link::new(self, number);
        register.all.insert(number, Arc::downgrade(&link));
        link
    }

    /// From now on requests with this id find the session.
    pub(crate) fn name(&self, id: &str, link: &Arc<Link>) {
        self.write().named.insert(id.into(), Arc::downgrade(link));
    }

    /// A session is over.
    pub(crate) fn forget(&self, number: u64, id: Option<&str>) {
        self.metrics.sessions.dec();
        let mut register = self.write();
        register.all.remove(&number);
        if let Some(id) = id {
            register.named.remove(id);
        }
    }

    /// The living session of this id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Link>> {
        self.read().named.get(id)?.upgrade()
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.read().all.len()
    }

    /// Every living session.
    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        self.read().all.values().filter_map(Weak::upgrade).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Register> {
        self.register.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Register> {
        self.register.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session is being ended from here: counts it, and tells the operator of clients that are too slow.
    pub(crate) fn killed(&self, link: &Link, reason: Reason) {
        self.metrics.killed(reason);
        if reason == Reason::Slow
            && let Some(left_out) = self.slow.allow()
        {
            let (client, waiting) = (link.address(), link.queued_bytes());
            tracing::warn!(left_out, client, waiting, "a client does not read fast enough and was closed");
        }
    }

    /// Ends the polling session of this id.
    pub(crate) fn close_session(&self, id: &str) {
        if let Some(close) = self.close.get() {
            close(id);
        }
    }

    /// Looks after the sessions until `stop`.
    pub(crate) async fn sweep(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
            for link in self.all() {
                self.metrics.queued.observe(link.queued_bytes() as f64);
                if link.is_idle() {
                    link.end(Reason::TransportClose);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session without a namespace does not stay; one with a namespace does; both are forgotten when they end.
    #[tokio::test(start_paused = true)]
    async fn sessions_without_a_namespace_are_swept_away() {
        let core = carillon_core::metrics::Metrics::new().unwrap();
        let metrics = Arc::new(Metrics::new(&core).unwrap());
        let second = Duration::from_secs(1);
        let limits =
            Limits { max_queued_bytes: 1, max_pause: second, connect_timeout: 10 * second, ping_interval: second };
        let links = Links::new(limits, metrics, core.deliveries());
        let (idle, busy) = (links.open(), links.open());
        idle.named("idle");
        busy.named("busy");
        busy.namespace(true);
        let stop = CancellationToken::new();
        let sweeping = tokio::task::LocalSet::new();
        sweeping.spawn_local(Arc::clone(&links).sweep(stop.clone()));
        sweeping.run_until(tokio::time::sleep(21 * second)).await;
        assert_eq!((idle.ended(), busy.ended()), (Some(Reason::TransportClose), None));
        busy.namespace(false);
        sweeping.run_until(tokio::time::sleep(21 * second)).await;
        assert_eq!(busy.ended(), Some(Reason::TransportClose));
        assert_eq!((links.len(), links.get("busy").is_some(), links.metrics().sessions.get()), (2, true, 2));
        drop((idle, busy));
        assert_eq!((links.len(), links.get("busy").is_some(), links.metrics().sessions.get()), (0, false, 0));
    }
}
