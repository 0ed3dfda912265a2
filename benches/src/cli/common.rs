//! What all measurements are told: which servers take part, on which cores, and with which settings.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::machine;
use crate::peers::{Engine, Options, Peer};

/// What all measurements have in common.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Common {
    /// Servers to set beside Carillon; `none` for Carillon alone, `carillon` may be named to leave it in beside --target
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    #[serde(skip)]
    pub(crate) peers: Option<Vec<Peer>>,
    /// Leave Carillon out
    #[arg(long)]
    pub(crate) without_carillon: bool,
    /// Threads that carry connections, in servers that can have several
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) workers: usize,
    /// Another build of this tool: its Carillon takes part as `before`, in turns with the others
    #[arg(long, value_name = "PATH")]
    pub(crate) old: Option<PathBuf>,
    /// Carillon's engine, or both in turns [default: what Carillon has by default]
    #[arg(long = "engine", value_delimiter = ',', value_name = "ENGINE")]
    pub(crate) engines: Vec<Engine>,
    /// The servers' cores, such as `0` or `0-1`; `none` for no bond [default: one for each worker]
    #[arg(long, value_parser = machine::cores, value_name = "CORES")]
    pub(crate) server_cores: Option<std::vec::Vec<usize>>,
    /// The load's cores [default: the last one]
    #[arg(long, value_parser = machine::cores, value_name = "CORES")]
    pub(crate) load_cores: Option<std::vec::Vec<usize>>,
    /// A setting of Carillon's, as in `wire.max_queued_bytes=65536`; may be repeated
    #[arg(long = "set", value_parser = setting, value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<(String, String)>,
    /// Where JSON and logs go [default: target/bench/<date>]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// A server that is running already.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct TargetArgs {
    /// Measure a Socket.IO server that is running already, instead of Carillon
    #[arg(long = "target", value_name = "URL")]
    #[serde(rename = "target")]
    pub(crate) url: Option<String>,
    /// The namespace of --target
    #[arg(long, default_value = "/", value_name = "NAME", requires = "url")]
    pub(crate) namespace: String,
    /// The event of --target that is counted
    #[arg(long, default_value = "message", value_name = "NAME", requires = "url")]
    pub(crate) event: String,
    /// Send messages to --target as this event, `{"text": ".."}`, which it is expected to pass on to everybody as --event
    #[arg(long, value_name = "NAME", requires = "url")]
    pub(crate) publish: Option<String>,
    /// The event of --target that answers calls
    #[arg(long, default_value = "echo", value_name = "NAME", requires = "url")]
    pub(crate) call: String,
    /// The process of --target, on this machine, whose processor time and memory are read
    #[arg(long, value_name = "PID", requires = "url")]
    pub(crate) pid: Option<u32>,
}

impl Common {
    /// The servers to measure, in order: Carillon first.
    pub(crate) fn servers(&self, default: &[Peer]) -> Vec<Peer> {
        let named = self.peers.clone();
        let alone = self.target.url.is_some() || self.without_carillon;
        let mut servers: Vec<Peer> = self.engines.iter().map(|engine| engine.peer()).collect();
        if servers.is_empty() {
            servers.push(Peer::Carillon);
        }
        if alone {
            servers.clear();
        }
        let default = if self.target.url.is_some() { &[] } else { default };
        servers.extend(self.old.is_some().then_some(Peer::Before));
        servers.extend(named.unwrap_or_else(|| default.to_vec()));
        servers.retain(|peer| *peer != Peer::None);
        let mut seen = Vec::new();
        servers.retain(|peer| {
            let new = !seen.contains(peer);
            seen.push(*peer);
            new
        });
        servers
    }

    /// How servers are started; logs go to `directory`.
    pub(crate) fn server_options(&self, directory: PathBuf) -> Options {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            workers: self.workers.max(1),
            server_cores: self.server_cores.clone().unwrap_or_else(|| (0..self.workers.clamp(1, cores)).collect()),
            load_cores: self.load_cores.clone().unwrap_or_else(|| vec![cores - 1]),
            directory,
            settings: self.settings.clone(),
            old: self.old.clone(),
            engines: self.engines.clone(),
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a setting is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
