//! The three rules, case by case.

use super::*;

/// A text frame around `payload`, as short ones are.
fn frame(payload: &str) -> Vec<u8> {
    [&[0x81, payload.len() as u8], payload.as_bytes()].concat()
}

struct Box(Outbox, GateId);

impl Box {
    /// An outbox with one gate, of the root namespace.
    fn new() -> Self {
        let mut outbox = Outbox::new();
        let gate = outbox.gate("/");
        Self(outbox, gate)
    }

    fn ours(&mut self, text: &str, copies: u64) {
        self.0.push(self.1, &[Bytes::from(frame(text))], Left { cost: 1, copies }, None);
    }

    fn theirs(&mut self, text: &str) {
        self.0.foreign(&frame(text), text.as_bytes(), false);
    }

    /// Lets everything out, `step` bytes at a time; the payloads in the order they leave, and the copies.
    fn out(&mut self, step: usize) -> (Vec<String>, u64) {
        let (mut bytes, mut copies) = (Vec::new(), 0);
        while self.0.has_output() {
            let slices: Vec<u8> = self.0.slices().iter().flat_map(|slice| slice.to_vec()).collect();
            let taken = step.min(slices.len());
            bytes.extend_from_slice(&slices[..taken]);
            copies += self.0.advance(taken).copies;
        }
        let mut texts = Vec::new();
        let mut rest = &bytes[..];
        while let [_, length, after @ ..] = rest {
            let (payload, next) = after.split_at(usize::from(*length));
            texts.push(String::from_utf8(payload.to_vec()).unwrap());
            rest = next;
        }
        (texts, copies)
    }
}

#[test]
fn nothing_of_a_namespace_leaves_before_its_connect_reply() {
    let mut outbox = Box::new();
    outbox.0.go_direct();
    let other = outbox.0.gate("/other");
    outbox.ours("42[1]", 1);
    assert!(!outbox.0.has_output());
    outbox.theirs("2");
    outbox.theirs("40/other,{}");
    assert_eq!(outbox.out(1).0, ["2"], "another namespace's reply opens nothing");
    outbox.theirs("40{\"sid\":1}");
    outbox.ours("42[2]", 2);
    let out = ["40{\"sid\":1}", "42[1]", "40/other,{}", "42[2]"].map(str::to_owned);
    assert_eq!(outbox.out(3), (out.to_vec(), 3));
    outbox.0.left(outbox.1);
    assert!(!outbox.0.has_gate(outbox.1) && outbox.0.has_gate(other));
}

/// A client takes no packet between an event and its attachments, and a reply of its next life after its last one.
#[test]
fn a_connect_reply_comes_after_what_was_sent_before() {
    let mut outbox = Box::new();
    outbox.0.go_direct();
    outbox.theirs("40{}");
    let frames = [Bytes::from(frame("451-[1]")), Bytes::from(frame("x"))];
    outbox.0.push(outbox.1, &frames, Left::default(), None);
    let other = outbox.0.gate("/other");
    outbox.0.push(other, &[Bytes::from(frame("42/other,[2]"))], Left::default(), None);
    let header = frame("40{}").len() + frames[0].len();
    outbox.0.advance(header);
    outbox.theirs("40/other,{}");
    outbox.theirs("44/third,{}");
    assert_eq!(outbox.out(1).0, ["x", "40/other,{}", "42/other,[2]", "44/third,{}"]);
}

/// A call made at once does not overtake the reply, though both pass through Socket.IO's queue.
#[test]
fn a_connect_reply_comes_before_the_first_call() {
    let mut outbox = Box::new();
    outbox.0.go_direct();
    outbox.0.hole(outbox.1);
    outbox.theirs("40{}");
    outbox.theirs("420[1]");
    assert_eq!(outbox.out(100).0, ["40{}", "420[1]"]);
}

/// What was sent before the server's DISCONNECT still follows the CONNECT reply.
#[test]
fn a_client_that_is_sent_away_at_once_gets_what_was_said_to_it() {
    let mut outbox = Box::new();
    outbox.0.go_direct();
    outbox.0.answered(outbox.1);
    outbox.ours("42[1]", 1);
    assert_eq!(outbox.0.left(outbox.1), Left::default());
    assert!(!outbox.0.has_gate(outbox.1));
    let next = outbox.0.gate("/");
    outbox.theirs("40{}");
    outbox.theirs("41");
    assert_eq!(outbox.out(100), (vec!["40{}".to_owned(), "42[1]".to_owned(), "41".to_owned()], 1));
    assert!(!outbox.0.is_idle(next), "the reply was the first one's");
    outbox.0.push(next, &[Bytes::from(frame("42[3]"))], Left { cost: 2, copies: 3 }, None);
    assert_eq!(outbox.0.left(next), Left { cost: 2, copies: 3 }, "it was refused");
}

