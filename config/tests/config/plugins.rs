//! What the loader does for plugins by itself: `enabled`, and keys their authors forgot to refuse.
use crate::sample::{Loose, load, problems};
use carillon_config::{Loader, Problem, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `enabled = false` removes a plugin; the plugin's own type never sees the key.
#[test]
fn enabled() {
    let loaded = load("[plugins.relay]\nenabled = false\n[plugins.echo]\nenabled = true\n").unwrap();
    assert!(!loaded.plugin_enabled("relay"));
    assert!(loaded.plugin_enabled("echo") && loaded.plugin_enabled("loose-one"));
    let (_, value, source) = loaded.sources().find(|(key, ..)| key == "plugins.relay.enabled").unwrap();
    assert!(value == "false" && source.to_string().ends_with(":2:1"), "{value} {source}");
    let wrong = problems("[plugins.relay]\nenabled = \"no\"\n");
    assert_eq!(
        wrong,
        ["plugins.relay.enabled: expected true or false, found \"no\" (the default is `enabled = true`)"]
    );
    assert_eq!(problems("[server]\nenabled = false\n").len(), 1);
}

/// A plugin that is switched off is still read, so that misspelt keys show; its own rules are not applied.
#[test]
fn disabled_plugins_are_read_but_not_judged() {
    let file = "[plugins.relay]\nenabled = false\npause_ms = 9_999_999\nretris = 1\n";
    assert_eq!(problems(file), ["plugins.relay.retris: unknown key (did you mean `retries`?)"]);
}

/// Keys are refused even where the author of a plugin forgot to say so.
#[test]
fn forgotten_deny_unknown_fields() {
    let found = problems("[plugins.loose-one]\nnumbr = 1\nother = 2\n");
    assert_eq!(
        found,
        [
            "plugins.loose-one.numbr: unknown key (did you mean `number`?)",
            "plugins.loose-one.other: unknown key (valid keys: `number`, `enabled`, `access`)",
        ]
    );
    assert_eq!(problems("[plugins.echo]\nx = 1\n"), ["plugins.echo.x: unknown key (valid keys: `enabled`, `access`)"]);
}

/// Fields without a serde default may be left out too: the section's default fills them.
#[test]
fn every_field_may_be_left_out() {
    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        /// First.
        first: String,
        /// Second; an alias counts as the same key.
        #[serde(alias = "zweite")]
        second: u8,
    }
    impl Default for Strict {
        fn default() -> Self {
            Self { first: "one".to_owned(), second: 2 }
        }
    }
    let section = || vec![Section::of::<Strict>("plugins.strict".to_owned(), |_, _| {})];
    let strict: Strict =
        Loader::new(section()).env([("CARILLON_PLUGINS__STRICT__SECOND", "9")]).load().unwrap().get("plugins.strict");
    assert_eq!((strict.first.as_str(), strict.second), ("one", 9));
    let required = carillon_config::json_schema(&section());
    assert_eq!(required["properties"]["plugins"]["properties"]["strict"].get("required"), None);
}

/// A check that says where and how is shown as the author wrote it, at the place of the value.
#[test]
fn objections_of_a_check() {
    fn check(loose: &Loose, problems: &mut Problems) {
        problems.add("number", format!("{} is not prime", loose.number)).hint("try 7");
        problems.add("", "something about the whole");
    }
    let section = vec![Section::of("plugins.loose", check)];
    let found = Loader::new(section).env([("CARILLON_PLUGINS__LOOSE__NUMBER", "8")]).load().unwrap_err();
    let found: Vec<_> = found
        .into_iter()
        .map(|Problem { path, message, hint, source }| (path, message, hint, source.to_string()))
        .collect();
    let variable = "environment variable CARILLON_PLUGINS__LOOSE__NUMBER".to_owned();
    assert_eq!(
        found,
        [
            ("plugins.loose.number".to_owned(), "8 is not prime".to_owned(), Some("try 7".to_owned()), variable),
            ("plugins.loose".to_owned(), "something about the whole".to_owned(), None, "default".to_owned()),
        ]
    );
}

/// `access` names a role, and belongs to the loader as well; empty, as by default, it names none.
#[test]
fn access() {
    let loaded = load("[plugins.relay]\naccess = \"operator\"\n[plugins.echo]\naccess = \"\"\n").unwrap();
    assert_eq!(loaded.plugin_access("relay").as_deref(), Some("operator"));
    assert_eq!((loaded.plugin_access("echo"), loaded.plugin_access("loose-one")), (None, None));
    assert_eq!(problems("[plugins.relay]\naccess = 7\n").len(), 1);
    assert_eq!(problems("[server]\naccess = \"operator\"\n").len(), 1);
}
