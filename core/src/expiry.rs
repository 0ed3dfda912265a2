//! When the tokens of connected clients end: one task for all of them, woken for the next.
//!
//! A client that has shown who it is is here from its CONNECT to its end; nothing else keeps or looks at it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::identity::Identity;

/// The longest that is slept at once: timers do not reach to the year 9999.
const NAP: Duration = Duration::from_secs(24 * 60 * 60);

/// When what has no end ends.
const NEVER: Duration = Duration::from_secs(1_000_000_000_000);

/// A client's place: when it is over, and a number that makes it unique.
pub(crate) type Place = (Instant, u64);

/// See the module's documentation.
pub(crate) struct Expiries {
    /// How long after its end a token is still good enough to stay.
    grace: Duration,
    waiting: Mutex<Waiting>,
    /// A new first one came.
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    clients: BTreeMap<Place, Weak<Client>>,
}

impl Expiries {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, waiting: Mutex::default(), news: Notify::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends `client` when `identity` has ended. What is returned takes it out again.
    pub(crate) fn watch(&self, client: &Arc<Client>, identity: &Identity) -> Option<Place> {
        let left = identity.expires_at().map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        let left = left.unwrap_or(NEVER);
        let end = Instant::now().checked_add(left.saturating_add(self.grace))?;
        let mut waiting = self.waiting();
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
                let now = Instant::now();
                let next = match self.due(now) {
                    Ok(client) => {
                        client.iter().for_each(|client| client.expired());
                        continue;
                    }
                    Err(next) => next,
                };
                tokio::select! {
                    () = tokio::time::sleep_until(next.unwrap_or(now + NAP).min(now + NAP)) => {}
                    () = self.news.notified() => {}
                }
            }
        })
        .await;
    }

    /// Takes the first client whose time is over, if it is still there; or tells when that of the next is.
    fn due(&self, now: Instant) -> Result<Option<Arc<Client>>, Option<Instant>> {
        let mut waiting = self.waiting();
        match waiting.clients.first_entry() {
            Some(first) if first.key().0 <= now => Ok(first.remove().upgrade()),
            Some(first) => Err(Some(first.key().0)),
            None => Err(None),
        }
    }
}

#[cfg(test)]
mod tests {
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
}
