//! Where the bus is shared: appends what this node publishes, and delivers what comes back, of all nodes, in the order of
//! the journal. What did not come over the bus is fetched from the journal.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::keeper::{Keeper, Outgoing};
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

    /// Runs until `stop`; at once over where there is nothing to follow. What waits to be appended then has `limit` to leave, and
    /// what has not is counted as lost.
    pub(crate) async fn run(self, stop: CancellationToken, limit: Duration) {
        let namespace = Arc::clone(&self.namespace);
        let Some((keeper, waiting)) = namespace.keeper().and_then(|keeper| Some((keeper, keeper.waiting()?))) else {
            return;
        };
        tokio::select! {
            () = self.append(keeper, waiting, &stop) => {}
            () = self.follow(keeper) => {}
            () = async { stop.cancelled().await; sleep(limit).await } => {
                tracing::warn!(namespace = &*keeper.name, "publishes that waited for the journal at the stop are lost");
            }
        }
    }

    // --- Appending ---------------------------------------------------------------------------------------------

    /// Appends what is published, until `stop` and until nothing is left.
    async fn append(&self, keeper: &Keeper, mut waiting: mpsc::Receiver<Outgoing>, stop: &CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                _ = waiting.recv_many(&mut batch, BATCH) => self.append_some(keeper, &mut batch).await,
                () = stop.cancelled() => break,
            }
        }
        // Whoever publishes from here on is told that nothing is taken any more.
        waiting.close();
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            self.append_some(keeper, &mut batch).await;
        }
    }

    async fn append_some(&self, keeper: &Keeper, batch: &mut Vec<Outgoing>) {
        let records: Vec<_> = batch.iter().map(|outgoing| outgoing.record.clone()).collect();
        let results = match keeper.mend().await {
            Ok(()) => {
                let known = keeper.state().last.clone();
                keeper.bus.append(&keeper.name, &records, keeper.bounds, known.as_ref()).await
            }
            Err(_) => Vec::new(),
        };
        let mut results = results.into_iter();
        for outgoing in batch.drain(..) {
            match results.next().unwrap_or_else(|| Err(Error::unavailable("the journal is away"))) {
                Ok(_) => keeper.counts.appended.inc(),
                // It may come back, and is not to come twice: it is lost.
                Err(error) if error.code() == Code::Timeout => {
                    keeper.state().breaks();
                    self.tell(keeper, "nobody knows what became of a publish", &error);
                    continue;
                }
                Err(error) => {
                    self.tell(keeper, "publishes go on without the journal", &error);
                    self.publish_apart(keeper, &outgoing).await;
                }
            }
            outgoing.settled();
        }
    }

    /// As if there were no journal.
    async fn publish_apart(&self, keeper: &Keeper, outgoing: &Outgoing) {
        keeper.state().breaks();
        let Outgoing { selection, series, copy, .. } = outgoing;
        let (namespace, publish) = (&self.namespace, Published { selection, series, copy });
        namespace.publish_apart_wait(keeper, namespace.space, publish).await;
        keeper.counts.apart.inc();
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
                    self.catch_up(keeper).await;
                    let (mut heard, mut reached) = (None, false);
                    loop {
                        reached = reached || keeper.is_reached();
                        tokio::select! {
                            message = subscription.recv() => match message {
                                Some(message) => self.hear(keeper, &message, &mut heard).await,
                                None => break,
                            },
                            // Nobody can come back here while it is not known how far the journal is.
                            () = sleep(RETRY), if !reached => self.catch_up(keeper).await,
                        }
                    }
                }
                Err(error) => self.tell(keeper, "the journal cannot be followed", &error),
            }
            sleep(RETRY).await;
        }
    }

    /// `heard` is what was heard last: numbers that go back are those of a journal that has forgotten something, as a
    /// replica may that has taken over. What comes then is new all the same, and nobody gets across it.
    async fn hear(&self, keeper: &Keeper, message: &Message, heard: &mut Option<Offset>) {
        let Ok(entry) = Entry::open(&message.payload) else { return keeper.counts.malformed.inc() };
        let before = heard.replace(entry.offset.clone());
        if before.is_some_and(|before| is_behind(&entry.offset, &before)) {
            keeper.state().breaks();
            return self.deliver(keeper, &entry).await;
        }
        let last = keeper.state().last.clone();
        match last {
            Some(last) if last.is_before(&entry.offset) => self.deliver(keeper, &entry).await,
            Some(last) if is_behind(&entry.offset, &last) => {}
            // Something is missing in between, or an epoch has begun.
            Some(_) => self.catch_up(keeper).await,
            // The first one that is heard of.
            None => self.deliver(keeper, &entry).await,
        }
    }

    /// Delivers what the journal has and this node has not, again and again until there is nothing.
    async fn catch_up(&self, keeper: &Keeper) {
        loop {
            let last = keeper.state().last.clone();
            let page = match keeper.read(last.as_ref(), if last.is_some() { PAGE } else { 1 }).await {
                Ok(page) => page,
                // The next message tries again.
                Err(error) => return self.tell(keeper, "the journal cannot be read", &error),
            };
            let Some(last) = last else {
                keeper.state().last = Some(page.last);
                return;
            };
            let new = behind(&page.entries, &last);
            if new.is_empty() {
                if !page.whole {
                    self.get_across(keeper, &last, &page.last.next()).await;
                }
                keeper.state().last = Some(page.last);
                return;
            }
            let mut last = &last;
            for joined in new.chunk_by(|one, other| one.offset.is_before(&other.offset)) {
                if !last.is_before(&joined[0].offset) {
                    self.get_across(keeper, last, &joined[0].offset).await;
                }
                for entry in joined {
                    self.deliver(keeper, entry).await;
                    last = &entry.offset;
                }
            }
        }
    }

    /// Something is missing between `last` and `next`, or an epoch is over: it is counted, and who takes offsets comes back
    /// and is told that it may have missed it.
    async fn get_across(&self, keeper: &Keeper, last: &Offset, next: &Offset) {
        keeper.counts.gaps.inc_by(next.number().saturating_sub(last.number() + 1));
        let _gate = keeper.gate.lock().await;
        // Who comes back meanwhile does not get across it either.
        keeper.state().last = Some(next.previous());
        if let Some(sessions) = &keeper.sessions {
            sessions.may_have_missed().await;
        }
    }

    async fn deliver(&self, keeper: &Keeper, entry: &Entry) {
        let _gate = keeper.gate.lock().await;
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

/// Those of `entries`, which are in order, that come after `last`.
fn behind<'a>(entries: &'a [Entry], last: &Offset) -> &'a [Entry] {
    let known = entries.iter().rposition(|entry| is_behind(&entry.offset, last));
    &entries[known.map_or(0, |at| at + 1)..]
}
