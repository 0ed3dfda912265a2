//! How many connections and sessions each address has, and how fast it may open more: one address cannot take all there are.
//!
//! An IPv6 address stands for its /64, which is what one household or machine gets. This machine's own addresses may
//! hold half of everything unless the settings say otherwise: a proxy beside the server that is not in
//! `server.trusted_proxies` speaks for all clients, and so do load tools.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carillon_config::ServerSettings;
use carillon_core::peer::address_group;
use tokio::time::Instant;

/// What one address may have where the settings do not say: the people of one office, with several tabs each.
const MOST: usize = 1_000;
/// An address may open all its sessions at once, after a restart; those it has opened it earns back in so many seconds.
const REFILL_S: usize = 10;
/// Addresses that have nothing any more are looked for when the table has grown to this, and whenever it has doubled.
const SWEEP: usize = 1_024;

/// Why there is no room for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// The address has as many as it may have at once.
    AtOnce,
    /// It opens them too fast.
    TooFast,
}

/// What is counted for every address that has anything.
pub(crate) struct Addresses {
    remote: Most,
    local: Most,
    table: Mutex<Table>,
}

/// What one address may have.
#[derive(Debug, Clone, Copy)]
struct Most {
    connections: usize,
    sessions: usize,
    sessions_per_s: f64,
}

struct Table {
    entries: HashMap<IpAddr, Entry>,
    sweep_at: usize,
}

struct Entry {
    connections: usize,
    sessions: usize,
    /// New sessions it may open at once, as of `at`.
    tokens: f64,
    at: Instant,
}

/// The share of one connection; given back when dropped.
pub(crate) struct Connection(Share);

/// The share of one session; given back when dropped.
pub(crate) struct Session(Share);

struct Share {
    addresses: Arc<Addresses>,
    key: IpAddr,
}

impl Addresses {
    pub(crate) fn new(server: &ServerSettings) -> Arc<Self> {
        let half = (server.max_connections / 2).max(1);
        let most = |unset: usize| {
            let or = |set: usize| if set == 0 { unset } else { set };
            let sessions = or(server.max_sessions_per_ip);
            let per_s = match server.new_sessions_per_ip_per_s {
                0 => sessions.div_ceil(REFILL_S),
                set => set as usize,
            };
            Most { connections: or(server.max_connections_per_ip), sessions, sessions_per_s: per_s as f64 }
        };
        let table = Mutex::new(Table { entries: HashMap::new(), sweep_at: SWEEP });
        Arc::new(Self { remote: most(MOST.min(half)), local: most(half), table })
    }

    fn most(&self, key: IpAddr) -> Most {
        if key.is_loopback() { self.local } else { self.remote }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for another connection from this address.
    pub(crate) fn connection(self: &Arc<Self>, address: IpAddr) -> Result<Connection, TooMany> {
        let key = address_group(address);
        let most = self.most(key);
        let mut table = self.table();
        let entry = table.entry(key, most);
        if entry.connections >= most.connections {
            return Err(TooMany::AtOnce);
        }
        entry.connections += 1;
        Ok(Connection(Share { addresses: Arc::clone(self), key }))
    }

    /// Room for another session from this address.
    pub(crate) fn session(self: &Arc<Self>, address: IpAddr) -> Result<Session, TooMany> {
        let key = address_group(address);
        let most = self.most(key);
        let mut table = self.table();
        let entry = table.entry(key, most);
        entry.refill(most);
        if entry.sessions >= most.sessions {
            return Err(TooMany::AtOnce);
        }
        if entry.tokens < 1.0 {
            return Err(TooMany::TooFast);
        }
        entry.tokens -= 1.0;
        entry.sessions += 1;
        Ok(Session(Share { addresses: Arc::clone(self), key }))
    }
}

impl Table {
    fn entry(&mut self, key: IpAddr, most: Most) -> &mut Entry {
        if self.entries.len() >= self.sweep_at {
            // Whoever may open as many as ever is as good as unknown.
            self.entries.retain(|_, entry| {
                entry.connections > 0 || entry.sessions > 0 || entry.at.elapsed().as_secs() < REFILL_S as u64
            });
            self.sweep_at = (self.entries.len() * 2).max(SWEEP);
        }
        let now = Instant::now();
        let fresh = Entry { connections: 0, sessions: 0, tokens: most.sessions as f64, at: now };
        self.entries.entry(key).or_insert(fresh)
    }

