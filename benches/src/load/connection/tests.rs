//! Whole conversations in pieces of every size.

use super::*;
use crate::load::mark::Mark;

/// A connection whose other end is in the test's hands.
fn connection(target: &Target) -> (Connection, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    (Connection::new(Stream::Plain(TcpStream::from_std(stream)), 0, target), listener.accept().unwrap().0)
}

/// A whole conversation, in pieces of every size: nothing is lost at the seams.
#[test]
fn a_conversation_in_pieces() {
    let dialect = Dialect::new("/bench", "tick");
    let target = Target::local(([127, 0, 0, 1], 1).into(), dialect.clone());
    let mut bytes = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n").into_bytes();
    let mut text = |text: &str| bytes.extend(carillon_core::packet::frame::frame(Opcode::Text, text.as_bytes()));
    text("0{\"sid\":\"x\"}");
    text("40/bench,{\"sid\":\"y\"}");
    for number in 0..3 {
        text(&dialect.event("tick", &format!("{{\"text\":\"{}\"}}", Mark { number, at: 5 }.text(200))));
    }
    text("2");
    text("43/bench,9[true]");
    text(&dialect.event("done", "{\"messages\":3}"));
    for size in 1..bytes.len() {
        let (mut client, mut server) = connection(&target);
        client.heard = Some(Vec::new());
        let mut tally = Tally::new(1);
        for piece in bytes.chunks(size) {
            client.take(piece, (&dialect, &mut tally), 105);
        }
        assert_eq!((client.stage, client.next, tally.messages), (Stage::Ready, 3, 3), "pieces of {size}");
        assert_eq!((tally.mistakes(3).len(), tally.seen(), tally.latency.max()), (0, 3, 100));
        let heard = [Heard::Ack(9, "[true]".to_owned()), Heard::Event("[\"done\",{\"messages\":3}]".to_owned())];
        assert_eq!(client.heard.as_deref(), Some(&heard[..]));
        client.flush(0);
        client.close(0, "enough");
        let mut said = Vec::new();
        server.read_to_end(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.starts_with("GET /socket.io/?EIO=4&transport=websocket&client=0 "), "{said}");
        assert!(said.contains("40/bench,") && said.ends_with('3'), "joins, and answers the ping: {said}");
    }
}

/// The same for NATS, where packets and frames need not end together, and for plain frames.
#[test]
fn other_dialects_in_pieces() {
    let upgrade = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n");
    let tick = |number| format!("{{\"text\":\"{}\"}}", Mark { number, at: 5 }.text(200));
    let mut stream = "INFO {}\r\nPONG\r\nPING\r\n".to_owned();
    for text in (0..4).map(tick) {
        stream.push_str(&format!("MSG tick 1 {}\r\n{text}\r\n", text.len()));
    }
    let mut nats = upgrade.clone().into_bytes();
    for piece in stream.as_bytes().chunks(150) {
        nats.extend(carillon_core::packet::frame::frame(Opcode::Binary, piece));
    }
    let mut plain = upgrade.into_bytes();
    plain.extend(carillon_core::packet::frame::frame(Opcode::Ping, b""));
    for text in (0..4).map(tick) {
        plain.extend(carillon_core::packet::frame::frame(Opcode::Text, text.as_bytes()));
    }
    for (dialect, bytes) in [(Dialect::Nats { subject: "tick".to_owned() }, nats), (Dialect::Plain, plain)] {
        let target = Target::local(([127, 0, 0, 1], 1).into(), dialect.clone());
        for size in 1..bytes.len() {
            let (mut client, mut server) = connection(&target);
            let mut tally = Tally::new(1);
            for piece in bytes.chunks(size) {
                client.take(piece, (&dialect, &mut tally), 105);
            }
            assert_eq!((client.stage, client.next, tally.messages), (Stage::Ready, 4, 4), "{dialect:?} by {size}");
            assert_eq!((tally.mistakes(4).len(), tally.latency.max()), (0, 100));
            client.flush(0);
            client.close(0, "enough");
            let mut said = Vec::new();
            server.read_to_end(&mut said).unwrap();
            let said = String::from_utf8_lossy(&said).into_owned();
            match dialect {
                Dialect::Plain => assert!(said.starts_with("GET /sub?client=0 "), "{said}"),
                _ => assert!(said.contains("SUB tick 1\r\n") && said.ends_with(nats::PONG), "{said}"),
            }
        }
    }
}

#[test]
fn refusals_are_told() {
    let dialect = Dialect::new("/", "tick");
    let target = Target::local(([127, 0, 0, 1], 1).into(), dialect.clone());
    let (mut client, _server) = connection(&target);
    client.take(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", (&dialect, &mut Tally::new(1)), 7);
    assert_eq!(client.closed, Some((7, "HTTP/1.1 503 Service Unavailable".to_owned())));
    assert_eq!(client.stage, Stage::Closed);
}
