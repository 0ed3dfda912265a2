//! The servers under test: Carillon and those it is set beside, as child processes on cores of their own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde::Serialize;

mod bun;
pub(crate) mod carillon;
pub(crate) mod child;
pub(crate) mod floor;
mod nats;
mod nchan;
mod node;
mod npm;
pub(crate) mod protocol;
mod publisher;
mod python;
pub(crate) mod socketioxide;

use self::carillon::guarded::{self, Access, Certificate};
pub(crate) use self::child::Server;
use crate::load::feed::Inlet;
use crate::load::packet::Dialect;
use crate::{Result, machine};

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
    /// NATS over WebSocket, without Socket.IO
    Nats,
    /// nchan on nginx: plain WebSocket, without Socket.IO
    Nchan,
    /// Bun with @socket.io/bun-engine
    Bun,
    /// Node.js with socket.io
    Node,
    /// python-socketio on uvicorn
    Python,
    /// Another build of Carillon, see --old
    #[value(skip)]
    Before,
    /// Carillon on its second engine, see --engine
    #[value(skip)]
    OnSocketioxide,
    /// Carillon with TLS
    Tls,
    /// Carillon with nginx before it, which speaks TLS
    Nginx,
    /// Carillon whose clients must show a token
    Tokens,
    /// Carillon that keeps what is published, for clients that come back
    Journal,
    /// No peer
    None,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Carillon => "carillon",
            Self::Floor => "floor",
            Self::Socketioxide => "socketioxide",
            Self::Nats => "nats",
            Self::Nchan => "nchan",
            Self::Bun => "bun",
            Self::Node => "node",
            Self::Python => "python",
            Self::Before => "before",
            Self::OnSocketioxide => "carillon on socketioxide",
            Self::Tls => "carillon with TLS",
            Self::Nginx => "nginx with TLS before carillon",
            Self::Tokens => "carillon with tokens",
            Self::Journal => "carillon with a journal",
            Self::None => "none",
        })
    }
}

/// What carries Carillon's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    /// Its own engine
    Carillon,
    /// socketioxide
    Socketioxide,
}

impl Engine {
    /// Carillon on this engine.
    pub(crate) fn peer(self) -> Peer {
        match self {
            Self::Carillon => Peer::Carillon,
            Self::Socketioxide => Peer::OnSocketioxide,
        }
    }

    /// The setting that chooses it.
    fn setting(self) -> (String, String) {
        let name = match self {
            Self::Carillon => "carillon",
            Self::Socketioxide => "socketioxide",
        };
        ("server.engine".to_owned(), name.to_owned())
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
    /// Another build of this tool.
    pub(crate) old: Option<PathBuf>,
    /// The engines that were asked for by name.
    pub(crate) engines: Vec<Engine>,
}

impl Options {
    /// The same with more settings.
    fn with(&self, more: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut options = self.clone();
        options.settings.extend(more);
        options
    }
}

impl Peer {
    /// Everybody Carillon is set beside, the floor included.
    pub(crate) const FANOUT: [Self; 7] =
        [Self::Floor, Self::Socketioxide, Self::Nats, Self::Nchan, Self::Bun, Self::Node, Self::Python];
    /// Those that keep connections as servers do.
    pub(crate) const IDLE: [Self; 6] =
        [Self::Socketioxide, Self::Nats, Self::Nchan, Self::Bun, Self::Node, Self::Python];
    /// Those that answer calls.
    pub(crate) const ACK: [Self; 4] = [Self::Socketioxide, Self::Bun, Self::Node, Self::Python];

    /// Carillon, reached in other ways, or with more to do.
    pub(crate) const GUARDED: [Self; 4] = [Self::Tls, Self::Nginx, Self::Tokens, Self::Journal];
    /// Those that can address messages otherwise than to everybody.
    pub(crate) const SHAPES: [Self; 3] = [Self::Socketioxide, Self::Bun, Self::Node];

    /// How messages get into a server that has no publisher inside.
    pub(crate) fn inlet(self) -> Option<Inlet> {
        match self {
            Self::Nats => Some(Inlet::Nats),
            Self::Nchan => Some(Inlet::Nchan),
            _ => None,
        }
    }

    /// Whether it is Carillon, of whatever build and on whatever engine.
    pub(crate) fn is_carillon(self) -> bool {
        matches!(self, Self::Carillon | Self::Before | Self::OnSocketioxide) || Self::GUARDED.contains(&self)
    }

    /// Whether it answers calls.
    pub(crate) fn answers(self) -> bool {
        self.is_carillon() || self == Self::None || Self::ACK.contains(&self)
    }

