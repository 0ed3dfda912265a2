//! Carillon's server: accepts connections, speaks HTTP and Socket.IO, and hands events to the router.
//!
//! A binary of your own, with plugins of your own, is this:
//!
//! ```no_run
//! // use acme_plugins as _;
//! fn main() -> std::process::ExitCode {
//!     carillon_server::main!()
//! }
//! ```
//!
//! The line that names the plugins' crate is all it takes: plugins register themselves when they are linked in.

mod accept;
mod admin;
mod admission;
mod app;
mod auth;
#[cfg(feature = "bench")]
pub mod bench;
mod bridge;
mod check;
mod cli;
mod contract;
mod drain;
mod engine;
mod exchange;
mod exit;
mod http;
mod legacy;
mod listen;
mod logs;
mod metrics;
mod once;
mod pages;
mod probe;
mod process;
mod program;
pub mod reference;
mod reload;
mod say;
mod serving;
mod signals;
#[cfg(test)]
mod simulation;
mod supervisor;
mod tls;
mod wire;

use std::process::ExitCode;

pub use program::Program;

/// The `carillon` program: reads the command line, does what it says, and returns the exit code.
///
/// 0 is success, 1 a failure at run time, 2 a wrong command line, 78 a wrong configuration. A program of your own that
/// tells its own name and version is [`main!`].
#[must_use]
pub fn main() -> ExitCode {
    Program::CARILLON.main()
}
