//! Where a link leads: found out before every connection, and left when another server has taken its place.

use std::sync::Arc;
use std::time::Duration;

use super::address::Server;
use super::sentinel::Sentinels;
use super::shards::Shard;

/// The server of one link, whichever it is at the time.
#[derive(Clone)]
pub(super) struct Target {
    place: Place,
    /// How long one command may take.
    pub(super) timeout: Duration,
    secrets: Arc<[String]>,
}

#[derive(Clone)]
enum Place {
    /// Always the same.
    Fixed(Arc<Server>),
    /// The master, of whom Sentinels know who it is.
    Sentinel(Arc<Sentinels>),
    /// Who has these slots of a cluster.
    Shard(Shard),
}

impl Target {
    fn new(place: Place, timeout: Duration, secrets: Arc<[String]>) -> Self {
        Self { place, timeout, secrets }
    }

    /// One server.
    pub(super) fn fixed(server: Arc<Server>, timeout: Duration, secrets: Arc<[String]>) -> Self {
        Self::new(Place::Fixed(server), timeout, secrets)
    }

    /// The master that Sentinels name.
    pub(super) fn sentinel(sentinels: Sentinels, timeout: Duration, secrets: Arc<[String]>) -> Self {
        Self::new(Place::Sentinel(Arc::new(sentinels)), timeout, secrets)
    }

    /// The master of a shard.
    pub(super) fn shard(shard: Shard, timeout: Duration, secrets: Arc<[String]>) -> Self {
        Self::new(Place::Shard(shard), timeout, secrets)
    }

    /// The server to connect to now.
    pub(super) async fn find(&self) -> Result<Arc<Server>, String> {
        match &self.place {
            Place::Fixed(server) => Ok(Arc::clone(server)),
            Place::Sentinel(sentinels) => sentinels.master().await,
            Place::Shard(shard) => shard.server(),
        }
    }

    /// Returns, with the reason, once another server has taken the place of this one.
    pub(super) async fn left(&self, server: &Server) -> String {
        match &self.place {
            Place::Fixed(_) => std::future::pending().await,
            Place::Sentinel(sentinels) => sentinels.left(server).await,
            Place::Shard(shard) => shard.left(server).await,
        }
    }

    /// Returns when it is worth while to try again at once: there is another server than the one that was tried.
    pub(super) async fn news(&self, tried: Option<&Server>) {
        match (&self.place, tried) {
            (Place::Sentinel(sentinels), Some(tried)) => sentinels.news(tried).await,
            (Place::Shard(shard), tried) => shard.news(tried).await,
            _ => std::future::pending().await,
        }
    }

    /// The shard, where this is one.
    pub(super) fn as_shard(&self) -> Option<&Shard> {
        match &self.place {
            Place::Shard(shard) => Some(shard),
            _ => None,
        }
    }

    /// For people: without credentials.
    pub(super) fn address(&self, server: Option<&Server>) -> String {
        match (&self.place, server) {
            (Place::Fixed(server), _) => server.address.clone(),
            (Place::Sentinel(sentinels), Some(server)) => format!("{} at {}", sentinels.name(), server.address),
            (Place::Sentinel(sentinels), None) => sentinels.name().to_owned(),
            (Place::Shard(_), Some(server)) => format!("the shard at {}", server.address),
            (Place::Shard(shard), None) => shard.name(),
        }
    }

    /// `text` without passwords, should a server have repeated one.
    pub(super) fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}
