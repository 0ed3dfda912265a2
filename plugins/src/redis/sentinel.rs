//! Asks Sentinels who the master is: before every connection, twice a second whether it still is, and more often while it is away.
//!
//! They are asked side by side, and the first that names a server which says of itself that it is the master is believed: one
//! that hangs holds nobody up. (Redis' own client hears them in the order they are written in, and asks for the list of
//! masters, which has the new one only when its replicas follow it.)

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{RedisResult, Role, cmd};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use super::address::{Maker, Server};
use super::publisher::answer_in;

/// From one question whether the master is still the master to the next.
const LOOK: Duration = Duration::from_millis(500);
/// The same while it is away.
const AWAY: Duration = Duration::from_millis(200);
/// How long a Sentinel may take to be connected to, or to answer, and the master to do both.
const ANSWER: Duration = Duration::from_millis(500);

/// The Sentinels of one master.
pub(super) struct Sentinels {
    name: String,
    maker: Maker,
    each: Vec<Arc<Server>>,
}

impl Sentinels {
    /// Those at these hosts, which know a master of this name.
    pub(super) fn new(name: String, hosts: &[(String, u16)], sentinels: &Maker, maker: Maker) -> Result<Self, String> {
        let each = hosts.iter().map(|(host, port)| sentinels.at(host, *port)).collect::<Result<_, _>>()?;
        Ok(Self { name, maker, each })
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
            self.named(&mut connection).await?.ok_or_else(|| "knows no such master".to_owned())
        };
        let master = named.await.map_err(|why| format!("{}: {why}", sentinel.address))?;
        let role = async { role(&mut master.client.get_multiplexed_async_connection().await?).await };
        match answer_in(ANSWER, role).await {
            Ok(Role::Primary { .. }) => Ok(master),
            Ok(_) => Err(format!("{} is named and is no master", master.address)),
            Err(why) => Err(format!("{}: {why}", master.address)),
        }
    }

    /// Whom a Sentinel names.
    async fn named(&self, connection: &mut MultiplexedConnection) -> Result<Option<Arc<Server>>, String> {
        let mut command = cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let named: Option<(String, u16)> = answer_in(ANSWER, command.query_async(connection)).await?;
        named.map(|(host, port)| self.maker.at(&host, port)).transpose()
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
                    if named.is_some_and(|named| named.address != address)
                        && let Ok(master) = self.by(sentinel).await
                        && master.address != address
                    {
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
