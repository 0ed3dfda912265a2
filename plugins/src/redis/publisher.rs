//! Sends publishes to Redis, in order, many at a time; to this process's own subscribers while Redis is away.
//!
//! One queue and one task, so that what one task publishes stays in its order. Everything that waits goes out as one
//! pipeline, and the next pipeline only after the answer to this one: under load the pipelines grow by themselves, and when
//! Redis fails no more than one of them has an unknown fate.
//!
//! At most once: publishes whose answer never came may have been received, so they are counted as lost and neither repeated
//! nor delivered locally. Publishes Redis surely did not take (never sent, or refused by name) reach local subscribers.
//! What a node of a cluster did not take because another has the channel now waits a moment for [`Moved`] to hand it on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use carillon_core::{Error, Result};
use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection};
use deadpool_redis::redis::{Pipeline, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::address::{answer_in, unlimited};
use super::feeds::Feeds;
use super::link::{Link, Session, Verdict};
use super::moved::{GiveBack, Moved};
use super::series::Series;
use super::subscriber::CONNECT_TIMEOUT;
use super::target::Target;

/// Publishes that may wait; more are refused and counted.
const QUEUE: usize = 10_000;
/// Bytes that may wait.
const QUEUE_BYTES: usize = 64 << 20;
/// How long a publish waits for room in the queue.
const ROOM_TIMEOUT: Duration = Duration::from_millis(250);
/// How long Redis may take to answer a pipeline, at least: a Redis that stalls for less costs nothing but this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Publishes in one pipeline.
const BATCH: usize = 512;
/// How long publishes still waiting at shutdown may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The entrance to the queue.
pub(super) struct Queue {
    sender: mpsc::Sender<Outgoing>,
    room: Arc<Semaphore>,
    series: Series,
}

/// A publish on its way.
pub(super) struct Outgoing {
    pub(super) channel: Box<str>,
    payload: Bytes,
    /// Its bytes' part of [`QUEUE_BYTES`], given back when it has been dealt with.
    _room: OwnedSemaphorePermit,
}

impl Queue {
    /// Queues one publish.
    pub(super) async fn push(&self, channel: &str, payload: Bytes) -> Result<()> {
        let bytes = u32::try_from(channel.len() + payload.len()).ok().filter(|bytes| *bytes as usize <= QUEUE_BYTES);
        let bytes = bytes.ok_or_else(|| Error::too_large(format!("a publish is limited to {QUEUE_BYTES} bytes")))?;
        let push = async {
            let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.ok()?;
            self.sender.send(Outgoing { channel: channel.into(), payload, _room: room }).await.ok()
        };
        match timeout(ROOM_TIMEOUT, push).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(Error::unavailable("the bus has shut down")),
            Err(_) => {
                self.series.lost_full.inc();
                Err(Error::overloaded("too many publishes wait for Redis"))
            }
        }
    }

    /// Queues one that another server did not take.
    pub(super) fn push_again(&self, publish: Outgoing) {
        if self.sender.try_send(publish).is_err() {
            self.series.lost_full.inc();
        }
    }
}

/// The other ends of a publisher.
pub(super) struct Ends {
    pub(super) queue: Queue,
    pub(super) probes: mpsc::Sender<ProbeRequest>,
    pub(super) give_back: mpsc::Sender<GiveBack>,
    /// Whether publishes wait that belong elsewhere.
    pub(super) holds: Arc<AtomicBool>,
}

/// A probe to be published on the connection of this session.
pub(super) struct ProbeRequest {
    pub(super) session: Session,
    pub(super) channel: Arc<str>,
    pub(super) number: u64,
}

/// What became of a pipeline.
enum Fate {
    /// Redis never saw it.
    Unsent,
    /// Redis's replies.
    Answered(Vec<Value>),
    /// Redis may have seen it.
    Unknown,
}

/// The task behind the queue.
pub(super) struct Publisher {
    queue: mpsc::Receiver<Outgoing>,
    probes: mpsc::Receiver<ProbeRequest>,
    moved: Moved,
    batch: Vec<Outgoing>,
    /// Belongs to a session of the subscriber: when that one reconnects, this does too, so that both always talk to the
    /// same server.
    connection: Option<(Session, MultiplexedConnection)>,
    target: Target,
    link: Arc<Link>,
    feeds: Arc<Feeds>,
    series: Series,
}

