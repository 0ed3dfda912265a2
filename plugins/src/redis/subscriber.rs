//! Receives from Redis over a connection of its own, for ever: connects, subscribes, proves that messages get through,
//! and starts again when they do not.
//!
//! Between its reader and this task the Redis client queues without a limit. So this task never waits for whoever receives:
//! it hands each message on to bounded feeds, which drop and count, and that queue stays short.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carillon_core::backoff::Backoff;
use carillon_core::{Error, Result};
use deadpool_redis::redis::aio::{PubSubSink, PubSubStream};
use deadpool_redis::redis::{Msg, RedisResult};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::address::Target;
use super::commands::Commands;
use super::feeds::Feeds;
use super::link::{Link, Session};
use super::probe::Probe;
use super::publisher::{ProbeRequest, answer_in};

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
    /// Of this process alone.
    pub(super) probe_channel: Arc<str>,
    pub(super) confirms: mpsc::Receiver<Confirm>,
}

/// One subscribed connection.
struct Open {
    sink: PubSubSink,
    stream: PubSubStream,
    subscribed: HashSet<Arc<str>>,
}

/// Why Redis did not change a subscription.
enum Trouble {
    /// It said no; the connection works on.
    Refused(String),
    /// The connection is of no use any more.
    Broken(String),
}

impl Subscriber {
    /// Runs until `stop`; then every subscription ends.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut session: Session = 0;
        loop {
            session += 1;
            let mut proved = None;
            let why = tokio::select! {
                () = stop.cancelled() => break,
                why = self.session(session, &mut proved) => why,
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
            }
        }
        self.link.close();
        self.feeds.clear();
    }

    /// One connection from beginning to end. Returns why it ended; `proved` is when its first probe came back.
    async fn session(&mut self, session: Session, proved: &mut Option<Instant>) -> String {
        let mut open = match self.open().await {
            Ok(open) => open,
            Err(why) => return why,
        };
        self.link.opened(session);
        let mut probe = Probe::new();
        let why = loop {
            tokio::select! {
                message = open.stream.next() => match message {
                    Some(message) => {
                        self.receive(session, &message, &mut probe, proved);
                        self.receive_waiting(session, &mut open, &mut probe, proved);
                    }
                    None => break "the connection was closed".to_owned(),
                },
                Some(confirm) = self.confirms.recv() => match self.sync(&mut open).await {
                    Ok(refused) => drop(confirm.send(refused.map_or(Ok(()), |why| Err(Error::unavailable(why))))),
                    Err(why) => break why,
                },
                () = sleep_until(probe.due()) => {
                    let Some(number) = probe.tick() else {
                        break format!("no message came through for {} s", Probe::patience().as_secs());
                    };
                    let request = ProbeRequest { session, channel: Arc::clone(&self.probe_channel), number };
                    // A publisher too busy to take it misses the probe.
                    drop(self.probes.try_send(request));
                    if let Err(why) = self.sync(&mut open).await {
                        break why;
                    }
                }
                () = self.link.doubted() => probe.hurry(),
                why = self.link.failing(session) => break why,
            }
        };
        // What has arrived by now came before anything that is delivered locally from here on.
        self.receive_waiting(session, &mut open, &mut probe, proved);
        why
    }

    /// Connects, and subscribes to everything that is wanted.
    async fn open(&self) -> Result<Open, String> {
        let connection = answer_in(CONNECT_TIMEOUT, self.target.client.get_async_pubsub()).await;
        let (mut sink, stream) = connection?.split();
        match confirmed(sink.subscribe(&*self.probe_channel)).await {
            Ok(()) => {}
            Err(Trouble::Refused(why) | Trouble::Broken(why)) => return Err(why),
        }
        let mut open = Open { sink, stream, subscribed: HashSet::new() };
        self.sync(&mut open).await?;
        Ok(open)
    }

    /// Subscribes to what is wanted and unsubscribes from what is not, where that has changed. What Redis refuses by its
    /// access lists ends for those who listen to it; the last refusal is returned.
    async fn sync(&self, open: &mut Open) -> Result<Option<String>, String> {
        let mut wanted: HashSet<Arc<str>> = self.feeds.wanted().into_iter().collect();
        let missing: Vec<&Arc<str>> = wanted.difference(&open.subscribed).collect();
        let mut refusal = None;
        let mut refused = Vec::new();
        if !missing.is_empty() {
            let all: Vec<&str> = missing.iter().map(|channel| &***channel).collect();
            match confirmed(open.sink.subscribe(&all)).await {
                Ok(()) => {}
                Err(Trouble::Broken(why)) => return Err(why),
                // One of them, maybe. Which?
                Err(Trouble::Refused(_)) => {
                    for channel in missing {
                        match confirmed(open.sink.subscribe(&**channel)).await {
                            Ok(()) => {}
                            Err(Trouble::Broken(why)) => return Err(why),
                            Err(Trouble::Refused(why)) => {
                                refusal = Some(self.refuse(channel, &why));
                                refused.push(Arc::clone(channel));
                            }
                        }
                    }
                }
            }
        }
        for channel in refused {
            wanted.remove(&channel);
        }
        let unwanted: Vec<&str> = open.subscribed.difference(&wanted).map(|channel| &**channel).collect();
        if !unwanted.is_empty() {
            match confirmed(open.sink.unsubscribe(&unwanted)).await {
                Ok(()) | Err(Trouble::Refused(_)) => {}
                Err(Trouble::Broken(why)) => return Err(why),
            }
        }
        open.subscribed = wanted;
        Ok(refusal)
    }

    fn refuse(&self, channel: &str, why: &str) -> String {
        self.feeds.end(channel);
        let why = self.target.scrub(&format!("Redis refuses to subscribe to {channel}: {why}"));
        if let Some(left_out) = self.link.report().allow() {
            tracing::warn!(left_out, "{why}");
        }
        why
    }

    /// Hands on what has arrived already.
    fn receive_waiting(&self, session: Session, open: &mut Open, probe: &mut Probe, proved: &mut Option<Instant>) {
        for _ in 0..BURST {
            let Some(Some(message)) = open.stream.next().now_or_never() else { return };
            self.receive(session, &message, probe, proved);
        }
    }

    fn receive(&self, session: Session, message: &Msg, probe: &mut Probe, proved: &mut Option<Instant>) {
        let channel = message.get_channel_name();
        if channel == &*self.probe_channel {
            let number = std::str::from_utf8(message.get_payload_bytes()).ok().and_then(|text| text.parse().ok());
            if let Some(took) = number.and_then(|number| probe.returned(number)) {
                proved.get_or_insert_with(Instant::now);
                self.link.proved(session, took);
            }
        } else {
            self.feeds.deliver(channel, &Bytes::copy_from_slice(message.get_payload_bytes()));
        }
    }
}

/// Redis's confirmation of a change of subscriptions.
async fn confirmed(change: impl Future<Output = RedisResult<()>>) -> Result<(), Trouble> {
    match tokio::time::timeout(SUBSCRIBE_TIMEOUT, change).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.is_io_error() || error.is_unrecoverable_error() => {
            Err(Trouble::Broken(error.to_string()))
        }
        Ok(Err(error)) => Err(Trouble::Refused(error.to_string())),
        Err(_) => Err(Trouble::Broken(format!("no answer within {} ms", SUBSCRIBE_TIMEOUT.as_millis()))),
    }
}
