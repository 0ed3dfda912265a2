//! How a schedule ends: quiet, in which everybody gets everything, and then nobody is there and nothing is left.

use std::fmt::Display;
use std::time::Duration;

use super::schedule::Schedule;
use super::world::{NAMESPACES, forget_members, tell, world};

/// Time enough for whatever is under way.
const QUIET: Duration = Duration::from_millis(20);

impl Schedule {
    /// Everybody reads on until nothing moves: then everybody has everything.
    pub(super) async fn settle(&mut self) -> Result<u64, String> {
        tell!("everybody reads on");
        let mut quiet = 0;
        for round in 0.. {
            let before = world(|world| world.received);
            for client in &mut self.clients {
                client.memory.iter().for_each(|memory| memory.grow(1_000_000));
                client.reads(usize::MAX);
                client.polls();
                client.upgrades();
                client.answers();
            }
            tokio::time::sleep(QUIET).await;
            verdict()?;
            let waiting = self.clients.iter().any(|client| {
                let busy = client.is_upgrading() || client.engine.queued_bytes() > 0;
                busy && !client.gone && client.engine.lives()
            });
            quiet = if waiting || world(|world| world.received) != before { 0 } else { quiet + 1 };
            if quiet == 3 {
                break;
            }
            if round == 500 {
                return Err("something waits that does not leave".to_owned());
            }
        }
        let mut copies = 0;
        for client in &self.clients {
            for (namespace, name) in NAMESPACES.iter().enumerate() {
                let Some(member) = client.whole(namespace) else { continue };
                if let Some(number) = world(|world| world.lacks(member)) {
                    return Err(format!("member {member} of {name} never got {number}"));
                }
                copies += world(|world| world.members[member].copies);
                if let Some(id) = client.unanswered(namespace) {
                    return Err(format!("member {member} of {name} never got ack {id}"));
                }
            }
        }
        Ok(copies)
    }

    /// Everybody goes; nothing is left.
    pub(super) async fn end(mut self) -> Result<(), String> {
        for client in &mut self.clients {
            if !client.gone || client.engine.lives() {
                let how = self.random.usize(..4);
                client.goes(how);
            }
        }
        // Clients that are waited for are given up within seconds, and who went without a word is missed by the heartbeat.
        tokio::time::sleep(Duration::from_secs(180)).await;
        self.clients.clear();
        nothing("sessions", self.engine.len())?;
        self.stop.cancel();
        tokio::time::sleep(QUIET).await;
        forget_members();
        verdict()?;
        let tasks = world(|world| world.tasks.clone());
        nothing("tasks", tasks.len())?;
        nothing("connections", self.metrics.connections.get())?;
        nothing("gauged sessions", self.metrics.sessions.get())?;
        let host = world(|world| world.hosts[0].clone());
        nothing("connections in the hub", host.map_or(0, |host| host.connections()))?;
        nothing("places taken", 100 - self.places.available_permits())
    }
}

fn nothing(what: &str, left: impl Display + TryInto<i64> + Copy) -> Result<(), String> {
    if left.try_into().is_ok_and(|left: i64| left == 0) { Ok(()) } else { Err(format!("{left} {what} are left")) }
}

/// What has gone wrong so far.
pub(super) fn verdict() -> Result<(), String> {
    world(|world| world.failure().map_or(Ok(()), |failure| Err(failure.to_owned())))
}
