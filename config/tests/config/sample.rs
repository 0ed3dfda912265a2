//! Plugin sections that the tests share: one of each kind of setting.
use carillon_config::{Loaded, Loader, NoConfig, Problem, Problems, Section, house_sections};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Passes on what other programs publish.
///
/// One row for each channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Relay {
    /// What is passed on.
    pub(crate) rows: Vec<Row>,
    /// Longest silence, in milliseconds.
    #[schemars(range(min = 10, max = 60_000))]
    pub(crate) silence_ms: u64,
    /// Shortest silence, in milliseconds.
    pub(crate) pause_ms: u64,
    /// Share of messages that is traced.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) trace: f64,
    /// How values are stored | or not.
    pub(crate) store: Option<Store>,
    /// A name for logs.
    #[schemars(length(min = 1))]
    pub(crate) label: Option<String>,
    /// Opens the door.
    #[schemars(extend("writeOnly" = true))]
    pub(crate) token: String,
    /// Where lost messages go.
    pub(crate) spill: Spill,
    /// Channel names by alias.
    pub(crate) aliases: BTreeMap<String, String>,
    /// How many retries.
    pub(crate) retries: u8,
}

/// One row of the relay's table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The channel to listen to.
    pub(crate) channel: String,
    /// The event to send.
    pub(crate) event: String,
    /// Who gets it.
    #[serde(default)]
    pub(crate) namespaces: Vec<String>,
}

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Store {
    /// Only the last one.
    Latest,
    /// All of them.
    All,
}

/// Where lost messages go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Spill {
    /// The folder.
    pub(crate) folder: String,
    /// Its limit, in bytes.
    #[schemars(range(min = 1))]
    pub(crate) max_bytes: u64,
}

impl Default for Spill {
    fn default() -> Self {
        Self { folder: "/var/spool/a \"b\"".to_owned(), max_bytes: 1024 }
    }
}

impl Default for Relay {
    fn default() -> Self {
        let row = |channel: &str, event: &str| Row {
            channel: channel.to_owned(),
            event: event.to_owned(),
            namespaces: vec!["/".to_owned()],
        };
        Self {
            rows: vec![row("cluster:metrics", "redis_cluster_metrics"), row("cluster:health", "redis_cluster_health")],
            silence_ms: 5000,
            pause_ms: 100,
            trace: 0.0,
            store: None,
            label: None,
            token: "s3cr3t".to_owned(),
            spill: Spill::default(),
            aliases: BTreeMap::from([("m.x".to_owned(), "cluster:metrics".to_owned())]),
            retries: 3,
        }
    }
}

impl Relay {
    pub(crate) fn check(&self, problems: &mut Problems) {
        if self.pause_ms >= self.silence_ms {
            problems
                .add("pause_ms", format!("must be below `silence_ms` ({})", self.silence_ms))
                .hint("a tenth of it suits most");
        }
        for (index, row) in self.rows.iter().enumerate() {
            if row.event == "error" {
                problems.add(format!("rows[{index}].event"), "`error` is the router's own event");
            }
        }
    }
}

/// A plugin whose author forgot to refuse unknown keys.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Loose {
    /// A number.
    pub(crate) number: u32,
}

pub(crate) fn sections() -> Vec<Section> {
    let mut sections = house_sections();
    sections.push(Section::of::<NoConfig>("plugins.echo", |_, _| {}));
    sections.push(Section::of("plugins.relay", Relay::check));
    sections.push(Section::of::<Loose>("plugins.loose-one", |_, _| {}));
    sections
}

/// A configuration file that lives as long as the test runs.
pub(crate) struct Written(pub(crate) PathBuf);

impl Written {
    pub(crate) fn new(content: impl AsRef<[u8]>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("carillon-config-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_file(&self.0);
    }
}

/// Loads a file with these lines.
pub(crate) fn load(content: &str) -> Result<Loaded, Problems> {
    let file = Written::new(content);
    Loader::new(sections()).file(&file.0).load()
}

/// The problems a file has, as `path: message (hint)`.
pub(crate) fn problems(content: &str) -> Vec<String> {
    let problems = load(content).err().unwrap_or_default();
    problems.iter().map(line).collect()
}

/// The problems an environment has.
pub(crate) fn env_problems(variables: &[(&str, &str)]) -> Vec<String> {
    let problems = Loader::new(sections()).env(variables.iter().copied()).load().err().unwrap_or_default();
    problems.iter().map(line).collect()
}

fn line(problem: &Problem) -> String {
    format!("{}: {} ({})", problem.path, problem.message, problem.hint.as_deref().unwrap_or("NO HINT"))
}
