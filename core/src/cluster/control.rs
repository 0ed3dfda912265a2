//! The talk between nodes that is about no publish: that they are there, questions, and answers.
//!
//! Heartbeats and questions go to all, on one channel; an answer goes to the node that has asked. That a node hears its
//! own heartbeats is the proof that the way to the others works.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::alive::{Alive, BEAT};
use super::channels::Channels;
use super::ends::{Ear, Voice};
use super::envelope::Envelopes;
use super::question::{Answer, Open, Question, act, settled};
use super::{Counters, Namespaces, RESUBSCRIBE};
use crate::bus::{Bus, Message};
use crate::peer::NodeId;
use crate::presence::{Counts, Presence};
use crate::throttle::Throttle;

/// Words of this node that wait for the bus, and questions of others that wait for their answer; what is more is dropped.
pub(super) const DEPTH: usize = 1024;
/// Pause between two heartbeats while this node does not hear itself.
const SEARCH: Duration = Duration::from_millis(500);
/// Least pause between two heartbeats, however many nodes come.
const LEAST: Duration = Duration::from_millis(50);
/// How long the word of this node's end may take.
const FAREWELL: Duration = Duration::from_millis(200);
/// Lines to single nodes, of which many may be gone.
const VOICES: usize = 4096;
/// Answers that wait for what was joined to be heard.
const SETTLING: usize = 64;

/// What a node says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum Said {
    /// It is there; the others are to say so too if it is `new`.
    Alive { new: bool },
    /// It goes.
    Leaves,
    /// It wants to know, or to have done, something.
    Question(Question),
    /// What a node has asked.
    Answer { id: u64, answer: Answer },
    /// How many clients it has in rooms of a namespace.
    Counts(Counts),
    /// It has missed some of those, and wants all.
    Recount { namespace: String },
}

/// Something to be said to a node, or to all.
pub(super) type Word = (Option<NodeId>, Said);

/// What the rest of the node and the talk share.
pub(super) struct Shared {
    pub(super) node: NodeId,
    pub(super) alive: Alive,
    pub(super) open: Arc<Open>,
    pub(super) words: mpsc::Sender<Word>,
}

/// The talk, up to the node's end.
pub(super) struct Control<'a> {
    pub(super) bus: &'a dyn Bus,
    pub(super) channels: &'a Channels,
    pub(super) secret: Option<&'a str>,
    pub(super) shared: &'a Shared,
    pub(super) counters: &'a Counters,
    pub(super) namespaces: &'a Namespaces,
}

