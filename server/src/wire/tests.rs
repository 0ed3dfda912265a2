//! The wire between two real sockets: what it counts, when it does not read, and how it ends.

use std::time::Duration;

use carillon_config::WireSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::*;
use crate::link::{Limits, cost};
use crate::links::Links;

const SOON: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_millis(100);

struct Pair {
    wire: Wire,
    handle: Handle,
    link: Arc<Link>,
    client: TcpStream,
    metrics: Arc<Metrics>,
    _links: Arc<Links>,
}

/// A wire that carries a session, the client at its other end, and everything that may be asked about both.
async fn pair() -> Pair {
    carried(false, 100).await
}

/// The same, from the session's start or in the middle of an upgrade.
async fn carried(upgrade: bool, write_stall_ms: u64) -> Pair {
    let core = carillon_core::metrics::Metrics::new().unwrap();
    let metrics = Arc::new(Metrics::new(&core).unwrap());
    let limits = Limits {
        max_queued_bytes: 100_000,
        max_pause: MAX_PAUSE,
        connect_timeout: Duration::from_secs(1),
        ping_interval: Duration::from_millis(100),
    };
    let links = Links::new(limits, Arc::clone(&metrics), core.deliveries());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
    let settings = WireSettings { write_stall_ms, ..WireSettings::default() };
    let wire = Wire::new(stream, peer, Options::new(&settings), Arc::clone(&metrics), permit);
    let handle = wire.handle();
    let link = links.open();
    handle.carry(&link);
    link.carried_by(&handle, upgrade);
    Pair { wire, handle, link, client, metrics, _links: links }
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode, 126];
    bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Only our packets are counted, only when their last byte has left, and the 101 in front does not confuse it.
#[tokio::test]
async fn what_has_left_is_no_longer_counted() {
    let Pair { mut wire, link, mut client, .. } = pair().await;
    let event = b"451-/ns,[\"event\",{\"_placeholder\":true,\"num\":0}]";
    let packets: [(u8, &[u8]); 5] = [(1, b"0{\"sid\":\"x\"}"), (1, b"40{}"), (1, event), (2, &[7; 300]), (1, b"2")];
    let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n".to_vec();
    packets.iter().for_each(|(opcode, payload)| bytes.extend(frame(*opcode, payload)));
    for step in [1, 7, bytes.len()] {
        assert!(link.reserve(cost(event.len())) && link.reserve(cost(300)));
        wire.outbound = Outbound::Head(0);
        let (last, rest) = bytes.split_last().unwrap();
        for chunk in rest[..rest.len() - 2].chunks(step) {
            wire.write_all(chunk).await.unwrap();
        }
        assert_eq!(link.queued_bytes(), 0, "cut every {step} bytes");
        wire.write_all(&[rest[rest.len() - 2], rest[rest.len() - 1], *last]).await.unwrap();
    }
    let mut got = vec![0; 3 * bytes.len()];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes.repeat(3), "it arrives as it was written");
}

/// Socket.IO leaves out a ping that is due during an upgrade; the client gets it when it is over.
#[tokio::test]
async fn a_ping_missed_in_an_upgrade_is_sent_after_it() {
    let Pair { mut wire, mut client, link: _link, .. } = carried(true, 100).await;
    client.write_all(b"\x81\x015").await.unwrap();
    let mut packet = [0; 3];
    wire.read_exact(&mut packet).await.unwrap();
    // The reading task goes on: it writes what did not leave at once.
    let mut more = [0; 1];
    tokio::select! {
        got = timeout(SOON, client.read_exact(&mut packet)) => drop(got.unwrap().unwrap()),
        read = wire.read_exact(&mut more) => panic!("nothing was sent, yet: {read:?}"),
    }
    assert_eq!(&packet, b"\x81\x012");
}

/// A paused client is not read from until the pause ends, by itself at the latest.
#[tokio::test]
async fn a_paused_client_is_not_read_from() {
    let Pair { mut wire, link, mut client, .. } = pair().await;
    let mut buffer = [0; 8];
    client.write_all(b"abc").await.unwrap();
    link.pause(true);
    assert!(link.paused_until().is_some());
    link.pause(false);
    assert_eq!(link.paused_until(), None);
    assert_eq!(timeout(SOON, wire.read(&mut buffer)).await.unwrap().unwrap(), 3);

    // Two namespaces want a pause, one lets go: the pause lasts, but not for ever.
    client.write_all(b"def").await.unwrap();
    let begun = Instant::now();
    link.pause(true);
    link.pause(true);
    link.pause(false);
    assert_eq!(timeout(SOON, wire.read(&mut buffer)).await.unwrap().unwrap(), 3);
    assert!(begun.elapsed() >= MAX_PAUSE, "it was read during the pause");
    // It does not begin again until everybody has let go.
    client.write_all(b"ghi").await.unwrap();
    assert_eq!(link.paused_until(), None);
    assert_eq!(timeout(SOON, wire.read(&mut buffer)).await.unwrap().unwrap(), 3);
    link.pause(false);
}

/// An unanswered ping shortens a pause: the pong may be what is not being read.
#[tokio::test]
async fn an_unanswered_ping_ends_pauses_until_the_pong_is_seen() {
    let Pair { link, .. } = pair().await;
    link.ping_sent();
    tokio::time::sleep(Duration::from_millis(120)).await;
    link.pause(true);
    assert_eq!(link.paused_until(), None);
    link.pause(false);
    link.pong_seen();
    link.pause(true);
    assert!(link.paused_until().is_some());
    link.pause(false);
}

