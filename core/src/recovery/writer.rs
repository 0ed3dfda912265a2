//! Writes down what is known of clients, so that it outlives their node: when it changes, and again before it is forgotten.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use prometheus::IntCounter;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::life::Life;
use super::pending::Last;
use super::sessions::{Known, Sessions, key};
use crate::journal::Keeper;
use crate::namespace::Namespace;

/// Clients that are written down side by side.
const AT_ONCE: usize = 64;

/// See the module's documentation. One for each namespace whose clients may come back.
pub(crate) struct Writer(pub(crate) Arc<Namespace>);

impl Writer {
    /// Runs until `stop`, and writes what is left then. What cannot be written within `limit` is left out, and counted.
    pub(crate) async fn run(self, stop: CancellationToken, limit: Duration) {
        let Some((keeper, sessions)) = self.0.recovering() else { return };
        tokio::select! {
            () = write(keeper, sessions, &stop) => {}
            () = async { stop.cancelled().await; sleep(limit).await } => {
                sessions.counts.left_out.inc_by(sessions.pending.len() as u64);
            }
        }
    }
}

async fn write(keeper: &Keeper, sessions: &Sessions, stop: &CancellationToken) {
    // What is written is known for as long as a client may be gone, and until this comes round again.
    let period = sessions.patience / 2;
    let mut again = interval_at(Instant::now() + period, period);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // In front of what there may always be more of.
            biased;
            _ = again.tick() => {
                let connected: Vec<_> = sessions.connected().values().filter_map(Weak::upgrade).collect();
                connected.iter().for_each(|client| client.is_known_otherwise());
            }
            some = sessions.pending.next(AT_ONCE) => {
                join_all(some.into_iter().map(|(pid, last)| carry_out(keeper, sessions, pid, last))).await;
            }
            () = stop.cancelled() => return,
        }
    }
}

/// Writes what there is to know of a client while it is connected, else what was last known of it.
async fn carry_out(keeper: &Keeper, sessions: &Sessions, pid: Arc<str>, last: Option<Last>) {
    let mut outcome = Outcome(Some(&sessions.counts.left_out));
    let (key, patience) = (key(&*keeper.bus, &pid), sessions.patience);
    let (known, ttl) = match (sessions.client(&pid).and_then(|client| client.known()), last) {
        (Some(known), _) => (keeper.seal.close(&pid, known), patience + patience / 2),
        (None, Some(last)) if is_over(keeper, &key, &pid, &last.life).await => return outcome.nothing_was_to_do(),
        (None, Some(Last { known: Some(known), .. })) => (keeper.seal.close(&pid, known), patience),
        (None, Some(_)) => (Bytes::new(), Duration::from_millis(1)),
        (None, None) => return outcome.nothing_was_to_do(),
    };
    // What cannot be written of one that is connected is written again in time.
    let written = keeper.bus.set(&key, known, Some(ttl)).await;
    outcome.0 = Some(sessions.counts.write(&written));
}

/// Whether what stands on the bus is about a later connection: another node may have written it.
async fn is_over(keeper: &Keeper, key: &str, pid: &str, life: &Life) -> bool {
    let written = keeper.bus.get(key).await.ok().flatten();
    let written = written.and_then(|written| keeper.seal.open(pid, written).ok());
    let other = written.and_then(|written| serde_json::from_slice::<Known>(&written).ok());
    other.is_some_and(|other| other.life > *life)
}

/// What became of one, counted when this is dropped.
struct Outcome<'a>(Option<&'a IntCounter>);

impl Outcome<'_> {
    /// There was nothing to do.
    fn nothing_was_to_do(mut self) {
        self.0 = None;
    }
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|counter| counter.inc());
    }
}
