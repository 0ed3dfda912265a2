//! The time of rate limits: nanoseconds since the start, by the clock that tests can pause. And governor, made for it.

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use tokio::time::Instant;

/// Takes one thing or refuses it.
pub(super) type Limiter<K, S> = RateLimiter<K, S, Ticks, NoOpMiddleware<Nanos>>;

/// See the module's documentation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks(Instant);

impl Ticks {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}
