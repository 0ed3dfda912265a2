//! The machine: which core does what, how many files may be open, and what to write beside the figures.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

pub(crate) mod proc;

use crate::Result;

/// Binds this thread, and every thread and process it starts from now on, to these cores. An empty list is no bond.
pub(crate) fn pin(cores: &[usize]) -> Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for core in cores.iter().filter(|core| **core < CpuSet::MAX_CPU) {
        set.set(*core);
    }
    sched_setaffinity(None, &set).map_err(|error| format!("cannot use cores {cores:?}: {error}").into())
}

/// Raises the limit of open files as far as it goes, and says how far that is. Child processes inherit it.
pub(crate) fn raise_open_files() -> Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// Has this process killed when the one that started it ends, however that ends.
pub(crate) fn die_with_parent() {
    // Without it the server merely lives longer than it should.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).ok();
}

/// What to know about the machine to judge figures made on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    pub(crate) memory_mb: u64,
    kernel: String,
    /// Average load over a minute when the run began: figures made beside other work are worth less.
    pub(crate) load: f64,
    /// The source's commit; `+` when it has been changed since.
    pub(crate) commit: String,
    /// When the run began.
    pub(crate) at: String,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn here() -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let uname = rustix::system::uname();
        Self {
            cpu: field("model name").unwrap_or_else(|| uname.machine().to_string_lossy().into_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mb: proc::status_kb(&read("/proc/meminfo"), "MemTotal").unwrap_or(0) / 1024,
            kernel: uname.release().to_string_lossy().into_owned(),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
            commit: commit(),
            at: jiff::Timestamp::now().to_string(),
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let Self { cpu, cores, kernel, commit, .. } = self;
        format!("{cpu}, {cores} cores, Linux {kernel}, commit {commit}")
    }

    /// Whether something else was at work when the run began.
    pub(crate) fn is_busy(&self) -> bool {
        self.load > 0.5
    }
}

fn commit() -> String {
    let commit = output("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short=10", "HEAD"]);
    let changed = output("git", &["-C", env!("CARGO_MANIFEST_DIR"), "status", "--porcelain", "-uno"]);
    match (commit, changed) {
        (Some(commit), Some(changes)) if !changes.is_empty() => format!("{commit}+"),
        (Some(commit), _) => commit,
        (None, _) => "unknown".to_owned(),
    }
}

/// What a program prints, if there is such a program and it is content.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Where a program is: on the path, or where Debian puts servers, which is not on everybody's path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Reads a list of cores: `0`, `0,2`, `0-3`.
pub(crate) fn cores(text: &str) -> std::result::Result<Vec<usize>, String> {
    let mut cores = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty() && *part != "none") {
        let number = |text: &str| text.parse().map_err(|_| format!("`{part}` is neither a core nor a range of cores"));
        match part.split_once('-') {
            Some((first, last)) => cores.extend(number(first)?..=number(last)?),
            None => cores.push(number(part)?),
        }
    }
    Ok(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores() {
        assert_eq!(cores("0"), Ok(vec![0]));
        assert_eq!(cores("0,2-4"), Ok(vec![0, 2, 3, 4]));
        assert_eq!(cores("none"), Ok(vec![]));
        assert!(cores("a").is_err() && cores("1-").is_err());
    }

    #[test]
    fn programs_are_found() {
        assert!(find("sh").is_some_and(|file| file.ends_with("sh")));
        assert_eq!(find("no-such-program"), None);
    }

    #[test]
    fn the_machine_is_known() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.memory_mb > 0 && !machine.kernel.is_empty());
    }
}
