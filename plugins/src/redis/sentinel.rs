//! Asks Sentinels who the master is: before every connection, and a few times a second whether it still is.
//!
//! They are asked side by side, and the first that names a server which says of itself that it is the master is believed: one
//! that hangs holds nobody up. (Redis' own client hears them in the order they are written in, and asks for the list of
//! masters, which has the new one only when its replicas follow it.) A Sentinel that was away for a while may name the master
//! before the last, which may not know better either: each promotion has a higher number, and lower ones are not believed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{RedisResult, Role, cmd, pipe};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use super::address::{Maker, Server, answer_in};
use super::hearsay::Hearsay;

/// From one question whether the master is still the master to the next.
const LOOK: Duration = Duration::from_millis(250);
/// The same while it is away.
const AWAY: Duration = Duration::from_millis(200);
/// How long a Sentinel may take to be connected to, or to answer, and the master to do both.
const ANSWER: Duration = Duration::from_millis(500);

/// The Sentinels of one master.
pub(super) struct Sentinels {
    name: String,
    maker: Maker,
    each: Vec<Arc<Server>>,
    /// The number of the last promotion.
    newest: Mutex<Hearsay>,
}

/// A server that a Sentinel names.
struct Named {
    server: Arc<Server>,
    /// The number of its promotion.
    epoch: u64,
}

impl Sentinels {
    /// Those at these hosts, which know a master of this name.
    pub(super) fn new(name: String, hosts: &[(String, u16)], sentinels: &Maker, maker: Maker) -> Result<Self, String> {
        let each = hosts.iter().map(|(host, port)| sentinels.at(host, *port)).collect::<Result<_, _>>()?;
        Ok(Self { name, maker, each, newest: Mutex::default() })
    }

    /// What the Sentinels call the master.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The server that is the master now.
    pub(super) async fn master(&self) -> Result<Arc<Server>, String> {
        let mut answers: FuturesUnordered<_> = self.each.iter().map(|sentinel| self.by(sentinel)).collect();
        let mut troubles = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(master) => return Ok(master),
                Err(why) => troubles.push(why),
            }
        }
        troubles.sort();
        Err(format!("no Sentinel names a master \"{}\" ({})", self.name, troubles.join("; ")))
    }

    /// The master by what one Sentinel says, and by what that server says of itself.
    async fn by(&self, sentinel: &Server) -> Result<Arc<Server>, String> {
        let named = async {
            let mut connection = answer_in(ANSWER, sentinel.client.get_multiplexed_async_connection()).await?;
            self.named(&mut connection).await
        };
        self.believed(sentinel, named.await.map_err(|why| format!("{}: {why}", sentinel.address))?).await
    }

    /// The server that a Sentinel names, if it says of itself that it is the master.
    async fn believed(&self, by: &Server, Named { server: master, epoch }: Named) -> Result<Arc<Server>, String> {
        if !self.newest().is_current(epoch) {
            return Err(format!("{} names the master before the last", by.address));
        }
        let role = async { role(&mut master.client.get_multiplexed_async_connection().await?).await };
        match answer_in(ANSWER, role).await {
            Ok(Role::Primary { .. }) => {
                self.newest().note(epoch);
                Ok(master)
            }
            Ok(_) => Err(format!("{} is named and is no master", master.address)),
            Err(why) => Err(format!("{}: {why}", master.address)),
        }
    }

    fn newest(&self) -> MutexGuard<'_, Hearsay> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom a Sentinel names.
    async fn named(&self, connection: &mut MultiplexedConnection) -> Result<Named, String> {
        let mut questions = pipe();
        questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        questions.cmd("SENTINEL").arg("MASTER").arg(&self.name);
        let answers: ((String, u16), HashMap<String, String>) =
            answer_in(ANSWER, questions.query_async(connection)).await?;
        let ((host, port), fields) = answers;
        let epoch = fields.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or_default();
        Ok(Named { server: self.maker.at(&host, port)?, epoch })
    }

    /// Returns once another server has taken the place of this one.
    pub(super) async fn left(&self, server: &Server) -> String {
        let master = self.other(&server.address, LOOK).await;
        format!("{} has taken the place of {}", master.address, server.address)
    }

    /// The same while that one is away: they are asked more often.
    pub(super) async fn news(&self, tried: &Server) {
        self.other(&tried.address, AWAY).await;
    }

    /// Asks each Sentinel every so often, until one names a master of another address.
    async fn other(&self, address: &str, pause: Duration) -> Arc<Server> {
        let mut asked: FuturesUnordered<_> =
            self.each.iter().map(|sentinel| self.other_by(sentinel, address, pause)).collect();
        match asked.next().await {
            Some(other) => other,
            None => std::future::pending().await,
        }
    }

    async fn other_by(&self, sentinel: &Server, address: &str, pause: Duration) -> Arc<Server> {
        loop {
            if let Ok(mut connection) = answer_in(ANSWER, sentinel.client.get_multiplexed_async_connection()).await {
                while let Ok(named) = self.named(&mut connection).await {
                    if named.server.address == address {
                        let mut newest = self.newest();
                        if newest.is_current(named.epoch) {
                            newest.note(named.epoch);
                        }
                    } else if let Ok(master) = self.believed(sentinel, named).await {
                        return master;
                    }
                    sleep(pause).await;
                }
            }
            sleep(LOOK).await;
        }
    }
}

async fn role(connection: &mut MultiplexedConnection) -> RedisResult<Role> {
    cmd("ROLE").query_async(connection).await
}
