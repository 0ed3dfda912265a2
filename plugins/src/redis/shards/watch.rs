//! Asks the nodes of a cluster who has what: every second, at once when somebody was told otherwise, and more often while a
//! shard is away.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::cmd;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::address::answer_in;
use super::super::hearsay::Hearsay;
use super::Shards;
use super::nodes::{self, Node};

/// From one question to the next, while all shards deliver.
const STEADY: Duration = Duration::from_secs(1);
/// While one does not.
const AWAY: Duration = Duration::from_millis(200);
/// However much doubt there is.
const LEAST: Duration = Duration::from_millis(50);
/// How long a node may take to answer, the connection included.
const ANSWER: Duration = Duration::from_millis(500);
/// Nodes that are remembered to be asked.
const KNOWN: usize = 1_000;

/// Whom to ask.
struct Asker {
    /// The nodes of the address, which stay.
    seeds: Vec<(String, u16)>,
    nodes: Vec<(String, u16)>,
    turn: usize,
    connection: Option<(String, MultiplexedConnection)>,
    /// How new the last answer was.
    heard: Hearsay,
}

/// Keeps the shards true until `stop`.
pub(in super::super) async fn follow(shards: Arc<Shards>, seeds: Vec<(String, u16)>, stop: CancellationToken) {
    let mut asker = Asker { nodes: Vec::new(), seeds, turn: 0, connection: None, heard: Hearsay::default() };
    let mut doubted = true;
    loop {
        let round = async {
            let up = shards.all_up();
            if !up || doubted {
                // Somebody else may have heard more.
                asker.connection = None;
            }
            let heard = match asker.ask(&shards).await {
                Ok(Some(nodes)) => shards.hear(&nodes).await,
                Ok(None) => Ok(()),
                Err(why) => Err(why),
            };
            if let Err(why) = heard {
                *shards.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
            }
            sleep(LEAST).await;
            tokio::select! {
                () = shards.doubt.notified() => true,
                () = sleep(if up { STEADY } else { AWAY }) => false,
            }
        };
        doubted = tokio::select! {
            () = stop.cancelled() => return,
            doubted = round => doubted,
        };
    }
}

impl Asker {
    /// What the next node says, unless a newer answer is known.
    async fn ask(&mut self, shards: &Shards) -> Result<Option<Vec<Node>>, String> {
        let answer = answer_in(ANSWER, self.exchange(shards)).await;
        if answer.is_err() {
            self.connection = None;
        }
        let (host, text) = answer?;
        let nodes = nodes::read(&text, &host, shards.maker.tls().is_some())?;
        let epoch = nodes::epoch(&nodes);
        if !self.heard.is_current(epoch) {
            return Ok(None);
        }
        self.heard.note(epoch);
        self.nodes = nodes.iter().filter(|node| node.answers).map(|node| (node.host.clone(), node.port)).collect();
        self.nodes.truncate(KNOWN);
        Ok(Some(nodes))
    }

    async fn exchange(&mut self, shards: &Shards) -> deadpool_redis::redis::RedisResult<(String, String)> {
        if self.connection.is_none() {
            let all = self.nodes.len() + self.seeds.len();
            self.turn = (self.turn + 1) % all;
            let (host, port) = self.nodes.iter().chain(&self.seeds).nth(self.turn).cloned().unwrap_or_default();
            let server = shards
                .maker
                .at(&host, port)
                .map_err(|why| deadpool_redis::redis::RedisError::from(std::io::Error::other(why)))?;
            let connection = server.client.get_multiplexed_async_connection().await?;
            self.connection = Some((host, connection));
        }
        let (host, connection) = self.connection.as_mut().ok_or_else(|| std::io::Error::other("not connected"))?;
        let text = cmd("CLUSTER").arg("NODES").query_async(connection).await?;
        Ok((host.clone(), text))
    }
}
