//! How a cluster is: the one rule, and what it says to people.

use carillon_core::prelude::*;

/// How the cluster is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// No node is down.
    Healthy,
    /// A few nodes are down.
    Warning,
    /// More are.
    Critical,
    /// Nothing is known yet, or the bus that would tell is away.
    Unknown,
}

impl Status {
    /// The rule for health: up to half of the nodes may be down for a warning. Nothing is wrong with no nodes at all.
    pub(crate) fn of(online: usize, total: usize) -> Self {
        match total.saturating_sub(online) {
            0 => Self::Healthy,
            down if down <= total / 2 => Self::Warning,
            _ => Self::Critical,
        }
    }

    /// The rule for the overview: up to two nodes may be down for a warning, whatever the size of the cluster.
    pub(crate) fn of_overview(online: usize, total: usize) -> Self {
        match total.saturating_sub(online) {
            0 => Self::Healthy,
            1..=2 => Self::Warning,
            _ => Self::Critical,
        }
    }
}

/// The language of texts that reach users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Locale {
    /// French.
    #[default]
    Fr,
    /// English.
    En,
}

/// `health_update`: how the cluster is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct HealthUpdate {
    /// When this was said, RFC 3339 in UTC.
    pub(crate) timestamp: String,
    /// In a word.
    pub(crate) overall_status: Status,
    /// Nodes that answer.
    pub(crate) nodes_online: usize,
    /// All nodes.
    pub(crate) nodes_total: usize,
    /// What is wrong, for people.
    pub(crate) issues: Vec<String>,
}

impl HealthUpdate {
    /// Judges a cluster by its number of nodes.
    pub(crate) fn new(timestamp: String, nodes_online: usize, nodes_total: usize, locale: Locale) -> Self {
        let issues = match nodes_total.saturating_sub(nodes_online) {
            0 => Vec::new(),
            down => vec![match locale {
                Locale::Fr => format!("{down} nœuds hors ligne"),
                Locale::En if down == 1 => "1 node offline".to_owned(),
                Locale::En => format!("{down} nodes offline"),
            }],
        };
        let overall_status = Status::of(nodes_online, nodes_total);
        Self { timestamp, overall_status, nodes_online, nodes_total, issues }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Both rules, at their borders: `(online, total, health, overview)`.
    #[test]
    fn rules() {
        use Status::{Critical, Healthy, Warning};
        for (online, total, health, overview) in [
            (0, 0, Healthy, Healthy),
            (1, 1, Healthy, Healthy),
            (0, 1, Critical, Warning),
            (1, 2, Warning, Warning),
            (1, 3, Critical, Warning),
            (2, 3, Warning, Warning),
            (7, 8, Warning, Warning),
            (6, 8, Warning, Warning),
            (5, 8, Warning, Critical),
            (4, 8, Warning, Critical),
            (3, 8, Critical, Critical),
            (9, 8, Healthy, Healthy),
        ] {
            assert_eq!(Status::of(online, total), health, "health of {online}/{total}");
            assert_eq!(Status::of_overview(online, total), overview, "overview of {online}/{total}");
        }
    }

    /// The published shape and both languages.
    #[test]
    fn health_has_its_shape_and_language() {
        let shape = json!({
            "timestamp": "t", "overall_status": "warning", "nodes_online": 7, "nodes_total": 8,
            "issues": ["1 nœuds hors ligne"],
        });
        assert_eq!(serde_json::to_value(HealthUpdate::new("t".to_owned(), 7, 8, Locale::Fr)).unwrap(), shape);
        assert_eq!(HealthUpdate::new(String::new(), 2, 5, Locale::En).issues, ["3 nodes offline"]);
        assert_eq!(HealthUpdate::new(String::new(), 4, 5, Locale::En).issues, ["1 node offline"]);
        assert!(HealthUpdate::new(String::new(), 0, 0, Locale::Fr).issues.is_empty());
    }
}
