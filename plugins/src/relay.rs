//! `/`: greets every client, and sends what other programs publish on the bus to clients, as events.

use std::collections::HashMap;

use carillon_core::backoff::Backoff;
use carillon_core::bus::Message;
use carillon_core::prelude::*;
use carillon_core::throttle::Throttle;
use prometheus::{IntCounter, IntCounterVec};
use serde_json::{Value, json};

use crate::cluster::{ALERTS, Aggregate, Alerts, HEALTH, HealthUpdate, METRICS};
use config::RelayConfig;
use message::Relayed;
use turn::Turn;

mod config;
mod message;
#[cfg(test)]
mod tests;
mod turn;

/// First pause before another attempt to subscribe; it doubles up to `retry_max_ms`.
const RETRY_FIRST: Duration = Duration::from_millis(50);

/// `connection_confirmed`: the client is connected.
#[derive(Serialize, JsonSchema)]
struct ConnectionConfirmed<'a> {
    /// The client's public id.
    sid: &'a str,
    /// When, RFC 3339 in UTC.
    timestamp: String,
}

pub(crate) struct Relay {
    channels: HashMap<String, Channel>,
    max_message_bytes: usize,
    retry_max: Duration,
    log: Throttle,
    turn: Turn,
}

/// What becomes of the messages of one channel.
struct Channel {
    /// In the order of sending.
    targets: Vec<Destination>,
    relayed: IntCounter,
    wrapped: IntCounter,
    too_large: IntCounter,
    failed: IntCounter,
}

/// An event of a namespace that a message becomes.
struct Destination {
    namespace: String,
    event: String,
    mode: Mode,
    /// It is kept, once for all Carillons.
    journal: bool,
}

impl Channel {
    fn new(name: &str, results: &IntCounterVec) -> Self {
        let of = |result| results.with_label_values(&[name, result]);
        Self {
            targets: Vec::new(),
            relayed: of("relayed"),
            wrapped: of("wrapped"),
            too_large: of("too_large"),
            failed: of("failed"),
        }
    }
}

impl Plugin for Relay {
    const NAME: &'static str = "relay";
    const NAMESPACE: &'static str = "/";
    type Config = RelayConfig;

    async fn init(config: RelayConfig, host: Host) -> Result<Self> {
        let results = host.metrics().counter(
            "relay_messages_total",
            "Bus messages by what became of them: relayed, wrapped (sent as text, being no JSON), too_large, failed.",
            &["channel", "result"],
        )?;
        let mut channels = HashMap::new();
        let mut journal = false;
        for row in config.rows {
            journal |= row.journal;
            let channel = channels.entry(row.channel.clone()).or_insert_with(|| Channel::new(&row.channel, &results));
            let (mode, journal) = (row.mode, row.journal);
            let target = |namespace| Destination { namespace, event: row.event.clone(), mode, journal };
            channel.targets.extend(row.namespaces.into_iter().map(target));
        }
        let retry_max = Duration::from_millis(config.retry_max_ms);
        let (max_message_bytes, log) = (config.max_message_bytes, Throttle::per_second());
        let turn = Turn::new(journal && host.bus().is_shared());
        Ok(Self { channels, max_message_bytes, retry_max, log, turn })
    }

    fn routes(on: &mut Routes<Self>, config: &RelayConfig) {
        on.emits::<ConnectionConfirmed<'_>>("connection_confirmed", "Once, right after a client connected.");
        for row in &config.rows {
            for namespace in &row.namespaces {
                let doc = format!("Each message of bus channel `{}`, as it was published.", row.channel);
                // What Carillon itself publishes has a type; of the rest nothing is known.
                let event = match &*row.channel {
                    METRICS => on.emits_to::<Aggregate>(namespace, &row.event, &doc),
                    HEALTH => on.emits_to::<HealthUpdate>(namespace, &row.event, &doc),
                    ALERTS => on.emits_to::<Alerts>(namespace, &row.event, &doc),
                    _ => on.emits_to::<Value>(namespace, &row.event, &doc),
                };
                event.mode(row.mode);
                if row.journal {
                    event.kept();
                }
            }
        }
    }

    fn check(config: &RelayConfig, problems: &mut Problems) {
        config.check(problems);
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        ctx.emit("connection_confirmed", &ConnectionConfirmed { sid: ctx.id(), timestamp: timestamp() })
    }

    async fn run(self: Arc<Self>, host: Host) -> Result<()> {
        if self.channels.is_empty() {
            return Ok(());
        }
        tokio::select! {
            () = host.shutdown() => {}
            () = self.listen(&host) => {}
            () = self.turn.keep(&host) => {}
        }
        self.turn.give_back(&host).await;
        Ok(())
    }
}

impl Relay {
    /// Subscribes, relays, and subscribes again when the subscription ends. Never returns.
    async fn listen(&self, host: &Host) {
        let channels: Vec<String> = self.channels.keys().cloned().collect();
        let mut backoff = Backoff::new(RETRY_FIRST, self.retry_max);
        loop {
            let why = match host.bus().subscribe(&channels).await {
                Ok(mut subscription) => {
                    while let Some(message) = subscription.recv().await {
                        self.relay(host, message).await;
                        backoff.reset();
                    }
                    "the subscription ended".to_owned()
                }
                Err(error) => error.to_string(),
            };
            let pause = backoff.pause();
            if let Some(left_out) = self.log.allow() {
                let retry_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(left_out, retry_in_ms, "nothing is relayed from the bus: {why}");
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends one message to every target of its channel.
    async fn relay(&self, host: &Host, message: Message) {
        let Some(channel) = self.channels.get(&*message.channel) else { return };
        let bytes = message.payload.len();
        if bytes > self.max_message_bytes {
            channel.too_large.inc();
            if let Some(left_out) = self.log.allow() {
                let (channel, limit) = (&*message.channel, self.max_message_bytes);
                tracing::warn!(left_out, channel, bytes, limit, "a message is too large and was dropped");
            }
            return;
        }
        let (payload, counter) = match Relayed::read(message.payload) {
            Relayed::Json(payload) => (Ok(payload), &channel.relayed),
            Relayed::Text(text) => (Payload::new(&json!({ "message": &*text })), &channel.wrapped),
        };
        let mut sent = Ok(());
        match payload {
            Ok(payload) => {
                for target in &channel.targets {
                    // Local, because every Carillon of the bus hears the message itself. While there is no room this
                    // waits, and the bounded feed drops and counts. A target that fails does not take it from the others.
                    let to = host.to(&target.namespace).mode(target.mode);
                    let to = match target.journal {
                        false => to.local(),
                        true if self.turn.is_ours(host) => to,
                        true => continue,
                    };
                    sent = sent.and(to.publish_wait(&target.event, &payload).await);
                }
            }
            Err(error) => sent = Err(error),
        }
        match sent {
            Ok(()) => counter.inc(),
            Err(error) => {
                channel.failed.inc();
                if let Some(left_out) = self.log.allow() {
                    tracing::error!(left_out, channel = &*message.channel, "a message could not be relayed: {error}");
                }
            }
        }
    }
}

plugin!(Relay);
