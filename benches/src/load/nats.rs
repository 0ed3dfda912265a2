//! NATS' own protocol, as much of it as a subscriber and a publisher need: lines that end with CR LF, and payloads whose
//! length the line before them tells (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).

use super::packet::Packet;

/// The answer to a ping.
pub(crate) const PONG: &str = "PONG\r\n";
/// No confirmation of each line, no check of subjects, and no payload with headers.
pub(crate) const CONNECT: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":false,\"lang\":\"bench\",\"version\":\"1\"}\r\n";

/// Asks for everything published as `subject`. The ping at the end is answered once that has been understood.
pub(crate) fn subscribe(subject: &str) -> String {
    format!("{CONNECT}SUB {subject} 1\r\nPING\r\n")
}

/// Publishes `payload` to whoever subscribed to `subject`.
pub(crate) fn publish(subject: &str, payload: &str) -> String {
    format!("PUB {subject} {}\r\n{payload}\r\n", payload.len())
}

/// The first thing in a stream from the server, and how many bytes it takes; `None` when not all of it is there yet.
#[inline]
pub(crate) fn next(bytes: &[u8]) -> Option<(Packet<'_>, usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    if !line.starts_with(b"MSG ") {
        return Some((other(line), end + 1));
    }
    let Some(len) = length(line) else { return Some((Packet::Refused("a MSG without a length"), end + 1)) };
    let total = end.saturating_add(len).saturating_add(3);
    let payload = bytes.get(..total)?.get(end + 1..total - 2)?;
    Some((Packet::Message(payload), total))
}

/// The last word of `MSG <subject> <id> <length>`.
fn length(line: &[u8]) -> Option<usize> {
    let at = memchr::memrchr(b' ', line)? + 1;
    let digits = line.get(at..).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0usize, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

#[cold]
fn other(line: &[u8]) -> Packet<'_> {
    match line {
        b"PING" => Packet::Ping,
        b"PONG" => Packet::Connected,
        line if line.starts_with(b"INFO ") => Packet::Open,
        line if line.starts_with(b"-ERR") => Packet::Refused(std::str::from_utf8(line).unwrap_or("-ERR")),
        _ => Packet::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of line is told apart, and nothing is taken for whole that is not.
    #[test]
    fn a_stream() {
        let stream =
            b"INFO {\"max_payload\":9}\r\nPONG\r\nMSG tick 1 5\r\nab\r\nc\r\nPING\r\nMSG tick 1 0\r\n\r\n+OK\r\n-ERR 'no'\r\n";
        let (mut at, mut packets) = (0, Vec::new());
        while let Some((packet, len)) = next(&stream[at..]) {
            for cut in 0..len {
                let early = next(&stream[at..at + cut]);
                assert!(early.is_none(), "{packet:?} after {cut} bytes: {early:?}");
            }
            at += len;
            packets.push(packet);
        }
        assert_eq!(at, stream.len());
        let expected = [
            Packet::Open,
            Packet::Connected,
            Packet::Message(b"ab\r\nc"),
            Packet::Ping,
            Packet::Message(b""),
            Packet::Other,
            Packet::Refused("-ERR 'no'"),
        ];
        assert_eq!(packets, expected);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["MSG tick 1 x\r\n", "MSG \r\n", "MSG tick 1 99999999999999999999999\r\n"] {
            assert!(matches!(next(line.as_bytes()), Some((Packet::Refused(_), _))), "{line}");
        }
        assert_eq!(next(b"MSG tick 1 18446744073709551615\r\nx"), None, "a payload that will never be whole");
        assert_eq!(next(b""), None);
    }

    #[test]
    fn what_clients_say() {
        assert_eq!(publish("tick", "{\"a\":1}"), "PUB tick 7\r\n{\"a\":1}\r\n");
        let said = subscribe("tick");
        assert!(said.starts_with("CONNECT {") && said.ends_with("}\r\nSUB tick 1\r\nPING\r\n"), "{said}");
    }
}
