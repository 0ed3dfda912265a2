//! Every file that registers a plugin is linked into the program: a forgotten `mod` line leaves a file out silently.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[test]
fn every_plugin_in_the_source_is_linked() {
    let output = Command::new(env!("CARGO_BIN_EXE_carillon")).args(["plugins", "--json"]).output().unwrap();
    let plugins: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let linked: BTreeSet<String> = plugins
        .iter()
        .map(|plugin| {
            plugin["place"]
                .as_str()
                .unwrap()
                .rsplit_once(':')
                .unwrap()
                .0
                .rsplit("plugins/src/")
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/src");
    let mut written = BTreeSet::new();
    collect(&source, &source, &mut written);
    let missing: Vec<&String> = written.difference(&linked).collect();
    assert!(missing.is_empty(), "not linked, is their `mod` line in plugins/src/lib.rs missing? {missing:?}");
    assert_eq!(linked, written);
}

/// The files below `folder` that have a line `plugin!(..);`, relative to `root`.
fn collect(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if std::fs::read_to_string(&path).unwrap().lines().any(|line| line.starts_with("plugin!(")) {
            found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}
