//! RFC 6455 by the section: whole, cut octet by octet, and wrong in every way.

use super::*;

const LIMIT: usize = 100_000;
const MASK: [u8; 4] = [0xA5, 0x11, 0, 0xFF];

/// A client's frame: `first` is the whole first byte.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    bytes
}

/// What comes out of `bytes` when they arrive in pieces of `step`, and how it ends.
fn read(bytes: &[u8], step: usize) -> (Vec<String>, Option<Violation>) {
    let (mut reader, mut seen) = (Reader::new(LIMIT), Vec::new());
    for chunk in bytes.chunks(step) {
        let (mut chunk, mut at) = (chunk.to_vec(), 0);
        loop {
            match reader.next(&mut chunk, &mut at) {
                Ok(Some(message)) => seen.push(format!("{message:?}")),
                Ok(None) => break,
                Err(violation) => return (seen, Some(violation)),
            }
        }
        assert_eq!(at, chunk.len(), "everything is taken");
    }
    (seen, None)
}

fn everywhere(bytes: &[u8], wanted: &[Message<'_>], end: Option<Violation>) {
    let wanted: Vec<String> = wanted.iter().map(|message| format!("{message:?}")).collect();
    for step in [1, 2, 3, 7, 64, 1000, bytes.len().max(1)] {
        assert_eq!(read(bytes, step), (wanted.clone(), end), "in pieces of {step}");
    }
}

#[test]
fn messages_of_every_length_are_read_wherever_the_stream_is_cut() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, LIMIT] {
        let (text, binary) = ("é".repeat(len / 2) + &"x".repeat(len % 2), vec![7; len]);
        let stream = [client(0x81, text.as_bytes()), client(0x82, &binary)].concat();
        everywhere(&stream, &[Message::Text(&text), Message::Binary(&binary)], None);
    }
}

#[test]
fn fragments_make_one_message_and_control_frames_may_come_between() {
    let text = "κόσμε".as_bytes();
    for cut in 0..=text.len() {
        let stream = [
            client(0x01, &text[..cut]),
            client(0x89, b"are you there"),
            client(0x00, b""),
            client(0x8A, b""),
            client(0x80, &text[cut..]),
            client(0x81, b"2"),
        ]
        .concat();
        everywhere(
            &stream,
            &[Message::Ping(b"are you there"), Message::Pong, Message::Text("κόσμε"), Message::Text("2")],
            None,
        );
    }
}

