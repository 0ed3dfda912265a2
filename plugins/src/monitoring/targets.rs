//! Which nodes are asked: those of the settings, and those of a file that can be read again while the server runs.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use carillon_core::prelude::*;
use serde_json::Value;

use super::config::{MAX_NODES, MonitoringConfig};

/// The largest file of nodes, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A node, and where its exporter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// What it is called.
    pub(super) name: String,
    /// Its host's name or address.
    pub(super) host: String,
    /// The exporter's port.
    pub(super) port: u16,
}

impl Target {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; that is also the node's name.
    pub(super) fn parse(text: &str, port: u16) -> Result<Self, String> {
        let (host, given) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let wrong_port = || format!("the port of `{text}` is no number from 1 to 65535");
        let port = match given {
            Some(given) => given.parse().ok().filter(|port| *port > 0).ok_or_else(wrong_port)?,
            None => port,
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                !host.is_empty() && host.len() <= 253 && host.bytes().all(plain)
            }
        };
        if !valid {
            return Err(format!("`{text}` is no name or address of a host"));
        }
        Ok(Self { name: text.to_owned(), host: bare.unwrap_or(host).to_owned(), port })
    }
}

/// The nodes, as they are now.
pub(super) struct Targets {
    config: MonitoringConfig,
    now: Mutex<Arc<[Target]>>,
}

impl Targets {
    /// Reads settings and file.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(super) async fn open(config: &MonitoringConfig) -> Result<Self, String> {
        let targets = Self { config: config.clone(), now: Mutex::new(Arc::default()) };
        targets.reload().await?;
        Ok(targets)
    }

    /// Reads the file again. After an error everything is as it was.
    pub(super) async fn reload(&self) -> Result<(), String> {
        let config = self.config.clone();
        // The file may be on a disk that takes its time.
        let read = tokio::task::spawn_blocking(move || read(&config)).await;
        let targets = read.map_err(|error| error.to_string())??;
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = targets.into();
        Ok(())
    }

    /// The nodes.
    pub(super) fn now(&self) -> Arc<[Target]> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The nodes of the settings, then those of the file that are not among them.
fn read(config: &MonitoringConfig) -> Result<Vec<Target>, String> {
    let port = config.node_exporter_port;
    let mut targets = config.nodes.iter().map(|node| Target::parse(node, port)).collect::<Result<Vec<_>, _>>()?;
    if let Some(file) = &config.nodes_file {
        let named = |mistake: String| format!("plugins.monitoring.nodes_file: {}: {mistake}", file.display());
        let text = read_file(file).map_err(|error| named(error.to_string()))?;
        targets.extend(parse_file(&text, port).map_err(named)?);
    }
    let mut names = HashSet::new();
    targets.retain(|target| names.insert(target.name.clone()));
    if targets.len() > MAX_NODES {
        return Err(format!("plugins.monitoring: {} nodes are more than the {MAX_NODES} allowed", targets.len()));
    }
    Ok(targets)
}