impl Control<'_> {
    /// Runs for ever.
    pub(super) async fn run(&self, speaker: &mut Speaker<'_>) {
        let (questions, asked) = mpsc::channel(DEPTH);
        let hurry = Notify::new();
        tokio::join!(speaker.run(), self.hear(&questions, &hurry), self.beat(&hurry), self.answer(asked));
    }

    /// Says again and again that this node is there, at once when another one comes.
    async fn beat(&self, hurry: &Notify) {
        let Shared { alive, words, .. } = self.shared;
        // Before it listens it would miss the others' answers.
        hurry.notified().await;
        let mut new = true;
        loop {
            if self.bus.status().up {
                // With so much waiting there will be a next one.
                words.try_send((None, Said::Alive { new })).ok();
                new = false;
            } else {
                alive.lost();
            }
            alive.count();
            sleep(LEAST).await;
            let pause = if alive.delivers() { BEAT } else { SEARCH } - LEAST;
            drop(timeout(pause, hurry.notified()).await);
        }
    }

    /// Hears what is said to all, and to this node.
    async fn hear(&self, questions: &mpsc::Sender<(NodeId, Question)>, hurry: &Notify) {
        let names = [self.channels.control(), self.channels.control_of(self.shared.node)];
        let mut ears = names.clone().map(|name| Ear::new(&name, self.secret));
        let log = Throttle::per_second();
        loop {
            match self.bus.subscribe(&names).await {
                Ok(mut subscription) => {
                    hurry.notify_one();
                    while let Some(message) = subscription.recv().await {
                        let ear = &mut ears[usize::from(*message.channel != *names[0])];
                        if let Some((node, said)) = self.open(&message, ear, &log) {
                            self.take(node, said, questions, hurry);
                        }
                    }
                }
                Err(error) => tracing::warn!("the channels between Carillons cannot be subscribed to: {error}"),
            }
            sleep(RESUBSCRIBE).await;
        }
    }

    /// What another node says, if it is one and says it for the first time.
    fn open(&self, message: &Message, ear: &mut Ear, log: &Throttle) -> Option<(NodeId, Said)> {
        let payload = &message.payload;
        if Envelopes::is_of(payload, self.shared.node.as_str()) {
            // Without Redis it comes back all the same, by a shorter way.
            if self.bus.status().up {
                self.shared.alive.returned();
            }
            return None;
        }
        let (opened, _) = ear.open(message, self.counters, log)?;
        let said = NodeId::parse(opened.node).zip(understood(&payload[opened.at..]));
        if said.is_none() {
            self.counters.count("malformed");
        }
        said
    }

    fn take(&self, node: NodeId, said: Said, questions: &mpsc::Sender<(NodeId, Question)>, hurry: &Notify) {
        let Shared { alive, open, words, .. } = self.shared;
        let presences = || self.namespaces.values().filter_map(|namespace| namespace.presence.as_ref());
        let presence = |namespace: &str| self.namespaces.get(namespace)?.presence.as_ref();
        if let Said::Leaves = said {
            alive.leaves(node);
            return presences().for_each(|presence| presence.gone(node));
        }
        alive.hear(node);
        match said {
            Said::Alive { new: true } => {
                hurry.notify_one();
                presences().for_each(Presence::is_wanted);
            }
            Said::Alive { new: false } | Said::Leaves => {}
            // Who is not answered counts this node as missing.
            Said::Question(question) => drop(questions.try_send((node, question))),
            Said::Answer { id, answer } => open.answered(id, node, answer),
            Said::Counts(counts) => {
                let namespace = counts.namespace.clone();
                let known = presence(&namespace).filter(|_| alive.knows(node));
                if known.is_some_and(|presence| presence.hear(node, counts)) {
                    words.try_send((Some(node), Said::Recount { namespace })).ok();
                }
            }
            Said::Recount { namespace } => presence(&namespace).into_iter().for_each(Presence::is_wanted),
        }
    }

    /// Does what others ask, one after the other. They are answered when that is done; who joins a room may have to be waited
    /// for, and nobody waits for that in turn.
    async fn answer(&self, mut asked: mpsc::Receiver<(NodeId, Question)>) {
        let mut settling = FuturesUnordered::new();
        loop {
            let (from, Question { id, namespace, selection, what }) = tokio::select! {
                Some(question) = asked.recv(), if settling.len() < SETTLING => question,
                Some(()) = settling.next() => continue,
                else => return,
            };
            let namespace = self.namespaces.get(&*namespace);
            let answer = match namespace {
                Some(namespace) => act(self.shared.node, namespace, &selection, &what).await,
                None => Answer::default(),
            };
            settling.push(async move {
                if let Some(namespace) = namespace {
                    settled(namespace, &what, &answer).await;
                }
                self.shared.words.try_send((Some(from), Said::Answer { id, answer })).ok();
            });
        }
    }
}

/// What these bytes say, if it is anything that a node may say.
pub(super) fn understood(text: &[u8]) -> Option<Said> {
    // Nothing stands behind it, so that none is one that was cut short.
    let said: Said = serde_json::from_slice(text.strip_suffix(b"}").map(|_| text)?).ok()?;
    match &said {
        Said::Question(question) if !question.is_sound() => None,
        Said::Counts(counts) if !counts.is_sound() => None,
        _ => Some(said),
    }
}

/// Who says this node's words.
pub(super) struct Speaker<'a> {
    control: &'a Control<'a>,
    words: mpsc::Receiver<Word>,
    voices: HashMap<Option<NodeId>, Voice>,
}

impl<'a> Speaker<'a> {
    pub(super) fn new(control: &'a Control<'a>, words: mpsc::Receiver<Word>) -> Self {
        Self { control, words, voices: HashMap::new() }
    }

    async fn run(&mut self) {
        while let Some((to, said)) = self.words.recv().await {
            self.say(to, &said).await;
        }
    }

    /// The last word.
    pub(super) async fn farewell(&mut self) {
        drop(timeout(FAREWELL, self.say(None, &Said::Leaves)).await);
    }

    async fn say(&mut self, to: Option<NodeId>, said: &Said) {
        let Control { bus, channels, secret, shared, .. } = self.control;
        let Ok(text) = serde_json::to_vec(said) else { return };
        if self.voices.len() > VOICES {
            self.voices.retain(|to, _| to.is_none_or(|node| shared.alive.knows(node)));
        }
        let voice = self.voices.entry(to).or_insert_with(|| {
            let name = to.map_or_else(|| channels.control(), |node| channels.control_of(node));
            Voice::new(name, *secret)
        });
        let sealed = voice.seal(shared.node, 0, &text);
        // While the bus is away nobody hears it, and whoever asks is told that the others are missing.
        bus.publish(&voice.channel, sealed).await.ok();
    }
}
