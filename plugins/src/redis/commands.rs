//! Reads and writes keys in Redis, through a pool of connections, each command within its time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carillon_core::{Error, Result};
use deadpool_redis::redis::{ErrorKind, RedisError, RedisResult, RetryMethod, Script, ServerErrorKind, cmd};
use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime, TimeoutType};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::address::{Server, unlimited};
use super::link::Link;
use super::target::Target;

/// Connections for commands, at most. Publishes and subscriptions have their own.
const POOL_SIZE: usize = 8;

/// Reads and writes keys.
pub(super) struct Commands {
    /// Of connections to the server that the link led to last.
    pool: Mutex<Option<(Arc<Server>, Pool)>>,
    target: Target,
    link: Arc<Link>,
    claim: Arc<Script>,
    /// A pooled connection is driven by a task on the runtime that opened it. Were that the runtime of whichever plugin
    /// asked first, this plugin could stall the others; so commands run where the bus was made.
    runtime: Handle,
    tasks: TaskTracker,
}

/// Why there is no answer.
enum Failure {
    Pool(PoolError),
    Redis(RedisError),
}

impl Failure {
    fn redirect(&self) -> Option<Redirect> {
        let Self::Redis(error) = self else { return None };
        let (address, _) = error.redirect_node()?;
        let asking = error.kind() == ErrorKind::Server(ServerErrorKind::Ask);
        Some(Redirect { address: address.to_owned(), asking })
    }
}

/// Another node of the cluster is to be asked.
pub(super) struct Redirect {
    pub(super) address: String,
    /// It is about to get the key's slot, and may have the key; or else it has the slot.
    pub(super) asking: bool,
}

/// What Redis answers, or whom to ask instead.
pub(super) type Answer<T> = Result<std::result::Result<T, Redirect>>;

impl Commands {
    pub(super) fn new(target: Target, link: Arc<Link>, tasks: TaskTracker) -> Self {
        let claim = Arc::new(Script::new(include_str!("claim.lua")));
        Self { pool: Mutex::new(None), target, link, claim, runtime: Handle::current(), tasks }
    }

    /// Connections to the server that the link leads to.
    fn pool(&self) -> Result<Option<Pool>> {
        let Some(server) = self.link.server() else { return Ok(None) };
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, pool)) = &*pool
            && Arc::ptr_eq(of, &server)
        {
            return Ok(Some(pool.clone()));
        }
        // The pool watches the time of connects.
        let manager = Manager::new_with_config(server.client.get_connection_info().clone(), unlimited())?;
        let timeout = self.target.timeout;
        let next = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(timeout))
            .create_timeout(Some(timeout))
            .recycle_timeout(Some(timeout / 2))
            .build()?;
        *pool = Some((server, next.clone()));
        Ok(Some(next))
    }

    pub(super) async fn get(&self, key: &str, asking: bool) -> Answer<Option<Bytes>> {
        let mut command = cmd("GET");
        command.arg(key);
        let work = async move |mut redis| command.query_async::<Option<Vec<u8>>>(&mut redis).await;
        Ok(self.run("GET", asking, work).await?.map(|value| value.map(Bytes::from)))
    }

    pub(super) async fn set(&self, key: &str, value: &Bytes, ttl: Option<Duration>, asking: bool) -> Answer<()> {
        let mut command = cmd("SET");
        command.arg(key).arg(&**value);
        if let Some(ttl) = ttl {
            command.arg("PX").arg(millis(ttl));
        }
        self.run("SET", asking, async move |mut redis| command.query_async(&mut redis).await).await
    }

    pub(super) async fn claim(&self, key: &str, owner: &str, ttl: Duration, asking: bool) -> Answer<bool> {
        let script = Arc::clone(&self.claim);
        let (key, owner) = (key.to_owned(), owner.to_owned());
        let work = async move |mut redis| script.key(key).arg(owner).arg(millis(ttl)).invoke_async(&mut redis).await;
        self.run("claim", asking, work).await
    }

    /// Closes the idle connections: they may lead to a server that is not there any more.
    pub(super) fn forget_connections(&self) {
        if let Some((_, pool)) = &*self.pool.lock().unwrap_or_else(PoisonError::into_inner) {
            pool.retain(|_, _| false);
        }
    }

    /// Ends the pool.
    pub(super) fn close(&self) {
        if let Some((_, pool)) = self.pool.lock().unwrap_or_else(PoisonError::into_inner).take() {
            pool.close();
        }
    }

    /// Has a connection do something, within its time.
    pub(super) async fn run<T, W, F>(&self, name: &'static str, asking: bool, work: W) -> Answer<T>
    where
        T: Send + 'static,
        W: FnOnce(Connection) -> F + Send + 'static,
        F: Future<Output = RedisResult<T>> + Send,
    {
        let deadline = Instant::now() + self.target.timeout;
        // Known to be away: no use in waiting for a connection.
        if !timeout_at(deadline, self.link.usable()).await.unwrap_or(false) {
            return Err(Error::unavailable("Redis is away"));
        }
        let Some(pool) = self.pool()? else { return Err(Error::unavailable("Redis is away")) };
        let task = async move {
            let mut connection = pool.get().await.map_err(Failure::Pool)?;
            if asking {
                cmd("ASKING").exec_async(&mut connection).await.map_err(Failure::Redis)?;
            }
            work(connection).await.map_err(Failure::Redis)
        };
        match self.tasks.spawn_on(timeout_at(deadline, task), &self.runtime).await? {
            Ok(Ok(value)) => {
                self.link.report().done(name);
                Ok(Ok(value))
            }
            Ok(Err(failure)) => match failure.redirect() {
                Some(redirect) => Ok(Err(redirect)),
                None => Err(self.explain(name, failure)),
            },
            Err(_) => Err(self.refused(name, "no answer in time")),
        }
    }

    fn explain(&self, name: &'static str, failure: Failure) -> Error {
        match failure {
            Failure::Pool(PoolError::Timeout(TimeoutType::Wait)) => {
                Error::overloaded("too many commands wait for Redis")
            }
            Failure::Pool(error) => self.refused(name, &error.to_string()),
            Failure::Redis(error) => match error.retry_method() {
                // Such as a key of another type: it will not go away by itself, and the client can do nothing about it.
                RetryMethod::NoRetry => Error::internal(self.target.scrub(&format!("{name}: {error}"))),
                _ => self.refused(name, &error.to_string()),
            },
        }
    }

    /// Redis did not do what it should.
    fn refused(&self, name: &'static str, why: &str) -> Error {
        self.link.refused(name, why);
        Error::unavailable("Redis did not answer as it should")
    }
}

/// Redis refuses a time to live of 0.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
