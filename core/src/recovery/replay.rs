//! A client that has come back gets what it has missed, in order and before anything new, no faster than it reads.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Resumed;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::journal::{Keeper, Kept, Offset, Page};
use crate::sink::{Pushed, Reason, Sink};

/// Publishes that are read, and leave, together.
const PAGE: usize = 256;
/// What is left in the end, at most, and how often it is tried to leave nothing before everybody has to wait for it.
const REST: usize = 4 * PAGE;
const TRIES: usize = 20;
/// Publishes that leave before other work has the thread: what others wait for is not held up by what one has missed.
const AT_ONCE: usize = 32;
/// How long this node may be behind what the client has got from another.
const BEHIND: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

impl Client {
    /// Sends what the client has missed, and opens it; one that has missed nothing is opened at once. One that cannot get
    /// all of it is closed: it comes back and is told so.
    pub(crate) async fn open(self: &Arc<Self>) {
        let namespace = Arc::clone(&self.namespace);
        let resumed = self.membership().and_then(|membership| membership.resumed.as_ref());
        let (Some(keeper), Some(resumed), Some(sink)) = (namespace.keeper(), resumed, self.sink()) else {
            return self.opened();
        };
        let result = self.replay(keeper, resumed, &sink).await;
        if let Some(sessions) = &keeper.sessions {
            sessions.counts.count(if result.is_ok() { "recovered" } else { "broken_off" });
        }
        if let Err(error) = result {
            let namespace = &*namespace.name;
            tracing::debug!(namespace, "a client that came back does not get all it has missed: {error}");
            sink.close(Reason::Resumed);
        }
    }

    async fn replay(self: &Arc<Self>, keeper: &Keeper, resumed: &Resumed, sink: &Arc<dyn Sink>) -> Result<()> {
        let mut at = resumed.offset.clone();
        self.wait_for(keeper, &at).await?;
        for _ in 0..TRIES {
            self.send_pages(keeper, resumed, sink, &mut at).await?;
            let state = keeper.state();
            if state.last() == Some(&at) {
                self.open_in(Some(&state));
                return Ok(());
            }
        }
        // There is always something new: it waits, until the little that is left has been sent.
        let _gate = keeper.gate.lock().await;
        let missed = if keeper.is_here() { None } else { Some(missed(keeper, &at, REST).await?) };
        let state = keeper.state();
        let missed = missed.map_or_else(|| until(keeper, &keeper.read_here(Some(&at), REST)?, state.last()), Ok)?;
        if missed.last().is_some_and(|last| state.last() != Some(&last.offset)) {
            return Err(Error::overloaded("it reads more slowly than is published"));
        }
        self.send_now(keeper, resumed, sink, &missed)?;
        self.open_in(Some(&state));
        Ok(())
    }

    /// Sends what was missed after `at`, and sets it forward, until nothing is left.
    async fn send_pages(
        &self,
        keeper: &Keeper,
        resumed: &Resumed,
        sink: &Arc<dyn Sink>,
        at: &mut Offset,
    ) -> Result<()> {
        loop {
            // Who has missed nothing costs no read.
            if keeper.state().last() == Some(&*at) {
                return Ok(());
            }
            let missed = missed(keeper, at, PAGE).await?;
            self.send_missed(keeper, resumed, sink, &missed).await?;
            let Some(last) = missed.last() else { return Ok(()) };
            *at = last.offset.clone();
        }
    }

    /// Waits until this node has delivered as much as the client has got.
    async fn wait_for(&self, keeper: &Keeper, at: &Offset) -> Result<()> {
        let deadline = Instant::now() + BEHIND;
        loop {
            let last = keeper.state().last().cloned();
            if last.is_some_and(|last| last.epoch() == at.epoch() && last.number() >= at.number()) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::unavailable("this node is behind"));
            }
            sleep(LOOK).await;
        }
    }

    /// Sends some of what was missed, as the client reads.
    async fn send_missed(
        &self,
        keeper: &Keeper,
        resumed: &Resumed,
        sink: &Arc<dyn Sink>,
        missed: &[Arc<Kept>],
    ) -> Result<()> {
        let mut rest = missed;
        while let Some((kept, behind)) = rest.split_first() {
            if let Some(room) = sink.ready() {
                room.await;
            }
            let cork = Cork::new(sink);
            self.send_one(keeper, resumed, sink, kept)?;
            rest = behind;
            for _ in 1..AT_ONCE {
                let Some((kept, behind)) = rest.split_first().filter(|_| sink.ready().is_none()) else { break };
                self.send_one(keeper, resumed, sink, kept)?;
                rest = behind;
            }
            drop(cork);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn send_now(&self, keeper: &Keeper, resumed: &Resumed, sink: &Arc<dyn Sink>, missed: &[Arc<Kept>]) -> Result<()> {
        let _cork = (!missed.is_empty()).then(|| Cork::new(sink));
        missed.iter().try_for_each(|kept| self.send_one(keeper, resumed, sink, kept))
    }

    fn send_one(&self, keeper: &Keeper, resumed: &Resumed, sink: &Arc<dyn Sink>, kept: &Kept) -> Result<()> {
        // What is no publish was delivered to nobody.
        let Some(record) = &kept.record else { return Ok(()) };
        if !record.is_for(self.peer.id(), &resumed.rooms) {
            return Ok(());
        }
        let item = kept.ended(record);
        if !matches!(sink.send(item), Pushed::Delivered | Pushed::Queued) {
            return Err(Error::unavailable("the client is gone"));
        }
        self.namespace.series(&record.event).count(1, item.len());
        if let Some(sessions) = &keeper.sessions {
            sessions.counts.replayed.inc();
        }
        Ok(())
    }
}

/// Up to so many of what has been delivered to this node's other clients after `at`. The bus is asked for what is not at hand.
async fn missed(keeper: &Keeper, at: &Offset, many: usize) -> Result<Vec<Arc<Kept>>> {
    let at_hand = keeper.state().delivered_after(at, many);
    if let Some(missed) = at_hand {
        return Ok(missed);
    }
    let page = keeper.in_turn(keeper.read(Some(at), many)).await?;
    let delivered = keeper.state().last().cloned();
    until(keeper, &page, delivered.as_ref())
}

/// What of a page has been delivered to this node's other clients.
fn until(keeper: &Keeper, page: &Page, delivered: Option<&Offset>) -> Result<Vec<Arc<Kept>>> {
    let delivered = delivered.filter(|_| page.whole).ok_or_else(|| Error::not_found("it is kept no longer"))?;
    let is_delivered = |offset: &Offset| offset.epoch() == delivered.epoch() && offset.number() <= delivered.number();
    let delivered = page.entries.iter().take_while(|entry| is_delivered(&entry.offset));
    Ok(delivered.map(|entry| Arc::new(Kept::read(keeper, entry))).collect())
}

/// What is sent while this lives leaves together.
struct Cork<'a>(&'a Arc<dyn Sink>);

impl<'a> Cork<'a> {
    fn new(sink: &'a Arc<dyn Sink>) -> Self {
        sink.cork();
        Self(sink)
    }
}

impl Drop for Cork<'_> {
    fn drop(&mut self) {
        self.0.uncork();
    }
}
