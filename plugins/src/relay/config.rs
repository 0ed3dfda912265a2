//! `[plugins.relay]`: which channel of the bus becomes which event.

use std::collections::HashSet;

use carillon_core::prelude::*;
use carillon_core::routes::mistake_in_event_name;

/// What is relayed from the bus to clients.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RelayConfig {
    /// Which channel becomes which event in which namespaces. A message is sent row by row, from top to bottom.
    #[schemars(length(max = 1000))]
    pub(super) rows: Vec<Row>,
    /// The largest message that is relayed, in bytes. Larger ones are dropped and counted.
    #[schemars(range(min = 1024, max = 104_857_600))]
    pub(super) max_message_bytes: usize,
    /// The longest pause between two attempts to subscribe, in milliseconds.
    #[schemars(range(min = 50, max = 60_000))]
    pub(super) retry_max_ms: u64,
}

/// One row: a channel of the bus and the event it becomes.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// The channel of the bus.
    pub(super) channel: String,
    /// The event's name: printable ASCII without quotes and backslashes.
    pub(super) event: String,
    /// The namespaces whose clients get the event.
    pub(super) namespaces: Vec<String>,
    /// What a client that does not read fast enough gets: `all` of it (until it is closed as slow), the `latest` message in
    /// the place of older ones, or none while anything waits for it (`volatile`).
    #[serde(default)]
    pub(super) mode: Mode,
    /// Whether it is kept in the journals of these namespaces, which are in `journal.namespaces` then. With a bus that
    /// others share, one Carillon reads the channel for all of them; when that one is gone another takes over within 3 s.
    #[serde(default)]
    pub(super) journal: bool,
}

impl Row {
    fn new(channel: &str, event: &str, namespace: &str) -> Self {
        Self {
            channel: channel.to_owned(),
            event: event.to_owned(),
            namespaces: vec![namespace.to_owned()],
            mode: Mode::All,
            journal: false,
        }
    }
}

impl Default for RelayConfig {
    fn default() -> Self {
        let rows = vec![
            Row::new("cluster:metrics", "redis_cluster_metrics", "/"),
            Row::new("cluster:metrics", "cluster_metrics", "/monitoring"),
            Row::new("cluster:health", "redis_cluster_health", "/"),
            Row::new("cluster:health", "health_update", "/health"),
            Row::new("cluster:alerts", "redis_cluster_alerts", "/"),
            Row::new("cluster:alerts", "alerts_update", "/monitoring"),
            Row::new("celery:metrics", "redis_celery_metrics", "/"),
        ];
        Self { rows, max_message_bytes: 1_000_000, retry_max_ms: 2_000 }
    }
}

impl RelayConfig {
    /// What the types cannot say: names are legal, and nothing is sent twice.
    pub(super) fn check(&self, problems: &mut Problems) {
        let mut seen = HashSet::new();
        for (at, row) in self.rows.iter().enumerate() {
            if row.channel.is_empty() {
                problems.add(format!("rows[{at}].channel"), "a channel has a name");
            }
            if let Some(why) = mistake_in_event_name(&row.event) {
                problems
                    .add(format!("rows[{at}].event"), format!("{:?} cannot be an event's name", row.event))
                    .hint(why);
            }
            if row.namespaces.is_empty() {
                problems
                    .add(format!("rows[{at}].namespaces"), "the event goes nowhere")
                    .hint("name a namespace, as in `[\"/\"]`, or leave the row out");
            }
            for (index, namespace) in row.namespaces.iter().enumerate() {
                if !namespace.starts_with('/') {
                    problems
                        .add(format!("rows[{at}].namespaces[{index}]"), "a namespace begins with `/`")
                        .hint(format!("write \"/{namespace}\""));
                }
                if !seen.insert((&row.channel, &row.event, namespace)) {
                    problems.add(
                        format!("rows[{at}].namespaces[{index}]"),
                        format!("`{}` would be sent to `{namespace}` twice for each message", row.event),
                    );
                }
            }
        }
    }
}
