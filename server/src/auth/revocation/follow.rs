//! Keeps a node's revocations as the bus has them, and ends the clients that are revoked.

use std::sync::{Arc, Weak};
use std::time::Duration;

use carillon_core::bus::Bus;
use carillon_core::lifecycle::App;
use carillon_core::throttle::Throttle;
use carillon_core::{Error, Result};
use futures_util::FutureExt as _;
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
/// What is wrong is logged at once, and again after this time.
const REPEAT: Duration = Duration::from_secs(30);

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
        let mut follower = Self { revoked, bus, app, name, read: None, log: Throttle::every(REPEAT) };
        let mut why = "the bus does not answer".to_owned();
        let first = async {
            while let Err(error) = follower.look().await {
                why = error.to_string();
                sleep(PAUSE).await;
            }
        };
        if timeout(FIRST_READ, first).await.is_err() {
            tracing::warn!("what is revoked is not known yet: {why}; it is read as soon as that is possible");
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
            // Nothing was heard until now.
            self.read = None;
            self.tick().await;
            loop {
                tokio::select! {
                    message = told.recv() => match message {
                        Some(_) => {
                            // All that wait say the same; the runtime bounds how many are taken at once.
                            while told.recv().now_or_never().flatten().is_some() {}
                            self.read().await;
                        }
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
        let now = if added.new == 1 { "1 revocation is".to_owned() } else { format!("{} revocations are", added.new) };
        tracing::info!(clients = ended, "{now} in force now; clients that had to leave");
    }

    fn complain(&self, error: &Error) {
        if let Some(left_out) = self.log.allow() {
            tracing::warn!(left_out, "revocations: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use bytes::Bytes;
    use serde_json::json;

    use super::super::testing::Watched;
    use super::super::{KEY, revoke};
    use super::*;

    fn revocation(jti: &str) -> Revocation {
        serde_json::from_value(json!({"jti": jti, "until": 253_402_300_799_u64})).unwrap()
    }

    async fn follower(bus: &Arc<Watched>) -> (Follower, Arc<Revoked>) {
        let revoked = Arc::new(Revoked::new().unwrap());
        let bus: Arc<dyn Bus> = Arc::<Watched>::clone(bus);
        (Follower::new(Arc::clone(&revoked), bus, Weak::new()).await, revoked)
    }

    /// What is revoked between the first reading and the subscription is in force as soon as that stands.
    #[tokio::test(start_paused = true)]
    async fn the_list_is_read_once_notices_come() {
        let bus = Watched::new();
        let (follower, revoked) = follower(&bus).await;
        revoke(&*bus, revocation("one")).await.unwrap();
        let begun = Instant::now();
        let known = async {
            while revoked.number.get() != 1 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! { () = follower.follow() => {}, () = known => {} }
        assert!(begun.elapsed() < TICK, "{:?}", begun.elapsed());
    }

    /// However many notices wait, the list is read once for them; a notice that comes later has it read again.
    #[tokio::test(start_paused = true)]
    async fn many_notices_are_one_reading() {
        let bus = Watched::new();
        let (follower, revoked) = follower(&bus).await;
        let notices = async {
            bus.subscribed().await;
            sleep(Duration::from_millis(1)).await;
            let read = bus.gets();
            let channel = bus.own(CHANNEL);
            for _ in 0..100 {
                bus.publish(&channel, Bytes::new()).await.unwrap();
            }
            sleep(Duration::from_millis(1)).await;
            assert_eq!(bus.gets(), read + 1);
            revoke(&*bus, revocation("one")).await.unwrap();
            sleep(Duration::from_millis(1)).await;
            assert_eq!(revoked.number.get(), 1);
        };
        tokio::select! { () = follower.follow() => {}, () = notices => {} }
    }

    /// What is stored is revoked, whether the nodes are told or find it themselves.
    #[tokio::test(start_paused = true)]
    async fn a_notice_that_fails_leaves_it_revoked() {
        let bus = Watched::mute();
        let (follower, revoked) = follower(&bus).await;
        let node = async {
            bus.subscribed().await;
            sleep(TICK).await;
            assert_eq!(revoke(&*bus, revocation("one")).await.unwrap(), 1);
            sleep(READ_AGAIN + TICK).await;
            assert_eq!(revoked.number.get(), 1);
        };
        tokio::select! { () = follower.follow() => {}, () = node => {} }
    }

    /// The log of a start says what is wrong, where the bus answers.
    #[tokio::test(start_paused = true)]
    async fn a_start_says_why_the_list_is_not_known() {
        let bus = Watched::new();
        bus.set(&bus.own(KEY), Bytes::from_static(b"something else"), None).await.unwrap();
        let (mut lines, writer) = io::pipe().unwrap();
        let log = tracing_subscriber::fmt().with_writer(Arc::new(writer)).with_ansi(false).finish();
        let guard = tracing::subscriber::set_default(log);
        follower(&bus).await;
        // With the last who could write.
        drop(guard);
        let text = io::read_to_string(&mut lines).unwrap();
        assert!(text.contains("not known yet: the key carillon:revocations holds something else"), "{text}");
    }
}
