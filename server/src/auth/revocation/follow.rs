//! Keeps a node's revocations as the bus has them, and ends the clients that are revoked.

use std::sync::{Arc, Weak};
use std::time::Duration;

use carillon_core::bus::Bus;
use carillon_core::lifecycle::App;
use carillon_core::throttle::Throttle;
use carillon_core::{Error, Result};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::CHANNEL;
use super::bus::{store, stored};
use super::entry::Revocation;
use super::set::Revoked;

/// How often it is looked whether the bus is back.
const TICK: Duration = Duration::from_secs(1);
/// How often the list is read while the bus is there.
const READ_AGAIN: Duration = Duration::from_secs(10);
/// How long the start waits for the list, and between two tries.
const FIRST_READ: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// See the module's documentation.
pub(crate) struct Follower {
    revoked: Arc<Revoked>,
    bus: Arc<dyn Bus>,
    app: Weak<App>,
    /// Who this is, when it writes.
    name: String,
    /// When the list was last read; never while the bus has been away since.
    read: Option<Instant>,
    log: Throttle,
}

impl Follower {
    /// Who has read what is revoked, unless the bus is away: then it is read when that is back.
    pub(in crate::auth) async fn new(revoked: Arc<Revoked>, bus: Arc<dyn Bus>, app: Weak<App>) -> Self {
        let name = format!("{:032x}", fastrand::u128(..));
        let mut follower = Self { revoked, bus, app, name, read: None, log: Throttle::per_second() };
        let first = async {
            while follower.look().await.is_err() {
                sleep(PAUSE).await;
            }
        };
        if timeout(FIRST_READ, first).await.is_err() {
            tracing::warn!("what is revoked is not known yet: the bus does not answer; it is read when that is back");
        }
        follower
    }

    /// Goes on until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let Ok(mut told) = self.bus.subscribe(&[self.bus.own(CHANNEL)]).await else {
                sleep(TICK).await;
                continue;
            };
            loop {
                tokio::select! {
                    message = told.recv() => match message {
                        Some(_) => self.read().await,
                        None => break,
                    },
                    _ = ticks.tick() => self.tick().await,
                }
            }
        }
    }

    async fn tick(&mut self) {
        if !self.bus.status().up {
            self.read = None;
            return;
        }
        let due = self.read.is_none_or(|last| last.elapsed() >= READ_AGAIN);
        if due {
            self.read().await;
        }
    }

    async fn read(&mut self) {
        if let Err(error) = self.look().await {
            self.complain(&error);
        }
    }

    /// Reads the list, and gives it what is missing there.
    async fn look(&mut self) -> Result<()> {
        self.exchange().await?;
        self.read = Some(Instant::now());
        Ok(())
    }

    async fn exchange(&self) -> Result<()> {
        let stored = stored(&*self.bus).await?;
        self.take(&stored.all()).await;
        if let Some(all) = self.revoked.missing_in(&stored) {
            // Somebody else may be writing: then there is a next time.
            store(&*self.bus, &self.name, &all).await?;
        }
        Ok(())
    }

    async fn take(&self, list: &[Revocation]) {
        let added = self.revoked.add(list);
        if added.left_out > 0 {
            let text =
                format!("{} revocations are not in force here: there are {} already", added.left_out, super::LIMIT);
            self.complain(&Error::too_large(text));
        }
        if added.new == 0 {
            return;
        }
        let ended = match self.app.upgrade() {
            Some(app) => app.end_revoked().await,
            None => 0,
        };
        tracing::info!(clients = ended, "{} revocations are in force now; clients that had to leave", added.new);
    }

    fn complain(&self, error: &Error) {
        if let Some(left_out) = self.log.allow() {
            tracing::warn!(left_out, "revocations: {error}");
        }
    }
}
