//! The connection that messages come over: subscriptions are changed on it, and messages taken from it.
//!
//! A single server has a plain one. A node of a cluster has one that speaks RESP3, since only that knows shard channels beside
//! plain ones and hears when Redis ends a subscription because its slot has moved.

use std::time::Duration;

use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection, PubSubSink, PubSubStream};
use deadpool_redis::redis::{Msg, Pipeline, PushInfo, PushKind, RedisResult, ServerErrorKind, Value};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::address::{Server, answer_in, no_answer, unlimited};
use super::shards::Shard;
use super::subscriber::{CONNECT_TIMEOUT, SUBSCRIBE_TIMEOUT};

/// Subscriptions changed at once.
const BATCH: usize = 512;
/// Answers that may come before the one to our own question.
const STRAYS: usize = 16;
/// Pause until what strays has come.
const ALIGN: Duration = Duration::from_millis(20);

/// A connection for subscriptions.
pub(super) enum Inbox {
    /// To a server that is alone.
    Plain { sink: PubSubSink, stream: PubSubStream },
    /// To a node of a cluster.
    Sharded { connection: MultiplexedConnection, pushes: mpsc::UnboundedReceiver<PushInfo>, shard: Shard },
}

/// What comes.
pub(super) enum Incoming {
    /// A message.
    Message(Msg),
    /// Redis has ended the subscription to this channel.
    Ended(String),
}

/// Why Redis did not change a subscription.
pub(super) enum Trouble {
    /// It said no; the connection works on.
    Refused(String),
    /// Somebody else has the channel, or will have; the connection works on.
    Elsewhere(String),
    /// The connection is of no use any more.
    Broken(String),
}

impl Inbox {
    /// Connects.
    pub(super) async fn open(server: &Server, shard: Option<&Shard>) -> Result<Self, String> {
        let Some(shard) = shard else {
            let (sink, stream) = answer_in(CONNECT_TIMEOUT, server.client.get_async_pubsub()).await?.split();
            return Ok(Self::Plain { sink, stream });
        };
        let (sender, pushes) = mpsc::unbounded_channel();
        let config = unlimited().set_push_sender(sender);
        let client = server.resp3()?;
        let connection =
            answer_in(CONNECT_TIMEOUT, client.get_multiplexed_async_connection_with_config(&config)).await?;
        Ok(Self::Sharded { connection, pushes, shard: shard.clone() })
    }

    /// What comes next; `None` once the connection is closed.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        match self {
            Self::Plain { stream, .. } => stream.next().await.map(Incoming::Message),
            Self::Sharded { pushes, .. } => loop {
                let push = pushes.recv().await?;
                match push.kind {
                    PushKind::Message | PushKind::SMessage => {
                        if let Some(message) = Msg::from_push_info(push) {
                            return Some(Incoming::Message(message));
                        }
                    }
                    PushKind::SUnsubscribe => {
                        if let Some(channel) = channel(&push.data) {
                            return Some(Incoming::Ended(channel.to_owned()));
                        }
                    }
                    PushKind::Disconnection => return None,
                    _ => {}
                }
            },
        }
    }

    /// What has come already.
    pub(super) fn waiting(&mut self) -> Option<Incoming> {
        self.next().now_or_never().flatten()
    }

    /// Subscribes to all of these channels, or returns what hinders the first that cannot be.
    pub(super) async fn subscribe(&mut self, channels: &[&str]) -> Result<(), Trouble> {
        match self {
            Self::Plain { sink, .. } => confirmed(sink.subscribe(channels)).await,
            Self::Sharded { .. } => self.change(channels, ["SUBSCRIBE", "SSUBSCRIBE"]).await,
        }
    }

    /// Unsubscribes from all of these channels.
    pub(super) async fn unsubscribe(&mut self, channels: &[&str]) -> Result<(), Trouble> {
        match self {
            Self::Plain { sink, .. } => confirmed(sink.unsubscribe(channels)).await,
            Self::Sharded { .. } => self.change(channels, ["UNSUBSCRIBE", "SUNSUBSCRIBE"]).await,
        }
    }

    async fn change(&mut self, channels: &[&str], [plain, sharded]: [&str; 2]) -> Result<(), Trouble> {
        let Self::Sharded { connection, shard, .. } = self else { return Ok(()) };
        let mut trouble = Ok(());
        for channels in channels.chunks(BATCH) {
            let mut pipeline = Pipeline::with_capacity(channels.len());
            for channel in channels {
                pipeline.cmd(if shard.is_sharded(channel) { sharded } else { plain }).arg(*channel);
            }
            let answers = connection.req_packed_commands(&pipeline, 0, pipeline.len());
            let answers = answer_in(SUBSCRIBE_TIMEOUT, answers).await.map_err(Trouble::Broken)?;
            let mut strayed = false;
            for (asked, answer) in channels.iter().zip(answers) {
                match answer {
                    Value::ServerError(error) => {
                        let text = error.to_string();
                        trouble = Err(match error.kind() {
                            Some(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::ClusterDown) => {
                                Trouble::Elsewhere(text)
                            }
                            _ => Trouble::Refused(text),
                        });
                    }
                    Value::Push { data, .. } if channel(&data) == Some(asked) => {}
                    // Redis has ended a subscription by itself meanwhile, and redis takes its word for this answer.
                    _ => strayed = true,
                }
            }
            if strayed {
                align(connection).await?;
                return Err(Trouble::Elsewhere("a slot moved meanwhile".to_owned()));
            }
        }
        trouble
    }
}

/// The channel a push is about.
fn channel(data: &[Value]) -> Option<&str> {
    match data.first() {
        Some(Value::BulkString(name)) => std::str::from_utf8(name).ok(),
        _ => None,
    }
}

/// Asks until answers belong to their questions again.
async fn align(connection: &mut MultiplexedConnection) -> Result<(), Trouble> {
    for token in 0..STRAYS {
        let mut pipeline = Pipeline::with_capacity(1);
        let token = format!("align {token}");
        pipeline.cmd("PING").arg(&token);
        let answer = connection.req_packed_commands(&pipeline, 0, 1);
        let answer = answer_in(SUBSCRIBE_TIMEOUT, answer).await.map_err(Trouble::Broken)?;
        if matches!(answer.first(), Some(Value::BulkString(echo)) if *echo == token.as_bytes()) {
            return Ok(());
        }
        // What strays comes while nobody asks, and is dropped.
        sleep(ALIGN).await;
    }
    Err(Trouble::Broken("its answers do not belong to the questions any more".to_owned()))
}

/// Redis's confirmation of a change of subscriptions.
async fn confirmed(change: impl Future<Output = RedisResult<()>>) -> Result<(), Trouble> {
    match timeout(SUBSCRIBE_TIMEOUT, change).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.is_io_error() || error.is_unrecoverable_error() => {
            Err(Trouble::Broken(error.to_string()))
        }
        Ok(Err(error)) => Err(Trouble::Refused(error.to_string())),
        Err(_) => Err(Trouble::Broken(no_answer(SUBSCRIBE_TIMEOUT))),
    }
}
