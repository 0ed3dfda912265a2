//! Whether a client may get on where it left off, decided before it is let in.

use std::sync::{Arc, Weak};

use super::life::{Life, Takeover};
use super::sessions::{Known, Membership, key};
use super::{Claim, Sessions, new_pid};
use crate::error::Error;
use crate::journal::{Keeper, Offset};
use crate::namespace::Namespace;
use crate::peer::Peer;
use crate::sink::Reason;

/// Clients that are closed before others have a turn.
const AT_ONCE: usize = 256;

/// What a client gets on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// The last publish it has got.
    pub(crate) offset: Offset,
    pub(crate) rooms: Vec<Arc<str>>,
    /// Which of its connections it is from here on.
    pub(super) life: Life,
}

/// Why a client cannot get on, as it is counted.
type Refused = &'static str;

impl Namespace {
    /// What a client may get on with, if it claims anything and may. It has its old id from here on.
    pub(crate) async fn resume(
        &self,
        keeper: &Keeper,
        sessions: &Sessions,
        peer: &Peer,
        claim: &Claim,
    ) -> Option<Resumed> {
        let pid = claim.pid.as_deref()?;
        match self.look_up(keeper, peer, claim, pid).await {
            Ok((id, resumed)) => {
                peer.set_id(&id);
                peer.set_recovered();
                Some(resumed)
            }
            Err(refused) => {
                sessions.counts.count(refused);
                None
            }
        }
    }

    async fn look_up(
        &self,
        keeper: &Keeper,
        peer: &Peer,
        claim: &Claim,
        pid: &str,
    ) -> Result<(String, Resumed), Refused> {
        let away = |_: Error| "unavailable";
        let name = key(&*keeper.bus, pid);
        let known = keeper.in_turn(keeper.bus.get(&name)).await.map_err(away)?.ok_or("unknown")?;
        let known = keeper.seal.open(pid, known).map_err(|_| "unknown")?;
        let known: Known = serde_json::from_slice(&known).map_err(|_| "unknown")?;
        let identity = peer.identity();
        let subject = identity.as_ref().map(|identity| identity.subject());
        if known.namespace != *self.name || known.subject.as_deref() != subject {
            return Err("forbidden");
        }
        if identity.is_some_and(|identity| known.rooms.iter().any(|room| !identity.may_join(room))) {
            return Err("forbidden");
        }
        let offset = match &claim.offset {
            Some(offset) => offset.clone(),
            None if claim.astray => return Err("gone"),
            None => known.offset.parse().map_err(|_| "unknown")?,
        };
        // Nobody gets across what is not in the journal.
        keeper.mend().await.map_err(away)?;
        let page = keeper.in_turn(keeper.read(Some(&offset), 1)).await.map_err(away)?;
        if !page.whole {
            return Err("gone");
        }
        let rooms = known.rooms.iter().map(|room| room.as_str().into()).collect();
        Ok((known.id, Resumed { offset, rooms, life: known.life.next() }))
    }

    /// What a client that is let in will come back with: written down before it is told, so that it may come back
    /// whatever becomes of this node.
    pub(crate) async fn remember(
        &self,
        keeper: &Keeper,
        sessions: &Sessions,
        peer: &Peer,
        claim: &Claim,
        resumed: Option<Resumed>,
    ) -> Option<Membership> {
        let (pid, offset, rooms) = match &resumed {
            Some(Resumed { offset, rooms, .. }) => (claim.pid.as_deref()?.into(), offset.clone(), rooms.clone()),
            // Where the journal has not been reached there is nothing to get on with.
            None => (new_pid(), keeper.state().last().cloned()?, Vec::new()),
        };
        let membership = Membership::new(pid, claim.takes_offsets(peer), offset, resumed);
        if membership.takes_offsets {
            let known = keeper.seal.close(&membership.pid, membership.known(&self.name, peer, &rooms).ok()?);
            let ttl = sessions.patience + sessions.patience / 2;
            sessions.pending.forget(&membership.pid);
            let name = key(&*keeper.bus, &membership.pid);
            let written = keeper.in_turn(keeper.bus.set(&name, known, Some(ttl))).await;
            sessions.counts.write(&written).inc();
        }
        Some(membership)
    }
}

impl Namespace {
    /// Another node has a client of this namespace that has come back.
    pub(crate) fn supersede(&self, over: &Takeover) {
        if let Some((_, sessions)) = self.recovering() {
            sessions.supersede(over);
        }
    }
}

impl Sessions {
    /// Something was published, on some node, that is not in the journal: who takes offsets comes back and is told that it
    /// may have missed it.
    pub(crate) async fn may_have_missed(&self) {
        let connected: Vec<_> = self.connected().values().filter_map(Weak::upgrade).collect();
        for some in connected.chunks(AT_ONCE) {
            some.iter().filter_map(|client| client.sink()).for_each(|sink| sink.close(Reason::Resumed));
            tokio::task::yield_now().await;
        }
    }

    /// The earlier connection of a client that has come back, if it is on this node, is over. Whether it was the last before: then
    /// there is none on any other.
    pub(crate) fn supersede(&self, over: &Takeover) -> bool {
        let Some(earlier) = self.client(&over.pid) else { return false };
        let Some(life) = earlier.membership().map(|membership| &membership.life).filter(|life| **life < over.life)
        else {
            return false;
        };
        earlier.superseded();
        over.life.is_right_after(life)
    }
}
