//! The variables of DispyCluster, the system Carillon stands in for: they work as they did where nothing of Carillon's
//! own sets the same.

use std::net::IpAddr;

use carillon_config::{Alias, ListenAddress, Loaded, Source};

/// Where the old system's Redis listens when it does not say.
const REDIS_PORT: &str = "6379";
/// The database of its metrics.
const REDIS_DB: &str = "2";
/// Where its web server listens.
const PORT: &str = "8085";

/// Every variable that is understood, and the setting it means.
pub(crate) const ALIASES: [Alias; 7] = [
    Alias { key: "server.listen", variables: &["HOST", "PORT"], read: listen },
    Alias { key: "bus.url", variables: &["REDIS_HOST", "REDIS_PORT", "REDIS_METRICS_DB"], read: redis },
    Alias { key: "log.level", variables: &["LOG_LEVEL"], read: level },
    Alias { key: "plugins.monitoring.node_exporter_port", variables: &["NODE_EXPORTER_PORT"], read: verbatim },
    Alias { key: "plugins.monitoring.node_exporter_timeout_ms", variables: &["NODE_EXPORTER_TIMEOUT"], read: seconds },
    Alias { key: "plugins.monitoring.node_ttl_ms", variables: &["METRICS_CACHE_TTL"], read: seconds },
    Alias { key: "plugins.monitoring.cluster_ttl_ms", variables: &["METRICS_AGGREGATED_TTL"], read: seconds },
];

type Value = Result<Option<String>, String>;

/// What to say about every setting that an old variable sets: shells and build tools set some of that name for their own
/// ends, and a server that then listens for everybody must not do so unnoticed.
pub(crate) fn in_force(config: &Loaded) -> Vec<String> {
    let set = config.sources().filter(|(_, _, source)| matches!(source, Source::Alias(_)));
    set.map(|(key, value, source)| format!("{key} = {value}, as {source} says; set `{key}` itself to be sure of it"))
        .collect()
}

/// What to say about a `HOST` that is not used, when it is not.
pub(crate) fn unused_host() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    let host = variable("HOST")?;
    let ignored = variable("PORT").is_none() && address(host.trim()).is_none();
    ignored.then(|| {
        format!(
            "HOST={host} is no address and PORT is not set, so it is left alone; server.listen says where to listen"
        )
    })
}

/// An address that says so itself.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { bare.parse().ok() }
}

/// `HOST` and `PORT`. Many shells and build tools set a `HOST` of their own, to the name of the machine or of a compiler's
/// target: a name counts only beside a `PORT`.
fn listen(values: &[Option<&str>]) -> Value {
    let [host, port] = values else { return Ok(None) };
    let host = host.map(str::trim);
    let parse = |port: &str| port.trim().parse::<u16>().map_err(|_| format!("PORT=\"{port}\" is no port"));
    let number = parse(port.unwrap_or(PORT))?;
    let host = match (host, host.and_then(address)) {
        (Some(_), Some(address)) => address.to_string(),
        (Some(name), None) if port.is_some() => name.to_owned(),
        // The port alone: on this machine only, as ever where nothing says otherwise.
        _ if port.is_some() => "127.0.0.1".to_owned(),
        _ => return Ok(None),
    };
    Ok(Some(ListenAddress { host, port: number }.to_string()))
}

