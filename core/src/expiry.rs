//! When the tokens of connected clients end: one task for all of them, woken for the next.
//!
//! A client that has shown who it is is here from its CONNECT to its end; nothing else keeps or looks at it. Tokens end by the
//! clock on the wall, and timers stand still while the machine sleeps: it is looked at both at least once a minute, and what
//! the timers have missed is added. A clock that is set back lets nobody who is here stay longer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::identity::Identity;

/// The longest that is slept at once: nobody stays longer than this after a clock was set ahead, or the machine awoke.
const NAP: Duration = Duration::from_secs(60);

/// How far the clocks may go apart before it counts: reading one after the other takes time.
const STEP: Duration = Duration::from_secs(1);

/// When what has no end ends.
const NEVER: Duration = Duration::from_secs(1_000_000_000_000);

/// A client's place: when it is over, as [`Clocks::now`] tells the time, and a number that makes it unique.
pub(crate) type Place = (Instant, u64);

/// See the module's documentation.
pub(crate) struct Expiries {
    /// How long after its end a token is still good enough to stay.
    grace: Duration,
    waiting: Mutex<Waiting>,
    /// A new first one came.
    news: Notify,
}

struct Waiting {
    last: u64,
    clients: BTreeMap<Place, Weak<Client>>,
    clocks: Clocks,
}

/// The clock of timers, put ahead by what the one on the wall was.
struct Clocks {
    /// Both, when they last went together.
    seen: (SystemTime, Instant),
    ahead: Duration,
}

impl Clocks {
    fn new() -> Self {
        Self { seen: (SystemTime::now(), Instant::now()), ahead: Duration::ZERO }
    }

    fn now(&mut self) -> Instant {
        let (wall, timers) = (SystemTime::now(), Instant::now());
        let by_wall = wall.duration_since(self.seen.0).unwrap_or_default();
        let by_timers = timers.duration_since(self.seen.1);
        if by_wall.abs_diff(by_timers) >= STEP {
            self.ahead = self.ahead.saturating_add(by_wall.saturating_sub(by_timers));
            self.seen = (wall, timers);
        }
        timers.checked_add(self.ahead).unwrap_or(timers)
    }
}

impl Expiries {
    pub(crate) fn new(grace: Duration) -> Self {
        let waiting = Waiting { last: 0, clients: BTreeMap::new(), clocks: Clocks::new() };
        Self { grace, waiting: Mutex::new(waiting), news: Notify::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends `client` when `identity` has ended. What is returned takes it out again.
    pub(crate) fn watch(&self, client: &Arc<Client>, identity: &Identity) -> Option<Place> {
        let left = identity.expires_at().map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        let left = left.unwrap_or(NEVER);
        let mut waiting = self.waiting();
        let end = waiting.clocks.now().checked_add(left.saturating_add(self.grace))?;
        waiting.last += 1;
        let place = (end, waiting.last);
        waiting.clients.insert(place, Arc::downgrade(client));
        if waiting.clients.keys().next() == Some(&place) {
            self.news.notify_one();
        }
        Some(place)
    }

    /// Forgets a client.
    pub(crate) fn forget(&self, place: Place) {
        self.waiting().clients.remove(&place);
    }

    /// Everybody who is watched.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.waiting().clients.values().filter_map(Weak::upgrade).collect()
    }

    /// How many are watched.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waiting().clients.len()
    }

    /// The task.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                let next = match self.due() {
                    Ok(client) => {
                        client.iter().for_each(|client| client.expired());
                        continue;
                    }
                    Err(next) => next,
                };
                tokio::select! {
                    () = tokio::time::sleep(next.unwrap_or(NAP).min(NAP)) => {}
                    () = self.news.notified() => {}
                }
            }
        })
        .await;
    }

    /// Takes the first client whose time is over, if it is still there; or tells how long that of the next has.
    fn due(&self) -> Result<Option<Arc<Client>>, Option<Duration>> {
        let mut waiting = self.waiting();
        let now = waiting.clocks.now();
        match waiting.clients.first_entry() {
            Some(first) if first.key().0 <= now => Ok(first.remove().upgrade()),
            Some(first) => Err(Some(first.key().0.duration_since(now))),
            None => Err(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;

    use crate::prelude::*;
    use crate::testing::Harness;

    struct Quiet;

    impl Plugin for Quiet {
        const NAME: &'static str = "quiet";
        const NAMESPACE: &'static str = "/quiet";
        type Config = NoConfig;

        async fn init(_: NoConfig, _: Host) -> Result<Self> {
            Ok(Self)
        }

        fn routes(_: &mut Routes<Self>, _: &NoConfig) {}
    }

    /// Who has gone is not remembered until its token would have ended; who has shown nothing never is.
    #[tokio::test(start_paused = true)]
    async fn nobody_is_kept_who_has_gone() {
        let harness = Harness::of::<Quiet>().await;
        let watched = || harness.app().shared().namespaces["/quiet"].expiries.len();
        let far = json!({"sub": "ann", "exp": 253_402_300_799_u64});
        let ann = harness.connect_as("/quiet", far.clone()).await.unwrap();
        let bob = harness.connect_as("/quiet", far).await.unwrap();
        let key = harness.connect_as("/quiet", json!({"sub": "key"})).await.unwrap();
        let _nobody = harness.connect("/quiet").await.unwrap();
        assert_eq!(watched(), 3);
        tokio::time::sleep(Duration::from_secs(1_000_000)).await;
        assert!(ann.sink().closed().is_none() && watched() == 3);
        ann.close(Reason::TransportClose);
        bob.close(Reason::TransportClose);
        key.close(Reason::TransportClose);
        assert_eq!(watched(), 0);
    }

    /// A clock that is set ahead, or a machine that slept, keeps nobody; who comes then has the time that its token has. A clock
    /// that is set back changes nothing.
    #[tokio::test(start_paused = true)]
    async fn clocks_that_step_are_followed() {
        let harness = Harness::of::<Quiet>().await;
        let hour = Duration::from_secs(3_600);
        let for_hours = |sub: &str, hours: u32| {
            let end = (SystemTime::now() + hours * hour).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            json!({"sub": sub, "exp": end})
        };
        let expiries = &harness.app().shared().namespaces["/quiet"].expiries;
        let ann = harness.connect_as("/quiet", for_hours("ann", 2)).await.unwrap();
        let bob = harness.connect_as("/quiet", for_hours("bob", 6)).await.unwrap();
        expiries.waiting().clocks.seen.0 += hour;
        tokio::time::sleep(hour).await;
        assert!(ann.sink().closed().is_none());
        expiries.waiting().clocks.seen = (SystemTime::now() - 2 * hour, tokio::time::Instant::now());
        let cat = harness.connect_as("/quiet", for_hours("cat", 2)).await.unwrap();
        tokio::time::sleep(super::NAP).await;
        assert_eq!(ann.sink().closed(), Some(Reason::TokenExpired));
        assert!(bob.sink().closed().is_none());
        tokio::time::sleep(hour).await;
        assert!(cat.sink().closed().is_none() && bob.sink().closed().is_none());
        tokio::time::sleep(2 * hour).await;
        assert_eq!(
            (cat.sink().closed(), bob.sink().closed()),
            (Some(Reason::TokenExpired), Some(Reason::TokenExpired))
        );
    }
}
