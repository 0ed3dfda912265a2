//! What the namespaces know about a cluster: its nodes, their metrics, and the rules that judge them.
//!
//! The state of the cluster is on the bus, in keys that whoever collects writes: Carillon itself, or another program.
//! Namespaces that show the cluster read it from there through [`State`], so that all of them, on every Carillon of
//! the same bus, show the same.

mod alerts;
mod health;
mod lease;
mod metrics;
mod ours;
mod state;
mod views;

pub(crate) use alerts::Alerts;
pub(crate) use health::{HealthUpdate, Locale, Status};
pub(crate) use lease::Lease;
pub(crate) use metrics::{Aggregate, Metrics, percent, used};
pub(crate) use ours::{is_ours, publish_metrics};
pub(crate) use state::{Snapshot, State};
pub(crate) use views::{Node, NodesUpdate, Overview};

/// Where the [`Aggregate`] is published, and the key that holds the last one.
pub(crate) const METRICS: &str = "cluster:metrics";
/// Where [`HealthUpdate`] is published.
pub(crate) const HEALTH: &str = "cluster:health";
/// Where [`Alerts`] are published.
pub(crate) const ALERTS: &str = "cluster:alerts";

/// The key that holds the last [`Metrics`] of a node.
pub(crate) fn node_key(node: &str) -> String {
    format!("metrics:{node}")
}