/// `REDIS_HOST`, and its port and database where they are set.
fn redis(values: &[Option<&str>]) -> Value {
    let [Some(host), port, db] = values else { return Ok(None) };
    let host = host.trim();
    // Beside a service called redis, Docker and Kubernetes set REDIS_PORT to `tcp://10.0.0.1:6379`.
    let port = port.unwrap_or(REDIS_PORT).trim();
    let port = if port.starts_with("tcp://") { port.rsplit(':').next().unwrap_or(port) } else { port };
    let db = db.unwrap_or(REDIS_DB).trim();
    if port.parse::<u16>().is_err() {
        return Err(format!("REDIS_PORT=\"{port}\" is no port"));
    }
    if db.parse::<u32>().is_err() {
        return Err(format!("REDIS_METRICS_DB=\"{db}\" is no number of a database"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if !host.chars().all(plain) {
        return Err(format!("REDIS_HOST=\"{host}\" is no name or address of a host"));
    }
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    Ok(Some(format!("redis://{host}:{port}/{db}")))
}

/// The level, in the words of Python's logging.
fn level(values: &[Option<&str>]) -> Value {
    let [Some(level)] = values else { return Ok(None) };
    let level = level.trim().to_ascii_lowercase();
    Ok(Some(match level.as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        "notset" => "trace".to_owned(),
        // As `-v` has it: what HTTP connections do is for `trace`.
        "debug" => "debug,hyper=info".to_owned(),
        _ => level,
    }))
}

/// Seconds, for a setting in milliseconds.
fn seconds(values: &[Option<&str>]) -> Value {
    let [Some(text)] = values else { return Ok(None) };
    match text.trim().parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && (0.0..1e9).contains(&seconds) => {
            Ok(Some(format!("{:.0}", seconds * 1_000.0)))
        }
        _ => Err(format!("\"{text}\" is no number of seconds")),
    }
}

/// A value that means here what it meant there.
fn verbatim(values: &[Option<&str>]) -> Value {
    Ok(values.first().copied().flatten().map(|text| text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_config::{BusSettings, Loader, LogSettings, Problems, ServerSettings, all_sections};
    use carillon_core::registry::Registry;

    fn loader(variables: &[(&str, &str)]) -> Loader {
        let sections = all_sections(Registry::linked().unwrap().sections());
        Loader::new(sections).aliases(ALIASES).env(variables.iter().copied())
    }

    fn load(variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
        loader(variables).load()
    }

    fn listen(variables: &[(&str, &str)]) -> String {
        load(variables).unwrap().get::<ServerSettings>("server").listen.to_string()
    }

    /// The old system's own configuration, as its config.env has it.
    #[test]
    fn the_old_variables_work() {
        let loaded = load(&[
            ("HOST", "0.0.0.0"),
            ("PORT", "8086"),
            ("REDIS_HOST", "node13.lan"),
            ("REDIS_PORT", "6380"),
            ("REDIS_METRICS_DB", "3"),
            ("NODE_EXPORTER_PORT", "9101"),
            ("NODE_EXPORTER_TIMEOUT", "2.5"),
            ("METRICS_CACHE_TTL", "30"),
            ("METRICS_AGGREGATED_TTL", "300"),
            ("LOG_LEVEL", "WARNING"),
            ("METRICS_COLLECTION_INTERVAL", "10"),
            ("DEBUG", "false"),
        ])
        .unwrap();
        assert_eq!(loaded.get::<ServerSettings>("server").listen.to_string(), "0.0.0.0:8086");
        assert_eq!(loaded.get::<BusSettings>("bus").url, "redis://node13.lan:6380/3");
        assert_eq!(loaded.get::<LogSettings>("log").level, "warn");
        let shown: Vec<_> = loaded
            .sources()
            .filter(|(_, _, source)| **source != carillon_config::Source::Default)
            .map(|(key, value, source)| format!("{key} = {value} [{source}]"))
            .collect();
        for line in [
            "server.listen = \"0.0.0.0:8086\" [environment variable HOST, PORT]",
            "bus.url = \"redis://node13.lan:6380/3\" [environment variable REDIS_HOST, REDIS_PORT, REDIS_METRICS_DB]",
            "log.level = \"warn\" [environment variable LOG_LEVEL]",
            "plugins.monitoring.node_exporter_port = 9101 [environment variable NODE_EXPORTER_PORT]",
            "plugins.monitoring.node_exporter_timeout_ms = 2500 [environment variable NODE_EXPORTER_TIMEOUT]",
            "plugins.monitoring.node_ttl_ms = 30000 [environment variable METRICS_CACHE_TTL]",
            "plugins.monitoring.cluster_ttl_ms = 300000 [environment variable METRICS_AGGREGATED_TTL]",
        ] {
            let plain = shown.iter().any(|shown| shown.replace('_', "") == line.replace('_', ""));
            assert!(plain, "{line} is missing in {shown:#?}");
        }
        assert_eq!(shown.len(), 7, "{shown:#?}");
        let told = in_force(&loaded);
        assert_eq!(told.len(), 7);
        let listen = "server.listen = \"0.0.0.0:8086\", as environment variable HOST, PORT says; set `server.listen`";
        assert!(told[0].starts_with(listen), "{told:#?}");
        assert!(in_force(&load(&[("CARILLON_SERVER__WORKERS", "1")]).unwrap()).is_empty());
    }

    /// Only part of them, and those that others set for their own ends.
    #[test]
    fn some_of_the_old_variables() {
        assert_eq!(listen(&[]), "127.0.0.1:8085");
        assert_eq!(listen(&[("PORT", "80")]), "127.0.0.1:80");
        assert_eq!(listen(&[("HOST", "0.0.0.0")]), "0.0.0.0:8085");
        assert_eq!(listen(&[("HOST", "::")]), "[::]:8085");
        assert_eq!(listen(&[("HOST", "localhost"), ("PORT", "80")]), "127.0.0.1:80");
        assert_eq!(listen(&[("HOST", "node6.lan"), ("PORT", "80")]), "node6.lan:80", "looked up at the start");
        assert_eq!(listen(&[("HOST", ""), ("PORT", " ")]), "127.0.0.1:8085");
        for host in ["x86_64-conda-linux-gnu", "my-laptop"] {
            assert_eq!(listen(&[("HOST", host)]), "127.0.0.1:8085", "a name of a shell's own");
        }
        let bus = |variables: &[(&str, &str)]| load(variables).unwrap().get::<BusSettings>("bus").url;
        assert_eq!(bus(&[("REDIS_PORT", "tcp://10.0.0.1:6379")]), "memory://", "no host, no Redis");
        assert_eq!(bus(&[("REDIS_HOST", "r"), ("REDIS_PORT", "tcp://10.0.0.1:6380")]), "redis://r:6380/2");
        assert_eq!(bus(&[("REDIS_HOST", "::1")]), "redis://[::1]:6379/2");
        for (theirs, ours) in [("INFO", "info"), ("critical", "error"), ("DEBUG", "debug,hyper=info")] {
            assert_eq!(load(&[("LOG_LEVEL", theirs)]).unwrap().get::<LogSettings>("log").level, ours);
        }
    }

    /// Ours count more than theirs, wherever they stand; a wrong one that does not count is no mistake.
    #[test]
    fn ours_go_before_theirs() {
        let theirs = [("PORT", "seven"), ("REDIS_HOST", "r"), ("NODE_EXPORTER_TIMEOUT", "soon"), ("LOG_LEVEL", "loud")];
        let ours = [
            ("CARILLON_BUS__URL", "memory://"),
            ("CARILLON_PLUGINS__MONITORING__NODE_EXPORTER_TIMEOUT_MS", "100"),
            ("CARILLON_LOG__LEVEL", "info"),
        ];
        let loaded = loader(&[theirs.as_slice(), &ours].concat())
            .flag("server.listen", "127.0.0.1:1", "--listen")
            .load()
            .unwrap();
        assert_eq!(loaded.get::<ServerSettings>("server").listen.port, 1);
        assert_eq!(loaded.get::<BusSettings>("bus").url, "memory://");
        let file = std::env::temp_dir().join(format!("carillon-legacy-{}.toml", std::process::id()));
        std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:2\"\n").unwrap();
        let loaded = loader(&[("HOST", "0.0.0.0"), ("PORT", "80")]).file(&file).load();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(loaded.unwrap().get::<ServerSettings>("server").listen.port, 2);
    }

    /// A wrong value is told with the variable's name.
    #[test]
    fn wrong_values_name_the_variable() {
        for (variables, key, named) in [
            (&[("PORT", "seven")][..], "server.listen", "[environment variable PORT]"),
            (&[("PORT", "80"), ("HOST", "no such host")], "server.listen", "[environment variable HOST, PORT]"),
            (&[("REDIS_HOST", "a/b")], "bus.url", "[environment variable REDIS_HOST]"),
            (&[("REDIS_HOST", "r"), ("REDIS_METRICS_DB", "x")], "bus.url", "REDIS_METRICS_DB=\"x\""),
            (&[("LOG_LEVEL", "loud")], "log.level", "[environment variable LOG_LEVEL]"),
            (&[("NODE_EXPORTER_PORT", "x")], "plugins.monitoring.node_exporter_port", "NODE_EXPORTER_PORT]"),
            (&[("NODE_EXPORTER_PORT", "70000")], "plugins.monitoring.node_exporter_port", "NODE_EXPORTER_PORT]"),
            (&[("NODE_EXPORTER_TIMEOUT", "-1")], "plugins.monitoring.node_exporter_timeout_ms", "\"-1\" is no number"),
            (
                &[("METRICS_CACHE_TTL", "1")],
                "plugins.monitoring.node_ttl_ms",
                "[environment variable METRICS_CACHE_TTL]",
            ),
        ] {
            let problems = load(variables).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems}");
            let text = problems.to_string();
            assert!(text.starts_with(key) && text.contains(named), "{text}");
        }
    }
}
