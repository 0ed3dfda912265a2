//! What a suite found, by what a reader asks for.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::document::{self, Part, Suite};
use super::row::{Fanout, Idle};
use super::stats::Figure;
use crate::Result;
use crate::peers::protocol::Mode;

/// Carillon's name in every row.
pub(super) const CARILLON: &str = "carillon";
/// The floor's, where it had no choice.
pub(super) const FLOOR: &str = "floor";

/// What was asked of a flood or a paced load.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Asked {
    pub(super) clients: usize,
    #[serde(default)]
    pub(super) payload: usize,
    #[serde(default)]
    pub(super) rate: f64,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    #[serde(default)]
    pub(super) window: u64,
}

/// What was asked for, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Measured<R> {
    pub(super) asked: Asked,
    pub(super) rows: Vec<R>,
}

/// A suite, read.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) suite: Suite,
    /// Everybody side by side.
    pub(super) peers: Measured<Fanout>,
    /// Idle connections.
    pub(super) memory: Measured<Idle>,
    /// The same load with more and more clients.
    pub(super) clients: Vec<Measured<Fanout>>,
    /// Floods with larger and larger messages.
    pub(super) payload: Vec<Measured<Fanout>>,
}

impl Story {
    /// Reads the JSON of a suite.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", file.display()).into())
    }

    /// The same from the JSON itself.
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let suite: Suite = serde_json::from_slice(text)?;
        let named = |name: &'static str| suite.parts.iter().filter(move |part| part.name == name);
        let peers = named("peers").next().map(measured).transpose()?.ok_or("no floods and no paced loads in it")?;
        let memory = named("memory").next().map(measured).transpose()?.ok_or("no idle connections in it")?;
        let mut clients = named("clients").map(measured::<Fanout>).collect::<Result<Vec<_>>>()?;
        let mut payload = named("payload").map(measured::<Fanout>).collect::<Result<Vec<_>>>()?;
        clients.sort_by_key(|step| step.asked.clients);
        payload.sort_by_key(|step| step.asked.payload);
        Ok(Self { peers, memory, clients, payload, suite })
    }

    /// Everything else that was measured, as it was shown.
    pub(super) fn rest(&self) -> impl Iterator<Item = &Part> {
        self.suite.parts.iter().filter(|part| matches!(&*part.bench, "slow" | "ack"))
    }

    /// What was shown of the measurements of this name; nothing, when the run did not have them.
    pub(super) fn parts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Part> {
        self.suite.parts.iter().filter(move |part| part.name == name)
    }
}

impl Measured<Fanout> {
    /// A server's row.
    pub(super) fn row(&self, server: &str, mode: Mode) -> Option<&Fanout> {
        self.rows.iter().find(|row| row.server == server && row.mode == mode)
    }

    /// One figure of a server's row.
    pub(super) fn figure(&self, server: &str, mode: Mode, of: fn(&Fanout) -> Option<Figure>) -> Option<Figure> {
        self.row(server, mode).and_then(of)
    }

    /// All rows of a mode.
    pub(super) fn of(&self, mode: Mode) -> impl Iterator<Item = &Fanout> {
        self.rows.iter().filter(move |row| row.mode == mode)
    }
}

fn measured<R: for<'a> Deserialize<'a>>(part: &Part) -> Result<Measured<R>> {
    Ok(Measured { asked: part.options()?, rows: part.summary()? })
}

/// Whether a row is one of the floor's.
pub(super) fn is_floor(server: &str) -> bool {
    server.starts_with(FLOOR)
}

/// The newest suite below `target/bench`, or else the one the page was made from.
pub(super) fn newest(docs: Option<&Path>) -> Result<PathBuf> {
    let mut found = Vec::new();
    for day in fs::read_dir(document::target()?).into_iter().flatten().flatten() {
        for file in fs::read_dir(day.path()).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with("suite-") && name.ends_with(".json") {
                found.push((file.metadata()?.modified()?, file.path()));
            }
        }
    }
    let of_page = || docs.map(|docs| docs.join("benchmarks/suite.json")).filter(|file| file.exists());
    let newest = found.into_iter().max().map(|(_, file)| file);
    newest.or_else(of_page).ok_or_else(|| "there is no suite yet: `make bench` makes one".into())
}
