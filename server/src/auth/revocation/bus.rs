//! Where revocations are stored and told: the list on the bus, changed by one at a time.

use std::time::Duration;

use bytes::Bytes;
use carillon_core::bus::Bus;
use carillon_core::{Error, Result};
use tokio::time::{Instant, sleep};

use super::entry::{Revocation, now, read};
use super::set::List;
use super::{CHANNEL, KEY, LEASE};

/// How long the list may take to be changed by whoever has begun to.
const LEASE_TIME: Duration = Duration::from_secs(5);
/// How long somebody who revokes waits for the bus, and for others who do.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
/// A lease of no time gives it back.
const NO_TIME: Duration = Duration::from_millis(1);

/// What is stored.
pub(super) async fn stored(bus: &dyn Bus) -> Result<List> {
    let mut list = List::default();
    if let Some(bytes) = bus.get(&bus.own(KEY)).await? {
        let wrong = || Error::internal(format!("the key {} holds something else than revocations", bus.own(KEY)));
        list.add(&read(&bytes).ok_or_else(wrong)?, now());
    }
    Ok(list)
}

/// Adds to what is stored, unless somebody else does at this moment; whether it did, and how many there are then.
///
/// # Errors
/// When the bus does not answer, or there is no room.
pub(super) async fn store(bus: &dyn Bus, owner: &str, new: &[Revocation]) -> Result<Option<usize>> {
    if !bus.claim(&bus.own(LEASE), owner, LEASE_TIME).await? {
        return Ok(None);
    }
    let changed = change(bus, new).await;
    // Without this others wait for its end.
    bus.claim(&bus.own(LEASE), owner, NO_TIME).await.ok();
    changed.map(Some)
}

async fn change(bus: &dyn Bus, new: &[Revocation]) -> Result<usize> {
    let mut list = stored(bus).await?;
    let now = now();
    if list.add(new, now).left_out > 0 {
        return Err(Error::too_large(format!(
            "there are {} revocations, and no more are taken: revoke by --issued-before, or wait until some are over",
            super::LIMIT
        )));
    }
    let all = list.all();
    let last = all.iter().map(|one| one.until).max().unwrap_or(now);
    let ttl = Duration::from_secs(last.saturating_sub(now).max(1));
    bus.set(&bus.own(KEY), serde_json::to_vec(&all)?.into(), Some(ttl)).await?;
    Ok(all.len())
}

/// Revokes on all nodes of a bus: stores it, and tells it. Returns how many revocations there are. Nodes that are not told
/// read it within ten seconds.
///
/// # Errors
/// Why it is not known to be stored; then it is not told either.
pub(crate) async fn revoke(bus: &dyn Bus, revocation: Revocation) -> Result<usize> {
    let owner = format!("{:032x}", fastrand::u128(..));
    let new = [revocation];
    let end = Instant::now() + PATIENCE;
    let stored = loop {
        let status = bus.status();
        let stored = if status.up { store(bus, &owner, &new).await? } else { None };
        match stored {
            Some(number) => break number,
            None if Instant::now() < end => sleep(PAUSE).await,
            None if status.up => return Err(Error::unavailable("others revoke all the time; try again")),
            None => return Err(Error::unavailable(format!("the bus is not there: {}", status.detail))),
        }
    };
    // Nothing is said there that has to be believed, and it is revoked without that.
    bus.publish(&bus.own(CHANNEL), Bytes::from_static(b"changed")).await.ok();
    Ok(stored)
}
