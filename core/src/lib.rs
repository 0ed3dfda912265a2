//! Carillon's router: finds plugins at link time, dispatches clients' events to them and fans events out.
//!
//! The crate does no I/O of its own: the server brings the sockets (as a [`sink::Sink`] per client), a bus brings the
//! messages. Plugin authors start with [`prelude`]; `docs/plugin-guide.md` in the repository walks through one.

#[cfg(target_family = "wasm")]
compile_error!("link-time registration needs a native target");

mod access;
mod ack;
mod answer;
pub mod backoff;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod boot_plan;
pub mod bus;
mod client;
pub mod clock;
pub mod cluster;
mod ctx;
mod dispatch;
mod error;
mod expiry;
pub mod failures;
mod handover;
mod hooks;
mod host;
pub mod hub;
pub mod identity;
pub mod journal;
pub mod lifecycle;
mod limits;
pub mod metrics;
mod module;
mod namespace;
pub mod packet;
pub mod params;
pub mod payload;
pub mod peer;
pub mod plugin;
pub mod prelude;
mod presence;
mod question;
pub mod readiness;
mod recovery;
mod refusal;
pub mod registry;
pub mod router;
pub mod routes;
pub mod sink;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod threads;
pub mod throttle;
pub mod time;
mod undeclared;

pub use ack::Ack;
pub use carillon_config as config;
pub use ctx::Ctx;
pub use error::{Code, Error, Result};
pub use host::{Host, Members, Reached, Target};
pub use plugin::Plugin;
pub use presence::RoomCount;
pub use refusal::Refusal;

#[doc(hidden)]
pub mod __private {
    pub use inventory;

    /// Implemented by `plugin!` for its type, so that a second `plugin!` of one type does not compile.
    pub trait RegisteredOnce {}
}
