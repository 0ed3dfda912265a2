//! A socket with TLS on it: what is said to be written, and when.

use std::future::poll_fn;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socket2::SockRef;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// Both ends of a connection whose handshake is done.
pub(super) async fn shaken(server: TcpStream, client: TcpStream) -> (Stream, TlsStream<TcpStream>) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = issued.cert.der().clone();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let config = builder.unwrap().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let trusting = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let (server, client) = tokio::join!(
        TlsAcceptor::from(Arc::new(config)).accept(server),
        TlsConnector::from(Arc::new(trusting)).connect(name, client)
    );
    let (socket, connection) = server.unwrap().into_inner();
    (Stream::secure(socket, connection), client.unwrap())
}

/// The bytes of the frame with this number: each is its own, and two long at least.
fn frame(number: usize) -> Vec<u8> {
    (0..2 + number * 7919 % 70_000).map(|at| (number + at) as u8).collect()
}

/// Whoever wrote something whole leaves nothing behind that waits: the last byte is not said to be written before the
/// kernel has all of it. So a frame of which nothing was written has not begun to leave.
#[tokio::test]
async fn whoever_is_told_of_less_comes_back() {
    const FRAMES: usize = 200;
    let (socket, client) = sockets().await;
    SockRef::from(&socket).set_send_buffer_size(16 << 10).unwrap();
    let (stream, mut client) = shaken(socket, client).await;
    let (mut expected, mut kept) = (Vec::new(), 0);
    let writes = async {
        for number in 0..FRAMES {
            let frame = frame(number);
            let mut at = 0;
            while at < frame.len() {
                match stream.send(&frame[at..]) {
                    Ok(written) => at += written,
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        assert!(at > 0, "something waits, and frame {number} is new");
                        kept += usize::from(at == frame.len() - 1);
                        poll_fn(|cx| stream.poll_writable(cx)).await.unwrap();
                    }
                }
            }
            expected.extend_from_slice(&frame);
        }
        stream.finish().unwrap();
        // What waits leaves while it is read from, until the client ends its side.
        let mut nothing = [0; 8];
        poll_fn(|cx| stream.poll_read(cx, &mut ReadBuf::new(&mut nothing))).await.unwrap();
    };
    let mut got = Vec::new();
    let reads = async {
        let mut piece = [0; 3000];
        loop {
            match client.read(&mut piece).await.unwrap() {
                0 => break,
                read => got.extend_from_slice(&piece[..read]),
            }
            tokio::task::yield_now().await;
        }
        client.shutdown().await.unwrap();
    };
    timeout(SOON, async { tokio::join!(writes, reads) }).await.unwrap();
    assert!(got == expected, "{} bytes arrived, {} were written", got.len(), expected.len());
    assert!(kept > 0, "the socket was never full at the end of a frame");
}

/// What a client has taken is known while it reads nothing, and grows as it reads.
#[tokio::test]
async fn what_the_client_has_taken_is_told() {
    let (socket, client) = sockets().await;
    let (stream, mut client) = shaken(socket, client).await;
    let mut written = 0;
    let full = loop {
        match stream.send(&[7; 10_000]) {
            Ok(more) => written += more as u64,
            Err(_) => break stream.taken(written),
        }
    };
    assert!(full < written, "the kernel holds something: {full} of {written}");
    let mut got = vec![0; written as usize];
    let (read, ()) = tokio::join!(timeout(SOON, client.read_exact(&mut got)), async {
        poll_fn(|cx| stream.poll_writable(cx)).await.unwrap();
    });
    read.unwrap().unwrap();
    assert!(stream.taken(written) > full, "it has grown");
}
