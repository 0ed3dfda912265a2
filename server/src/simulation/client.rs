//! A client: what it sends, what it makes of what it gets, and how fast it reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::packet::{Inbound, Packet, masked, prefix};
use super::served::Served;
use super::world::{NAMESPACES, spawn, tell, world};
use crate::wire::Memory;

/// Where a client stands on its way from polling to a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Polling,
    /// The WebSocket is opening; it is asked whether it works; it does.
    Opening,
    Probing,
    Probed,
    WebSocket,
}

pub(super) struct Client {
    pub(super) engine: Served,
    pub(super) stage: Stage,
    pub(super) sides: [Side; 2],
    pub(super) gone: bool,
    pub(super) memory: Option<Memory>,
    posts: Option<mpsc::UnboundedSender<String>>,
    posting: Arc<AtomicUsize>,
    poll: Option<oneshot::Receiver<Option<Vec<Packet>>>>,
    inbound: Inbound,
    /// A packet some of whose attachments are missing.
    partial: Option<(String, usize, Vec<Bytes>)>,
    /// Calls it has not answered yet: the namespace, the id, and the number that was sent.
    calls: Vec<(usize, i64, u64)>,
    asked: i64,
}

/// What a client knows of one namespace.
#[derive(Default)]
pub(super) struct Side {
    pub(super) state: State,
    pub(super) member: Option<usize>,
    /// DISCONNECT has come: nothing may follow.
    over: bool,
    /// Acks it waits for.
    acks: BTreeSet<i64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Out,
    Asked,
    In,
}

impl Client {
    pub(super) fn new(engine: Served, memory: Option<Memory>) -> Self {
        let stage = if memory.is_some() { Stage::WebSocket } else { Stage::Polling };
        let posting = Arc::new(AtomicUsize::new(0));
        let posts = memory.is_none().then(|| post(engine.clone(), Arc::clone(&posting)));
        Self {
            engine,
            stage,
            sides: Default::default(),
            gone: false,
            memory,
            posts,
            posting,
            poll: None,
            inbound: Inbound::default(),
            partial: None,
            calls: Vec::new(),
            asked: 0,
        }
    }

    fn name(&self) -> u64 {
        self.engine.number()
    }

    // --- Sending -----------------------------------------------------------------------------------------------

    pub(super) fn sends(&mut self, text: String) {
        tell!("client {} sends {text}", self.name());
        match (&self.memory, &self.posts) {
            (Some(memory), _) if self.stage == Stage::WebSocket => memory.client_sends(&masked(&text)),
            (_, Some(posts)) => {
                self.posting.fetch_add(1, Ordering::Relaxed);
                posts.send(text).ok();
            }
            _ => {}
        }
    }

    pub(super) fn connects(&mut self, namespace: usize) {
        self.sides[namespace].state = State::Asked;
        // What its last life there was asked is nobody's business now.
        self.calls.retain(|(of, ..)| *of != namespace);
        self.sends(format!("40{}", prefix(namespace)));
    }

    pub(super) fn disconnects(&mut self, namespace: usize) {
        self.sides[namespace].state = State::Out;
        self.sides[namespace].acks.clear();
        self.sends(format!("41{}", prefix(namespace)));
    }

    pub(super) fn asks(&mut self, namespace: usize, ack: bool) {
        let id = if ack { self.asked.to_string() } else { String::new() };
        if ack {
            self.sides[namespace].acks.insert(self.asked);
            self.asked += 1;
        }
        self.sends(format!("42{}{id}[\"do\",{ack}]", prefix(namespace)));
    }

    /// Answers the oldest call.
    pub(super) fn answers(&mut self) {
        if !self.calls.is_empty() {
            let (namespace, id, number) = self.calls.remove(0);
            self.sends(format!("43{}{id}[{number}]", prefix(namespace)));
        }
    }

    // --- Reading -----------------------------------------------------------------------------------------------

    /// Takes what a poll has brought, and polls again.
    pub(super) fn polls(&mut self) {
        if let Some(poll) = &mut self.poll {
            let Ok(answer) = poll.try_recv() else { return };
            self.poll = None;
            match answer {
                Some(packets) => packets.into_iter().for_each(|packet| self.gets(packet)),
                None => self.gone = true,
            }
        }
        if matches!(self.stage, Stage::Polling | Stage::Opening | Stage::Probing) && !self.gone {
            let (answer, poll) = oneshot::channel();
            self.poll = Some(poll);
            let engine = self.engine.clone();
            spawn(async move {
                answer.send(engine.poll().await).ok();
            });
        }
    }

    /// Reads up to `most` bytes from the WebSocket.
    pub(super) fn reads(&mut self, most: usize) {
        let Some(memory) = self.memory.clone() else { return };
        let (bytes, ended) = memory.client_reads(most);
        memory.tell();
        self.gone |= ended && bytes.len() < most;
        for packet in self.inbound.read(&bytes) {
            match packet {
                Packet::Text(text) if text == "3probe" && self.stage == Stage::Probing => self.stage = Stage::Probed,
                other if self.stage == Stage::WebSocket => self.gets(other),
                other => world(|world| world.fail(format!("{other:?} came before the upgrade had ended"))),
            }
        }
    }

    /// Goes on with the upgrade, when it can.
    pub(super) fn upgrades(&mut self) {
        let Some(memory) = self.memory.clone() else { return };
        match self.stage {
            Stage::Opening if self.inbound.is_open() => {
                memory.client_sends(&masked("2probe"));
                self.stage = Stage::Probing;
            }
            // What polling still brings and takes comes first.
            Stage::Probed if self.poll.is_none() && self.posting.load(Ordering::Relaxed) == 0 => {
                memory.client_sends(&masked("5"));
                self.stage = Stage::WebSocket;
            }
            _ => return,
        }
        tell!("client {} is {:?}", self.name(), self.stage);
    }

