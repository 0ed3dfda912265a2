//! The JSON beside the table: machine, versions, options and every raw round.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Result;
use crate::machine::Machine;

/// One run of the tool. `R` is what one round measures, `S` what all rounds of a server come to.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a, O, R, S> {
    /// The subcommand.
    pub(crate) bench: &'static str,
    /// The machine it ran on.
    pub(crate) machine: &'a Machine,
    /// The servers and their versions.
    pub(crate) versions: &'a BTreeMap<String, String>,
    /// What was asked for.
    pub(crate) options: &'a O,
    /// Every round.
    pub(crate) rounds: &'a [R],
    /// What the table shows.
    pub(crate) summary: &'a [S],
    /// What the comparison says, in words.
    pub(crate) notes: &'a [String],
}

/// Where everything of a run goes: `target/bench/<date>`, or the folder the user named.
pub(crate) fn directory(named: Option<&Path>, at: &str) -> Result<PathBuf> {
    let directory = match named {
        Some(named) => named.to_owned(),
        None => {
            // The executable is target/<profile>/carillon-benches.
            let executable = std::env::current_exe()?;
            let target = executable.ancestors().nth(2).ok_or("the executable has no folder")?;
            target.join("bench").join(at.get(..10).unwrap_or(at))
        }
    };
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(directory.canonicalize()?)
}

/// Writes the document as `<bench>-<time>.json` and says where it is.
pub(crate) fn write<O: Serialize, R: Serialize, S: Serialize>(
    document: &Document<'_, O, R, S>,
    directory: &Path,
) -> Result<PathBuf> {
    let time: String = document.machine.at.chars().skip(11).take(8).filter(char::is_ascii_digit).collect();
    let file = directory.join(format!("{}-{time}.json", document.bench));
    fs::write(&file, serde_json::to_vec_pretty(document)?).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
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
        let document = Document::<_, u8, u8> {
            bench: "fanout",
            machine: &machine,
            versions: &BTreeMap::new(),
            options: &1,
            rounds: &[1, 2],
            summary: &[],
            notes: &[],
        };
        let file = write(&document, &directory).unwrap();
        assert_eq!(file.file_name().unwrap(), "fanout-040506.json");
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(json["rounds"], serde_json::json!([1, 2]));
        fs::remove_dir_all(&named).unwrap();
    }
}
