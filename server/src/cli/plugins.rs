//! `carillon plugins`: what is linked in, and what it does under the configuration at hand.

use std::collections::BTreeMap;
use std::fmt::Write;

use carillon_config::{Loaded, Loader, Setting};
use carillon_core::registry::{Description, Registry};
use carillon_core::sink::Mode;
use serde_json::Value;

use super::load;
use crate::exit::Exit;
use crate::{reference, say};

/// Prints the list.
pub(super) fn run(registry: &Registry, loader: Loader, json: bool) -> Exit {
    let config = match load(loader) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let plugins = registry.iter().map(|entry| (entry.describe(&config), entry.section().settings()));
    if json {
        let list: Value = plugins.map(|(plugin, settings)| reference::plugin(&plugin, &settings)).collect();
        return say::result(&format!("{list:#}"));
    }
    let parts: Vec<String> = plugins.map(|(plugin, settings)| describe(&config, &plugin, &settings)).collect();
    say::result(&format!("{}\n{}", parts.join("\n"), crates(registry)))
}

/// The crates plugins were found in, and how many each has: one that is missing was named nowhere (`use its_name as _;`).
fn crates(registry: &Registry) -> String {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in registry.iter() {
        *found.entry(entry.package_name()).or_default() += 1;
    }
    let list: Vec<String> = found.iter().map(|(name, plugins)| format!("{name} ({plugins})")).collect();
    format!("found in: {}", list.join(", "))
}

/// One plugin for people.
fn describe(config: &Loaded, plugin: &Description, settings: &[Setting]) -> String {
    let mut text = String::new();
    let off = if config.plugin_enabled(plugin.name) { "" } else { "  (disabled)" };
    let mut rows = Vec::new();
    let outline = &plugin.outline;
    rows.extend(outline.handshake.iter().map(|doc| ("decides", "(handshakes)".to_owned(), doc.clone())));
    rows.extend(outline.events.iter().map(|event| ("takes", event.name.clone(), event.doc.clone())));
    rows.extend(outline.any.iter().map(|doc| ("takes", "(any other)".to_owned(), doc.clone())));
    rows.extend(outline.emits.iter().map(|emit| {
        let name = match &emit.namespace {
            Some(namespace) => format!("{} to {namespace}", emit.name),
            None => emit.name.clone(),
        };
        let mode = match emit.mode {
            Mode::All => "",
            Mode::Latest => " (latest)",
            Mode::Volatile => " (volatile)",
        };
        ("sends", name + mode, emit.doc.clone())
    }));
    rows.extend(outline.emits_any.iter().map(|doc| ("sends", "(any other)".to_owned(), doc.clone())));
    rows.extend(outline.calls.iter().map(|call| ("asks", call.name.clone(), call.doc.clone())));
    rows.extend(outline.http.iter().map(|get| ("GET", get.path.clone(), get.doc.clone())));
    rows.extend(settings.iter().map(|setting| {
        let default = setting.default.as_deref().unwrap_or("unset");
        ("setting", setting.key.clone(), format!("{} = {default}", setting.accepts))
    }));
    let width = rows.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or(0);
    // Writing to a String cannot fail.
    writeln!(text, "{}  {}{off}  {}", plugin.name, plugin.namespace, plugin.place).ok();
    for (kind, name, doc) in rows {
        writeln!(text, "  {kind:<8} {name:<width$}  {}", doc.lines().next().unwrap_or_default()).ok();
    }
    text
}
