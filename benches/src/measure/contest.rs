//! Who takes part: the servers that could be started, each with its clients connected, side by side until the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::Common;
use crate::load::feed::Inlet;
use crate::load::packet::Dialect;
use crate::load::{GroupId, HANDSHAKES, Heard, Load, Target};
use crate::machine::proc::{self, Cpu};
use crate::machine::{self, Machine};
use crate::peers::{Options, Peer, Server};
use crate::report::document::{self, Document, Part};
use crate::report::progress::Progress;
use crate::report::table;
use crate::{Result, clock};

/// Open files besides those of the clients.
const SPARE: u64 = 200;
/// How long a server may take to answer when it is asked for what it counted.
const ANSWER: u64 = 5_000_000_000;

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

impl Contestant {
    /// Whether it has Carillon's plugins and metrics.
    pub(crate) fn is_carillon(&self) -> bool {
        self.peer.is_some_and(Peer::is_carillon)
    }

    /// Its processor time so far, where it can be read.
    pub(crate) fn cpu(&self) -> Result<Option<Cpu>> {
        self.pid.map(proc::cpu).transpose()
    }

    /// What it has used since an earlier reading.
    pub(crate) fn used(&self, earlier: Option<Cpu>) -> Result<Option<Cpu>> {
        Ok(self.cpu()?.zip(earlier).map(|(now, earlier)| now.since(earlier)))
    }
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
    /// Servers that are not there, and why.
    pub(crate) left_out: Vec<String>,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
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
            left_out: Vec::new(),
            failures: Vec::new(),
        })
    }

    /// Starts the bar again, for a run of about `seconds`.
    pub(crate) fn expect(&mut self, seconds: f64) {
        self.progress = Progress::new(seconds);
    }

    /// Whether the load can have so many connections at the same time.
    pub(crate) fn has_room(connections: usize) -> Result<bool> {
        Ok(connections as u64 + SPARE <= machine::raise_open_files()?)
    }

    /// As many of these connections as the system's open files allow, to the server as to the load; fewer are noted.
    pub(crate) fn at_most(&self, clients: usize) -> Result<usize> {
        let room = usize::try_from(machine::raise_open_files()?.saturating_sub(SPARE)).unwrap_or(usize::MAX);
        if room < clients {
            self.progress.note(&format!("{room} clients instead of {clients}: the system allows no more open files"));
        }
        Ok(clients.min(room))
    }

    /// Checks that so many connections can be had, on both sides.
    pub(crate) fn reserve(&self, clients: usize) -> Result<()> {
        let files = machine::raise_open_files()?;
        if !Self::has_room(clients)? {
            let needed = clients as u64 + SPARE;
            return Err(format!(
                "{clients} clients need {needed} open files, and the system allows {files}: raise ulimit -Hn"
            )
            .into());
        }
        Ok(())
    }

    /// The servers to be measured, `default` peers unless others are named. Those that are missing are named and left out.
    pub(crate) fn servers(&mut self, common: &Common, default: &[Peer]) -> Vec<Peer> {
        let mut servers = common.servers(default);
        servers.retain(|peer| match peer.missing() {
            Some(missing) => {
                self.leave_out(&peer.to_string(), &missing);
                false
            }
            None => true,
        });
        servers
    }

    /// Says once that something is left out, and why.
    pub(crate) fn leave_out(&mut self, name: &str, missing: &str) {
        let line = format!("{name} is left out: {missing}");
        if !self.left_out.contains(&line) {
            self.progress.note(&line);
            self.left_out.push(line);
        }
    }

    /// Starts a server, to be known as `name`.
    pub(crate) fn start(&mut self, peer: Peer, name: &str, settings: &[(String, String)]) -> Result<Contestant> {
        let mut options = self.options.clone();
        options.settings.extend_from_slice(settings);
        let server = peer.start(&options)?;
        self.versions.insert(peer.to_string(), peer.version());
        let shown = server.access.token.as_ref().map(|token| format!("{{\"token\":\"{token}\"}}"));
        let dialect = shown.iter().fold(peer.dialect(), |dialect, shown| dialect.with_auth(shown));
        let target = Target::local(server.address, dialect).over(server.access.tls.clone());
        Ok(Contestant {
            name: name.to_owned(),
            peer: Some(peer),
            pid: Some(server.pid()),
            target,
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
        self.connect_by(contestant, clients, HANDSHAKES)
    }

    /// The same with so many handshakes under way at once.
    pub(crate) fn connect_by(&mut self, contestant: &mut Contestant, clients: usize, at_once: usize) -> Result<()> {
        let Self { load, progress, .. } = self;
        let name = &contestant.name;
        contestant.group = load.connect(contestant.target.clone(), (clients, at_once), |ready| {
            progress.say(format!("{name}: {ready} of {clients} clients connected"));
        })?;
        Ok(())
    }

    /// Everybody: the target, or else Carillon, and the peers. One that does not start is a failure, and the others go on.
    pub(crate) fn everybody(&mut self, common: &Common, default: &[Peer]) -> Result<Vec<Contestant>> {
        let mut all: Vec<_> = self.target()?.into_iter().collect();
        for peer in self.servers(common, default) {
            match self.start(peer, &peer.to_string(), &[]) {
                Ok(contestant) => all.push(contestant),
                Err(error) => self.fail(&peer.to_string(), &[error.to_string()]),
            }
        }
        if all.is_empty() {
            return Err("nobody is left to be measured".into());
        }
        Ok(all)
    }

    /// Connects so many clients to each. A server that does not take them is a failure, and the others go on.
    pub(crate) fn connect_all(&mut self, all: Vec<Contestant>, clients: usize) -> Result<Vec<Contestant>> {
        self.reserve(clients * all.len())?;
        let mut connected = Vec::new();
        for mut contestant in all {
            match self.connect(&mut contestant, clients) {
                Ok(()) => connected.push(contestant),
                Err(error) => self.fail(&contestant.name, &[error.to_string()]),
            }
        }
        Ok(connected)
    }

    /// Calls the plugin inside a server, through its first client; the answer's arguments.
    pub(crate) fn ask(&mut self, contestant: &Contestant, event: &str) -> Result<String> {
        let (load, id) = (&mut self.load, contestant.group);
        load.group(id).heard(0);
        load.say(id, 0, &contestant.target.dialect.call(1, event, "null"));
        let end = clock::now() + ANSWER;
        while clock::now() < end {
            load.turn(Duration::from_millis(20))?;
            for heard in load.group(id).heard(0) {
                if let Heard::Ack(1, arguments) = heard {
                    return Ok(arguments);
                }
            }
        }
        Err(format!("{} does not answer `{event}`", contestant.name).into())
    }

    /// Lets time pass; pings are answered.
    pub(crate) fn rest(&mut self, seconds: f64) -> Result<()> {
        let end = clock::now() + clock::nanos(seconds);
        while clock::now() < end {
            self.load.turn(Duration::from_millis(100).min(Duration::from_nanos(end.saturating_sub(clock::now()))))?;
        }
        self.progress.spent(seconds);
        Ok(())
    }

    /// Hangs up for the clients of all these servers, and stops them.
    pub(crate) fn dismiss(&mut self, all: Vec<Contestant>) {
        for contestant in all {
            self.load.hang_up(contestant.group);
        }
    }

    /// Remembers that a round failed, and says why.
    pub(crate) fn fail(&mut self, name: &str, mistakes: &[String]) {
        if !mistakes.is_empty() {
            let line = format!("{name}: FAILED: {}", mistakes.join("; "));
            self.progress.note(&line);
            self.failures.push(line);
        }
    }

    /// Prints tables and notes, writes the JSON, and says whether all rounds went well.
    pub(crate) fn finish(self, part: &Part) -> Result<bool> {
        self.progress.finish();
        let Self { machine, versions, options: Options { directory, .. }, failures, .. } = &self;
        table::print(format!("{} on {}", part.bench, machine.line()));
        for (name, version) in versions.iter().filter(|(_, version)| !version.is_empty()) {
            table::print(format!("  {name} {version}"));
        }
        for text in &part.tables {
            table::print(format!("\n{}", text.trim_end()));
        }
        for note in &part.notes {
            table::print(format!("  {note}"));
        }
        let Part { bench, options, rounds, summary, notes, .. } = part;
        let document = Document { bench, machine, versions, options, rounds, summary, notes };
        let file: PathBuf = document::write(&document, (bench, &machine.at), directory)?;
        table::print(format!("\n{}", file.display()));
        Ok(failures.is_empty())
    }
}
