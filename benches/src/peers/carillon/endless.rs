//! `/endless`: a plugin that publishes in an endless loop, with whatever that does to everybody else.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use carillon_core::prelude::*;
use tokio::time::Instant;

use crate::clock;
use crate::load::mark::{self, Mark};
use crate::peers::protocol::{ENDLESS, Ended, Endless as Told, Form, TICK, Tick};

/// Kept outside of the plugin: it is asked for in a namespace that is not full.
static ENDED: Mutex<Ended> = Mutex::new(Ended { over: true, published: 0, refused: 0 });

/// What has become of the last loop so far.
pub(super) fn ended() -> Ended {
    *ENDED.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Endless {
    host: Host,
}

impl Plugin for Endless {
    const NAME: &'static str = "bench-endless";
    const NAMESPACE: &'static str = ENDLESS;
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("endless", "Publishes as told.", Self::endless);
        on.emits::<Tick>(TICK, "A message under test.");
    }
}

impl Endless {
    async fn endless(self: Arc<Self>, _: Ctx, told: Told) -> Result<()> {
        let host = self.host.clone();
        self.host.spawn("endless", async move { publish(&host, told).await });
        Ok(())
    }
}

/// The loop. It never yields by itself: that is what a careless plugin looks like.
async fn publish(host: &Host, Told { form, seconds, bytes }: Told) {
    let note = |ended| *ENDED.lock().unwrap_or_else(PoisonError::into_inner) = ended;
    let mut ended = Ended::default();
    note(ended);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut tick = Tick::new(0, clock::now(), bytes);
    while Instant::now() < end {
        let mark = Mark { number: ended.published, at: clock::now() }.text(mark::LEN);
        tick.text.replace_range(..mark::LEN, &mark);
        let target = host.to(ENDLESS);
        let sent = match form {
            Form::Publish => target.publish(TICK, &tick),
            Form::Wait => target.publish_wait(TICK, &tick).await,
        };
        match sent {
            Ok(()) => ended.published += 1,
            Err(_) => ended.refused += 1,
        }
    }
    note(Ended { over: true, ..ended });
}

plugin!(Endless);
