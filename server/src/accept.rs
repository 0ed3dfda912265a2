//! The accept loop: lets connections in up to a limit, survives running out of files, and stops when told to. Where there
//! is TLS, a connection begins with its handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use carillon_core::backoff::Backoff;
use carillon_core::throttle::Throttle;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::admission::{Admission, Place};
use crate::metrics::{Metrics, Refused};
use crate::tls::Tls;
use crate::wire::{self, Options, Pace, Stream, Wire};

/// Connections the kernel holds until they are accepted: room for everybody to reconnect at once.
const BACKLOG: u32 = 4096;
/// Largest request head.
const HEAD_MAX: usize = 32 << 10;
/// First and longest wait after a failed accept.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// That it fails is logged at once, and again after this time.
const REPEAT: Duration = Duration::from_secs(10);
/// Connections there is no room for that are told so at the same time, and for how long; others are just closed.
const REFUSALS: usize = 64;
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// What they are told.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
x-content-type-options: nosniff\r\ncontent-type: application/json\r\ncontent-length: 33\r\n\r\n\
{\"detail\":\"Too many connections\"}";
const NO_ROOM_FOR_YOU: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\nretry-after: 1\r\n\
x-content-type-options: nosniff\r\ncontent-type: application/json\r\ncontent-length: 51\r\n\r\n\
{\"detail\":\"Too many connections from this address\"}";

/// What the accept loop needs to know.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Connections open at once.
    pub(crate) max_connections: usize,
    /// A handshake must be complete within this time, and so must a request's head; also the longest idle time between two
    /// requests.
    pub(crate) header_timeout: Duration,
    /// How slow its client may be.
    pub(crate) pace: Pace,
    /// What encrypts the connections, if anything.
    pub(crate) tls: Option<Arc<Tls>>,
}

/// Opens the listening socket, whose connections have these options.
///
/// # Errors
/// When the address is taken or not one of this machine.
pub(crate) fn listen(address: SocketAddr, options: Options) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for connections of the last run to time out.
    socket.set_reuseaddr(true)?;
    if let Err(error) = options.apply(&socket) {
        tracing::debug!(%error, "socket options refused");
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until `stop`, then returns at once. Connections live on as tasks of `tracker`: after `stop` each finishes
/// the request it is at, WebSockets last until their session ends.
pub(crate) async fn run(
    listener: TcpListener,
    router: Router,
    settings: Settings,
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS)));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    let log = Throttle::every(REPEAT);
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_peer(&error) => continue,
            Err(error) => {
                metrics.accept_errors.inc();
                if let Some(left_out) = log.allow() {
                    tracing::error!(left_out, %error, "cannot accept connections, trying again");
                }
                stop.run_until_cancelled(tokio::time::sleep(backoff.pause())).await;
                continue;
            }
        };
        backoff.reset();
        let place = match place(&permits, &admission, peer) {
            Ok(place) => place,
            Err((reason, words)) => {
                metrics.refused(reason);
                // Whoever waits for a handshake is just closed: words would be none to it, and its handshake costs too much.
                if settings.tls.is_none()
                    && let Ok(permit) = Arc::clone(&refusals).try_acquire_owned()
                {
                    tracker.spawn(async move {
                        // A peer that does not take its refusal gets no further attention.
                        tokio::time::timeout(REFUSAL_TIME, refuse(stream, words)).await.ok();
                        drop(permit);
                    });
                }
                continue;
            }
        };
        let place = wire::Place::new(Arc::clone(&metrics), place);
        let served = Served { router: router.clone(), header_timeout: settings.header_timeout, stop: stop.clone() };
        match &settings.tls {
            None => tracker.spawn(served.connection(Wire::new(Stream::Tcp(stream), peer, settings.pace, place))),
            Some(tls) => tracker.spawn(served.secured(stream, peer, settings.pace, place, Arc::clone(tls))),
        };
    }
}

/// A place for a connection, or why there is none and what to say. A trusted proxy's connections are everybody's.
fn place(permits: &Arc<Semaphore>, admission: &Admission, peer: SocketAddr) -> Result<Place, (Refused, &'static [u8])> {
    let address = if admission.proxies.trust(peer.ip()) {
        None
    } else {
        let connection = admission.addresses.connection(peer.ip());
        Some(connection.map_err(|_| (Refused::TooManyFromAddress, NO_ROOM_FOR_YOU))?)
    };
    let all = Arc::clone(permits).try_acquire_owned().map_err(|_| (Refused::TooManyConnections, NO_ROOM))?;
    Ok(Place::new(all, address))
}

/// The peer hung up between the kernel's accept and ours: nothing of ours is wrong.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Says that there is no room. A close with unread bytes would destroy the answer, so the peer closes first.
async fn refuse(mut stream: TcpStream, words: &[u8]) -> io::Result<()> {
    stream.write_all(words).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}

/// How a connection is served.
struct Served {
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
}

impl Served {
    /// Serves a connection once hands are shaken.
    async fn secured(self, socket: TcpStream, peer: SocketAddr, pace: Pace, place: wire::Place, tls: Arc<Tls>) {
        // It is over soon, and large: it does not make the connection larger.
        let handshake = Box::pin(tls.shake(socket, self.header_timeout));
        if let Some(Some(stream)) = self.stop.run_until_cancelled(handshake).await {
            self.connection(Wire::new(stream, peer, pace, place)).await;
        }
    }

    /// Serves HTTP/1 on one connection until it closes or becomes a WebSocket.
    async fn connection(self, wire: Wire) {
        let Self { router, header_timeout, stop } = self;
        let handle = wire.handle();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(handle.clone());
            router.clone().oneshot(request.map(Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(wire), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = match stop.run_until_cancelled(connection.as_mut()).await {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use carillon_config::WireSettings;
    use socket2::SockRef;

    use super::*;

    /// What is asked of the kernel is asked once, of the socket that listens.
    #[tokio::test]
    async fn connections_have_the_options_of_the_listening_socket() {
        let settings = WireSettings {
            send_buffer_bytes: 70_000,
            keepalive_s: 40,
            tcp_user_timeout_ms: 9_000,
            ..WireSettings::default()
        };
        let listener = listen(([127, 0, 0, 1], 0).into(), Options::new(&settings)).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(40));
        // The kernel doubles what it is asked for (socket(7)).
        #[cfg(target_os = "linux")]
        assert_eq!(socket.send_buffer_size().unwrap(), 140_000);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(9)));
    }
}
