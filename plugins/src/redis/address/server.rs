//! One server of Redis, and how a client of it is made.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisResult, TlsCertificates};
use deadpool_redis::redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use tokio::time::timeout;

/// A server to connect to.
pub(in super::super) struct Server {
    /// Opens connections.
    pub(in super::super) client: Client,
    /// `host:port` or a path: for people, without credentials.
    pub(in super::super) address: String,
}

impl Server {
    /// The same server, for connections that speak RESP3.
    pub(in super::super) fn resp3(&self) -> Result<Client, String> {
        let info = self.client.get_connection_info().clone();
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Client::open(info.set_redis_settings(redis)).map_err(|error| error.to_string())
    }
}

/// Makes clients of servers that want the same of them.
#[derive(Clone)]
pub(in super::super) struct Maker {
    redis: RedisConnectionInfo,
    tls: Option<TlsCertificates>,
}

impl Maker {
    pub(super) fn new(redis: RedisConnectionInfo, tls: Option<TlsCertificates>) -> Self {
        if tls.is_some() {
            // Named here, so that no other package that brings another provider along makes the choice ambiguous. A
            // provider installed before stays.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        Self { redis: redis.set_lib_name("carillon", env!("CARGO_PKG_VERSION")), tls }
    }

    /// The server at this host and port.
    pub(in super::super) fn at(&self, host: &str, port: u16) -> Result<Arc<Server>, String> {
        self.server(match self.tls {
            Some(_) => ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None },
            None => ConnectionAddr::Tcp(host.to_owned(), port),
        })
    }

    pub(super) fn server(&self, address: ConnectionAddr) -> Result<Arc<Server>, String> {
        let info = self.info(address).map_err(|error| error.category().to_owned())?;
        let address = info.addr().to_string();
        let client = match &self.tls {
            None => Client::open(info).map_err(|error| error.category().to_owned())?,
            Some(tls) => Client::build_with_tls(info, tls.clone()).map_err(|error| error.to_string())?,
        };
        Ok(Arc::new(Server { client, address }))
    }

    fn info(&self, address: ConnectionAddr) -> RedisResult<ConnectionInfo> {
        let tcp = TcpSettings::default().set_nodelay(true);
        Ok(address.into_connection_info()?.set_redis_settings(self.redis.clone()).set_tcp_settings(tcp))
    }

    /// User, password and database.
    #[cfg(test)]
    pub(super) fn settings(&self) -> &RedisConnectionInfo {
        &self.redis
    }

    /// What TLS needs, where the servers speak it.
    pub(in super::super) fn tls(&self) -> Option<&TlsCertificates> {
        self.tls.as_ref()
    }
}

/// The settings of a connection without time limits of its own: every call has one.
pub(in super::super) fn unlimited() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

/// What Redis answers within `limit`; otherwise why it does not, in words.
pub(in super::super) async fn answer_in<T>(
    limit: Duration,
    work: impl Future<Output = RedisResult<T>>,
) -> Result<T, String> {
    match timeout(limit, work).await {
        Ok(answer) => answer.map_err(|error| match error.kind() {
            ErrorKind::AuthenticationFailed => "Redis refuses the user or the password".to_owned(),
            _ => error.to_string(),
        }),
        Err(_) => Err(no_answer(limit)),
    }
}

/// The words for who waits no longer.
pub(in super::super) fn no_answer(limit: Duration) -> String {
    format!("no answer within {} ms", limit.as_millis())
}
