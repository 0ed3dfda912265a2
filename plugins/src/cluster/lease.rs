//! A lease on the bus: for what one Carillon of all does, as long as it is there.

use std::sync::{Mutex, MutexGuard, PoisonError};

use carillon_core::bus::Bus;
use carillon_core::prelude::*;
use tokio::time::Instant;

/// See the module's documentation. Whoever has it claims it again and again; once that stops, it ends by itself.
pub(crate) struct Lease {
    /// Behind the prefix of the bus.
    name: &'static str,
    owner: String,
    lasts: Duration,
    /// Until when it is ours, if it is.
    until: Mutex<Option<Instant>>,
}

impl Lease {
    /// One that nobody has yet.
    pub(crate) fn new(name: &'static str, lasts: Duration) -> Self {
        Self { name, owner: format!("{:032x}", fastrand::u128(..)), lasts, until: Mutex::default() }
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this Carillon has it. It ends here no later than on the bus: nobody else has it meanwhile, also when the bus
    /// does not answer any more.
    pub(crate) fn is_ours(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    /// Takes it, or makes it last anew; whether this Carillon has it.
    ///
    /// # Errors
    /// When the bus does not tell: it is ours then for as long as it was before.
    pub(crate) async fn claim(&self, bus: &dyn Bus) -> Result<bool> {
        // The bus counts from later on.
        let until = Instant::now() + self.lasts;
        let ours = bus.claim(&bus.own(self.name), &self.owner, self.lasts).await?;
        *self.until() = ours.then_some(until);
        Ok(self.is_ours())
    }

    /// Gives it back, if this Carillon may have it: another need not wait for its end.
    pub(crate) async fn give_back(&self, bus: &dyn Bus) {
        if self.until().take().is_some() {
            // Without the bus it ends by itself.
            bus.claim(&bus.own(self.name), &self.owner, Duration::from_millis(1)).await.ok();
        }
    }
}