    fn gets(&mut self, packet: Packet) {
        let whole = match (packet, self.partial.take()) {
            (Packet::Text(text), None) => {
                let kind = text.get(..2).unwrap_or_default();
                let count = if matches!(kind, "45" | "46") { text[2..].split('-').next().unwrap() } else { "0" };
                Some((text.clone(), count.parse().unwrap(), Vec::new()))
            }
            (Packet::Binary(data), Some((text, missing, mut attachments))) => {
                attachments.push(data);
                Some((text, missing - 1, attachments))
            }
            // The protocol's own may come between an event and its attachments.
            (Packet::Text(text), partial) if !text.starts_with('4') => {
                self.partial = partial;
                Some((text, 0, Vec::new()))
            }
            (packet, partial) => {
                return world(|world| world.fail(format!("{packet:?} came within {partial:?}")));
            }
        };
        match whole {
            Some((text, 0, attachments)) => self.takes(&text, &attachments),
            partial => self.partial = partial,
        }
    }

    /// A complete packet.
    fn takes(&mut self, text: &str, attachments: &[Bytes]) {
        tell!("client {} gets {}", self.name(), text.get(..60).unwrap_or(text));
        let (kind, rest) = text.split_at(text.len().min(2));
        let rest = if matches!(kind, "45" | "46") { rest.split_once('-').unwrap().1 } else { rest };
        let (namespace, rest) = rest.strip_prefix("/n,").map_or((0, rest), |rest| (1, rest));
        let side = &mut self.sides[namespace];
        match kind {
            "40" => {
                let reply: Value = serde_json::from_str(rest).unwrap();
                let member = world(|world| world.by_id(reply["sid"].as_str().unwrap()));
                if side.state != State::Asked || side.member.is_some_and(|before| before >= member) {
                    world(|world| world.fail(format!("a CONNECT reply nobody asked for: {text}")));
                }
                *side = Side { state: State::In, member: Some(member), ..Side::default() };
            }
            "41" => {
                side.over = true;
                side.acks.clear();
                if side.state == State::In {
                    side.state = State::Out;
                }
            }
            "44" => side.state = State::Out,
            "42" | "43" | "45" | "46" => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let id = rest[..digits].parse::<i64>().ok();
                let args: Vec<Value> = serde_json::from_str(&rest[digits..]).unwrap();
                self.event(namespace, matches!(kind, "43" | "46"), id, &args, attachments);
            }
            "2" => self.sends("3".to_owned()),
            "1" => self.gone = true,
            _ => {}
        }
    }

    fn event(&mut self, namespace: usize, ack: bool, id: Option<i64>, args: &[Value], attachments: &[Bytes]) {
        let side = &mut self.sides[namespace];
        let number = args.iter().find_map(Value::as_u64);
        let (Some(member), Some(number), false) = (side.member, number, side.over) else {
            let name = NAMESPACES[namespace];
            return world(|world| world.fail(format!("{args:?} came to {name} before CONNECT or after DISCONNECT")));
        };
        let prefix = format!("{number}:");
        if !attachments.iter().enumerate().all(|(at, data)| data.starts_with(format!("{prefix}{at}:").as_bytes())) {
            world(|world| world.fail(format!("{number} came with somebody else's attachments")));
        }
        world(|world| world.receives(member, number));
        match (ack, id) {
            (true, Some(id)) if !side.acks.remove(&id) && side.state == State::In => {
                world(|world| world.fail(format!("ack {id} came twice, or unasked")));
            }
            (false, Some(id)) if side.state == State::In => self.calls.push((namespace, id, number)),
            _ => {}
        }
    }

    // --- Ends --------------------------------------------------------------------------------------------------

    /// The client goes, in one way or another.
    pub(super) fn goes(&mut self, how: usize) {
        tell!("client {} goes, way {how}", self.name());
        match (&self.memory, how) {
            (Some(memory), 0) => memory.client_ends(),
            (Some(memory), 1) => memory.cut(),
            (_, 2) => self.sends("1".to_owned()),
            // It does not answer pings any more: the heartbeat finds out.
            _ => {}
        }
        self.gone = true;
    }

    /// Whether it is in the namespace, on both sides, and so has to get everything.
    pub(super) fn whole(&self, namespace: usize) -> Option<usize> {
        let side = &self.sides[namespace];
        let open = side.member.filter(|member| world(|world| world.members[*member].open));
        open.filter(|_| !self.gone && self.engine.lives() && side.state == State::In)
    }

    /// An ack that has not come.
    pub(super) fn unanswered(&self, namespace: usize) -> Option<i64> {
        self.sides[namespace].acks.first().copied()
    }

    /// Whether it is on its way to another transport.
    pub(super) fn is_upgrading(&self) -> bool {
        !matches!(self.stage, Stage::Polling | Stage::WebSocket)
    }
}

/// Hands POST bodies over one by one, and none while the client is paused.
fn post(engine: Served, posting: Arc<AtomicUsize>) -> mpsc::UnboundedSender<String> {
    let (posts, mut bodies) = mpsc::unbounded_channel::<String>();
    spawn(async move {
        while let Some(text) = bodies.recv().await {
            engine.post(text).await;
            posting.fetch_sub(1, Ordering::Relaxed);
        }
    });
    posts
}
