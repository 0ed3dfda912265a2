//! The check before boot: reads every enabled plugin's table and refuses what cannot work, before any I/O.

use std::collections::{HashMap, HashSet};

use carillon_config::Loaded;

use crate::lifecycle::BootError;
use crate::registry::{Plan, Registration, Registry};
use crate::routes::mistake_in_event_name;
use crate::sink::Mode;

/// A plugin about to be started.
pub(crate) struct Planned {
    pub(crate) entry: Registration,
    pub(crate) plan: Box<dyn Plan>,
    /// Events sent to its namespace, by whichever plugin, and their modes.
    pub(crate) emits: Vec<(String, Mode)>,
}

/// The enabled plugins in order, and the namespaces of the disabled ones.
pub(crate) fn plan(registry: &Registry, config: &Loaded) -> Result<(Vec<Planned>, HashSet<&'static str>), BootError> {
    let mut problems = Vec::new();
    let mut planned = Vec::new();
    let mut disabled = HashSet::new();
    for entry in registry.iter() {
        if !config.plugin_enabled(entry.name()) {
            disabled.insert(entry.namespace());
            continue;
        }
        let plan = entry.plan(config);
        check_events(entry, &*plan, &mut problems);
        planned.push(Planned { entry: *entry, plan, emits: Vec::new() });
    }
    check_paths(&planned, &mut problems);
    share_emits(&mut planned, &disabled, &mut problems);
    if problems.is_empty() { Ok((planned, disabled)) } else { Err(BootError::Config(problems.join("\n"))) }
}

fn check_events(entry: &Registration, plan: &dyn Plan, problems: &mut Vec<String>) {
    let mut seen = HashMap::new();
    for event in &plan.outline().events {
        let place = event.at;
        if let Some(why) = mistake_in_event_name(&event.name) {
            problems.push(format!("{}: event {:?} ({place}): {why}", entry.name(), event.name));
        }
        if let Some(other) = seen.insert(&event.name, place) {
            problems.push(format!("{}: event {:?} is declared twice: {other} and {place}", entry.name(), event.name));
        }
    }
    for emit in &plan.outline().emits {
        if let Some(why) = mistake_in_event_name(&emit.name) {
            problems.push(format!("{}: sent event {:?}: {why}", entry.name(), emit.name));
        }
    }
}

fn check_paths(planned: &[Planned], problems: &mut Vec<String>) {
    let mut seen = HashMap::new();
    for Planned { entry, plan, .. } in planned {
        for get in &plan.outline().http {
            if !get.path.starts_with('/') {
                problems.push(format!("{}: route {:?} ({}): a path begins with /", entry.name(), get.path, get.at));
            }
            // Parameters match whatever their name, so `/a/{x}` and `/a/{y}` are one route.
            let shape: Vec<&str> =
                get.path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
            if let Some(other) = seen.insert(shape, get.at) {
                problems.push(format!("route {:?} is declared twice: {other} and {}", get.path, get.at));
            }
        }
    }
}

/// Tells every namespace which events are sent to it.
fn share_emits(planned: &mut [Planned], disabled: &HashSet<&'static str>, problems: &mut Vec<String>) {
    let index: HashMap<&str, usize> = planned.iter().enumerate().map(|(at, p)| (p.entry.namespace(), at)).collect();
    let mut found: Vec<(usize, (String, Mode))> = Vec::new();
    for (own, Planned { entry, plan, .. }) in planned.iter().enumerate() {
        for emit in &plan.outline().emits {
            let target = match emit.namespace.as_deref() {
                None => Some(own),
                Some(name) => index.get(name).copied(),
            };
            match (target, emit.namespace.as_deref()) {
                (Some(at), _) => found.push((at, (emit.name.clone(), emit.mode))),
                (None, Some(name)) if disabled.contains(name) => {
                    tracing::info!(
                        plugin = entry.name(),
                        namespace = name,
                        event = emit.name,
                        "not sent: the namespace is disabled"
                    );
                }
                (None, name) => {
                    let mut known: Vec<&str> = index.keys().copied().collect();
                    known.sort_unstable();
                    problems.push(format!(
                        "plugins.{}: event {:?} goes to namespace {:?}, which no plugin serves; there are: {}",
                        entry.name(),
                        emit.name,
                        name.unwrap_or_default(),
                        known.join(", ")
                    ));
                }
            }
        }
    }
    for (at, emit) in found {
        planned[at].emits.push(emit);
    }
}
