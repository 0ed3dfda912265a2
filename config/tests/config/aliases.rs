//! Variables of another program count where nothing of our own does, and their mistakes only then.
use crate::sample::{Written, sections};
use carillon_config::{Alias, Loader, ServerSettings, Source};

fn workers(values: &[Option<&str>]) -> Result<Option<String>, String> {
    match values {
        [Some("wrong"), _] => Err("THEIRS is wrong".to_owned()),
        [Some(one), Some(more)] => Ok(Some(format!("{one}{more}"))),
        [one, _] => Ok(one.map(str::to_owned)),
        _ => Ok(None),
    }
}

const ALIASES: [Alias; 3] = [
    Alias { key: "server.workers", variables: &["THEIRS", "MORE"], read: workers },
    Alias { key: "plugins.absent.key", variables: &["THEIRS"], read: workers },
    Alias { key: "server.no_such_key", variables: &["THEIRS"], read: workers },
];

fn loader(variables: &[(&str, &str)]) -> Loader {
    Loader::new(sections()).aliases(ALIASES).env(variables.iter().copied())
}

/// They go above the defaults and below the file, the environment and the flags, and tell their names.
#[test]
fn aliases_are_the_weakest() {
    let file = Written::new("[server]\nworkers = 7\n");
    let theirs = [("THEIRS", "1"), ("MORE", "2")];
    let ours = [("THEIRS", "1"), ("CARILLON_SERVER__WORKERS", "8")];
    for (loader, workers) in [
        (loader(&[]), 0),
        (loader(&[("MORE", "2")]), 0),
        (loader(&[("THEIRS", "1")]), 1),
        (loader(&[("THEIRS", "1"), ("MORE", "")]), 1),
        (loader(&theirs), 12),
        (loader(&theirs).file(&file.0), 7),
        (loader(&ours), 8),
        (loader(&theirs).flag("server.workers", "9", "--workers"), 9),
    ] {
        assert_eq!(loader.load().unwrap().get::<ServerSettings>("server").workers, workers);
    }
    let loaded = loader(&theirs).load().unwrap();
    let (_, _, source) = loaded.sources().find(|(key, ..)| key == "server.workers").unwrap();
    assert_eq!(*source, Source::Alias("THEIRS, MORE".to_owned()));
}

/// A mistake is told with the variables' names, unless something of ours makes up for it.
#[test]
fn mistakes_in_aliases() {
    for (text, message) in [("wrong", "THEIRS is wrong"), ("many", "server.workers"), ("9999", "found 9999")] {
        let problems = loader(&[("THEIRS", text)]).load().unwrap_err();
        assert_eq!(problems.len(), 1, "{problems}");
        let told = problems.to_string();
        assert!(told.starts_with("server.workers: ") && told.contains(message), "{told}");
        assert!(!told.contains("THEIRS="), "theirs may be written differently: {told}");
        assert!(told.ends_with("[environment variable THEIRS]"), "{told}");
        loader(&[("THEIRS", text), ("CARILLON_SERVER__WORKERS", "8")]).load().unwrap();
    }
}
