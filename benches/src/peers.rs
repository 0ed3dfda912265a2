//! The servers under test: Carillon and those it is set beside, as child processes on cores of their own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

pub(crate) mod carillon;
mod child;
pub(crate) mod floor;
mod node;
pub(crate) mod protocol;
mod publisher;
pub(crate) mod socketioxide;

pub(crate) use self::child::Server;
use crate::Result;

/// How often every server pings, in milliseconds.
pub(crate) const PING_INTERVAL: u64 = 25_000;
/// How long every server waits for the answer.
pub(crate) const PING_TIMEOUT: u64 = 20_000;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Peer {
    /// Carillon
    Carillon,
    /// One thread that writes prebuilt frames: what the kernel alone takes
    Floor,
    /// Bare socketioxide, which Carillon is built on
    Socketioxide,
    /// Node.js with socket.io
    Node,
    /// No peer
    None,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Carillon => "carillon",
            Self::Floor => "floor",
            Self::Socketioxide => "socketioxide",
            Self::Node => "node",
            Self::None => "none",
        })
    }
}

/// How servers are started.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Threads that carry connections, where a server can have several.
    pub(crate) workers: usize,
    /// The servers' cores.
    pub(crate) server_cores: Vec<usize>,
    /// The load's own cores.
    pub(crate) load_cores: Vec<usize>,
    /// Where logs go.
    pub(crate) directory: PathBuf,
    /// More settings of Carillon's.
    pub(crate) settings: Vec<(String, String)>,
}

impl Peer {
    /// What is missing for this server, with the command that installs it.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Node => node::missing(),
            _ => None,
        }
    }

    /// The version under test.
    pub(crate) fn version(self) -> String {
        match self {
            Self::Carillon => carillon::version(),
            Self::Floor | Self::None => String::new(),
            Self::Socketioxide => socketioxide::version(),
            Self::Node => node::version(),
        }
    }

    /// Starts it.
    pub(crate) fn start(self, options: &Options) -> Result<Server> {
        let address = Server::free_address()?;
        let own = |role: &str| -> Result<Command> {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([role, &address.to_string(), &options.workers.to_string()]);
            Ok(command)
        };
        let command = match self {
            Self::Carillon => carillon::command(options, address, &options.directory)?,
            Self::Floor | Self::None => own("serve-floor")?,
            Self::Socketioxide => own("serve-socketioxide")?,
            Self::Node => node::command(address),
        };
        let log = log_file(&options.directory, self);
        Server::start(command, address, (&options.server_cores, &options.load_cores), &log)
            .map_err(|error| format!("{self}: {error}").into())
    }
}

fn log_file(directory: &Path, peer: Peer) -> PathBuf {
    directory.join(format!("{peer}.log"))
}
