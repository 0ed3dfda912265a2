//! The generated files: default.toml, schema.json and the reference manual.
use crate::sample::{Relay, Written, sections};
use carillon_config::{Loader, ServerSettings, Source, default_toml, json_schema, reference_markdown};
use std::collections::BTreeMap;

/// The file of defaults is accepted, names every setting that has a value, and changes none.
#[test]
fn the_default_file_changes_nothing() {
    let text = default_toml(&sections());
    let file = Written::new(&text);
    let loaded = Loader::new(sections()).file(&file.0).load().unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let untouched = Loader::new(sections()).load().unwrap();
    let values = |loaded: &carillon_config::Loaded| {
        loaded.sources().map(|(key, value, _)| (key, value)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(values(&loaded), values(&untouched));
    for (key, value, source) in loaded.sources() {
        assert_eq!(matches!(source, Source::File { .. }), value != "none", "{key} comes from {source}");
    }
    assert_eq!(loaded.get::<ServerSettings>("server"), ServerSettings::default());
    assert_eq!(loaded.get::<Relay>("plugins.relay"), Relay::default());
}

/// Every key of the file has its meaning above it, at most 100 columns wide, and an unset one is shown as a comment.
#[test]
fn the_default_file_explains_itself() {
    let text = default_toml(&sections());
    assert!(text.lines().filter(|line| line.starts_with('#')).all(|line| line.chars().count() <= 100), "{text}");
    for part in [
        "\n# Passes on what other programs publish.\n# One row for each channel.\n[plugins.relay]\n",
        "\n# Whether the plugin runs. ",
        "\n# Longest silence, in milliseconds.\n# A number from 10 to 60_000.\nsilence_ms = 5000\n",
        "\n# How values are stored | or not.\n# - `latest`: Only the last one.\n# - `all`: All of them.\n# store = \"latest\"\n",
        "\nrows = [\n  { channel = \"cluster:metrics\", event = \"redis_cluster_metrics\", namespaces = [\"/\"] },\n",
        "\n# Where lost messages go.\n[plugins.relay.spill]\n# The folder.\nfolder = \"/var/spool/a \\\"b\\\"\"\n",
        "\n[plugins.relay.aliases]\n\"m.x\" = \"cluster:metrics\"\n",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

/// A commented example is one that would be accepted.
#[test]
fn commented_examples_are_valid() {
    let text = default_toml(&sections()).replace("# store =", "store =").replace("# label =", "label =");
    let file = Written::new(text);
    let relay: Relay = Loader::new(sections()).file(&file.0).load().unwrap().get("plugins.relay");
    assert!(relay.store.is_some() && relay.label.is_some());
}

/// The schema has every section with its defaults, refuses unknown keys, and every reference in it leads somewhere.
#[test]
fn the_schema_is_complete() {
    let schema = json_schema(&sections());
    let house = &schema["properties"]["server"];
    assert_eq!(house["properties"]["listen"]["default"], "127.0.0.1:8085");
    assert_eq!(house["additionalProperties"], false);
    let plugins = &schema["properties"]["plugins"]["properties"];
    assert_eq!(plugins["echo"]["properties"]["enabled"]["default"], true);
    assert_eq!(plugins["loose-one"]["additionalProperties"], false);
    let text = schema.to_string();
    for reference in text.split("\"$ref\":\"#/$defs/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schema["$defs"].get(reference).is_some(), "{reference}");
    }
}

/// Two plugins may have types of the same name: each keeps its own definition.
#[test]
fn types_of_one_name_do_not_collide() {
    mod other {
        #[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default)]
        pub(super) struct Spill {
            /// Another spill altogether.
            pub(super) other: bool,
        }
        #[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default)]
        pub(super) struct Settings {
            /// Its spill.
            pub(super) spill: Spill,
        }
    }
    let mut sections = sections();
    sections.push(carillon_config::Section::of::<other::Settings>("plugins.other", |_, _| {}));
    let definitions = json_schema(&sections)["$defs"].clone();
    let names: Vec<_> =
        definitions.as_object().unwrap().keys().filter(|name| name.starts_with("Spill")).cloned().collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// The manual has a row for every setting, keys inside lists included, and no cell breaks its table.
#[test]
fn the_manual_is_complete() {
    let text = reference_markdown(&sections());
    for section in sections() {
        assert!(text.contains(&format!("## `[{}]`", section.path())));
        for setting in section.settings() {
            assert!(!setting.doc.is_empty(), "{} has no meaning", setting.key);
            let key = setting.key.strip_prefix(section.path()).unwrap().trim_start_matches('.');
            assert!(text.contains(&format!("| `{key}` | ")), "{key}");
        }
    }
    assert!(text.contains("| `silence_ms` | a whole number from 10 to 60_000 | `5000` | `CARILLON_PLUGINS__RELAY__SILENCE_MS` | Longest silence, in milliseconds. |"));
    assert!(text.contains("| `rows[].channel` | text | unset |  | The channel to listen to. |"));
    assert!(text.contains("How values are stored \\| or not."));
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 6, "{row}");
    }
}
