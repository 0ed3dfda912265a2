//! What a plugin asks of clients on every node at once: who they are, to join or leave a room, to be closed; and what it
//! is told of the nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Host, Target};
use crate::cluster::{Answer, AskedNodes, MEMBERS_MAX, Member, Missed, Request, act, settled};
use crate::error::Result;
use crate::hub::check_name;

/// Clients that a [`Target`] addresses, on all Carillons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Members {
    /// Who they are, as many as were asked for, those of this Carillon first.
    pub members: Vec<Member>,
    /// How many there are.
    pub count: usize,
    /// Who was asked.
    pub nodes: AskedNodes,
    /// Whether all have answered.
    pub complete: bool,
}

/// What became of something that clients on all Carillons were to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// How many clients have done it.
    pub members: usize,
    /// Who was asked.
    pub nodes: AskedNodes,
    /// Whether all have answered.
    pub complete: bool,
}

impl From<Members> for Reached {
    fn from(Members { count, nodes, complete, .. }: Members) -> Self {
        Self { members: count, nodes, complete }
    }
}

impl Host {
    /// This Carillon's id, made anew at each start: the first 8 characters of its clients' ids.
    #[must_use]
    pub fn node(&self) -> &str {
        self.shared.node.as_str()
    }

    /// Tells, from now on, of publishes of other Carillons to `namespace` that never came: for a plugin that then says
    /// anew what its clients should know.
    #[must_use]
    pub fn missed(&self, namespace: &str) -> Missed {
        let interest = self.shared.namespaces.get(namespace).and_then(|namespace| namespace.interest.as_ref());
        interest.map_or_else(Missed::nothing, |interest| interest.missed())
    }
}

impl Target {
    /// Who is addressed, on every Carillon: up to `limit` of them (10,000 at most) with their rooms, and how many there are.
    ///
    /// Carillons that do not answer within `cluster.ask_timeout_ms` are named as `missing`, and so is for as long as nine
    /// seconds one that has died: the answer is what the others have. One that is started just now may not be known yet.
    pub async fn members(&self, limit: usize) -> Members {
        self.ask(Request::Members { limit: limit.min(MEMBERS_MAX) }).await
    }

    /// How many clients are in the room addressed, on all Carillons, as they keep count of it and tell each other: nobody is
    /// asked, and this node's own are counted as of now. What others have told is as old as a second or two; a Carillon that
    /// has died takes its count with it nine seconds later.
    ///
    /// `None` where one room, and nothing else, is not what is addressed, or it is not counted
    /// ([`Routes::presence`](crate::routes::Routes::presence)).
    #[must_use]
    pub fn present(&self) -> Option<usize> {
        let ([room], [], []) = (&*self.selection.to, &*self.selection.clients, &*self.selection.except) else {
            return None;
        };
        let elsewhere = self.here.as_ref()?.presence.as_ref()?.elsewhere(room)?;
        Some(self.clients() + if self.local { 0 } else { elsewhere })
    }

    /// Puts everybody addressed, on every Carillon, into a room: each gets every publish to it from then on. Those who may
    /// not be in it by their token, or are in as many rooms as one can be, are not counted. Answered as
    /// [`members`](Self::members).
    ///
    /// # Errors
    /// `bad_payload` when the name is empty or too long.
    pub async fn join(&self, room: impl Into<String>) -> Result<Reached> {
        let room = room.into();
        check_name(&room)?;
        Ok(self.ask(Request::Join { room }).await.into())
    }

    /// Takes everybody addressed, on every Carillon, out of a room. Answered as [`members`](Self::members).
    pub async fn leave(&self, room: impl Into<String>) -> Reached {
        self.ask(Request::Leave { room: room.into() }).await.into()
    }

    /// Closes the connections of everybody addressed, on every Carillon, at once and with all their namespaces; stock
    /// clients reconnect. Each Carillon logs the reason. Answered as [`members`](Self::members);
    /// [`disconnect`](Self::disconnect) asks nobody, and keeps its place among publishes.
    pub async fn close(&self, reason: impl Into<String>) -> Reached {
        self.ask(Request::Close { reason: reason.into() }).await.into()
    }

    async fn ask(&self, what: Request) -> Members {
        let node = self.shared.node;
        let own = async {
            match &self.here {
                Some(namespace) => {
                    let done = act(node, namespace, &self.selection, &what).await;
                    settled(namespace, &what, &done).await;
                    done
                }
                None => Answer::default(),
            }
        };
        let others = async {
            match self.cluster() {
                Some(cluster) => cluster.ask(&self.namespace, &self.selection, &what).await,
                None => Default::default(),
            }
        };
        let (own, (answers, missing)) = tokio::join!(own, others);
        let mut all = Members { complete: missing.is_empty(), ..Members::default() };
        for (node, Answer { count, members }) in std::iter::once((node, own)).chain(answers) {
            all.count += count;
            all.members.extend(members);
            all.nodes.answered.push(node.to_string());
        }
        if let Request::Members { limit } = what {
            all.members.truncate(limit);
        }
        all.nodes.missing = missing.iter().map(ToString::to_string).collect();
        all
    }
}
