//! Clients that keep so many events under way, until the time is over and all have been answered.

use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::contest::{Contest, Contestant};
use crate::load::calling::Calling;
use crate::load::shape::Shape;
use crate::load::{Load, histogram};
use crate::{Result, clock};

/// How long answers may stay away before the round is given up.
const SILENCE: u64 = 5_000_000_000;

/// Who sends what, and how much of it at once.
#[derive(Debug, Clone)]
pub(super) struct Calls<'a> {
    pub(super) clients: Range<usize>,
    /// The event with an answer, and the argument of all events.
    pub(super) event: &'a str,
    pub(super) argument: &'a str,
    /// Events with an answer that each keeps under way, and those without that go before each of them.
    pub(super) calls: u64,
    pub(super) notes: u64,
    pub(super) seconds: f64,
}

/// What came of it.
pub(super) struct Called {
    pub(super) events: u64,
    pub(super) seconds: f64,
    /// The server's processor time for each event, in microseconds.
    pub(super) us_per_event: Option<f64>,
    /// From an event to its answer.
    pub(super) waits: Histogram<u64>,
    pub(super) mistakes: Vec<String>,
}

/// Lets them call.
pub(super) fn keep_calling(contest: &mut Contest, contestant: &Contestant, calls: &Calls<'_>) -> Result<Called> {
    let load = &mut contest.load;
    let (id, dialect) = (contestant.group, &contestant.target.dialect);
    load.group(id).begin((1, u64::MAX), Shape::Plain);
    let cpu = contestant.cpu()?;
    let start = clock::now();
    for index in calls.clients.clone() {
        let calling = Calling::new(dialect, (calls.event, calls.argument), (calls.notes, "note"));
        load.call(id, index, (calling, calls.calls));
    }
    let mut waits = histogram();
    let end = start + clock::nanos(calls.seconds);
    let (mut left, mut heard, mut open) = (1, start, true);
    while left > 0 && clock::now() - heard < SILENCE {
        load.turn(Duration::from_millis(20))?;
        let now = clock::now();
        if open && now >= end {
            open = false;
            callers(load, contestant, calls).for_each(|calling| calling.open = false);
        }
        left = 0;
        let before = waits.len();
        for calling in callers(load, contestant, calls) {
            left += calling.under_way();
            calling.waits.drain(..).for_each(|wait| waits.saturating_record(wait));
        }
        heard = if waits.len() > before { now } else { heard };
    }
    let cpu = contestant.used(cpu)?;
    let (mut events, mut strange, mut mistakes) = (0, 0, Vec::new());
    for calling in callers(load, contestant, calls) {
        events += calling.events;
        strange += calling.strange;
    }
    if left > 0 || strange > 0 {
        mistakes.push(format!("{left} calls without an answer, {strange} answers out of order"));
    }
    mistakes.extend(load.group(id).casualty());
    load.group(id).clients.iter_mut().for_each(|client| client.calling = None);
    contest.progress.spent(calls.seconds);
    let us_per_event = cpu.map(|cpu| cpu.total() * 1e6 / events as f64);
    Ok(Called { events, seconds: clock::seconds(heard - start), us_per_event, waits, mistakes })
}

fn callers<'a>(
    load: &'a mut Load,
    contestant: &Contestant,
    calls: &Calls<'_>,
) -> impl Iterator<Item = &'a mut Calling> {
    let clients = &mut load.group(contestant.group).clients[calls.clients.clone()];
    clients.iter_mut().filter_map(|client| client.calling.as_deref_mut())
}
