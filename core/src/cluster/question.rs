//! What nodes ask each other about clients, and their answers: never an error, and never for ever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::hub::{Selection, check_name};
use crate::namespace::Namespace;
use crate::peer::NodeId;

/// Members that are listed at most.
pub(crate) const MEMBERS_MAX: usize = 10_000;
/// Bytes of names that one node lists at most: more members are counted only.
const LIST_BYTES: usize = 8 << 20;
/// Clients that are dealt with before other work has the thread.
const AT_ONCE: usize = 256;
/// Bytes of a reason.
const REASON_MAX: usize = 256;

/// What is asked of the clients addressed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Request {
    /// Who they are.
    Members { limit: usize },
    /// To be in a room.
    Join { room: String },
    /// To be in a room no more.
    Leave { room: String },
    /// To be disconnected at once.
    Close { reason: String },
}

/// A question to all nodes that have such clients.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) id: u64,
    pub(super) namespace: String,
    /// Whom it is about.
    #[serde(rename = "for", default)]
    pub(super) selection: Selection,
    #[serde(flatten)]
    pub(super) what: Request,
}

impl Question {
    /// Names are such as a node may send.
    pub(super) fn is_sound(&self) -> bool {
        let room = match &self.what {
            Request::Join { room } | Request::Leave { room } => check_name(room).is_ok(),
            Request::Members { .. } | Request::Close { .. } => true,
        };
        room && self.selection.is_sound()
    }
}

/// One node's answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// How many clients it was about.
    pub(crate) count: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) members: Vec<Member>,
}

/// One client of a namespace, on whichever Carillon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Its public id.
    pub id: String,
    /// The Carillon that has it.
    pub node: String,
    /// The rooms it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<String>,
    /// Who it is, where `auth.mode` asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// Who was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AskedNodes {
    /// Carillons that have answered, this one first.
    pub answered: Vec<String>,
    /// Carillons that were there lately and have not answered in time.
    pub missing: Vec<String>,
}

/// Does what is asked with this node's clients.
pub(crate) async fn act(node: NodeId, namespace: &Namespace, selection: &Selection, what: &Request) -> Answer {
    let (hub, space) = (&namespace.hub, namespace.space);
    if let Request::Members { limit } = what {
        let clients = hub.clients(space, selection, (*limit).min(MEMBERS_MAX));
        let (mut members, mut bytes) = (Vec::new(), 0);
        for (at, client) in clients.into_iter().enumerate() {
            if at % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let rooms: Vec<String> = client.rooms().names.iter().map(|room| (**room).to_owned()).collect();
            let subject = client.peer.identity().map(|identity| identity.subject().to_owned());
            let member = Member { id: client.peer.id().to_owned(), node: node.to_string(), rooms, subject };
            bytes += 64 + member.rooms.iter().chain(&member.subject).map(|name| name.len() + 3).sum::<usize>();
            if bytes > LIST_BYTES {
                break;
            }
            members.push(member);
        }
        return Answer { count: hub.count(space, selection), members };
    }
    let clients = hub.clients(space, selection, usize::MAX);
    let mut count = 0;
    for some in clients.chunks(AT_ONCE) {
        count += some.iter().filter(|client| client.does(what)).count();
        tokio::task::yield_now().await;
    }
    if let Request::Close { reason } = what
        && count > 0
    {
        let reason = &reason[..reason.floor_char_boundary(REASON_MAX)];
        tracing::info!(namespace = &*namespace.name, clients = count, reason, "closed by a plugin");
    }
    Answer { count, members: Vec::new() }
}

/// Waits, for a moment, until what was done holds for what other nodes publish too.
pub(crate) async fn settled(namespace: &Namespace, what: &Request, done: &Answer) {
    if let Request::Join { room } = what
        && done.count > 0
    {
        namespace.room_heard(room).await;
    }
}

/// Questions of this node that are not answered by all yet.
#[derive(Default)]
pub(super) struct Open {
    last: AtomicU64,
    questions: Mutex<HashMap<u64, mpsc::Sender<(NodeId, Answer)>>>,
}

impl Open {
    fn questions(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<(NodeId, Answer)>>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node's answer. One that comes too late, or was not asked for, is for nobody.
    pub(super) fn answered(&self, id: u64, node: NodeId, answer: Answer) {
        if let Some(question) = self.questions().get(&id) {
            question.try_send((node, answer)).ok();
        }
    }

    /// A question to these nodes.
    pub(super) fn ask(self: &Arc<Self>, nodes: Vec<NodeId>) -> Asked {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = mpsc::channel(2 * nodes.len().max(1));
        self.questions().insert(id, sender);
        Asked { open: Arc::clone(self), id, answers, missing: nodes }
    }
}

/// A question that waits for its answers. Dropped, it waits no more.
pub(super) struct Asked {
    open: Arc<Open>,
    pub(super) id: u64,
    answers: mpsc::Receiver<(NodeId, Answer)>,
    missing: Vec<NodeId>,
}

impl Asked {
    /// Those who have not answered.
    pub(super) fn missing(mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.missing)
    }

    /// What came until all have answered or the time is up, and from whom nothing came.
    pub(super) async fn wait(mut self, limit: Duration) -> (Vec<(NodeId, Answer)>, Vec<NodeId>) {
        let (until, mut answers) = (Instant::now() + limit, Vec::new());
        while !self.missing.is_empty() {
            let Ok(Some((node, answer))) = tokio::time::timeout_at(until, self.answers.recv()).await else { break };
            // Each once, and none that was not asked.
            if let Some(at) = self.missing.iter().position(|missing| *missing == node) {
                self.missing.remove(at);
                answers.push((node, answer));
            }
        }
        (answers, self.missing())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.open.questions().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_partial_and_never_late() {
        let open = Arc::new(Open::default());
        let (a, b, stranger) = (NodeId::random(), NodeId::random(), NodeId::random());
        let asked = open.ask(vec![a, b]);
        let answer = |count| Answer { count, members: Vec::new() };
        for (id, node, count) in [(asked.id + 1, b, 1), (asked.id, a, 2), (asked.id, a, 3), (asked.id, stranger, 4)] {
            open.answered(id, node, answer(count));
        }
        let start = Instant::now();
        let (answers, missing) = asked.wait(Duration::from_secs(1)).await;
        assert_eq!(answers.iter().map(|(node, answer)| (*node, answer.count)).collect::<Vec<_>>(), [(a, 2)]);
        assert_eq!((missing, start.elapsed()), (vec![b], Duration::from_secs(1)));
        assert!(open.questions().is_empty());
        assert!(open.ask(Vec::new()).wait(Duration::from_secs(1)).await.1.is_empty());
        assert_eq!(start.elapsed(), Duration::from_secs(1), "nobody is waited for");
    }
}