/// A client that takes no byte for the stall time is slow, and its connection is cut.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let Pair { mut wire, link, mut client, metrics, .. } = pair().await;
    let wrote = timeout(SOON, async {
        loop {
            if let Err(error) = wire.write(&[0; 65_536]).await {
                return error;
            }
        }
    });
    assert_eq!(wrote.await.unwrap().kind(), io::ErrorKind::TimedOut);
    assert_eq!(link.ended(), Some(Reason::Slow));
    assert_eq!(metrics.connections.get(), 1);
    drop(wire);
    assert_eq!(metrics.connections.get(), 0);
    // What the kernel had taken may still arrive; then the connection is over.
    let mut rest = Vec::new();
    timeout(SOON, client.read_to_end(&mut rest)).await.unwrap().ok();
}

/// The same for a WebSocket: whatever is written is taken at once, and the reading task ends when the client takes nothing.
#[tokio::test]
async fn a_websocket_client_that_does_not_read_is_cut() {
    let Pair { mut wire, link, mut client, .. } = pair().await;
    wire.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
    let pong = frame(1, &[b'6'; 60_000]);
    for _ in 0..200 {
        timeout(SOON, wire.write_all(&pong)).await.unwrap().unwrap();
    }
    let mut buffer = [0; 8];
    assert!(!timeout(SOON, wire.read(&mut buffer)).await.unwrap().is_ok_and(|read| read > 0));
    assert_eq!(link.ended(), Some(Reason::Slow));
    drop(wire);
    let mut rest = Vec::new();
    timeout(SOON, client.read_to_end(&mut rest)).await.unwrap().ok();
}

/// What the socket did not take at once leaves as the client reads, to the last byte and in order.
#[tokio::test]
async fn the_reading_task_writes_the_rest() {
    // A busy machine is no slow client.
    let Pair { mut wire, mut client, link: _link, .. } = carried(false, 60_000).await;
    let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    wire.write_all(head).await.unwrap();
    let mut sent = head.to_vec();
    // From '5' on: what begins with '4' is Socket.IO's and has an order of its own.
    for number in b'5'..=b'5' + 199 {
        let bytes = frame(1, &[number; 60_000]);
        wire.write_all(&bytes).await.unwrap();
        sent.extend(bytes);
    }
    let mut got = vec![0; sent.len()];
    let mut buffer = [0; 8];
    tokio::select! {
        read = timeout(SOON, client.read_exact(&mut got)) => { read.unwrap().unwrap(); }
        _ = wire.read(&mut buffer) => panic!("the client sends nothing"),
    }
    assert!(got == sent, "it arrives as it was written");
}

/// The kill switch ends a read that waits for nothing, and one that waits for a pause to end.
#[tokio::test]
async fn the_kill_switch_ends_a_waiting_read() {
    for paused in [false, true] {
        let Pair { mut wire, handle, link, .. } = pair().await;
        if paused {
            link.pause(true);
        }
        let reader = async {
            let mut buffer = [0; 8];
            timeout(Duration::from_millis(90), wire.read(&mut buffer)).await
        };
        let killer = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            link.end(Reason::Killed);
        };
        let (read, ()) = tokio::join!(reader, killer);
        assert_eq!(read.unwrap().unwrap_or(0), 0, "paused: {paused}");
        assert!(wire.write(b"x").await.is_err());
        assert_eq!(link.ended(), Some(Reason::Killed));
        drop(wire);
        assert!(!handle.is_open());
    }
}

/// Too much waiting makes a client slow, one packet larger than the limit does not; an upgrade may hold more.
#[tokio::test]
async fn the_limit_of_queued_bytes() {
    let Pair { link, handle, .. } = pair().await;
    assert!(link.reserve(500_000), "a single packet");
    assert!(!link.reserve(1), "anything on top of it");
    assert!(link.room().is_some());
    link.settle(500_000);
    assert!(link.room().is_none());
    assert!(link.reserve(90_000) && !link.reserve(20_000));
    assert_eq!(link.queued_bytes(), 90_000);
    let room = link.room().unwrap();
    let waiting = timeout(Duration::from_millis(50), room).await;
    assert!(waiting.is_err(), "more than half is waiting");
    let room = link.room().unwrap();
    link.settle(70_000);
    timeout(SOON, room).await.unwrap();
    link.settle(20_000);

    link.carried_by(&handle, true);
    assert_eq!(link.transport(), carillon_core::sink::Transport::Polling);
    assert!(link.reserve(90_000) && link.reserve(300_000) && !link.reserve(20_000));
    assert!(link.room().is_none(), "answers do not wait for an upgrade");
    link.upgraded();
    assert_eq!(link.transport(), carillon_core::sink::Transport::WebSocket);
    assert!(link.room().is_some());
    link.gone(Reason::TransportClose);
    assert!(link.room().is_none(), "nobody waits for a client that is gone");
}

/// A flood of CONNECT packets, or a huge one, ends the session: each is kept until it is answered.
#[tokio::test]
async fn connects_are_bounded() {
    let Pair { link, .. } = pair().await;
    (0..100).for_each(|_| link.connect_seen(10));
    assert_eq!(link.ended(), None);
    link.connect_seen(10);
    link.connect_seen(10);
    assert_eq!(link.ended(), Some(Reason::BadPacket));
    let Pair { link, .. } = pair().await;
    link.connect_seen(100_000);
    assert_eq!(link.ended(), Some(Reason::BadPacket));
}