    /// Something of an address is over.
    fn release(&mut self, key: IpAddr, most: Most, over: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        over(entry);
        if entry.connections == 0 && entry.sessions == 0 {
            entry.refill(most);
            if entry.tokens >= most.sessions as f64 {
                self.entries.remove(&key);
            }
        }
    }
}

impl Entry {
    fn refill(&mut self, most: Most) {
        let now = Instant::now();
        let earned = now.duration_since(self.at).as_secs_f64() * most.sessions_per_s;
        self.tokens = (self.tokens + earned).min(most.sessions as f64);
        self.at = now;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Share { addresses, key } = &self.0;
        addresses.table().release(*key, addresses.most(*key), |entry| entry.connections -= 1);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Share { addresses, key } = &self.0;
        addresses.table().release(*key, addresses.most(*key), |entry| entry.sessions -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn addresses(connections: usize, sessions: usize, per_s: u32) -> Arc<Addresses> {
        Addresses::new(&ServerSettings {
            max_connections_per_ip: connections,
            max_sessions_per_ip: sessions,
            new_sessions_per_ip_per_s: per_s,
            ..ServerSettings::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A4: one address cannot have all there are, whatever it says of itself within its /64.
    #[tokio::test(start_paused = true)]
    async fn each_address_has_its_share() {
        let addresses = addresses(2, 3, 1);
        let held = [addresses.connection(ip("10.0.0.1")), addresses.connection(ip("::ffff:10.0.0.1"))];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(addresses.connection(ip("10.0.0.1")).err(), Some(TooMany::AtOnce));
        assert!(addresses.connection(ip("10.0.0.2")).is_ok(), "others have their own");
        let one = addresses.session(ip("2001:db8::1")).ok();
        let two = [addresses.session(ip("2001:db8::2")), addresses.session(ip("2001:db8::3"))];
        assert!(one.is_some() && two.iter().all(Result::is_ok));
        assert_eq!(addresses.session(ip("2001:db8::ffff:4")).err(), Some(TooMany::AtOnce));
        assert!(addresses.session(ip("2001:db8:0:1::1")).is_ok(), "another /64");
        drop(one);
        assert_eq!(addresses.session(ip("2001:db8::1")).err(), Some(TooMany::TooFast));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(addresses.session(ip("2001:db8::1")).is_ok());
        drop((held, two));
    }

    /// Who has nothing and is owed nothing is forgotten; nobody makes the table grow without holding something.
    #[tokio::test(start_paused = true)]
    async fn an_idle_address_leaves_the_table() {
        let addresses = addresses(5, 5, 1);
        drop(addresses.connection(ip("10.0.0.1")));
        assert!(addresses.table().entries.is_empty());
        drop(addresses.session(ip("10.0.0.1")));
        assert_eq!(addresses.table().entries.len(), 1, "it has a session to earn back");
        for number in 0..4 * SWEEP as u32 {
            drop(addresses.session(IpAddr::from((number + 1).to_be_bytes())));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(addresses.table().entries.len() <= SWEEP);
    }

    /// Nothing set: the machine's own addresses, behind which everybody may be, have half; others a small part.
    #[tokio::test]
    async fn defaults_leave_room_for_others() {
        let addresses = addresses(0, 0, 0);
        let count = |address: &str| {
            let held: Vec<_> = std::iter::from_fn(|| addresses.session(ip(address)).ok()).collect();
            held.len()
        };
        assert_eq!(count("127.0.0.1"), ServerSettings::default().max_connections / 2);
        assert_eq!(count("10.0.0.1"), MOST);
    }
}
