//! Packets that do not stand alone in a frame: in the answers to polls, and in the stream that NATS sends.

use super::*;
use crate::load::polling::Answer;

impl Connection {
    /// Handles the answers to polls that are complete, and says how many bytes they were.
    pub(super) fn answers(&mut self, bytes: &[u8], (dialect, tally): (&Dialect, &mut Tally), now: u64) -> usize {
        let mut at = 0;
        loop {
            let Answer { status, body, len } = match polling::answer(&bytes[at..]) {
                Ok(Some(answer)) => answer,
                Ok(None) => return at,
                Err(error) => {
                    self.close(now, &format!("the answer to a poll: {error}"));
                    return bytes.len();
                }
            };
            at += len;
            if status != 200 {
                self.close(now, &format!("{status} {}", String::from_utf8_lossy(&body)));
                return bytes.len();
            }
            if !self.polling.as_mut().is_some_and(|polling| polling.answered()) {
                continue;
            }
            for packet in body.split(|byte| *byte == polling::SEPARATOR) {
                if self.stage == Stage::Opening
                    && let Some(polling) = &mut self.polling
                {
                    polling.open(packet);
                }
                if !self.message(packet, (dialect, tally), now) {
                    self.packet(dialect.parse(packet), dialect, now);
                }
            }
        }
    }

    /// The next bytes of a stream of packets, as NATS sends them: a frame holds several, and may end within one.
    pub(super) fn streamed(&mut self, bytes: &[u8], dialect: &Dialect, tally: &mut Tally, now: u64) {
        if self.stream_rest.is_empty() {
            let used = self.packets(bytes, dialect, tally, now);
            self.stream_rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut joined = std::mem::take(&mut self.stream_rest);
            joined.extend_from_slice(bytes);
            let used = self.packets(&joined, dialect, tally, now);
            joined.drain(..used);
            self.stream_rest = joined;
        }
    }

    /// Handles the packets that are complete, and says how many bytes they were.
    fn packets(&mut self, bytes: &[u8], dialect: &Dialect, tally: &mut Tally, now: u64) -> usize {
        let mut at = 0;
        while let Some((packet, len)) = nats::next(&bytes[at..]) {
            at += len;
            match packet {
                Packet::Message(payload) => {
                    if let Some(mark) = self.finder.find(payload)
                        && self.role == Role::Counted
                    {
                        self.next = tally.message(self.next, self.index, mark, now);
                    }
                }
                packet => self.packet(packet, dialect, now),
            }
        }
        at
    }
}
