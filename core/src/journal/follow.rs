//! Where the bus is shared: appends what this node publishes, and delivers what comes back, of all nodes, in the order of
//! the journal. What did not come over the bus is fetched from the journal.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::keeper::{Keeper, OUTGOING_DEPTH, Outgoing};
use super::publish::Published;
use super::{Entry, Offset, Record};
use crate::bus::Message;
use crate::error::{Code, Error, Result};
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
        let (mut batch, mut away) = (Vec::with_capacity(BATCH), None);
        loop {
            if batch.is_empty() {
                tokio::select! {
                    biased;
                    _ = waiting.recv_many(&mut batch, BATCH) => {}
                    () = stop.cancelled() => {}
                }
            }
            if stop.is_cancelled() {
                break;
            }
            self.append_some(keeper, &mut batch, |error| waits(keeper, &mut away, error, waiting.len())).await;
        }
        // Whoever publishes from here on is told that nothing is taken any more.
        waiting.close();
        while !batch.is_empty() || waiting.recv_many(&mut batch, BATCH).await > 0 {
            self.append_some(keeper, &mut batch, |_| false).await;
        }
    }

    /// Appends what can be appended. The rest, which surely was not, goes on without the journal, or is left while it waits;
    /// nothing that is published later comes before it.
    async fn append_some(
        &self,
        keeper: &Keeper,
        batch: &mut Vec<Outgoing>,
        mut waits: impl FnMut(Option<&Error>) -> bool,
    ) {
        let records: Vec<_> = batch.iter().map(|outgoing| outgoing.record.clone()).collect();
        let mut results = match keeper.mend().await {
            Ok(()) => keeper.bus.append(&keeper.name, &records, keeper.bounds, keeper.known().as_ref()).await,
            Err(error) => vec![Err(error)],
        };
        let surely_not = |result: &Result<Entry>| result.as_ref().is_err_and(|error| error.code() != Code::Timeout);
        let done = results.iter().position(surely_not).unwrap_or(results.len());
        let refusal = results.drain(done..).next().and_then(Result::err);
        for (outgoing, result) in batch.drain(..done).zip(results) {
            match result {
                Ok(entry) => {
                    keeper.counts.appended.inc();
                    keeper.state().appended = Some(entry.offset);
                    outgoing.settled();
                }
                // It may come back, and is not to come twice: it is lost.
                Err(error) => {
                    keeper.state().breaks();
                    self.tell(keeper, "nobody knows what became of a publish", &error);
                }
            }
        }
        if waits(refusal.as_ref()) {
            return sleep(AGAIN).await;
        }
        for outgoing in batch.drain(..) {
            if let Some(error) = &refusal {
                self.tell(keeper, "publishes go on without the journal", error);
            }
            self.publish_apart(keeper, &outgoing).await;
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
                    let (mut whole, mut heard) = (self.catch_up(keeper).await, None);
                    loop {
                        tokio::select! {
                            message = subscription.recv() => match message {
                                Some(message) => whole = self.hear(keeper, &message, &mut heard).await,
                                None => break,
                            },
                            // Nobody can come back here while it is not known how far the journal is, and nobody may
                            // publish.
                            () = sleep(RETRY), if !whole => whole = self.catch_up(keeper).await,
                        }
                    }
                }
                Err(error) => self.tell(keeper, "the journal cannot be followed", &error),
            }
            sleep(RETRY).await;
        }
    }

    /// `heard` is what was heard last: numbers that go back are those of a journal that has forgotten something, as a
    /// replica may that has taken over. What comes then is new all the same, and nobody gets across it. False when something
    /// is missing and cannot be read yet.
    async fn hear(&self, keeper: &Keeper, message: &Message, heard: &mut Option<Offset>) -> bool {
        let Ok(entry) = Entry::open(&message.payload) else {
            keeper.counts.malformed.inc();
            return true;
        };
        let before = heard.replace(entry.offset.clone());
        let goes_back = before.is_some_and(|before| is_behind(&entry.offset, &before));
        let last = keeper.state().last().cloned();
        match last {
            _ if goes_back => {
                keeper.state().breaks();
                self.count_forgotten(keeper, &entry.offset);
                self.deliver(keeper, &entry).await;
            }
            Some(last) if last.is_before(&entry.offset) => self.deliver(keeper, &entry).await,
            Some(last) if is_behind(&entry.offset, &last) => {}
            // Something is missing in between, or an epoch has begun.
            Some(_) => return self.catch_up(keeper).await,
            // The first one that is heard of.
            None => self.deliver(keeper, &entry).await,
        }
        true
    }

    /// Delivers what the journal has and this node has not, again and again until there is nothing; false when it cannot be
    /// read.
    async fn catch_up(&self, keeper: &Keeper) -> bool {
        // Where to read on when nothing of a part was new.
        let mut behind_known = None::<Offset>;
        loop {
            let last = keeper.state().last().cloned();
            let after = behind_known.take().or_else(|| last.clone());
            let page = match keeper.read(after.as_ref(), if last.is_some() { PAGE } else { 1 }).await {
                Ok(page) => page,
                Err(error) => {
                    self.tell(keeper, "the journal cannot be read", &error);
                    return false;
                }
            };
            let Some(last) = last else {
                keeper.state().reaches(page.last);
                return true;
            };
            let new = behind(&page.entries, &last);
            if new.is_empty() {
                if let Some(end) = page.entries.last().filter(|end| end.offset != page.last) {
                    behind_known = Some(end.offset.clone());
                    continue;
                }
                if !page.whole {
                    self.get_across(keeper, &last, &page.last.next()).await;
                }
                keeper.state().reaches(page.last);
                return true;
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
        self.count_forgotten(keeper, next);
        let _gate = keeper.gate.lock().await;
        // Who comes back meanwhile does not get across it either.
        keeper.state().reaches(next.previous());
        if let Some(sessions) = &keeper.sessions {
            sessions.may_have_missed().await;
        }
    }

    /// Another server keeps the journal, and had not got as far as this node knows.
    fn count_forgotten(&self, keeper: &Keeper, next: &Offset) {
        let forgotten = keeper.forgotten(next);
        if forgotten > 0 {
            keeper.counts.forgotten.inc_by(forgotten);
            let error = Error::unavailable(format!("{forgotten} publishes"));
            self.tell(keeper, "the journal has forgotten what came last", &error);
        }
    }

    async fn deliver(&self, keeper: &Keeper, entry: &Entry) {
        let _gate = keeper.gate.lock().await;
        match Record::read(keeper, entry) {
            Ok(record) => self.namespace.deliver_kept(keeper, &entry.offset, record).await,
            Err(error) => {
                keeper.counts.malformed.inc();
                keeper.state().reaches(entry.offset.clone());
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

/// Whether the rest of a batch waits: for as long as is set from when the journal was `away`, and while there is room for
/// what is published meanwhile.
fn waits(keeper: &Keeper, away: &mut Option<Instant>, error: Option<&Error>, behind: usize) -> bool {
    if error.is_none() {
        *away = None;
        return false;
    }
    let since = *away.get_or_insert_with(Instant::now);
    since.elapsed() < keeper.hold && behind < OUTGOING_DEPTH / 2 && keeper.has_much_room()
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
