//! The wire between two real sockets, with and without TLS: what passes through, and how it ends.

mod tls;

use std::time::Duration;

use carillon_config::WireSettings;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// Two ends of a socket, the server's first.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, client)
}

/// The client's end.
trait Client: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Client for T {}

/// A wire, the client at its other end, and what counts it.
async fn pair(secure: bool, write_stall_ms: u64) -> (Wire, Box<dyn Client>, Arc<Metrics>) {
    let core = carillon_core::metrics::Metrics::new().unwrap();
    let metrics = Arc::new(Metrics::new(&core).unwrap());
    let (socket, client) = sockets().await;
    let peer = socket.peer_addr().unwrap();
    let (stream, client): (_, Box<dyn Client>) = if secure {
        let (stream, client) = tls::shaken(socket, client).await;
        (stream, Box::new(client))
    } else {
        (Stream::Tcp(socket), Box::new(client))
    };
    let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
    let settings = WireSettings { write_stall_ms, ..WireSettings::default() };
    let place = Place::new(Arc::clone(&metrics), permit);
    let wire = Wire::new(stream, peer, Pace::new(&settings), place);
    (wire, client, metrics)
}

/// Bytes arrive as they were written, also when the client takes a while to read them, which makes no client slow.
#[tokio::test]
async fn bytes_pass_through() {
    for secure in [false, true] {
        let (mut wire, mut client, metrics) = pair(secure, 60_000).await;
        let sent: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
        let mut got = vec![0; sent.len()];
        let (wrote, read) = tokio::join!(wire.write_all(&sent), timeout(SOON, client.read_exact(&mut got)));
        wrote.unwrap();
        read.unwrap().unwrap();
        assert!(got == sent, "something else arrived");
        wire.flush().await.unwrap();
        assert!(wire.patience.is_none(), "nothing waits");
        client.write_all(b"back").await.unwrap();
        client.flush().await.unwrap();
        let mut back = [0; 4];
        timeout(SOON, wire.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!((&back, metrics.connections.get()), (b"back", 1));
        assert_eq!(wire.handle().is_secure(), secure);
        wire.shutdown().await.unwrap();
        let mut rest = Vec::new();
        timeout(SOON, client.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty(), "the end is told");
    }
}

/// A client that takes no byte for the stall time is slow, and its connection is cut.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    for secure in [false, true] {
        let (mut wire, mut client, metrics) = pair(secure, 100).await;
        let handle = wire.handle();
        let wrote = timeout(SOON, async {
            loop {
                if let Err(error) = wire.write(&[0; 65_536]).await {
                    return error;
                }
            }
        });
        assert_eq!(wrote.await.unwrap().kind(), io::ErrorKind::TimedOut);
        assert!(handle.is_slow());
        assert_eq!(metrics.connections.get(), 1);
        drop(wire);
        assert_eq!((metrics.connections.get(), handle.is_open()), (0, false));
        // What the kernel had taken may still arrive; then the connection is over.
        let mut rest = Vec::new();
        timeout(SOON, client.read_to_end(&mut rest)).await.unwrap().ok();
    }
}

/// The kill switch ends a read that waits for nothing.
#[tokio::test]
async fn the_kill_switch_ends_a_waiting_read() {
    for secure in [false, true] {
        let (mut wire, _client, _metrics) = pair(secure, 60_000).await;
        let handle = wire.handle();
        let mut buffer = [0; 8];
        let (read, ()) = tokio::join!(timeout(SOON, wire.read(&mut buffer)), async { handle.cut() });
        assert_eq!(read.unwrap().unwrap_or(0), 0);
        assert!(wire.write(b"x").await.is_err());
        assert!(!handle.is_slow());
    }
}
