//! Where the bus is shared: appends what this node publishes, and delivers what comes back, of all nodes, in the order of
//! the journal. What did not come over the bus is fetched from the journal.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::keeper::{Keeper, OUTGOING_DEPTH, Outgoing};
use super::publish::Published;
use super::{Entry, Offset, Record};
use crate::bus::Message;
use crate::error::{Code, Error};
use crate::host::Shared;
use crate::namespace::Namespace;
use crate::throttle::Throttle;

/// Publishes that are appended with one request.
const BATCH: usize = 256;
/// Entries that are fetched with one request.
const PAGE: usize = 256;
/// Pause before a journal that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The same before what could not be appended is.
const AGAIN: Duration = Duration::from_millis(50);

/// See the module's documentation.
pub(crate) struct Follower {
    namespace: Arc<Namespace>,
    /// The way to other nodes for what cannot be appended.
    shared: Weak<Shared>,
    log: Throttle,
}

impl Follower {
    pub(crate) fn new(namespace: &Arc<Namespace>, shared: &Arc<Shared>) -> Self {
        let (namespace, shared) = (Arc::clone(namespace), Arc::downgrade(shared));
        Self { namespace, shared, log: Throttle::per_second() }
    }

    /// Runs until `stop`; at once over where there is nothing to follow.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let namespace = Arc::clone(&self.namespace);
        let Some((keeper, waiting)) = namespace.keeper().and_then(|keeper| Some((keeper, keeper.waiting()?))) else {
            return;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(self.append(keeper, waiting), self.follow(keeper)); } => {}
        }
    }

    // --- Appending ---------------------------------------------------------------------------------------------

    async fn append(&self, keeper: &Keeper, mut waiting: mpsc::Receiver<Outgoing>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut away = None::<Instant>;
        while !batch.is_empty() || waiting.recv_many(&mut batch, BATCH).await > 0 {
            let refused = self.append_batch(keeper, &mut batch).await;
            if batch.is_empty() {
                away = None;
                continue;
            }
            // The rest is not in the journal, and waits for a moment, before anything that is published later.
            let since = *away.get_or_insert_with(Instant::now);
            if since.elapsed() < keeper.hold && waiting.len() < OUTGOING_DEPTH / 2 && keeper.has_much_room() {
                sleep(AGAIN).await;
                continue;
            }
            for outgoing in batch.drain(..) {
                self.tell(keeper, "publishes go on without the journal", &refused);
                self.publish_apart(keeper, &outgoing).await;
            }
        }
    }

    /// Appends what can be appended, and leaves the rest, which was surely not.
    async fn append_batch(&self, keeper: &Keeper, batch: &mut Vec<Outgoing>) -> Error {
        let records: Vec<_> = batch.iter().map(|outgoing| outgoing.record.clone()).collect();
        let results = match keeper.mend().await {
            Ok(()) => keeper.bus.append(&keeper.name, &records, keeper.bounds, keeper.known().as_ref()).await,
            Err(error) => return error,
        };
        let mut done = 0;
        for result in results {
            match result {
                Ok(entry) => {
                    keeper.counts.appended.inc();
                    keeper.state().appended = Some(entry.offset);
                }
                // It may come back, and is not to come twice.
                Err(error) if error.code() == Code::Timeout => {
                    keeper.counts.lost.inc();
                    keeper.state().broken = true;
                    self.tell(keeper, "nobody knows what became of a publish", &error);
                }
                Err(error) => {
                    batch.drain(..done);
                    return error;
                }
            }
            done += 1;
        }
        batch.drain(..done);
        Error::unavailable("the journal is away")
    }

    /// As if there were no journal.
    async fn publish_apart(&self, keeper: &Keeper, outgoing: &Outgoing) {
        keeper.counts.apart.inc();
        keeper.state().broken = true;
        let Outgoing { selection, series, copy, .. } = outgoing;
        let (namespace, publish) = (&self.namespace, Published { selection, series, copy });
        namespace.publish_apart_wait(keeper, namespace.space, publish).await;
        if let Some(shared) = self.shared.upgrade()
            && let Some(cluster) = &shared.cluster
        {
            cluster.publish(&namespace.name, selection, &copy.0, copy.1);
        }
    }

    // --- Following ---------------------------------------------------------------------------------------------

    async fn follow(&self, keeper: &Keeper) {
        let channel = [keeper.bus.journal_channel(&keeper.name)];
        loop {
            match keeper.bus.subscribe(&channel).await {
                Ok(mut subscription) => {
                    // What was published between the end of the last subscription and the beginning of this one.
                    let mut whole = self.catch_up(keeper).await;
                    let mut heard = None;
                    loop {
                        let next = subscription.recv();
                        let next = if whole { Ok(next.await) } else { timeout(RETRY, next).await };
                        whole = match next {
                            Ok(Some(message)) => self.hear(keeper, &message, &mut heard).await,
                            Ok(None) => break,
                            // Nobody publishes, and something may be missing.
                            Err(_) => self.catch_up(keeper).await,
                        };
                    }
                }
                Err(error) => self.tell(keeper, "the journal cannot be followed", &error),
            }
            sleep(RETRY).await;
        }
    }

    /// `heard` is what was heard last: numbers that go back are those of a journal that has forgotten something, as a
    /// replica may that has taken over. What comes then is new all the same, and nobody gets across it. False when something
    /// is missing and could not be read.
    async fn hear(&self, keeper: &Keeper, message: &Message, heard: &mut Option<Offset>) -> bool {
        let Ok(entry) = Entry::open(&message.payload) else {
            keeper.counts.malformed.inc();
            return true;
        };
        let before = heard.replace(entry.offset.clone());
        let goes_back = before.is_some_and(|before| is_behind(&entry.offset, &before));
        if goes_back {
            keeper.state().broken = true;
        }
        let last = keeper.state().last.clone();
        match last {
            _ if goes_back => self.deliver(keeper, &entry).await,
            Some(last) if last.is_before(&entry.offset) => self.deliver(keeper, &entry).await,
            Some(last) if is_behind(&entry.offset, &last) => {}
            // Something is missing in between, or an epoch has begun.
            Some(_) => return self.catch_up(keeper).await,
            // The first one that is heard of.
            None => self.deliver(keeper, &entry).await,
        }
        true
    }

    /// Delivers what the journal has and this node has not, again and again until there is nothing; false when it could not
    /// be read.
    async fn catch_up(&self, keeper: &Keeper) -> bool {
        // Further than what was delivered where what comes first is known.
        let mut from = None::<Offset>;
        loop {
            let last = keeper.state().last.clone();
            let after = from.take().or_else(|| last.clone());
            let page = match keeper.read(after.as_ref(), if last.is_some() { PAGE } else { 1 }).await {
                Ok(page) => page,
                Err(error) => {
                    self.tell(keeper, "the journal cannot be read", &error);
                    return false;
                }
            };
            let Some(last) = last else {
                keeper.state().last = Some(page.last);
                return true;
            };
            let missed = page.entries.first().map_or(0, |first| missed(&last, &first.offset));
            if !page.whole {
                keeper.counts.gaps.inc_by(missed);
            }
            let new = behind(&page.entries, &last);
            match (new, page.entries.last()) {
                ([], Some(end)) if end.offset != page.last => from = Some(end.offset.clone()),
                ([], _) => {
                    keeper.state().last = Some(page.last);
                    return true;
                }
                _ => {
                    for entry in new {
                        self.deliver(keeper, entry).await;
                    }
                }
            }
        }
    }

    async fn deliver(&self, keeper: &Keeper, entry: &Entry) {
        let _gate = keeper.gate.lock().await;
        let before = keeper.state().last.clone();
        let forgotten = keeper.forgotten(&entry.offset);
        if forgotten > 0 {
            keeper.counts.forgotten.inc_by(forgotten);
            let error = Error::unavailable(format!("it has forgotten {forgotten} publishes"));
            self.tell(keeper, "another server keeps the journal now, and had not got as far", &error);
        }
        if before.is_some_and(|before| before.epoch() != entry.offset.epoch())
            && let Some(sessions) = &keeper.sessions
        {
            sessions.may_have_missed().await;
        }
        match Record::read(keeper, entry) {
            Ok(record) => self.namespace.deliver_kept(keeper, &entry.offset, &record).await,
            Err(error) => {
                keeper.counts.malformed.inc();
                keeper.state().last = Some(entry.offset.clone());
                self.tell(keeper, "something in the journal is no publish", &error);
            }
        }
    }

    fn tell(&self, keeper: &Keeper, what: &str, error: &Error) {
        if let Some(left_out) = self.log.allow() {
            tracing::warn!(left_out, namespace = &*keeper.name, "{what}: {error}");
        }
    }
}

/// Whether `offset` was delivered, when `last` was the last that was.
fn is_behind(offset: &Offset, last: &Offset) -> bool {
    offset.epoch() == last.epoch() && offset.number() <= last.number()
}

/// How many numbers lie between the two.
fn missed(last: &Offset, first: &Offset) -> u64 {
    first.number().saturating_sub(last.number() + 1)
}

/// Those of `entries`, which are in order, that come after `last`.
fn behind<'a>(entries: &'a [Entry], last: &Offset) -> &'a [Entry] {
    let known = entries.iter().rposition(|entry| is_behind(&entry.offset, last));
    &entries[known.map_or(0, |at| at + 1)..]
}
