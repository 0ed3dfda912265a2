//! Flags win over the environment, that over the file, and the file over the defaults.
use crate::sample::{Relay, Written, sections};
use carillon_config::{
    Loader, LogFormat, LogSettings, NoConfig, RouterSettings, ServerSettings, Source, house_sections,
};

/// Each setting has the value of the highest source that names it, and tells which one that was.
#[test]
fn the_highest_source_wins() {
    let file = Written::new("[server]\nlisten = \"127.0.0.1:1\"\nworkers = 1\nmax_connections = 1\n");
    let loaded = Loader::new(sections())
        .file(&file.0)
        .env([("CARILLON_SERVER__WORKERS", "2"), ("CARILLON_SERVER__LISTEN", "127.0.0.1:2"), ("HOME", "/root")])
        .flag("server.listen", "127.0.0.1:3", "--listen")
        .load()
        .unwrap();
    let server: ServerSettings = loaded.get("server");
    assert_eq!(
        (server.listen.port, server.workers, server.max_connections, server.ping_interval_ms),
        (3, 2, 1, 25_000)
    );
    let sources: Vec<_> = loaded.sources().filter(|(key, ..)| key.starts_with("server.")).collect();
    let source = |key: &str| {
        sources
            .iter()
            .find(|(name, ..)| name == key)
            .map(|(_, value, source)| (value.as_str(), (*source).clone()))
            .unwrap()
    };
    assert_eq!(source("server.listen"), ("\"127.0.0.1:3\"", Source::Flag("--listen".to_owned())));
    assert_eq!(source("server.workers"), ("2", Source::Env("CARILLON_SERVER__WORKERS".to_owned())));
    assert!(matches!(source("server.max_connections"), ("1", Source::File { at: Some(at), .. }) if at.line == 4));
    assert_eq!(source("server.ping_interval_ms"), ("25_000", Source::Default));
    assert_eq!(sources.len(), 21, "every setting of the table has a source");
}

/// With nothing configured every section is its type's default, and the defaults of the house are valid.
#[test]
fn nothing_configured_is_the_defaults() {
    let loaded = Loader::new(sections()).load().unwrap();
    assert_eq!(loaded.get::<ServerSettings>("server"), ServerSettings::default());
    assert_eq!(loaded.get::<RouterSettings>("router"), RouterSettings::default());
    assert_eq!(loaded.get::<Relay>("plugins.relay"), Relay::default());
    assert_eq!(loaded.get::<NoConfig>("plugins.echo"), NoConfig {});
    assert!(loaded.sources().all(|(_, _, source)| *source == Source::Default));
}

/// The fields of a struct are merged one by one; a list, and a table of the configuration's own keys, is replaced whole.
#[test]
fn structs_merge_lists_and_maps_are_replaced() {
    let file = "[plugins.relay]\nrows = []\nspill.max_bytes = 7\naliases = { a = \"b\" }\n";
    let relay: Relay = crate::sample::load(file).unwrap().get("plugins.relay");
    assert_eq!(relay.rows, []);
    assert_eq!(relay.spill.max_bytes, 7);
    assert_eq!(relay.spill.folder, Relay::default().spill.folder);
    assert_eq!(relay.aliases.keys().collect::<Vec<_>>(), ["a"]);
}

/// A value that is set to its default again counts as set, by whom it was set.
#[test]
fn the_source_is_who_said_it_last() {
    let loaded = Loader::new(house_sections())
        .env([("CARILLON_LOG__FORMAT", "json")])
        .flag("log.format", "human", "--log-format")
        .load()
        .unwrap();
    assert_eq!(loaded.get::<LogSettings>("log").format, LogFormat::Human);
    let (_, _, source) = loaded.sources().find(|(key, ..)| key == "log.format").unwrap();
    assert_eq!(source.to_string(), "flag --log-format");
}

/// What is listed never shows a secret: not one marked as such, not a password in an address.
#[test]
fn listed_values_hide_secrets() {
    let file = "[bus]\nurl = \"redis://me:hunter2@host\"\n[plugins.relay]\ntoken = \"hunter2\"\n";
    let loaded = crate::sample::load(file).unwrap();
    let values: Vec<_> = loaded.sources().map(|(key, value, _)| format!("{key} = {value}")).collect();
    assert!(values.contains(&"bus.url = \"redis://me:***@host\"".to_owned()));
    assert!(values.contains(&"plugins.relay.token = \"***\"".to_owned()));
    assert!(!values.join("\n").contains("hunter2"));
    assert_eq!(loaded.get::<carillon_config::BusSettings>("bus").url, "redis://me:hunter2@host");
}