impl Publisher {
    /// The task, and what leads to it.
    pub(super) fn new(target: Target, link: Arc<Link>, feeds: Arc<Feeds>, series: Series) -> (Self, Ends) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let (probe_sender, probes) = mpsc::channel(1);
        let (give_back, moved) = Moved::new();
        let entrance = Queue { sender, room: Arc::new(Semaphore::new(QUEUE_BYTES)), series: series.clone() };
        let ends = Ends { queue: entrance, probes: probe_sender, give_back, holds: moved.waits() };
        let batch = Vec::with_capacity(BATCH);
        (Self { queue, probes, moved, batch, connection: None, target, link, feeds, series }, ends)
    }

    /// Runs until `stop`, then sends what was accepted before. Dropping `_last` lets the subscriber end.
    pub(super) async fn run(mut self, stop: CancellationToken, _last: DropGuard) {
        loop {
            let verdict = self.link.verdict();
            if self.dispatch(verdict).await {
                continue;
            }
            let waiting = !self.batch.is_empty();
            let expiry = self.moved.expiry();
            // Probes first: the link comes up through them, however much there is to publish.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(probe) = self.probes.recv() => self.probe(&probe).await,
                Some(ask) = self.moved.asked() => self.give_back(ask),
                () = sleep_until(expiry.unwrap_or_else(Instant::now)), if waiting && expiry.is_some() => {}
                () = self.link.changed(verdict), if waiting => {}
                _ = self.queue.recv_many(&mut self.batch, BATCH), if !waiting => {}
            }
        }
        self.queue.close();
        if timeout(FLUSH_TIMEOUT, self.flush()).await.is_err() {
            let left = self.batch.len() + self.queue.len();
            self.series.lost_unknown.inc_by(left as u64);
        }
    }

    /// Deals with the batch; false when it is empty or has to wait.
    async fn dispatch(&mut self, verdict: Verdict) -> bool {
        match verdict {
            _ if self.batch.is_empty() => return false,
            Verdict::Redis(session) if !self.moved.holds() => self.send(session).await,
            Verdict::Redis(_) if !self.moved.has_expired() => return false,
            Verdict::Redis(_) | Verdict::Locally => self.keep(),
            Verdict::Wait(_) => return false,
        }
        true
    }

    /// Publishes the first of the batch. What is left in it afterwards was not sent, or belongs elsewhere.
    async fn send(&mut self, session: Session) {
        let count = self.batch.len().min(BATCH);
        let mut pipeline = Pipeline::with_capacity(count);
        for publish in &self.batch[..count] {
            pipeline.cmd(self.verb(&publish.channel)).arg(&*publish.channel).arg(&*publish.payload);
        }
        match self.exchange(session, &pipeline).await {
            Fate::Unsent => {}
            Fate::Answered(replies) => {
                let rest = self.batch.split_off(count);
                let sent = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
                for (publish, reply) in sent.into_iter().zip(replies) {
                    if let Value::ServerError(error) = reply {
                        if self.moved.is_elsewhere(&self.target, &error) {
                            self.batch.push(publish);
                            continue;
                        }
                        locally(&self.feeds, &self.series, &publish);
                        if let Some(left_out) = self.link.report().allow() {
                            let (channel, why) = (&*publish.channel, self.target.scrub(&error.to_string()));
                            tracing::warn!(left_out, channel, "Redis refuses a publish, which stays local: {why}");
                        }
                    }
                }
                self.moved.answered(!self.batch.is_empty());
                self.batch.extend(rest);
            }
            Fate::Unknown => {
                self.batch.drain(..count);
                self.series.lost_unknown.inc_by(count as u64);
                self.link.report().lost(count as u64);
            }
        }
    }

    async fn probe(&mut self, probe: &ProbeRequest) {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd(self.verb(&probe.channel)).arg(&*probe.channel).arg(probe.number);
        if let Fate::Answered(replies) = self.exchange(probe.session, &pipeline).await
            && let Some(Value::ServerError(error)) = replies.first()
            && !self.moved.is_elsewhere(&self.target, error)
        {
            self.link.fail(probe.session, &format!("cannot publish to {}: {error}", probe.channel));
        }
    }

    fn verb(&self, channel: &str) -> &'static str {
        match self.target.as_shard() {
            Some(shard) if shard.is_sharded(channel) => "SPUBLISH",
            _ => "PUBLISH",
        }
    }

    /// Hands over what belongs to another server now, in order.
    fn give_back(&mut self, ask: GiveBack) {
        if ask.is_closed() {
            // Whoever asked has gone on without them: they stay in their order, for whoever asks next.
            return;
        }
        while let Ok(publish) = self.queue.try_recv() {
            self.batch.push(publish);
        }
        let shard = self.target.as_shard();
        let (kept, given) = std::mem::take(&mut self.batch)
            .into_iter()
            .partition(|publish| shard.is_none_or(|shard| shard.owns(&publish.channel)));
        self.batch = kept;
        match ask.send(given) {
            Ok(()) => self.moved.handed_over(),
            Err(given) => self.batch.extend(given),
        }
    }

    /// Sends a pipeline and returns the replies to it. Every failure ends the session.
    async fn exchange(&mut self, session: Session, pipeline: &Pipeline) -> Fate {
        let connection = match &mut self.connection {
            Some((of, connection)) if *of == session => connection,
            other => {
                *other = None;
                let Some(server) = self.link.server() else { return Fate::Unsent };
                let config = unlimited();
                let connect = server.client.get_multiplexed_async_connection_with_config(&config);
                match answer_in(CONNECT_TIMEOUT, connect).await {
                    Ok(connection) => &mut other.insert((session, connection)).1,
                    Err(why) => {
                        self.link.fail(session, &format!("connecting to publish failed: {why}"));
                        return Fate::Unsent;
                    }
                }
            }
        };
        let replies = connection.req_packed_commands(pipeline, 0, pipeline.len());
        match answer_in(self.target.timeout.max(ANSWER_TIMEOUT), replies).await {
            Ok(replies) => Fate::Answered(replies),
            Err(why) => {
                self.connection = None;
                self.link.fail(session, &format!("publishing failed: {why}"));
                Fate::Unknown
            }
        }
    }

    /// Sends everything that still waits.
    async fn flush(&mut self) {
        loop {
            if self.batch.is_empty() && self.queue.recv_many(&mut self.batch, BATCH).await == 0 {
                return;
            }
            // Nothing to wait for any more.
            let verdict = match self.link.verdict() {
                Verdict::Wait(_) => Verdict::Locally,
                verdict => verdict,
            };
            if !self.dispatch(verdict).await {
                self.keep();
            }
        }
    }

    /// Gives the batch to this process's own subscribers.
    fn keep(&mut self) {
        self.batch.drain(..).for_each(|publish| locally(&self.feeds, &self.series, &publish));
        self.moved.answered(false);
    }
}

fn locally(feeds: &Feeds, series: &Series, publish: &Outgoing) {
    feeds.deliver(&publish.channel, &publish.payload);
    series.published_locally.inc();
}
