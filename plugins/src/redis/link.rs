//! Whether Redis delivers now: the one answer the publisher, the keys, new subscriptions and `/readyz` go by.
//!
//! The subscriber numbers its connections: each is a *session*. It alone says that a session delivers, and it alone says
//! that one is over, after it stopped to hand out that session's messages. Whoever else meets trouble reports it with
//! [`Link::fail`] and waits. So what is delivered locally afterwards can neither overtake nor repeat what came from Redis.

use std::sync::Arc;
use std::time::Duration;

use carillon_core::bus::BusStatus;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::address::Server;
use super::probe::{FRESH, Probe};
use super::report::Report;
use super::series::Series;
use super::target::Target;

/// The number of one connection of the subscriber.
pub(super) type Session = u64;

/// How long publishes and commands wait for Redis after it was lost, before they do without it. Covers the first
/// attempts to reconnect, so that a connection that merely broke costs no message.
const HOLD: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between two sessions.
    Away,
    /// Subscribed; the first probe is under way.
    Open(Session),
    /// Messages get through.
    Up(Session),
    /// Somebody met trouble; the subscriber has not ended the session yet.
    Failing(Session),
}

struct State {
    phase: Phase,
    /// When it last changed between up and not up.
    since: Instant,
    /// When a probe last came back.
    proved: Instant,
    /// The unsubscribed seconds are counted up to here.
    counted: Instant,
    was_up: bool,
    why: String,
    /// Whom the session is with, or the last one was.
    server: Option<Arc<Server>>,
}

impl State {
    fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up(_))
    }

    fn verdict(&self) -> Verdict {
        match self.phase {
            Phase::Up(session) => Verdict::Redis(session),
            Phase::Failing(_) => Verdict::Wait(None),
            Phase::Away | Phase::Open(_) => {
                let until = self.since + HOLD;
                if Instant::now() < until { Verdict::Wait(Some(until)) } else { Verdict::Locally }
            }
        }
    }

    /// Every change of phase goes through here.
    fn enter(&mut self, phase: Phase, series: &Series) {
        let (now, was_up) = (Instant::now(), self.is_up());
        self.count(series);
        self.phase = phase;
        if self.is_up() != was_up {
            self.since = now;
            // Found by probes that did not come back: nothing came since the last one that did.
            if was_up && self.proved.elapsed() >= Probe::patience() {
                self.counted = self.proved;
            }
        }
    }

    fn count(&mut self, series: &Series) {
        let now = Instant::now();
        if !self.is_up() {
            series.unsubscribed_seconds.inc_by((now - self.counted).as_secs_f64());
        }
        self.counted = now;
    }
}

/// What to do with a publish now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Publish it on the connection that belongs to this session.
    Redis(Session),
    /// Keep it until the link changes, or until then.
    Wait(Option<Instant>),
    /// Redis is away: give it to this process's own subscribers.
    Locally,
}

/// Whether Redis delivers.
pub(super) struct Link {
    state: watch::Sender<State>,
    doubt: Notify,
    target: Target,
    series: Series,
    report: Report,
}

impl Link {
    pub(super) fn new(target: Target, series: Series) -> Self {
        let now = Instant::now();
        let why = "not connected yet".to_owned();
        let state =
            State { phase: Phase::Away, since: now, proved: now, counted: now, was_up: false, why, server: None };
        Self { state: watch::Sender::new(state), doubt: Notify::new(), target, series, report: Report::default() }
    }

    /// What to do with a publish now.
    pub(super) fn verdict(&self) -> Verdict {
        self.state.borrow().verdict()
    }

    /// Returns when the verdict may be another one.
    pub(super) async fn changed(&self, verdict: Verdict) {
        let mut state = self.state.subscribe();
        let different = state.wait_for(|state| state.verdict() != verdict);
        match verdict {
            Verdict::Wait(Some(until)) => drop(timeout_at(until, different).await),
            _ => drop(different.await),
        }
    }

    /// Whether Redis is usable; waits a moment when it was lost just now.
    pub(super) async fn usable(&self) -> bool {
        loop {
            match self.verdict() {
                Verdict::Redis(_) => return true,
                Verdict::Locally => return false,
                wait @ Verdict::Wait(_) => self.changed(wait).await,
            }
        }
    }

    /// The subscriber is subscribed.
    pub(super) fn opened(&self, session: Session, server: &Arc<Server>) {
        self.state.send_modify(|state| {
            state.server = Some(Arc::clone(server));
            state.enter(Phase::Open(session), &self.series);
        });
    }

    /// The server that the subscriber is connected to, or was last: whoever else connects goes there too.
    pub(super) fn server(&self) -> Option<Arc<Server>> {
        self.state.borrow().server.clone()
    }

    fn address(&self) -> String {
        self.target.address(self.state.borrow().server.as_deref())
    }

    /// A probe came back.
    pub(super) fn proved(&self, session: Session, took: Duration) {
        self.series.probe_seconds.observe(took.as_secs_f64());
        let (mut away, mut up) = (None, false);
        self.state.send_if_modified(|state| {
            state.proved = Instant::now();
            if state.phase != Phase::Open(session) {
                up = state.is_up();
                return false;
            }
            away = Some((state.was_up, state.since.elapsed()));
            state.enter(Phase::Up(session), &self.series);
            state.was_up = true;
            true
        });
        if let Some((again, away)) = away {
            if again {
                self.series.reconnects.inc();
            }
            self.report.delivers(&self.address(), away);
        }
        if up {
            self.report.still_delivers(&self.address());
        }
    }

