//! Receives from Redis over a connection of its own, for ever: finds the server, connects, subscribes, proves that messages
//! get through, and starts again when they do not, or when another server has taken its place.
//!
//! Between its reader and this task the Redis client queues without a limit. So this task never waits for whoever receives:
//! it hands each message on to bounded feeds, which drop and count, and that queue stays short.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carillon_core::backoff::Backoff;
use carillon_core::{Error, Result};
use deadpool_redis::redis::Msg;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::address::Server;
use super::commands::Commands;
use super::feeds::Feeds;
use super::inbox::{Inbox, Incoming};
use super::link::{Link, Session};
use super::open::Open;
use super::probe::Probe;
use super::publisher::ProbeRequest;
use super::shards::{Routes, Shard};
use super::target::Target;

/// The first pause before the next attempt to reach Redis: it, or up to half of it less.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// So is the longest one. It stays well under the 2 s within which messages flow again once Redis is usable.
const LONGEST_PAUSE: Duration = Duration::from_millis(1200);

/// How long a connection may take, handshake and password included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long Redis may take to confirm subscriptions.
pub(super) const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Messages handed on before anything else gets a turn.
const BURST: usize = 256;
/// A session that delivered for so long starts the pauses from the shortest again. One that is over sooner does not: who is
/// thrown out at once does not come back ever faster.
const STABLE: Duration = Duration::from_millis(500);

/// Somebody who waits until Redis has confirmed the channels in [`Feeds`].
pub(super) type Confirm = oneshot::Sender<Result<()>>;

/// The task that receives.
pub(super) struct Subscriber {
    pub(super) target: Target,
    pub(super) link: Arc<Link>,
    pub(super) feeds: Arc<Feeds>,
    pub(super) commands: Arc<Commands>,
    pub(super) probes: mpsc::Sender<ProbeRequest>,
    /// What names of channels for probes begin with: of this process alone.
    pub(super) probe_name: Arc<str>,
    pub(super) confirms: mpsc::Receiver<Confirm>,
}

impl Subscriber {
    /// Runs until `stop`. What its feeds were subscribed to may have gone to another.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut session: Session = 0;
        let mut tried = None;
        loop {
            session += 1;
            let mut proved = None;
            let why = tokio::select! {
                () = stop.cancelled() => break,
                why = self.session(session, &mut proved, &mut tried) => why,
            };
            // Only after the session's last message was handed out: see `link`.
            self.link.ended(&why);
            self.commands.forget_connections();
            if proved.is_some_and(|at: Instant| at.elapsed() >= STABLE) {
                backoff.reset();
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(backoff.spread()) => {}
                () = self.target.news(tried.as_deref()) => {}
            }
        }
        self.link.close();
    }

    /// One connection from beginning to end. Returns why it ended; `proved` is when its first probe came back, `tried` whom with.
    async fn session(
        &mut self,
        session: Session,
        proved: &mut Option<Instant>,
        tried: &mut Option<Arc<Server>>,
    ) -> String {
        let server = match self.target.find().await {
            Ok(server) => Arc::clone(tried.insert(server)),
            Err(why) => return why,
        };
        let opened = tokio::select! {
            opened = self.open(&server) => opened,
            why = self.target.left(&server) => Err(why),
        };
        let mut open = match opened {
            Ok(open) => open,
            Err(why) => return why,
        };
        self.link.opened(session, &server);
        let mut probe = Probe::new();
        let target = self.target.clone();
        let left = target.left(&server);
        tokio::pin!(left);
        let mut routes = target.as_shard().map(Shard::routes);
        let why = loop {
            tokio::select! {
                incoming = open.inbox.next() => match incoming {
                    Some(incoming) => {
                        self.receive(session, incoming, &mut open, &mut probe, proved);
                        self.receive_waiting(session, &mut open, &mut probe, proved);
                    }
                    None => break "the connection was closed".to_owned(),
                },
                Some(confirm) = self.confirms.recv() => match open.sync(self).await {
                    Ok(refused) => drop(confirm.send(refused.map_or(Ok(()), |why| Err(Error::unavailable(why))))),
                    Err(why) => break why,
                },
                () = sleep_until(probe.due()) => {
                    let Some(number) = probe.tick() else {
                        break format!("no message came through for {} s", Probe::patience().as_secs());
                    };
                    let request = ProbeRequest { session, channel: Arc::clone(&open.probe), number };
                    // A publisher too busy to take it misses the probe.
                    drop(self.probes.try_send(request));
                    if let Err(why) = open.sync(self).await {
                        break why;
                    }
                }
                () = changed(&mut routes) => {
                    if let Err(why) = open.sync(self).await {
                        break why;
                    }
                }
                why = &mut left => break why,
                () = self.link.doubted() => probe.hurry(),
                why = self.link.failing(session) => break why,
            }
        };
        // What has arrived by now came before anything that is delivered locally from here on.
        self.receive_waiting(session, &mut open, &mut probe, proved);
        why
    }

    /// Connects, and subscribes to everything that is wanted.
    async fn open(&self, server: &Server) -> Result<Open, String> {
        let inbox = Inbox::open(server, self.target.as_shard()).await?;
        Open::begin(inbox, self).await
    }

    /// Hands on what has arrived already.
    fn receive_waiting(&self, session: Session, open: &mut Open, probe: &mut Probe, proved: &mut Option<Instant>) {
        for _ in 0..BURST {
            let Some(incoming) = open.inbox.waiting() else { return };
            self.receive(session, incoming, open, probe, proved);
        }
    }

    fn receive(
        &self,
        session: Session,
        incoming: Incoming,
        open: &mut Open,
        probe: &mut Probe,
        proved: &mut Option<Instant>,
    ) {
        match incoming {
            Incoming::Message(message) => self.message(session, &message, open, probe, proved),
            Incoming::Ended(channel) => open.ended(&channel, self),
        }
    }

    fn message(&self, session: Session, message: &Msg, open: &Open, probe: &mut Probe, proved: &mut Option<Instant>) {
        let channel = message.get_channel_name();
        if channel == &*open.probe {
            let number = std::str::from_utf8(message.get_payload_bytes()).ok().and_then(|text| text.parse().ok());
            if let Some(took) = number.and_then(|number| probe.returned(number)) {
                proved.get_or_insert_with(Instant::now);
                self.link.proved(session, took);
            }
        } else if self.target.as_shard().is_none_or(|shard| shard.may_deliver(channel)) {
            self.feeds.deliver(channel, &Bytes::copy_from_slice(message.get_payload_bytes()));
        }
    }
}

/// Returns when a cluster has given its slots to others; never for a server that is alone.
async fn changed(routes: &mut Option<watch::Receiver<Arc<Routes>>>) {
    if let Some(routes) = routes
        && routes.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
