//! Reads and writes keys in Redis, through a pool of connections, each command within its time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carillon_core::throttle::Throttle;
use carillon_core::{Error, Result};
use deadpool_redis::redis::{AsyncConnectionConfig, RedisError, RedisResult, RetryMethod, Script, cmd};
use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime, TimeoutType};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::address::Target;
use super::link::Link;

/// Connections for commands, at most. Publishes and subscriptions have their own.
const POOL_SIZE: usize = 8;

/// Reads and writes keys.
pub(super) struct Commands {
    pool: Pool,
    target: Target,
    link: Arc<Link>,
    claim: Arc<Script>,
    /// A pooled connection is driven by a task on the runtime that opened it. Were that the runtime of whichever plugin
    /// asked first, this plugin could stall the others; so commands run where the bus was made.
    runtime: Handle,
    tasks: TaskTracker,
    throttle: Throttle,
}

/// Why there is no answer.
enum Failure {
    Away,
    Pool(PoolError),
    Redis(RedisError),
}

impl Commands {
    pub(super) fn new(target: Target, link: Arc<Link>, tasks: TaskTracker) -> Result<Self> {
        // The pool watches the time of connects; the connections' own limits are off, each command has one.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let manager = Manager::new_with_config(target.client.get_connection_info().clone(), config)?;
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(target.timeout))
            .create_timeout(Some(target.timeout))
            .recycle_timeout(Some(target.timeout / 2))
            .build()?;
        let claim = Arc::new(Script::new(include_str!("claim.lua")));
        let throttle = Throttle::per_second();
        Ok(Self { pool, target, link, claim, runtime: Handle::current(), tasks, throttle })
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let mut command = cmd("GET");
        command.arg(key);
        let value: Option<Vec<u8>> =
            self.run("GET", async move |mut redis| command.query_async(&mut redis).await).await?;
        Ok(value.map(Bytes::from))
    }

    pub(super) async fn set(&self, key: &str, value: &Bytes, ttl: Option<Duration>) -> Result<()> {
        let mut command = cmd("SET");
        command.arg(key).arg(&**value);
        if let Some(ttl) = ttl {
            command.arg("PX").arg(millis(ttl));
        }
        self.run("SET", async move |mut redis| command.query_async(&mut redis).await).await
    }

    pub(super) async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool> {
        let script = Arc::clone(&self.claim);
        let (key, owner) = (key.to_owned(), owner.to_owned());
        let work = async move |mut redis| script.key(key).arg(owner).arg(millis(ttl)).invoke_async(&mut redis).await;
        self.run("claim", work).await
    }

    /// Closes the idle connections: they may lead to a server that is not there any more.
    pub(super) fn forget_connections(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Whether Redis is there; waits a moment when it was lost just now.
    pub(super) async fn are_usable(&self) -> bool {
        self.link.usable().await
    }

    /// Ends the pool.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// Has a connection do something, within its time.
    pub(super) async fn run<T, W, F>(&self, name: &'static str, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(Connection) -> F + Send + 'static,
        F: Future<Output = RedisResult<T>> + Send,
    {
        let (pool, link) = (self.pool.clone(), Arc::clone(&self.link));
        let task = async move {
            // Known to be away: no use in waiting for a connection.
            if !link.usable().await {
                return Err(Failure::Away);
            }
            let connection = pool.get().await.map_err(Failure::Pool)?;
            work(connection).await.map_err(Failure::Redis)
        };
        let task = timeout(self.target.timeout, task);
        match self.tasks.spawn_on(task, &self.runtime).await? {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(self.explain(name, failure)),
            Err(_) => Err(self.doubt(name, "no answer in time")),
        }
    }

    fn explain(&self, name: &str, failure: Failure) -> Error {
        match failure {
            Failure::Away => Error::unavailable("Redis is away"),
            Failure::Pool(PoolError::Timeout(TimeoutType::Wait)) => {
                Error::overloaded("too many commands wait for Redis")
            }
            Failure::Pool(error) => self.doubt(name, &error.to_string()),
            Failure::Redis(error) => match error.retry_method() {
                // Such as a key of another type: it will not go away by itself, and the client can do nothing about it.
                RetryMethod::NoRetry => Error::internal(self.target.scrub(&format!("{name}: {error}"))),
                _ => self.doubt(name, &error.to_string()),
            },
        }
    }

    /// Redis did not do what it should: tells the log, and has the link looked after.
    fn doubt(&self, name: &str, why: &str) -> Error {
        self.link.doubt();
        if let Some(left_out) = self.throttle.allow() {
            tracing::warn!(left_out, command = name, "Redis did not answer: {}", self.target.scrub(why));
        }
        Error::unavailable("Redis did not answer")
    }
}

/// Redis refuses a time to live of 0.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
