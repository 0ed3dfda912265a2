//! Several Carillons on one bus act as one: what a plugin publishes reaches the clients of all of them.
//!
//! Each publish is delivered to this node's own clients at once and sent to the others on the channel [`CHANNEL`], as
//! one message: a line of JSON (who sends, to whom), the event's JSON array, then the attachments. A node leaves out
//! what it sent itself. While the bus is away every node serves its own clients.
//!
//! Whoever may publish on that channel speaks for a node: an ACL of the bus keeps others off it. Sizes and names are
//! checked before anything is made of a message all the same.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use prometheus::{IntCounter, IntCounterVec};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::error::{Error, Result};
use crate::hub::{MAX_ROOM_NAME, Selection};
use crate::metrics::Metrics;
use crate::namespace::Namespace;
use crate::packet::{Item, split_event};
use crate::payload::{Payload, encode_event};
use crate::peer::public_id;
use crate::sink::Mode;
use crate::throttle::Throttle;

/// The channel of all Carillons on a bus.
pub const CHANNEL: &str = "carillon:cluster:2";
/// Bytes of a message, and of its first line; larger ones are neither sent nor taken.
const MESSAGE_MAX: usize = 32 << 20;
const HEADER_MAX: usize = 256 << 10;
/// Bytes of the name of a node, a namespace or an event.
const NAME_MAX: usize = 256;
/// Attachments of one event.
const ATTACHMENTS_MAX: usize = 1024;
/// Publishes that wait for the bus; more are dropped and counted.
const OUTGOING_DEPTH: usize = 10_000;
/// Pause before a failed subscription is tried again.
const RESUBSCRIBE: Duration = Duration::from_secs(1);

/// The first line of a message.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// The sending node.
    node: String,
    namespace: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    to: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clients: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<String>,
    #[serde(default)]
    mode: Mode,
    /// Bytes of the JSON array; 0 asks for a DISCONNECT of the clients addressed.
    json: usize,
    /// Bytes of each attachment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<usize>,
}

impl Header {
    /// Names and sizes are such as a node may send; `rest` bytes follow the line.
    fn is_sound(&self, rest: usize) -> bool {
        let names = self.to.iter().chain(&self.clients).chain(&self.except);
        let size = self.attachments.iter().try_fold(self.json, |sum, size| sum.checked_add(*size));
        (1..=NAME_MAX).contains(&self.node.len())
            && (1..=NAME_MAX).contains(&self.namespace.len())
            && self.namespace.starts_with('/')
            && names.map(String::len).all(|length| (1..=MAX_ROOM_NAME).contains(&length))
            && self.attachments.len() <= ATTACHMENTS_MAX
            && (self.json > 0 || self.attachments.is_empty())
            && size == Some(rest)
    }
}

/// This node's way to the others.
pub(crate) struct Cluster {
    node: String,
    outgoing: mpsc::Sender<Bytes>,
    dropped: IntCounter,
    refused: Throttle,
}

/// The other end: what the node's two tasks work with.
pub(crate) struct Tasks {
    node: String,
    outgoing: mpsc::Receiver<Bytes>,
    messages: IntCounterVec,
}

impl Cluster {
    /// A node with a name nobody else has.
    pub(crate) fn new(metrics: &Metrics) -> Result<(Self, Tasks)> {
        let help = "Publishes exchanged with other Carillons: sent, received, dropped, malformed.";
        let messages = metrics.counter("cluster_messages_total", help, &["result"])?;
        for result in ["sent", "received", "dropped", "malformed"] {
            messages.with_label_values(&[result]);
        }
        let node = public_id();
        let (sender, outgoing) = mpsc::channel(OUTGOING_DEPTH);
        let dropped = messages.with_label_values(&["dropped"]);
        let refused = Throttle::per_second();
        Ok((Self { node: node.clone(), outgoing: sender, dropped, refused }, Tasks { node, outgoing, messages }))
    }

    /// Sends an event to the other nodes.
    pub(crate) fn publish(&self, namespace: &str, selection: &Selection, item: &Item, mode: Mode) {
        self.send(namespace, selection, mode, &item.json(), item.attachments());
    }

    /// Asks the other nodes to disconnect their clients.
    pub(crate) fn disconnect(&self, namespace: &str, selection: &Selection) {
        self.send(namespace, selection, Mode::All, "", &[]);
    }

