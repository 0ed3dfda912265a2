//! What the peers that come from npm have in common: a folder under `benches/peers` with a lock file.

use std::path::PathBuf;

use super::folder;

/// The folder of a package that `npm ci` has put in the folder of `peer`.
fn package(peer: &str, name: &str) -> PathBuf {
    folder(peer).join("node_modules").join(name)
}

/// What is missing when one of these packages is, and the command that installs it.
pub(super) fn missing(peer: &str, packages: &[&str]) -> Option<String> {
    let absent: Vec<_> =
        packages.iter().copied().filter(|name| !package(peer, name).join("package.json").exists()).collect();
    let (first, rest) = absent.split_first()?;
    let (names, verb) = match rest {
        [] => ((*first).to_owned(), "is"),
        _ => (absent.join(" and "), "are"),
    };
    Some(format!("{names} {verb} not installed: npm ci --prefix {}", folder(peer).display()))
}

/// The version of an installed package.
pub(super) fn version(peer: &str, name: &str) -> String {
    let read = || {
        let text = std::fs::read_to_string(package(peer, name).join("package.json")).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(json["version"].as_str()?.to_owned())
    };
    read().unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_named() {
        let said = missing("node", &["no-such-package"]).unwrap();
        assert!(said.starts_with("no-such-package is not installed: npm ci --prefix "), "{said}");
        assert!(said.ends_with("benches/peers/node"), "{said}");
        assert!(missing("node", &["a-b", "c-d"]).unwrap().starts_with("a-b and c-d are not"));
        assert_eq!(version("node", "no-such-package"), "unknown");
    }
}