#[test]
fn what_was_queued_for_polling_leaves_first() {
    let mut outbox = Box::new();
    outbox.0.connected(b"40{}");
    for copies in [1, 0, 5] {
        outbox.0.queued_for_polling(copies);
    }
    assert_eq!(outbox.0.polled(), 1, "the first left with a poll");
    outbox.theirs("3probe");
    outbox.0.hold_until(Some(b"42[\"sentinel\"]"));
    outbox.ours("42[3]", 1);
    outbox.theirs("42[1]");
    assert_eq!(outbox.out(2).0, ["3probe", "42[1]"]);
    outbox.theirs("42[2]");
    outbox.theirs("42[\"sentinel\"]");
    outbox.ours("42[4]", 1);
    assert_eq!(outbox.out(100), (vec!["42[2]".to_owned(), "42[3]".to_owned(), "42[4]".to_owned()], 7));
}

/// A DISCONNECT that was sent during an upgrade comes before the client's next CONNECT reply.
#[test]
fn a_disconnect_comes_before_the_next_connect_reply() {
    let mut outbox = Box::new();
    outbox.0.connected(b"40{}");
    outbox.0.hold_until(Some(b"42[\"sentinel\"]"));
    outbox.ours("42[1]", 0);
    outbox.0.left(outbox.1);
    let next = outbox.0.gate("/");
    outbox.0.push(next, &[Bytes::from(frame("42[2]"))], Left::default(), None);
    for text in ["42[\"sentinel\"]", "41", "40{}"] {
        outbox.theirs(text);
    }
    assert_eq!(outbox.out(100).0, ["42[1]", "41", "40{}", "42[2]"]);
}

/// What was queued for clients that have left counts as theirs, and comes before what is sent to the next.
#[test]
fn an_upgrade_without_clients_ends_when_the_queue_has_passed() {
    let mut outbox = Box::new();
    outbox.0.connected(b"40{}");
    outbox.0.queued_for_polling(1);
    outbox.0.queued_for_polling(5);
    outbox.0.hold_until(None);
    assert_eq!(outbox.0.polled(), 1, "its poll was under way");
    outbox.0.hole(outbox.1);
    outbox.ours("42[3]", 1);
    outbox.theirs("42[1]");
    assert_eq!((outbox.0.stage(), outbox.out(100)), (Stage::Direct, (vec!["42[1]".to_owned()], 5)));
    outbox.theirs("421[2]");
    assert_eq!(outbox.out(100).0, ["421[2]", "42[3]"]);
    let mut outbox = Outbox::new();
    outbox.hold_until(None);
    assert_eq!(outbox.stage(), Stage::Direct);
}

#[test]
fn a_call_keeps_its_place_while_it_passes_through_the_other_queue() {
    let mut outbox = Box::new();
    outbox.0.go_direct();
    outbox.theirs("40{}");
    outbox.ours("42[1]", 0);
    outbox.0.hole(outbox.1);
    outbox.ours("42[3]", 0);
    outbox.0.hole(outbox.1);
    outbox.ours("42[5]", 0);
    outbox.theirs("2");
    assert_eq!(outbox.out(100).0, ["2", "40{}", "42[1]"]);
    outbox.theirs("421[2]");
    assert_eq!(outbox.out(100).0, ["421[2]", "42[3]"]);
    outbox.theirs("451-2[4]");
    assert!(!outbox.0.has_output(), "its attachment is missing");
    outbox.0.foreign(&[0x82, 1, b'x'], b"x", true);
    assert_eq!(outbox.out(1).0, ["451-2[4]", "x", "42[5]"]);
    outbox.0.hole(outbox.1);
    outbox.0.no_hole();
    outbox.ours("42[6]", 0);
    assert_eq!(outbox.out(100).0, ["42[6]"]);
}

#[test]
fn what_never_leaves_is_accounted_for() {
    let mut outbox = Box::new();
    outbox.0.queued_for_polling(1);
    outbox.0.hold_until(Some(b"42[\"sentinel\"]"));
    outbox.ours("42[1]", 10);
    outbox.0.go_direct();
    outbox.0.connected(b"40");
    outbox.ours("42[2]", 100);
    outbox.0.advance(3);
    assert_eq!(outbox.0.close(), Left { cost: 2, copies: 111 });
    assert_eq!(outbox.0.close(), Left::default());
}

/// A client that pings and does not read has one pong waiting, the newest, and control frames never pass for packets.
#[test]
fn of_pongs_only_the_newest_waits() {
    let mut outbox = Box::new();
    outbox.0.go_direct();
    outbox.theirs("40{}");
    outbox.ours("42[1]", 1);
    for like in ["a", "42[2]", "40/other,", "b"] {
        outbox.0.control(&[&[0x8A, like.len() as u8], like.as_bytes()].concat(), PONG);
    }
    outbox.0.control(&[0x88, 0], 8);
    assert_eq!(outbox.out(100).0, ["b", "", "40{}", "42[1]"]);
}

/// Answers to CONNECT count while they wait.
#[test]
fn an_answer_to_connect_counts_while_it_waits() {
    let mut outbox = Box::new();
    outbox.0.go_direct();
    let answer = "44/nobody,{}";
    outbox.theirs(answer);
    assert!(is_answer(answer.as_bytes()) && !is_answer(b"42[1]") && !is_answer(b"2"));
    assert_eq!(outbox.0.advance(2 + answer.len()), Left { cost: cost(answer.len()), copies: 0 });
}