    fn send(&self, namespace: &str, selection: &Selection, mode: Mode, json: &str, attachments: &[Bytes]) {
        let header = Header {
            node: self.node.clone(),
            namespace: namespace.to_owned(),
            to: selection.to.clone(),
            clients: selection.clients.clone(),
            except: selection.except.clone(),
            mode,
            json: json.len(),
            attachments: attachments.iter().map(Bytes::len).collect(),
        };
        let rest = json.len() + attachments.iter().map(Bytes::len).sum::<usize>();
        let line = serde_json::to_vec(&header).ok().filter(|line| line.len() <= HEADER_MAX && header.is_sound(rest));
        let Some(mut message) = line.filter(|line| line.len() + 1 + rest <= MESSAGE_MAX) else {
            if let Some(left_out) = self.refused.allow() {
                tracing::error!(
                    left_out,
                    namespace,
                    "a publish is too large, or named too long, to be sent to other nodes"
                );
            }
            return self.dropped.inc();
        };
        message.push(b'\n');
        message.extend_from_slice(json.as_bytes());
        attachments.iter().for_each(|attachment| message.extend_from_slice(attachment));
        if self.outgoing.try_send(message.into()).is_err() {
            self.dropped.inc();
        }
    }
}

/// Who sends, to whom, and the bytes of the event: checked before anything is made of them.
fn take_apart(message: &Bytes) -> Result<(Header, Bytes)> {
    let malformed = || Error::bad_payload("not a message of a Carillon");
    if message.len() > MESSAGE_MAX {
        return Err(malformed());
    }
    let start = &message[..message.len().min(HEADER_MAX + 1)];
    let line = memchr::memchr(b'\n', start).ok_or_else(malformed)?;
    let header: Header = serde_json::from_slice(&message[..line])?;
    let rest = message.slice(line + 1..);
    if header.is_sound(rest.len()) { Ok((header, rest)) } else { Err(malformed()) }
}

/// The event's name and arguments; `None` for a DISCONNECT.
fn event(header: &Header, mut rest: Bytes) -> Result<Option<(String, Payload)>> {
    if header.json == 0 {
        return Ok(None);
    }
    let json = ByteString::try_from(rest.split_to(header.json))?;
    let name = split_event(&json)?.name;
    if name.len() > NAME_MAX {
        return Err(Error::bad_payload("the name of the event is too long"));
    }
    let name = name.into_owned();
    let attachments = header.attachments.iter().map(|length| rest.split_to(*length)).collect();
    Ok(Some((name, Payload::of_event(&json, attachments)?)))
}

/// Whether this is a message of a Carillon, sound and whole, its event included: what fuzzing asks.
#[doc(hidden)]
#[must_use]
pub fn is_understood(message: &Bytes) -> bool {
    take_apart(message).and_then(|(header, rest)| event(&header, rest)).is_ok()
}

impl Tasks {
    /// Runs until `stop`: hands out what other nodes publish, and what this one has to tell them.
    pub(crate) async fn run(
        mut self,
        bus: Arc<dyn Bus>,
        namespaces: Weak<HashMap<Arc<str>, Arc<Namespace>>>,
        stop: CancellationToken,
    ) {
        let messages = self.messages.clone();
        let sending = async {
            while let Some(message) = self.outgoing.recv().await {
                let result = if bus.publish(CHANNEL, message).await.is_ok() { "sent" } else { "dropped" };
                messages.with_label_values(&[result]).inc();
            }
        };
        let receiving = receive(&*bus, &self.node, &namespaces, &messages);
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(sending, receiving); } => {}
        }
    }
}

async fn receive(
    bus: &dyn Bus,
    node: &str,
    namespaces: &Weak<HashMap<Arc<str>, Arc<Namespace>>>,
    messages: &IntCounterVec,
) {
    loop {
        match bus.subscribe(&[CHANNEL.to_owned()]).await {
            Ok(mut subscription) => {
                while let Some(message) = subscription.recv().await {
                    let Some(namespaces) = namespaces.upgrade() else { return };
                    deliver(&message.payload, node, &namespaces, messages).await;
                }
            }
            Err(error) => tracing::warn!("the cluster channel cannot be subscribed to: {error}"),
        }
        tokio::time::sleep(RESUBSCRIBE).await;
    }
}

