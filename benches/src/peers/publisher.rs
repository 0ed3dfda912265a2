//! The publisher inside a server that runs on tokio: Carillon's bench plugin and bare socketioxide share it.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::protocol::{Done, Mode, Run, Tick};
use crate::clock;

/// How a server sends a message to everybody.
pub(crate) trait Outlet: Sync {
    /// Messages published in one go before other tasks have their turn: what the server is best off with.
    const BURST: u64;

    /// Publishes message `number`.
    fn publish(&self, number: u64, tick: &Tick) -> impl Future<Output = ()> + Send;
}

/// Publishes as told; `seen` is how many messages all clients have received.
pub(crate) async fn publish(run: &Run, seen: watch::Receiver<u64>, outlet: &impl Outlet) -> Done {
    match run.mode {
        Mode::Flood => flood(run, seen, outlet).await,
        Mode::Paced => paced(run, outlet).await,
    }
}

async fn flood<O: Outlet>(run: &Run, mut seen: watch::Receiver<u64>, outlet: &O) -> Done {
    let end = Instant::now() + Duration::from_secs_f64(run.seconds);
    let burst = if run.burst == 0 { O::BURST } else { run.burst };
    let mut messages = 0;
    while Instant::now() < end {
        // The guard of what `wait_for` returns must not live on.
        let room =
            timeout_at(end, seen.wait_for(|seen| messages < seen + run.window)).await.is_ok_and(|seen| seen.is_ok());
        if !room {
            break;
        }
        outlet.publish(messages, &Tick::new(messages, clock::now(), run.bytes)).await;
        messages += 1;
        if messages % burst == 0 {
            tokio::task::yield_now().await;
        }
    }
    Done { messages }
}

async fn paced(run: &Run, outlet: &impl Outlet) -> Done {
    let (start, messages) = (Instant::now(), run.paced_messages());
    let origin = clock::now();
    for number in 0..messages {
        if start.elapsed() > Duration::from_nanos(run.limit()) {
            return Done { messages: number };
        }
        let due = run.due(number);
        sleep_until(start + Duration::from_nanos(due)).await;
        // Marked with the time it was due: being late for that is latency too.
        outlet.publish(number, &Tick::new(number, origin + due, run.bytes)).await;
    }
    Done { messages }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::load::shape::Shape;

    struct Sent(Mutex<Vec<String>>);

    impl Outlet for Sent {
        const BURST: u64 = 3;

        async fn publish(&self, _: u64, tick: &Tick) {
            self.0.lock().unwrap().push(tick.text.clone());
        }
    }

    fn run(mode: Mode) -> Run {
        Run {
            mode,
            seconds: 1.0,
            rate: 20.0,
            bytes: 64,
            window: 10,
            batch: 1,
            burst: 0,
            shape: Shape::Plain,
            clients: 0,
        }
    }

    /// Without word from the load a flood stops at its window; with word it goes on.
    #[tokio::test(start_paused = true)]
    async fn a_flood_keeps_to_its_window() {
        let sent = Sent(Mutex::default());
        let (seen, told) = watch::channel(0);
        assert_eq!(publish(&run(Mode::Flood), told.clone(), &sent).await, Done { messages: 10 });
        seen.send_replace(7);
        assert_eq!(publish(&run(Mode::Flood), told, &sent).await, Done { messages: 17 });
        assert!(sent.0.lock().unwrap()[26].starts_with("CARILLON0000000000000010"), "numbered from 0");
    }

    #[tokio::test(start_paused = true)]
    async fn a_paced_run_keeps_to_its_timetable() {
        let sent = Sent(Mutex::default());
        let start = Instant::now();
        assert_eq!(publish(&run(Mode::Paced), watch::channel(0).1, &sent).await, Done { messages: 20 });
        assert_eq!(start.elapsed().as_millis(), 950);
        assert_eq!(sent.0.lock().unwrap().len(), 20);
    }

    /// A server that takes longer than there is time for publishes late, and stops a little after the end.
    #[tokio::test(start_paused = true)]
    async fn a_paced_run_that_is_too_slow_is_given_up() {
        struct Slow;
        impl Outlet for Slow {
            const BURST: u64 = 1;

            async fn publish(&self, _: u64, _: &Tick) {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        assert_eq!(publish(&run(Mode::Paced), watch::channel(0).1, &Slow).await, Done { messages: 7 });
    }
}
