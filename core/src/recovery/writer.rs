//! Writes down what is known of clients, so that it outlives their node: when it changes, and again before it is forgotten.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::sessions::{Known, Sessions, Write, key};
use crate::journal::Keeper;
use crate::namespace::Namespace;

/// Clients that are written down side by side.
const AT_ONCE: usize = 64;

/// See the module's documentation. One for each namespace whose clients may come back.
pub(crate) struct Writer(pub(crate) Arc<Namespace>);

impl Writer {
    /// Runs until `stop`, and writes what is left then.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Some((keeper, sessions)) = self.0.recovering() else { return };
        let Some(mut waiting) = sessions.waiting() else { return };
        // What is written is known for as long as a client may be gone, and until this comes round again.
        let period = sessions.patience / 2;
        let mut again = interval_at(Instant::now() + period, period);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                biased;
                count = waiting.recv_many(&mut batch, AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    join_all(batch.drain(..).map(|write| carry_out(keeper, sessions, write))).await;
                }
                () = stop.cancelled() => return,
                _ = again.tick() => {
                    let connected: Vec<_> = sessions.connected().values().filter_map(Weak::upgrade).collect();
                    for client in connected {
                        client.is_known_otherwise();
                    }
                }
            }
        }
    }
}

async fn carry_out(keeper: &Keeper, sessions: &Sessions, write: Write) {
    let patience = sessions.patience;
    match write {
        Write::Client(pid) => {
            let Some(known) = sessions.client(&pid).and_then(|client| client.known()) else { return };
            let known = keeper.seal.close(&pid, known);
            // One that cannot be written now is written again in time.
            keeper.bus.set(&key(&*keeper.bus, &pid), known, Some(patience + patience / 2)).await.ok();
        }
        Write::Last { pid, life, known } => {
            let key = key(&*keeper.bus, &pid);
            // What another node has written since is about the client's next life.
            let written = keeper.bus.get(&key).await.ok().flatten();
            let written = written.and_then(|written| keeper.seal.open(&pid, written).ok());
            let other = written.and_then(|written| serde_json::from_slice::<Known>(&written).ok());
            if other.is_some_and(|other| other.life > life) {
                return;
            }
            let (known, ttl) = match known {
                Some(known) => (keeper.seal.close(&pid, known), patience),
                None => (Bytes::new(), std::time::Duration::from_millis(1)),
            };
            keeper.bus.set(&key, known, Some(ttl)).await.ok();
        }
    }
}