/// A namespace with too much waiting makes this wait: the feed is bounded, and counts what it drops.
async fn deliver(
    message: &Bytes,
    node: &str,
    namespaces: &HashMap<Arc<str>, Arc<Namespace>>,
    messages: &IntCounterVec,
) {
    let malformed = || messages.with_label_values(&["malformed"]).inc();
    let Ok((header, rest)) = take_apart(message) else { return malformed() };
    if header.node == node {
        return;
    }
    let Some(namespace) = namespaces.get(&*header.namespace) else {
        return messages.with_label_values(&["received"]).inc();
    };
    let Ok(event) = event(&header, rest) else { return malformed() };
    messages.with_label_values(&["received"]).inc();
    let selection = Selection { to: header.to, clients: header.clients, except: header.except };
    let publisher = namespace.hub.other_nodes();
    match event {
        None => namespace.hub.disconnect(publisher, namespace.space, &selection),
        Some((name, payload)) => match encode_event(&namespace.name, &name, &payload) {
            Ok(item) => {
                let series = namespace.series(&name);
                namespace.publish_item_wait(publisher, &selection, series, &(item, header.mode)).await;
            }
            Err(error) => tracing::error!(%error, "a publish of another node could not be encoded"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_survives_the_way_to_another_node() {
        let metrics = Metrics::new().unwrap();
        let (cluster, mut tasks) = Cluster::new(&metrics).unwrap();
        let selection =
            Selection { to: vec!["r\n\"".to_owned()], clients: vec!["c".to_owned()], except: vec!["x".to_owned()] };
        let payload = Payload::binary(Bytes::from_static(b"\n\0"));
        let item = encode_event(&Arc::from("/n"), "e", &payload).unwrap();
        cluster.publish("/n", &selection, &item, Mode::All);
        cluster.disconnect("/n", &selection);
        let (header, rest) = take_apart(&tasks.outgoing.try_recv().unwrap()).unwrap();
        let (name, arrived) = event(&header, rest).unwrap().unwrap();
        let received = Selection { to: header.to, clients: header.clients, except: header.except };
        assert_eq!(received, selection);
        assert_eq!((name.as_str(), arrived.json()), ("e", payload.json()));
        assert_eq!(arrived.attachments(), payload.attachments());
        let (header, rest) = take_apart(&tasks.outgoing.try_recv().unwrap()).unwrap();
        assert!(event(&header, rest).unwrap().is_none());
    }

    #[test]
    fn nonsense_on_the_channel_is_refused() {
        let header = r#"{"node":"a","namespace":"/","json":9}"#;
        for text in ["", "x", "\n", "{}\n[]", &format!("{header}\n[\"e\"]"), &format!("{header}\n[\"e\",nul]")] {
            let taken = take_apart(&Bytes::copy_from_slice(text.as_bytes()));
            assert!(taken.and_then(|(header, rest)| event(&header, rest)).is_err(), "{text}");
        }
    }

    /// A5: sizes that do not add up, names of any length and lines without an end are refused for their looks.
    #[test]
    fn sizes_and_names_are_checked_before_anything_is_made_of_a_message() {
        let long = "n".repeat(129);
        let huge = usize::MAX;
        let many = vec!["0"; ATTACHMENTS_MAX + 1].join(",");
        for (header, rest) in [
            (format!(r#"{{"node":"a","namespace":"/","json":{huge}}}"#), "[]"),
            (format!(r#"{{"node":"a","namespace":"/","json":2,"attachments":[{huge},1]}}"#), "[]"),
            (format!(r#"{{"node":"a","namespace":"/","json":1,"attachments":[{huge},1]}}"#), "["),
            (r#"{"node":"a","namespace":"/","json":2}"#.to_owned(), "[]x"),
            (r#"{"node":"a","namespace":"/","json":0,"attachments":[2]}"#.to_owned(), "[]"),
            (format!(r#"{{"node":"a","namespace":"/","json":2,"attachments":[{many}]}}"#), "[]"),
            (format!(r#"{{"node":"a","namespace":"/","json":2,"to":["{long}"]}}"#), "[]"),
            (r#"{"node":"a","namespace":"/","json":2,"clients":[""]}"#.to_owned(), "[]"),
            (r#"{"node":"a","namespace":"chat","json":2}"#.to_owned(), "[]"),
            (format!(r#"{{"node":"{}","namespace":"/","json":2}}"#, "n".repeat(NAME_MAX + 1)), "[]"),
            (format!(r#"{{"node":"a","namespace":"/","json":2{}}}"#, " ".repeat(HEADER_MAX)), "[]"),
        ] {
            let message = Bytes::from(format!("{header}\n{rest}"));
            assert!(take_apart(&message).is_err(), "{}", &header[..header.len().min(120)]);
        }
        assert!(take_apart(&Bytes::from(vec![b'\n'; MESSAGE_MAX + 1])).is_err());
        let name = "e".repeat(NAME_MAX + 1);
        let json = format!("[\"{name}\"]");
        let message = Bytes::from(format!("{{\"node\":\"a\",\"namespace\":\"/\",\"json\":{}}}\n{json}", json.len()));
        let (header, rest) = take_apart(&message).unwrap();
        assert!(event(&header, rest).is_err());
    }

    /// What other nodes would not take is not sent, and counted.
    #[test]
    fn what_nobody_would_take_is_not_sent() {
        let (cluster, mut tasks) = Cluster::new(&Metrics::new().unwrap()).unwrap();
        let selection = Selection { to: vec!["n".repeat(MAX_ROOM_NAME + 1)], ..Selection::default() };
        cluster.disconnect("/n", &selection);
        assert!(tasks.outgoing.try_recv().is_err());
        assert_eq!(cluster.dropped.get(), 1);
    }
}
