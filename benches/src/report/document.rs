//! The JSON beside the table: machine, versions, options and every raw round.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::Result;
use crate::machine::Machine;

/// One measurement: what was asked for, every round, and what they come to. Each round is one line of the JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Its place in a suite; empty where it stands alone.
    pub(crate) name: String,
    /// The subcommand.
    pub(crate) bench: String,
    /// How long it took.
    pub(crate) seconds: f64,
    /// What was asked for.
    pub(crate) options: Box<RawValue>,
    /// Every round.
    pub(crate) rounds: Vec<Box<RawValue>>,
    /// What the tables show.
    pub(crate) summary: Vec<Box<RawValue>>,
    /// What a person is shown.
    pub(crate) tables: Vec<String>,
    /// What the comparison says, in words.
    pub(crate) notes: Vec<String>,
}

impl Part {
    /// What `bench` measured.
    pub(crate) fn new<O: Serialize, R: Serialize, S: Serialize>(
        bench: &str,
        (options, rounds, summary): (&O, &[R], &[S]),
        (tables, notes): (Vec<String>, Vec<String>),
    ) -> Result<Self> {
        Ok(Self {
            name: String::new(),
            bench: bench.to_owned(),
            seconds: 0.0,
            options: to_raw_value(options)?,
            rounds: rounds.iter().map(to_raw_value).collect::<std::result::Result<_, _>>()?,
            summary: summary.iter().map(to_raw_value).collect::<std::result::Result<_, _>>()?,
            tables,
            notes,
        })
    }

    /// What was asked for, or as much of it as `T` wants to know.
    pub(crate) fn options<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        Ok(serde_json::from_str(self.options.get())?)
    }

    /// What all rounds come to.
    pub(crate) fn summary<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>> {
        Ok(self.summary.iter().map(|row| serde_json::from_str(row.get())).collect::<std::result::Result<_, _>>()?)
    }
}

/// One run of one measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    /// The subcommand.
    pub(crate) bench: &'a str,
    /// The machine it ran on.
    pub(crate) machine: &'a Machine,
    /// The servers and their versions.
    pub(crate) versions: &'a BTreeMap<String, String>,
    /// What was asked for.
    pub(crate) options: &'a RawValue,
    /// Every round.
    pub(crate) rounds: &'a [Box<RawValue>],
    /// What the table shows.
    pub(crate) summary: &'a [Box<RawValue>],
    /// What the comparison says, in words.
    pub(crate) notes: &'a [String],
}

/// One run of the standard set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Suite {
    /// `suite`.
    pub(crate) bench: String,
    /// The machine it ran on.
    pub(crate) machine: Machine,
    /// The servers and their versions.
    pub(crate) versions: BTreeMap<String, String>,
    /// Whether it was cut short: a smoke test, not to be quoted.
    pub(crate) quick: bool,
    /// How long it was expected to take, and how long it took.
    pub(crate) expected_seconds: f64,
    pub(crate) seconds: f64,
    /// Servers that were not there, and why.
    pub(crate) left_out: Vec<String>,
    /// Rounds that failed, and why.
    pub(crate) failures: Vec<String>,
    /// Everything that was measured.
    pub(crate) parts: Vec<Part>,
}

/// Where everything goes: `target/bench`.
pub(crate) fn target() -> Result<PathBuf> {
    // The executable is target/<profile>/carillon-benches.
    let executable = std::env::current_exe()?;
    Ok(executable.ancestors().nth(2).ok_or("the executable has no folder")?.join("bench"))
}

/// Where everything of a run goes: `target/bench/<date>`, or the folder the user named.
pub(crate) fn directory(named: Option<&Path>, at: &str) -> Result<PathBuf> {
    let directory = match named {
        Some(named) => named.to_owned(),
        None => target()?.join(at.get(..10).unwrap_or(at)),
    };
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(directory.canonicalize()?)
}

/// Writes a document as `<bench>-<time>.json` and says where it is.
pub(crate) fn write(document: &impl Serialize, (bench, at): (&str, &str), directory: &Path) -> Result<PathBuf> {
    let time: String = at.chars().skip(11).take(8).filter(char::is_ascii_digit).collect();
    let file = directory.join(format!("{bench}-{time}.json"));
    save(&file, &serde_json::to_vec_pretty(document)?)?;
    Ok(file)
}

/// Writes a file, and names it when that fails.
pub(crate) fn save(file: &Path, content: &[u8]) -> Result<()> {
    fs::write(file, content).map_err(|error| format!("{}: {error}", file.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_named_after_their_bench_and_time() {
        let named = std::env::temp_dir().join(format!("carillon-bench-{}", std::process::id()));
        let mut machine = Machine::here();
        machine.at = "2026-02-03T04:05:06.7Z".to_owned();
        let directory = directory(Some(&named), &machine.at).unwrap();
        let part = Part::new("fanout", (&1, &[1, 2], &[(); 0]), (Vec::new(), Vec::new())).unwrap();
        let document = Document {
            bench: &part.bench,
            machine: &machine,
            versions: &BTreeMap::new(),
            options: &part.options,
            rounds: &part.rounds,
            summary: &part.summary,
            notes: &part.notes,
        };
        let file = write(&document, (&part.bench, &machine.at), &directory).unwrap();
        assert_eq!(file.file_name().unwrap(), "fanout-040506.json");
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(json["rounds"], serde_json::json!([1, 2]));
        fs::remove_dir_all(&named).unwrap();
    }
}
