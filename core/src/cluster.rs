//! Several Carillons on one bus act as one: what a plugin publishes reaches the clients of all of them.
//!
//! Each publish is delivered to this node's own clients at once and sent to the others on the channel [`CHANNEL`], as
//! one message: a line of JSON (who sends, to whom), the event's JSON array, then the attachments. A node leaves out
//! what it sent itself. While the bus is away every node serves its own clients.

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
use crate::hub::Selection;
use crate::metrics::Metrics;
use crate::namespace::Namespace;
use crate::packet::{Item, split_event};
use crate::payload::{Payload, encode_event};
use crate::peer::public_id;
use crate::sink::Mode;

/// The channel of all Carillons on a bus.
pub const CHANNEL: &str = "carillon:cluster:1";
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
    except: Vec<String>,
    #[serde(default)]
    mode: Mode,
    /// Bytes of the JSON array; 0 asks for a DISCONNECT of the clients addressed.
    json: usize,
    /// Bytes of each attachment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<usize>,
}

/// This node's way to the others.
pub(crate) struct Cluster {
    node: String,
    outgoing: mpsc::Sender<Bytes>,
    dropped: IntCounter,
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
        Ok((Self { node: node.clone(), outgoing: sender, dropped }, Tasks { node, outgoing, messages }))
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
            except: selection.except.clone(),
            mode,
            json: json.len(),
            attachments: attachments.iter().map(Bytes::len).collect(),
        };
        let Ok(mut message) = serde_json::to_vec(&header) else { return self.dropped.inc() };
        message.push(b'\n');
        message.extend_from_slice(json.as_bytes());
        attachments.iter().for_each(|attachment| message.extend_from_slice(attachment));
        if self.outgoing.try_send(message.into()).is_err() {
            self.dropped.inc();
        }
    }
}

/// A message taken apart.
struct Received {
    header: Header,
    /// The event's name and arguments; `None` for a DISCONNECT.
    event: Option<(String, Payload)>,
}

fn take_apart(message: &Bytes) -> Result<Received> {
    let malformed = || Error::bad_payload("not a message of a Carillon");
    let line = message.iter().position(|byte| *byte == b'\n').ok_or_else(malformed)?;
    let header: Header = serde_json::from_slice(&message[..line])?;
    let mut rest = message.slice(line + 1..);
    let mut take = |length: usize| (length <= rest.len()).then(|| rest.split_to(length)).ok_or_else(malformed);
    let json = ByteString::try_from(take(header.json)?)?;
    let attachments = header.attachments.iter().map(|length| take(*length)).collect::<Result<_>>()?;
    if json.is_empty() {
        return Ok(Received { header, event: None });
    }
    let name = split_event(&json)?.name.into_owned();
    let payload = Payload::of_event(&json, attachments)?;
    Ok(Received { header, event: Some((name, payload)) })
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
    let Ok(Received { header, event }) = take_apart(message) else {
        return messages.with_label_values(&["malformed"]).inc();
    };
    if header.node == node {
        return;
    }
    messages.with_label_values(&["received"]).inc();
    let Some(namespace) = namespaces.get(&*header.namespace) else { return };
    let selection = Selection { to: header.to, except: header.except };
    let publisher = namespace.hub.other_nodes();
    match event {
        None => namespace.hub.disconnect(publisher, namespace.space, &selection),
        Some((name, payload)) => match encode_event(&namespace.name, &name, &payload) {
            Ok(item) => namespace.publish_item_wait(publisher, selection, &name, (item, header.mode)).await,
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
        let selection = Selection { to: vec!["r\n\"".to_owned()], except: vec!["x".to_owned()] };
        let payload = Payload::binary(Bytes::from_static(b"\n\0"));
        let item = encode_event(&Arc::from("/n"), "e", &payload).unwrap();
        cluster.publish("/n", &selection, &item, Mode::All);
        cluster.disconnect("/n", &selection);
        let received = take_apart(&tasks.outgoing.try_recv().unwrap()).unwrap();
        assert_eq!((received.header.to, received.header.except), (selection.to, selection.except));
        let (name, arrived) = received.event.unwrap();
        assert_eq!((name.as_str(), arrived.json()), ("e", payload.json()));
        assert_eq!(arrived.attachments(), payload.attachments());
        assert!(take_apart(&tasks.outgoing.try_recv().unwrap()).unwrap().event.is_none());
    }

    #[test]
    fn nonsense_on_the_channel_is_refused() {
        let header = r#"{"node":"a","namespace":"/","json":9}"#;
        for text in ["", "x", "\n", "{}\n[]", &format!("{header}\n[\"e\"]"), &format!("{header}\n[\"e\",nul]")] {
            assert!(take_apart(&Bytes::copy_from_slice(text.as_bytes())).is_err(), "{text}");
        }
    }
}
