//! What a shard's task does: sweeps over the connections that get something of a run, in chunks, several of them in turns.
//!
//! A sweep takes what waits in the lanes, whatever its namespaces, rooms and exceptions, joined in a [`Run`]: it costs
//! each connection one write of exactly what it gets. What comes meanwhile waits in its lane for the next one; but a
//! lane that has no part in any sweep gets one of its own at the next chunk. So what one plugin publishes keeps its
//! order, and never waits for more than a chunk of each of the others' sweeps.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::lane::{Cursor, Held, Publisher, UnderWay, What};
use super::members::Moment;
use super::run::{Run, Sent, Wanted};
use super::shard::{Shard, State};
use super::table::{Slot, Space};
use crate::sink::Sink;

/// Bytes pushed between two moments at which other tasks get the thread, at most, however few the connections. Between
/// them `router.sweep_chunk` connections are served: long enough that batches grow, short enough that readers and
/// heartbeats go on.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes and publishes of one run at most: about what a connection's send buffer takes at once.
const RUN_BYTES: usize = 128 << 10;
const RUN_PUBLISHES: usize = 1024;

/// All of a run has been pushed.
const WHOLE: Moment = Moment::MAX;

/// See the module's documentation.
pub(super) struct Sweep {
    what: Task,
    shares: Vec<Share>,
    cursor: Arc<Cursor>,
    /// Where the chunk under way ends.
    end: usize,
    visits: VecDeque<Visit>,
    /// The connection that has not got the rest of the run yet, because more is held for it than fits into a chunk; and
    /// what it has got.
    unfinished: Option<(Slot, Moment)>,
}

/// What a sweep has taken from one lane.
struct Share {
    lane: Publisher,
    works: usize,
    first: Moment,
    last: Moment,
}

enum Task {
    Push(Box<Run>),
    /// To whom, in order.
    Disconnect(Space, Vec<(Slot, Arc<dyn Sink>)>),
}

/// One connection's turn.
struct Visit {
    slot: Slot,
    sink: Option<Arc<dyn Sink>>,
    /// The namespaces it has left.
    left: Vec<(Space, Moment)>,
    /// What it has got already.
    after: Moment,
    /// What is to be sent in between.
    held: Vec<Held>,
    /// Whether it gets what follows all of that, too.
    rest: bool,
}

