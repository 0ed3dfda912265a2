//! What this node says to the others: one queue and one task, so that what one task publishes stays in its order; each
//! channel has numbers of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use prometheus::IntCounter;
use tokio::sync::mpsc;

use super::Counters;
use super::alive::Alive;
use super::channels::{Channels, Part, Place};
use super::ends::Voice;
use crate::bus::Bus;
use crate::peer::NodeId;

/// Publishes that wait for the bus; more are dropped and counted.
const DEPTH: usize = 10_000;
/// Channels that are numbered at once, of which many may be those of nodes that are gone.
const VOICES: usize = 65_536;

/// The entrance to the queue.
pub(super) struct Outgoing {
    queue: mpsc::Sender<(Place, Bytes)>,
    skipped: Arc<Skipped>,
    dropped: IntCounter,
}

/// How many did not fit since the last that did: others are to miss them.
#[derive(Default)]
struct Skipped {
    any: AtomicBool,
    of: Mutex<HashMap<Place, u64>>,
}

impl Skipped {
    fn add(&self, place: Place) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        *of.entry(place).or_default() += 1;
        self.any.store(true, Ordering::Release);
    }

    fn take(&self, place: &Place) -> u64 {
        if !self.any.load(Ordering::Acquire) {
            return 0;
        }
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of.remove(place).unwrap_or_default();
        self.any.store(!of.is_empty(), Ordering::Release);
        count
    }
}

/// The task behind the queue.
pub(super) struct Sending {
    node: NodeId,
    queue: mpsc::Receiver<(Place, Bytes)>,
    skipped: Arc<Skipped>,
    voices: HashMap<Place, Voice>,
    channels: Channels,
    secret: Option<String>,
}

impl Outgoing {
    /// The queue, and the task that empties it.
    pub(super) fn new(node: NodeId, channels: &Channels, secret: Option<&str>, dropped: IntCounter) -> (Self, Sending) {
        let (sender, queue) = mpsc::channel(DEPTH);
        let skipped = Arc::<Skipped>::default();
        let sending = Sending {
            node,
            queue,
            skipped: Arc::clone(&skipped),
            voices: HashMap::new(),
            channels: channels.clone(),
            secret: secret.map(str::to_owned),
        };
        (Self { queue: sender, skipped, dropped }, sending)
    }

    /// Queues a message, or drops and counts it.
    pub(super) fn push(&self, place: Place, message: Bytes) {
        if let Err(error) = self.queue.try_send((place, message)) {
            let (place, _) = error.into_inner();
            self.skipped.add(place);
            self.dropped.inc();
        }
    }
}

impl Sending {
    /// Sends what is queued, for ever.
    pub(super) async fn run(mut self, bus: &dyn Bus, counters: &Counters, alive: &Alive) {
        while let Some((place, message)) = self.queue.recv().await {
            let missed = self.skipped.take(&place);
            if self.voices.len() > VOICES {
                self.voices.retain(|place, _| !matches!(place.part, Part::Node(node) if !alive.knows(node)));
            }
            let voice = self.voices.entry(place).or_insert_with_key(|Place { namespace, part }| {
                Voice::new(self.channels.name(namespace, *part), self.secret.as_deref())
            });
            let sealed = voice.seal(self.node, missed, &message);
            counters.count(if bus.publish(&voice.channel, sealed).await.is_ok() { "sent" } else { "dropped" });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::envelope::Envelopes;
    use super::*;
    use crate::bus::BusContext;
    use crate::bus::memory::MemoryBus;
    use crate::metrics::Metrics;

    /// What did not fit into the queue is a hole in its own channel, and in no other.
    #[tokio::test]
    async fn what_does_not_fit_leaves_a_hole_in_its_channel() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let counters = Counters::new(&metrics).unwrap();
        let bus = MemoryBus::new(BusContext::new(metrics));
        let channels = Channels::new(&bus);
        let names = [Part::Everybody, Part::Rooms(1)].map(|part| channels.name("/n", part));
        let mut heard = bus.subscribe(&names).await.unwrap();
        let alive = Alive::new(prometheus::IntGauge::new("nodes", "nodes").unwrap());
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let (outgoing, sending) = Outgoing::new(NodeId::random(), &channels, None, dropped.clone());
        let push = |part| outgoing.push(Place { namespace: "/n".into(), part }, Bytes::new());
        (0..DEPTH + 3).for_each(|_| push(Part::Everybody));
        push(Part::Rooms(1));
        assert_eq!(dropped.get(), 4);
        let sequence = |message: &[u8]| Envelopes::new("", None).open(message).unwrap().sequence;
        let testing = async {
            for at in 1..=DEPTH as u64 {
                // The first one after a loss tells of it.
                assert_eq!(sequence(&heard.recv().await.unwrap().payload), at + 3);
            }
            push(Part::Rooms(1));
            assert_eq!(sequence(&heard.recv().await.unwrap().payload), 2);
            push(Part::Everybody);
            assert_eq!(sequence(&heard.recv().await.unwrap().payload), DEPTH as u64 + 4);
        };
        tokio::select! {
            () = sending.run(&bus, &counters, &alive) => unreachable!("it runs for ever"),
            () = testing => {}
        }
    }
}
