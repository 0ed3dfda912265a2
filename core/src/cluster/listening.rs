//! Tells the bus which channels this node listens to, as its namespaces' interest changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::channels::{Channels, Part};
use super::interest::{Interest, Interests};
use super::{Namespaces, RESUBSCRIBE};
use crate::bus::{Bus, Feed};
use crate::peer::NodeId;

/// How long a channel is listened to after the last one who wanted it has gone: most come back, or others come.
pub(super) const LINGER: Duration = Duration::from_secs(60);

/// See the module's documentation.
pub(super) struct Listening<'a> {
    bus: &'a dyn Bus,
    channels: &'a Channels,
    node: NodeId,
    feed: Feed,
    interests: Arc<Interests>,
    lines: Vec<Line>,
}

/// One channel.
struct Line {
    namespace: Arc<str>,
    interest: Arc<Interest>,
    part: Part,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Off,
    On,
    /// On, and nobody wants it since then.
    Lingers(Instant),
}

impl<'a> Listening<'a> {
    pub(super) fn new(
        bus: &'a dyn Bus,
        (channels, node): (&'a Channels, NodeId),
        feed: Feed,
        interests: &Arc<Interests>,
        namespaces: &Namespaces,
    ) -> Self {
        let lines = namespaces.values().filter_map(|namespace| {
            let interest = namespace.interest.as_ref()?;
            let line = |part| Line {
                namespace: Arc::clone(&namespace.name),
                interest: Arc::clone(interest),
                part,
                state: State::Off,
            };
            Some(Part::all().map(line))
        });
        Self { bus, channels, node, feed, interests: Arc::clone(interests), lines: lines.flatten().collect() }
    }

    /// Runs for ever.
    pub(super) async fn run(mut self) {
        let interests = Arc::clone(&self.interests);
        loop {
            let again = self.turn().await;
            match again {
                Some(at) => drop(tokio::time::timeout_at(at, interests.news.notified()).await),
                None => interests.news.notified().await,
            }
        }
    }

    /// Asks for what is wanted and not heard, and gives up what nobody wants any more. When to look again, at the latest.
    async fn turn(&mut self) -> Option<Instant> {
        let (now, mut again) = (Instant::now(), None::<Instant>);
        let (mut begin, mut end) = (Vec::new(), Vec::new());
        for (at, line) in self.lines.iter_mut().enumerate() {
            match (line.state, line.interest.is_wanted(line.part)) {
                (State::Off, false) | (State::On, true) => {}
                (State::Off, true) => begin.push(at),
                (State::Lingers(_), true) => line.state = State::On,
                (State::On, false) => line.state = State::Lingers(now),
                (State::Lingers(since), false) if now >= since + LINGER && line.interest.ends(line.part) => {
                    end.push(at)
                }
                (State::Lingers(_), false) => {}
            }
            if let State::Lingers(since) = line.state
                && end.last() != Some(&at)
            {
                let until = (since + LINGER).max(now);
                again = Some(again.map_or(until, |again| again.min(until)));
            }
        }
        self.end(&end).await;
        if self.begin(&begin).await { again } else { Some(Instant::now() + RESUBSCRIBE) }
    }

    fn names(&self, lines: &[usize]) -> Vec<String> {
        let parts = |line: &Line| match line.part {
            // What is for single clients here comes with what is for everybody.
            Part::Everybody => vec![Part::Everybody, Part::Node(self.node)],
            part => vec![part],
        };
        let names = lines
            .iter()
            .map(|at| &self.lines[*at])
            .map(|line| parts(line).into_iter().map(|part| self.channels.name(&line.namespace, part)));
        names.flatten().collect()
    }

    /// False when the bus refuses.
    async fn begin(&mut self, lines: &[usize]) -> bool {
        if lines.is_empty() {
            return true;
        }
        let names = self.names(lines);
        lines.iter().map(|at| &self.lines[*at]).for_each(|line| line.interest.begins(line.part));
        if let Err(error) = self.bus.listen(&names, &self.feed).await {
            tracing::warn!("channels of other Carillons cannot be subscribed to: {error}");
            return false;
        }
        for at in lines {
            let line = &mut self.lines[*at];
            line.state = State::On;
            line.interest.hears(line.part);
            self.gauge(*at, 1);
        }
        // Somebody may have come or gone meanwhile.
        self.interests.news.notify_one();
        true
    }

    async fn end(&mut self, lines: &[usize]) {
        if lines.is_empty() {
            return;
        }
        self.bus.ignore(&self.names(lines), &self.feed).await;
        for at in lines {
            self.lines[*at].state = State::Off;
            self.gauge(*at, -1);
        }
        self.interests.news.notify_one();
    }

    fn gauge(&self, line: usize, change: i64) {
        let kind = Part::KINDS[self.lines[line].part.kind()];
        self.interests.subscribed.with_label_values(&[kind]).add(change);
    }
}
