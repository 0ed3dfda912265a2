//! A run under way: told to the server, or published by the load itself where there is nobody in the server to tell.

use std::time::Duration;

use super::contest::{Contestant, Driver};
use crate::load::feed::Feed;
use crate::load::{Heard, Load};
use crate::peers::protocol::{DONE, Done, Mode, Run, TICK, Tick};
use crate::{Result, clock};

/// The run, whoever publishes.
pub(super) struct Driven<'a> {
    contestant: &'a Contestant,
    done: Option<Done>,
    /// When the last message is sent at the latest; silence before that means nothing.
    pub(super) quiet_until: u64,
    /// When it began.
    pub(super) start: u64,
    sent: u64,
    seen: u64,
    /// The load's own connection to publish through, where there is one.
    feed: Option<Feed>,
    /// Why that failed.
    pub(super) broken: Option<String>,
}

impl<'a> Driven<'a> {
    /// Begins it.
    pub(super) fn start(load: &mut Load, contestant: &'a Contestant, run: &Run) -> Result<Self> {
        if contestant.driver == Driver::Server {
            let packet = contestant.target.dialect.event("run", &serde_json::to_string(run)?);
            load.say(contestant.group, 0, &packet);
        }
        let mut done = (contestant.driver == Driver::Elsewhere).then(|| Done { messages: run.paced_messages() });
        let (mut feed, mut broken) = (None, None);
        if let Driver::Feed(inlet, address) = contestant.driver {
            match Feed::connect(inlet, address) {
                Ok(connected) => feed = Some(connected),
                // Nothing will be published.
                Err(error) => (done, broken) = (Some(Done { messages: 0 }), Some(error.to_string())),
            }
        }
        let start = clock::now();
        let quiet_until = start + clock::nanos(run.seconds);
        Ok(Self { contestant, done, quiet_until, start, sent: 0, seen: 0, feed, broken })
    }

    /// Sends what is due, when the load itself publishes; says how long nothing will be.
    pub(super) fn publish(&mut self, load: &mut Load, run: &Run) -> Duration {
        const IDLE: Duration = Duration::from_millis(50);
        if self.broken.is_some() || !matches!(self.contestant.driver, Driver::Client(_) | Driver::Feed(..)) {
            return IDLE;
        }
        let wait = loop {
            let now = clock::now();
            let at = match run.mode {
                Mode::Flood if now >= self.quiet_until => break self.over(),
                Mode::Flood if self.sent < self.seen + run.window => now,
                Mode::Flood => break IDLE,
                Mode::Paced if self.sent == run.paced_messages() => break self.over(),
                Mode::Paced => match self.start + run.due(self.sent) {
                    due if due > now => break IDLE.min(Duration::from_nanos(due - now)),
                    due => due,
                },
            };
            let Tick { text } = Tick::new(self.sent, at, run.bytes);
            let argument = format!("{{\"text\":\"{text}\"}}");
            if let Some(feed) = &mut self.feed {
                feed.publish(TICK, &argument);
            } else if let Driver::Client(event) = &self.contestant.driver {
                let packet = self.contestant.target.dialect.event(event, &argument);
                load.say(self.contestant.group, 0, &packet);
            }
            self.sent += 1;
        };
        match self.feed.as_mut().map_or(Ok(true), Feed::flush) {
            Ok(true) => wait,
            // The kernel has no room: the server is behind.
            Ok(false) => Duration::from_millis(1),
            Err(error) => {
                self.broken = Some(error.to_string());
                self.over()
            }
        }
    }

    fn over(&mut self) -> Duration {
        self.done.get_or_insert(Done { messages: self.sent });
        Duration::from_millis(50)
    }

    /// All clients have received so many messages.
    pub(super) fn seen(&mut self, load: &mut Load, seen: u64) {
        self.seen = seen;
        if self.contestant.driver == Driver::Server {
            let packet = self.contestant.target.dialect.event("seen", &seen.to_string());
            load.say(self.contestant.group, 0, &packet);
        }
    }

    /// How many messages were published, once that is known.
    pub(super) fn total(&mut self, load: &mut Load) -> Option<u64> {
        if self.done.is_none() && self.contestant.driver == Driver::Server {
            for heard in load.group(self.contestant.group).heard(0) {
                if let Heard::Event(text) = heard
                    && let Ok((name, done)) = serde_json::from_str::<(String, Done)>(&text)
                    && name == DONE
                {
                    self.done = Some(done);
                }
            }
        }
        self.done.map(|done| done.messages)
    }

    /// Whether nothing more is to come.
    pub(super) fn is_over(&mut self, load: &mut Load) -> bool {
        let group = self.contestant.group;
        match self.total(load) {
            Some(total) => load.group(group).tally.complete(total),
            None => self.contestant.driver == Driver::Unknown && clock::now() >= self.quiet_until,
        }
    }
}