#[test]
fn frames_that_break_the_protocol_are_1002() {
    let masked = |bytes: &[u8]| [bytes, &[0; 4]].concat();
    let wrong: Vec<Vec<u8>> = vec![
        // Reserved bits, reserved opcodes.
        client(0xC1, b"x"),
        client(0xA1, b"x"),
        client(0x91, b"x"),
        client(0x83, b""),
        client(0x87, b""),
        client(0x8B, b""),
        client(0x8F, b""),
        // No mask.
        b"\x81\x01x".to_vec(),
        // Control frames in fragments, or too long.
        client(0x09, b""),
        client(0x08, b""),
        client(0x0A, b""),
        client(0x89, &[b'x'; 126]),
        client(0x88, &[b'x'; 200]),
        // A continuation of nothing; a new message within another.
        client(0x80, b"x"),
        client(0x00, b"x"),
        [client(0x01, b"x"), client(0x81, b"y")].concat(),
        [client(0x02, b"x"), client(0x02, b"y")].concat(),
        // Lengths in a longer form than they need, or negative.
        masked(&[0x81, 0xFE, 0, 125]),
        masked(&[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
        masked(&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        // Close frames: half a code, codes nobody may send.
        client(0x88, b"\x03"),
        client(0x88, &999_u16.to_be_bytes()),
        client(0x88, &1004_u16.to_be_bytes()),
        client(0x88, &1005_u16.to_be_bytes()),
        client(0x88, &1006_u16.to_be_bytes()),
        client(0x88, &1015_u16.to_be_bytes()),
        client(0x88, &2999_u16.to_be_bytes()),
        client(0x88, &5000_u16.to_be_bytes()),
    ];
    for bytes in wrong {
        everywhere(&bytes, &[], Some(Violation::Protocol));
    }
    assert_eq!(Violation::Protocol.close_code(), 1002);
}

#[test]
fn text_that_is_not_utf8_is_1007_at_the_first_wrong_byte() {
    for wrong in [&b"\xC0\xAF"[..], b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"x\xFFy", b"\xCE", b"\xF0\x9F\x98"] {
        everywhere(&client(0x81, wrong), &[], Some(Violation::NotUtf8));
        everywhere(&[client(0x01, wrong), client(0x80, b"")].concat(), &[], Some(Violation::NotUtf8));
    }
    // Long before the message ends.
    let (seen, end) = read(&client(0x01, b"fine \xFF")[..], 1);
    assert_eq!((seen.len(), end), (0, Some(Violation::NotUtf8)));
    everywhere(&client(0x88, b"\x03\xE8\xFF"), &[], Some(Violation::NotUtf8));
    assert_eq!(Violation::NotUtf8.close_code(), 1007);
}

#[test]
fn too_much_is_1009_before_it_has_arrived() {
    let mut head = client(0x82, &vec![0; LIMIT + 1]);
    head.truncate(14);
    everywhere(&head, &[], Some(Violation::TooLarge));
    let half = client(0x02, &vec![0; LIMIT / 2]);
    let mut rest = client(0x80, &vec![0; LIMIT / 2 + 1]);
    rest.truncate(8);
    everywhere(&[half, rest].concat(), &[], Some(Violation::TooLarge));
    assert_eq!(Violation::TooLarge.close_code(), 1009);
}

#[test]
fn closes_carry_their_code() {
    everywhere(&client(0x88, b""), &[Message::Close(None)], None);
    for code in [1000, 1001, 1002, 1003, 1007, 1010, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
        let payload = [&u16::to_be_bytes(code)[..], "wieder".as_bytes()].concat();
        everywhere(&client(0x88, &payload), &[Message::Close(Some(code))], None);
    }
    assert_eq!(close(None), b"\x88\x00");
    assert_eq!(close(Some(1002)), b"\x88\x02\x03\xEA");
    assert_eq!(close_because(1009, "why"), b"\x88\x05\x03\xF1why");
    let long = close_because(1009, &"€".repeat(100));
    assert_eq!(
        (long.len(), std::str::from_utf8(&long[4..]).is_ok()),
        (2 + 2 + 123, true),
        "as much as fits, in whole characters"
    );
}

#[test]
fn between_messages_nothing_is_kept() {
    let mut reader = Reader::new(LIMIT);
    let mut bytes = [client(0x01, b"ab"), client(0x80, &[b'c'; 1000])].concat();
    let mut at = 0;
    assert!(reader.next(&mut bytes[..500], &mut at).unwrap().is_none());
    assert!(!reader.is_between_messages() && reader.held_bytes() > 400);
    assert!(matches!(reader.next(&mut bytes, &mut at), Ok(Some(Message::Text(_)))));
    assert!(reader.is_between_messages());
    assert!(reader.next(&mut bytes, &mut at).unwrap().is_none());
    assert_eq!(reader.held_bytes(), 0);
}

#[test]
fn what_the_server_sends_is_found_again() {
    let stream =
        [frame(Opcode::Text, b"42"), frame(Opcode::Binary, &[9; 300]), frame(Opcode::Text, &[b'x'; 70_000])].concat();
    let found: Vec<(Opcode, usize, usize)> =
        sent(&stream).map(|(opcode, payload, end)| (opcode, payload.len(), end)).collect();
    assert_eq!(found, [(Opcode::Text, 2, 4), (Opcode::Binary, 300, 308), (Opcode::Text, 70_000, 70_318)]);
    assert_eq!(sent(b"\x81").count(), 0);
}

/// 100,000 mutations of good streams, cut anywhere: nothing panics, and cut or not it comes to the same.
#[test]
fn random_streams_are_borne() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..100_000 {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..random.usize(1..4) {
            let first = if random.bool() { 0x81 } else { random.u8(..) };
            let payload: Vec<u8> = (0..random.usize(..20)).map(|_| random.u8(..128)).collect();
            bytes.extend(client(first, &payload));
        }
        for _ in 0..random.usize(..3) {
            let place = random.usize(..bytes.len());
            bytes[place] = random.u8(..);
        }
        let step = random.usize(1..=bytes.len());
        assert_eq!(read(&bytes, step), read(&bytes, bytes.len()), "{bytes:?} in pieces of {step}");
    }
}
