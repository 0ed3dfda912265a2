//! What happens to publishes of which a node of a cluster says that another has their channel now.
//!
//! They wait, in their order, until the shards are asked anew who has what: then they are handed over in front of everything
//! that is published later. When nobody takes them in time they stay local.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_redis::redis::{ServerError, ServerErrorKind};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::publisher::Outgoing;
use super::target::Target;

/// How long they wait.
const HOLD: Duration = Duration::from_secs(1);

/// Asks a publisher for all that is not its own any more.
pub(super) type GiveBack = oneshot::Sender<Vec<Outgoing>>;

/// The part of a publisher that knows about this.
pub(super) struct Moved {
    asks: mpsc::Receiver<GiveBack>,
    /// Whether anything waits, for whoever asks.
    waits: Arc<AtomicBool>,
    /// Since when the batch waits.
    since: Option<Instant>,
    /// It may be tried again.
    again: bool,
}

impl Moved {
    pub(super) fn new() -> (mpsc::Sender<GiveBack>, Self) {
        let (sender, asks) = mpsc::channel(1);
        (sender, Self { asks, waits: Arc::default(), since: None, again: false })
    }

    /// Tells from elsewhere whether anything waits.
    pub(super) fn waits(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.waits)
    }

    /// Somebody who asks for what belongs elsewhere.
    pub(super) async fn asked(&mut self) -> Option<GiveBack> {
        self.asks.recv().await
    }

    /// Whether the batch has to wait for that.
    pub(super) fn holds(&self) -> bool {
        self.since.is_some() && !self.again
    }

    /// Whether it has waited long enough.
    pub(super) fn has_expired(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= HOLD)
    }

    /// When it will have.
    pub(super) fn expiry(&self) -> Option<Instant> {
        self.since.filter(|_| !self.again).map(|since| since + HOLD)
    }

    /// What belongs elsewhere has been handed over.
    pub(super) fn handed_over(&mut self) {
        self.again = true;
    }

    /// A batch was answered, and a part of it still waits, or nothing does.
    pub(super) fn answered(&mut self, waits: bool) {
        self.again = false;
        self.waits.store(waits, Ordering::Release);
        self.since = waits.then(|| self.since.unwrap_or_else(Instant::now));
    }

    /// Whether a refusal says that another server has the channel; the shards are then asked who.
    pub(super) fn is_elsewhere(&self, target: &Target, error: &ServerError) -> bool {
        let Some(shard) = target.as_shard() else { return false };
        let elsewhere = matches!(error.kind(), Some(ServerErrorKind::Moved | ServerErrorKind::Ask));
        if elsewhere {
            // Before anybody looks because of the doubt.
            self.waits.store(true, Ordering::Release);
            shard.doubt();
        }
        elsewhere
    }
}
