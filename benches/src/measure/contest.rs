//! Who takes part: the servers that could be started, each with its clients connected, side by side until the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::Result;
use crate::cli::Common;
use crate::load::feed::Inlet;
use crate::load::packet::Dialect;
use crate::load::{GroupId, Load, Target};
use crate::machine::{self, Machine};
use crate::peers::{Options, Peer, Server};
use crate::report::document::{self, Document};
use crate::report::progress::Progress;
use crate::report::table;

/// A server that takes part.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) peer: Option<Peer>,
    /// The server, when the tool runs it.
    pub(crate) server: Option<Server>,
    /// Its process, when it is on this machine.
    pub(crate) pid: Option<u32>,
    pub(crate) target: Target,
    /// Its clients, once connected.
    pub(crate) group: GroupId,
    /// How it comes to publish.
    pub(crate) driver: Driver,
}

/// How a server comes to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Driver {
    /// It does so itself, when told (see [`protocol`]).
    Server,
    /// It passes on what the first client sends as this event.
    Client(String),
    /// It passes on what the load publishes through a connection of its own to this address.
    Feed(Inlet, SocketAddr),
    /// Someone else publishes what it passes on, by the timetable of the run.
    Elsewhere,
    /// It does so of its own accord; nothing is known about what it sends.
    Unknown,
}

/// What all measurements set up and leave behind.
pub(crate) struct Contest {
    pub(crate) load: Load,
    pub(crate) machine: Machine,
    pub(crate) progress: Progress,
    pub(crate) options: Options,
    common: Common,
    pub(crate) versions: BTreeMap<String, String>,
    /// Whether a round has failed.
    failed: bool,
}

impl Contest {
    /// Prepares this process for a run of about `seconds`.
    pub(crate) fn new(common: &Common, seconds: f64) -> Result<Self> {
        let machine = Machine::here();
        let directory = document::directory(common.out.as_deref(), &machine.at)?;
        let options = common.server_options(directory);
        machine::pin(&options.load_cores)?;
        let progress = Progress::new(seconds);
        if machine.is_busy() {
            progress
                .note("Other programs are at work on this machine: expect figures to be worse than they should be.");
        }
        Ok(Self {
            load: Load::new()?,
            machine,
            progress,
            options,
            common: common.clone(),
            versions: BTreeMap::new(),
            failed: false,
        })
    }

    /// Checks that so many connections can be had, on both sides.
    pub(crate) fn reserve(&self, clients: usize) -> Result<()> {
        let files = machine::raise_open_files()?;
        let needed = clients as u64 + 200;
        if files < needed {
            return Err(format!(
                "{clients} clients need {needed} open files, and the system allows {files}: raise ulimit -Hn"
            )
            .into());
        }
        Ok(())
    }

    /// The servers to be measured, `default` peers unless others are named. Those that are missing are named and left out.
    pub(crate) fn servers(&self, default: &[Peer]) -> Vec<Peer> {
        let mut servers = self.common.servers(default);
        servers.retain(|peer| match peer.missing() {
            Some(missing) => {
                self.progress.note(&format!("{peer} is left out: {missing}"));
                false
            }
            None => true,
        });
        servers
    }

    /// Starts a server, to be known as `name`.
    pub(crate) fn start(&mut self, peer: Peer, name: &str, settings: &[(String, String)]) -> Result<Contestant> {
        let mut options = self.options.clone();
        options.settings.extend_from_slice(settings);
        let server = peer.start(&options)?;
        self.versions.insert(name.to_owned(), peer.version());
        Ok(Contestant {
            name: name.to_owned(),
            peer: Some(peer),
            pid: Some(server.pid()),
            target: Target::local(server.address, peer.dialect()),
            driver: peer.inlet().map_or(Driver::Server, |inlet| Driver::Feed(inlet, server.inlet)),
            server: Some(server),
            group: 0,
        })
    }

    /// The server that is running already, if one was named.
    pub(crate) fn target(&mut self) -> Result<Option<Contestant>> {
        let args = &self.common.target;
        let Some(url) = &args.url else { return Ok(None) };
        self.versions.insert(url.clone(), "unknown".to_owned());
        Ok(Some(Contestant {
            name: url.clone(),
            peer: None,
            server: None,
            pid: args.pid,
            target: Target::parse(url, Dialect::new(&args.namespace, &args.event))?,
            group: 0,
            driver: args.publish.clone().map_or(Driver::Unknown, Driver::Client),
        }))
    }

    /// A server's name with its version, for a row of a table.
    pub(crate) fn label(&self, name: &str) -> String {
        let version = self.versions.get(name).and_then(|version| version.split(' ').next());
        format!("{name} {}", version.unwrap_or_default()).trim_end().to_owned()
    }

    /// Connects its clients.
    pub(crate) fn connect(&mut self, contestant: &mut Contestant, clients: usize) -> Result<()> {
        let Self { load, progress, .. } = self;
        let name = &contestant.name;
        contestant.group = load.connect(contestant.target.clone(), clients, |ready| {
            progress.say(format!("{name}: {ready} of {clients} clients connected"));
        })?;
        Ok(())
    }

    /// Everybody: the target, or else Carillon, and the peers; each with so many clients.
    pub(crate) fn everybody(&mut self, default: &[Peer], clients: usize) -> Result<Vec<Contestant>> {
        self.reserve(clients)?;
        let mut all: Vec<_> = self.target()?.into_iter().collect();
        for peer in self.servers(default) {
            all.push(self.start(peer, &peer.to_string(), &[])?);
        }
        for contestant in &mut all {
            self.connect(contestant, clients)?;
        }
        if all.is_empty() {
            return Err("nobody is left to be measured".into());
        }
        Ok(all)
    }

    /// Remembers that a round failed, and says why.
    pub(crate) fn fail(&mut self, name: &str, mistakes: &[String]) {
        if !mistakes.is_empty() {
            self.failed = true;
            self.progress.note(&format!("{name}: FAILED: {}", mistakes.join("; ")));
        }
    }

    /// Prints table and notes, writes the JSON, and says whether all rounds went well.
    pub(crate) fn finish<O: Serialize, R: Serialize, S: Serialize>(
        self,
        bench: &'static str,
        (options, rounds, summary): (&O, &[R], &[S]),
        (tables, notes): (&[String], &[String]),
    ) -> Result<bool> {
        self.progress.finish();
        let Self { machine, versions, options: Options { directory, .. }, failed, .. } = &self;
        table::print(format!("{bench} on {}", machine.line()));
        for (name, version) in versions.iter().filter(|(_, version)| !version.is_empty()) {
            table::print(format!("  {name} {version}"));
        }
        for text in tables {
            table::print(format!("\n{}", text.trim_end()));
        }
        for note in notes {
            table::print(format!("  {note}"));
        }
        let document = Document { bench, machine, versions, options, rounds, summary, notes };
        let file: PathBuf = document::write(&document, directory)?;
        table::print(format!("\n{}", file.display()));
        Ok(!failed)
    }
}
