//! What is too high: the rules of the alerts, and what they say to people.

use carillon_core::prelude::*;

use super::{Aggregate, Locale};

/// Above this mean use, in percent, the cluster's CPU or memory is an alert.
const HIGH_USE: f64 = 90.0;
/// Above this temperature, in degrees Celsius, a node is an alert.
const HIGH_TEMPERATURE: f64 = 80.0;

/// `alerts_update`: everything that is too high now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Alerts {
    /// When, RFC 3339 in UTC.
    pub(crate) timestamp: String,
    /// The alerts that hold now.
    pub(crate) active_alerts: Vec<Alert>,
    /// How many there are.
    pub(crate) alert_count: usize,
}

/// One thing that is too high.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Alert {
    /// What it is about: `high_cpu_avg`, `high_memory_avg`, `high_temp_<node>`.
    pub(crate) id: String,
    /// How bad it is.
    #[serde(rename = "type")]
    pub(crate) severity: Severity,
    /// The alert, for people.
    pub(crate) message: String,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Somebody should look.
    Warning,
    /// Somebody should look at once.
    Critical,
}

impl Alerts {
    /// The alerts of one round.
    pub(crate) fn new(round: &Aggregate, locale: Locale) -> Self {
        let stats = &round.cluster_stats;
        let french = locale == Locale::Fr;
        let mut active_alerts = Vec::new();
        let mut warn = |id: &str, value: f64, what: &str| {
            if value > HIGH_USE {
                let message = format!("{what}: {value:.1}%");
                active_alerts.push(Alert { id: id.to_owned(), severity: Severity::Warning, message });
            }
        };
        warn("high_cpu_avg", stats.avg_cpu, if french { "CPU moyenne élevée" } else { "High average CPU" });
        warn(
            "high_memory_avg",
            stats.avg_memory,
            if french { "Mémoire moyenne élevée" } else { "High average memory" },
        );
        let what = if french { "Température élevée" } else { "High temperature" };
        for (node, metrics) in &round.nodes {
            if let Some(celsius) = metrics.temperature.filter(|celsius| *celsius > HIGH_TEMPERATURE) {
                let message = format!("{node}: {what} ({celsius:.1}°C)");
                active_alerts.push(Alert { id: format!("high_temp_{node}"), severity: Severity::Critical, message });
            }
        }
        Self { timestamp: round.timestamp.clone(), alert_count: active_alerts.len(), active_alerts }
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::tests::node;
    use super::*;
    use serde_json::{Value, json};

    fn alerts(nodes: Vec<(String, super::super::Metrics)>, locale: Locale) -> Value {
        let round = Aggregate::new("t".to_owned(), nodes.len(), nodes);
        serde_json::to_value(Alerts::new(&round, locale)).unwrap()
    }

    /// Everything too high at once, in both languages.
    #[test]
    fn alerts_say_what_is_too_high() {
        let nodes = || vec![node("n1", 91.0, 95.5, Some(80.26)), node("n2", 92.0, 95.5, None)];
        let french = json!({
            "timestamp": "t",
            "active_alerts": [
                {"id": "high_cpu_avg", "type": "warning", "message": "CPU moyenne élevée: 91.5%"},
                {"id": "high_memory_avg", "type": "warning", "message": "Mémoire moyenne élevée: 95.5%"},
                {"id": "high_temp_n1", "type": "critical", "message": "n1: Température élevée (80.3°C)"},
            ],
            "alert_count": 3,
        });
        assert_eq!(alerts(nodes(), Locale::Fr), french);
        let english = alerts(nodes(), Locale::En);
        let messages: Vec<_> = (0..3).map(|at| english["active_alerts"][at]["message"].as_str().unwrap()).collect();
        assert_eq!(
            messages,
            ["High average CPU: 91.5%", "High average memory: 95.5%", "n1: High temperature (80.3°C)"]
        );
    }

    /// The limits themselves are still fine, and no nodes are no alert.
    #[test]
    fn limits_are_exclusive() {
        for nodes in [vec![node("n", 90.0, 90.0, Some(80.0))], Vec::new()] {
            assert_eq!(alerts(nodes, Locale::Fr), json!({"timestamp": "t", "active_alerts": [], "alert_count": 0}));
        }
    }
}