fn read_file(file: &Path) -> std::io::Result<String> {
    if std::fs::metadata(file)?.len() > MAX_FILE {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    std::fs::read_to_string(file)
}

/// The nodes of a file: its key `workers` holds a list of names, a list of objects with a `host` or a `name`, or an
/// object with one entry for each node. Everything else in the file belongs to others.
fn parse_file(text: &str, port: u16) -> Result<Vec<Target>, String> {
    let file: Value = serde_saphyr::from_str(text).map_err(|error| {
        // The lines below show the place once more.
        let told = error.to_string();
        let line = told.lines().next().unwrap_or_default();
        line.strip_prefix("error: ").unwrap_or(line).to_owned()
    })?;
    match file.get("workers") {
        Some(Value::Array(list)) => list.iter().map(|entry| worker(None, entry, port)).collect(),
        Some(Value::Object(map)) => map.iter().map(|(name, entry)| worker(Some(name), entry, port)).collect(),
        Some(Value::Null) => Ok(Vec::new()),
        Some(_) => Err("`workers` is neither a list nor an object".to_owned()),
        None => Err("it has no key `workers`".to_owned()),
    }
}

/// One node. What it is called and where it is may be two things: `name` (or its key) and `host`.
fn worker(key: Option<&str>, entry: &Value, port: u16) -> Result<Target, String> {
    let field = |names: &[&str]| names.iter().find_map(|name| entry.get(name)?.as_str());
    let host = entry.as_str().or_else(|| field(&["host", "hostname", "address", "ip"]));
    let name = key.or_else(|| field(&["name"]));
    let Some(address) = host.or(name) else {
        return Err(format!("the worker {entry} has neither a `host` nor a `name`"));
    };
    let target = Target::parse(address, port)?;
    // A name becomes part of a key on the bus, so the same rule holds for it.
    let name =
        name.map_or_else(|| Ok(target.name.clone()), |name| Target::parse(name, port).map(|named| named.name))?;
    Ok(Target { name, ..target })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, host: &str, port: u16) -> Target {
        Target { name: name.to_owned(), host: host.to_owned(), port }
    }

    /// What is a node, and what is none.
    #[test]
    fn targets() {
        for (text, host, port) in [
            ("node6.lan", "node6.lan", 9100),
            ("node_7:9101", "node_7", 9101),
            ("10.0.0.1", "10.0.0.1", 9100),
            ("[::1]", "::1", 9100),
            ("[fe80::2]:80", "fe80::2", 80),
        ] {
            assert_eq!(Target::parse(text, 9100), Ok(target(text, host, port)));
        }
        for text in ["", ":80", "a b", "http://a", "a:0", "a:99999", "a:", "::1", "[::g]", "a/b", "a?b", "é"] {
            assert!(Target::parse(text, 9100).is_err(), "{text}");
        }
    }

    /// Every form of the file gives the same nodes; keys of others are left alone.
    #[test]
    fn forms_of_the_file() {
        let expected = vec![target("node6.lan", "node6.lan", 9100), target("node7.lan", "node7.lan", 9101)];
        for text in [
            "workers:\n  - node6.lan\n  - node7.lan:9101\n",
            "# nodes\nmaster: {host: x}\nworkers: [node6.lan, 'node7.lan:9101']\n",
            "workers:\n- host: node6.lan\n  cpus: 4\n- {name: 'node7.lan:9101'}\n",
            "workers:\n  node6.lan:\n  node7.lan:9101: {gpu: false}\n",
        ] {
            let mut targets = parse_file(text, 9100).unwrap();
            for target in &mut targets {
                target.name = target.name.trim_end_matches(":9101").to_owned();
            }
            assert_eq!(targets, expected, "{text}");
        }
        let named = parse_file("workers: [{name: n6, host: 10.0.0.6}, {name: n7, ip: '10.0.0.7:9101'}]", 9100);
        assert_eq!(named, Ok(vec![target("n6", "10.0.0.6", 9100), target("n7", "10.0.0.7", 9101)]));
        assert_eq!(parse_file("workers:", 9100), Ok(Vec::new()));
    }

    /// What is wrong with a file is said.
    #[test]
    fn mistakes_in_the_file() {
        for (text, mistake) in [
            ("nodes: [a]", "no key `workers`"),
            ("", "no key `workers`"),
            ("workers: 7", "neither a list nor an object"),
            ("workers: [[a]]", "neither a `host` nor a `name`"),
            ("workers: [a b]", "`a b` is no name"),
            ("workers: [a\n", "line 1 column 10: unclosed"),
        ] {
            let told = parse_file(text, 9100).unwrap_err();
            assert!(told.contains(mistake) && told.lines().count() == 1, "{text}: {told}");
        }
    }

    /// A reload takes what is in the file now, and nothing of a file that is wrong.
    #[tokio::test]
    async fn the_file_is_read_again() {
        let file = std::env::temp_dir().join(format!("carillon-nodes-{}.yaml", std::process::id()));
        let names = |targets: &Targets| targets.now().iter().map(|target| target.name.clone()).collect::<Vec<_>>();
        std::fs::write(&file, "workers: [b, a]").unwrap();
        let config = MonitoringConfig {
            nodes: vec!["a".to_owned()],
            nodes_file: Some(file.clone()),
            ..MonitoringConfig::default()
        };
        let targets = Targets::open(&config).await.unwrap();
        assert_eq!(names(&targets), ["a", "b"]);
        std::fs::write(&file, "workers: [c]").unwrap();
        targets.reload().await.unwrap();
        assert_eq!(names(&targets), ["a", "c"]);
        std::fs::write(&file, "workers: {").unwrap();
        let told = targets.reload().await.unwrap_err();
        assert!(told.contains("nodes_file") && told.contains(&*file.display().to_string()), "{told}");
        std::fs::remove_file(&file).unwrap();
        targets.reload().await.unwrap_err();
        assert_eq!(names(&targets), ["a", "c"]);
    }
}