    /// What its clients speak.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Nats => Dialect::Nats { subject: protocol::TICK.to_owned() },
            Self::Nchan => Dialect::Plain,
            Self::Journal => protocol::dialect().with_auth(r#"{"recovery":true}"#),
            _ => protocol::dialect(),
        }
    }

    /// What is missing for this server, with the command that installs it.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Nats => nats::missing(),
            Self::Nchan => nchan::missing(),
            Self::Bun => bun::missing(),
            Self::Node => node::missing(),
            Self::Python => python::missing(),
            Self::Nginx => {
                machine::find(guarded::PROXY).is_none().then(|| "there is no nginx: apt-get install nginx".to_owned())
            }
            Self::Carillon | Self::Before | Self::OnSocketioxide => None,
            Self::Tls | Self::Tokens | Self::Journal => None,
            Self::Floor | Self::Socketioxide | Self::None => None,
        }
    }

    /// The version under test; what else matters follows in parentheses.
    pub(crate) fn version(self) -> String {
        match self {
            Self::Carillon | Self::OnSocketioxide => carillon::version(),
            Self::Tls | Self::Nginx | Self::Tokens | Self::Journal => carillon::version(),
            Self::Before | Self::Floor | Self::None => String::new(),
            Self::Socketioxide => socketioxide::version(),
            Self::Nats => nats::version(),
            Self::Nchan => nchan::version(),
            Self::Bun => bun::version(),
            Self::Node => node::version(),
            Self::Python => python::version(),
        }
    }

    /// Starts it.
    pub(crate) fn start(self, options: &Options) -> Result<Server> {
        let address = Server::free_address()?;
        // Only NATS takes messages elsewhere than from its clients, and only nginx is before another.
        let inner = if matches!(self, Self::Nats | Self::Nginx) { Server::free_address()? } else { address };
        let mut access = Access::default();
        let own = |role: &str| -> Result<Command> {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([role, &address.to_string(), &options.workers.to_string()]);
            Ok(command)
        };
        let this = |options: &Options, address| carillon::command(options, address, std::env::current_exe()?);
        let command = match self {
            Self::Carillon | Self::OnSocketioxide => {
                let engine = options.engines.iter().find(|engine| engine.peer() == self).copied();
                let options = options.with(engine.map(Engine::setting));
                this(&options, address)?
            }
            Self::Before => {
                let old = options.old.clone().ok_or("--old names no other build")?;
                carillon::command(options, address, old.canonicalize()?)?
            }
            Self::Tls | Self::Nginx => {
                let certificate = Certificate::new(&options.directory)?;
                access = certificate.access();
                if self == Self::Tls {
                    this(&options.with(certificate.settings()), address)?
                } else {
                    certificate.proxy(options, (address, inner), &this(options, inner)?)?
                }
            }
            Self::Tokens => {
                let (settings, token) = guarded::tokens()?;
                access = token;
                this(&options.with(settings), address)?
            }
            Self::Journal => this(&options.with(carillon::kept()), address)?,
            Self::Floor | Self::None => own("serve-floor")?,
            Self::Socketioxide => own("serve-socketioxide")?,
            Self::Nats => nats::command(options, address, inner)?,
            Self::Nchan => nchan::command(options, address)?,
            Self::Bun => bun::command(address)?,
            Self::Node => node::command(address),
            Self::Python => python::command(address)?,
        };
        let log = log_file(&options.directory, self);
        let mut server = Server::start(command, [address, inner], (&options.server_cores, &options.load_cores), &log)
            .map_err(|error| format!("{self}: {error}"))?;
        server.access = access;
        Ok(server)
    }
}

/// What a peer from elsewhere needs besides its program.
fn folder(peer: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "peers", peer].iter().collect()
}

/// What every server that is a script is told about pings.
fn pings() -> [String; 2] {
    [PING_INTERVAL, PING_TIMEOUT].map(|number| number.to_string())
}

fn log_file(directory: &Path, peer: Peer) -> PathBuf {
    directory.join(format!("{peer}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever answers calls speaks Socket.IO, and only a server without a publisher inside is published to.
    #[test]
    fn who_takes_part() {
        for peer in Peer::ACK {
            assert!(peer.inlet().is_none() && Peer::IDLE.contains(&peer), "{peer}");
        }
        assert!(Peer::SHAPES.iter().all(|peer| peer.answers()));
        for peer in Peer::FANOUT {
            let own = matches!(peer.dialect(), Dialect::SocketIo { .. });
            assert_eq!(peer.inlet().is_none(), own, "{peer}");
            assert_eq!(peer.to_possible_value().unwrap().get_name(), peer.to_string());
        }
    }
}