impl Shard {
    /// The shard's task. Ends with its runtime.
    pub(super) async fn run(self: Arc<Self>) {
        let mut sweeps: VecDeque<Sweep> = VecDeque::new();
        loop {
            let more = {
                let mut state = self.state();
                sweeps.extend(state.plan());
                let more = state.forget(self.chunk);
                state.awake = more || !sweeps.is_empty();
                state.awake
            };
            if !more {
                self.news.notified().await;
                continue;
            }
            if let Some(mut sweep) = sweeps.pop_front() {
                if self.step(&mut sweep) {
                    self.end(sweep);
                } else {
                    sweeps.push_back(sweep);
                }
            }
            if !sweeps.is_empty() || self.state().has_more() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// One chunk of a sweep; whether it was the last.
    fn step(&self, sweep: &mut Sweep) -> bool {
        {
            let mut state = self.state();
            if sweep.visits.is_empty() {
                if state.collect(sweep, self.chunk) {
                    return true;
                }
            } else {
                // The thread was given back since they were looked up.
                sweep.visits.iter_mut().for_each(|visit| visit.left = state.table.left(visit.slot));
            }
        }
        if let Task::Push(_) = sweep.what {
            sweep.visits.iter().filter_map(|visit| visit.sink.as_ref()).for_each(|sink| sink.warm());
        }
        let mut all = Sent::default();
        while let Some(visit) = sweep.visits.pop_front() {
            all += sweep.what.serve(visit);
            if all.bytes > CHUNK_BYTES {
                break;
            }
        }
        self.metrics.expected.inc_by(all.copies);
        self.metrics.deliveries.taken(&all.taken);
        sweep.visits.is_empty() && self.state().collect(sweep, self.chunk)
    }

    /// A sweep is over: its lanes are free for the next one.
    fn end(&self, sweep: Sweep) {
        let Sweep { what, shares, .. } = sweep;
        let mut state = self.state();
        for Share { lane, works, .. } in shares {
            state.lanes[lane].under_way = None;
            self.done(lane, works);
        }
        match what {
            Task::Disconnect(space, _) => state.done(space, 1),
            Task::Push(run) => {
                run.spaces().for_each(|space| state.done(space, 1));
                drop(state);
                for (publish, accepted) in run.end() {
                    publish.series.count(accepted, publish.item.len());
                    publish.series.fanout.observe(publish.start.elapsed().as_secs_f64());
                }
            }
        }
    }
}

impl State {
    /// A sweep over whatever waits in lanes that have no part in any.
    fn plan(&mut self) -> Option<Sweep> {
        let mut free: Vec<Publisher> = (0..self.lanes.len()).filter(|lane| self.lanes[*lane].waits()).collect();
        let (mut run, mut shares, mut bytes) = (None, Vec::<Share>::new(), 0);
        // In the order in which it was queued.
        while let Some(lane) = free.iter().copied().min_by_key(|lane| self.lanes[*lane].first()) {
            let Some(work) = self.lanes[lane].queue.front() else {
                free.retain(|other| *other != lane);
                continue;
            };
            let publish = match &work.what {
                What::Publish(publish) => publish,
                What::Disconnect(space, selection) if run.is_none() => {
                    let mut sinks = self.table.members(*space).sinks(selection, work.moment);
                    sinks.sort_by_key(|(slot, _)| *slot);
                    let (space, place) = (*space, work.place);
                    self.lanes[lane].queue.pop_front();
                    let slots = sinks.iter().map(|(slot, _)| *slot).chain(self.lanes[lane].holds()).collect();
                    let share = Share { lane, works: 1, first: place, last: place };
                    return Some(self.begin(Task::Disconnect(space, sinks), slots, vec![share]));
                }
                // It gets a sweep of its own, after what stands before it.
                What::Disconnect(..) => {
                    free.retain(|other| *other != lane);
                    continue;
                }
            };
            let (size, slots) = (publish.item.wire_len(), self.table.slots());
            let run = run.get_or_insert_with(|| Run::new(slots));
            let full = run.len() > 0 && (run.len() == RUN_PUBLISHES || bytes + size > RUN_BYTES);
            if full || !run.add(publish, work.place, (work.moment, work.version), &self.table) {
                break;
            }
            bytes += size;
            let place = work.place;
            match shares.iter_mut().find(|share| share.lane == lane) {
                Some(share) => {
                    share.works += 1;
                    share.last = place;
                }
                None => shares.push(Share { lane, works: 1, first: place, last: place }),
            }
            self.lanes[lane].queue.pop_front();
        }
        let mut run = run?;
        let held = shares.iter().flat_map(|share| self.lanes[share.lane].holds());
        let slots = run.close().into_iter().chain(held).collect();
        Some(self.begin(Task::Push(Box::new(run)), slots, shares))
    }

    fn begin(&mut self, what: Task, mut slots: Vec<Slot>, shares: Vec<Share>) -> Sweep {
        slots.sort_unstable();
        slots.dedup();
        let cursor = Cursor::new(slots);
        for Share { lane, first, last, .. } in &shares {
            let under_way = UnderWay { cursor: Arc::clone(&cursor), first: *first, last: *last };
            self.lanes[*lane].under_way = Some(under_way);
        }
        Sweep { what, shares, cursor, end: 0, visits: VecDeque::new(), unfinished: None }
    }

    /// What is to be done next for a sweep; whether that is nothing.
    fn collect(&mut self, sweep: &mut Sweep, chunk: usize) -> bool {
        let next = sweep.cursor.next();
        if sweep.end > next {
            // What was held for these while they were served follows at once.
            self.visit(sweep, next..sweep.end, chunk, true);
            if !sweep.visits.is_empty() {
                return false;
            }
            sweep.cursor.advance(sweep.end);
        }
        let (next, all) = (sweep.cursor.next(), sweep.cursor.slots.len());
        self.visit(sweep, next..all, chunk, false);
        next == all
    }

    fn visit(&mut self, sweep: &mut Sweep, range: Range<usize>, chunk: usize, again: bool) {
        let holds = sweep.shares.iter().any(|share| self.lanes[share.lane].holds_any());
        if again && !holds && sweep.unfinished.is_none() {
            return;
        }
        let mut steps = chunk;
        for index in range {
            if steps == 0 {
                break;
            }
            let slot = sweep.cursor.slots[index];
            let unfinished = sweep.unfinished.take_if(|(known, _)| *known == slot);
            let after = unfinished.map_or(if again { WHOLE } else { 0 }, |(_, after)| after);
            steps -= 1;
            let mut held = Vec::new();
            let mut rest = true;
            while let Some(lane) = if holds { self.holding(&sweep.shares, slot) } else { None } {
                if steps == 0 && !held.is_empty() {
                    rest = false;
                    break;
                }
                held.extend(self.lanes[lane].take_held(slot));
                steps = steps.saturating_sub(1);
            }
            if !rest && after != WHOLE {
                sweep.unfinished = Some((slot, held.last().map_or(after, |held: &Held| held.after.max(after))));
            }
            if !again {
                sweep.end = index + 1;
            }
            if !held.is_empty() || after != WHOLE {
                let (sink, left) = (self.table.sink(slot).cloned(), self.table.left(slot));
                sweep.visits.push_back(Visit { slot, sink, left, after, held, rest });
            }
            if !rest {
                break;
            }
        }
    }

    /// The lane that holds the next thing for a connection.
    fn holding(&self, shares: &[Share], slot: Slot) -> Option<Publisher> {
        let next = shares.iter().filter_map(|share| Some((self.lanes[share.lane].held(slot)?, share.lane)));
        next.min().map(|(_, lane)| lane)
    }
}

impl Task {
    /// Gives one connection what it gets.
    fn serve(&mut self, visit: Visit) -> Sent {
        let Visit { slot, sink, left, mut after, held, rest } = visit;
        let mut all = Sent::default();
        let mut until = |upto: Moment| {
            let wanted = Wanted { after, upto, left: &left };
            match (&mut *self, &sink) {
                (Self::Push(run), Some(sink)) => all += run.push(slot, &**sink, &wanted),
                (Self::Disconnect(_, sinks), _) if after == 0 => {
                    let from = sinks.partition_point(|(known, _)| *known < slot);
                    sinks[from..]
                        .iter()
                        .take_while(|(known, _)| *known == slot)
                        .for_each(|(_, sink)| sink.disconnect());
                }
                _ => {}
            }
            after = after.max(upto);
        };
        for held in held {
            until(held.after);
            (held.send)();
        }
        if rest {
            until(WHOLE);
        }
        all
    }
}