    /// This session does not deliver any more: the subscriber should end it.
    pub(super) fn fail(&self, session: Session, why: &str) {
        let why = self.target.scrub(why);
        self.state.send_if_modified(|state| {
            if !matches!(state.phase, Phase::Open(of) | Phase::Up(of) if of == session) {
                return false;
            }
            state.why.clone_from(&why);
            state.enter(Phase::Failing(session), &self.series);
            true
        });
    }

    /// Why somebody wants this session to end, as soon as somebody does.
    pub(super) async fn failing(&self, session: Session) -> String {
        let mut state = self.state.subscribe();
        match state.wait_for(|state| state.phase == Phase::Failing(session)).await {
            Ok(state) => state.why.clone(),
            Err(_) => String::new(),
        }
    }

    /// The subscriber has ended its session, or did not get as far as one.
    pub(super) fn ended(&self, why: &str) {
        let why = self.target.scrub(why);
        self.state.send_modify(|state| {
            state.why.clone_from(&why);
            state.enter(Phase::Away, &self.series);
        });
        self.report.away(&self.address(), &why);
    }

    /// The bus has shut down.
    pub(super) fn close(&self) {
        self.state.send_modify(|state| {
            "shut down".clone_into(&mut state.why);
            state.enter(Phase::Away, &self.series);
        });
        self.report.close(&self.address());
    }

    /// What the log says about all this, for others with something to say.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// Redis did not do what a command asks for: told, and the subscriber looks at once.
    pub(super) fn refused(&self, command: &'static str, why: &str) {
        self.report.refused(&self.address(), command, self.target.scrub(why));
        self.doubt.notify_one();
    }

    /// Returns once somebody doubts.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// Keeps the count of unsubscribed seconds current.
    pub(super) fn count(&self) {
        self.state.send_if_modified(|state| {
            state.count(&self.series);
            false
        });
    }

    /// For `/readyz`. A link whose last proof is old is not up, whatever the reason.
    pub(super) fn status(&self) -> BusStatus {
        let state = self.state.borrow();
        let address = self.target.address(state.server.as_deref());
        let (up, quiet) = (state.is_up(), state.proved.elapsed());
        let detail = match (up, quiet <= FRESH) {
            (true, true) => match self.report.trouble() {
                Some(trouble) => format!("{address} delivers, but {trouble}"),
                None => format!("{address} delivers"),
            },
            (true, false) => format!("{address}: no message came through for {} s", quiet.as_secs()),
            _ => format!("{address} away for {} s: {}", state.since.elapsed().as_secs(), state.why),
        };
        BusStatus { up: up && quiet <= FRESH, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::{Address, Kind};
    use super::*;
    use carillon_core::metrics::Metrics;
    use tokio::time::advance;

    fn server() -> Arc<Server> {
        match Address::parse("redis://:s3cret@localhost:1/").unwrap().kind {
            Kind::One(server) => server,
            _ => panic!("another kind"),
        }
    }

    fn link() -> Link {
        let target = Target::fixed(server(), Duration::from_millis(500), ["s3cret".to_owned()].into());
        Link::new(target, Series::new(&Metrics::new().unwrap()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn publishes_wait_a_moment_for_a_lost_link_and_then_stay_local() {
        let link = link();
        assert_eq!(link.verdict(), Verdict::Wait(Some(Instant::now() + HOLD)), "at the start");
        link.opened(1, &server());
        link.proved(1, Duration::ZERO);
        assert!(link.usable().await);
        assert_eq!(link.verdict(), Verdict::Redis(1));
        link.fail(7, "of another session");
        assert_eq!(link.verdict(), Verdict::Redis(1));
        advance(HOLD).await;
        link.fail(1, "broken");
        assert_eq!(link.verdict(), Verdict::Wait(None), "until the subscriber has stopped");
        assert_eq!(link.failing(1).await, "broken");
        link.ended("broken");
        assert!(!link.usable().await);
        link.opened(2, &server());
        assert_eq!(link.verdict(), Verdict::Locally, "not proved yet");
        link.proved(2, Duration::ZERO);
        assert_eq!(link.verdict(), Verdict::Redis(2));
        assert_eq!(link.series.reconnects.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn up_means_proved_lately_and_nothing_tells_the_password() {
        let link = link();
        link.opened(1, &server());
        assert!(!link.status().up);
        link.proved(1, Duration::ZERO);
        assert!(link.status().up);
        link.refused("SET", "READONLY, not even for s3cret");
        link.report().done("GET");
        assert!(link.status().detail.ends_with("delivers, but SET failed 0 s ago: READONLY, not even for ***"));
        link.report().done("SET");
        assert!(link.status().detail.ends_with("delivers"));
        advance(FRESH + Duration::from_millis(1)).await;
        assert!(!link.status().up);
        link.fail(1, "unknown command AUTH s3cret");
        link.count();
        let silent = link.series.unsubscribed_seconds.get();
        assert!(silent > FRESH.as_secs_f64(), "since the last proof");
        assert!(link.status().detail.ends_with("AUTH ***"), "{}", link.status().detail);
        link.ended("s3cret");
        assert!(!link.status().detail.contains("s3cret"));
        advance(Duration::from_secs(2)).await;
        link.count();
        assert!((link.series.unsubscribed_seconds.get() - silent - 2.0).abs() < 1e-6);
    }
}
