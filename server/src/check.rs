//! Everything that can be known to be wrong before anything is started: what `check` says and `serve` refuses.

use carillon_config::{Loaded, ServerSettings};
use carillon_core::lifecycle::{BootError, BootPlan};
use carillon_core::registry::Registry;

use crate::http;

/// Plans the boot, in which no plugin may declare a route of the server's own.
pub(crate) fn check(registry: &Registry, config: &Loaded) -> Result<BootPlan, BootError> {
    let ServerSettings { path: socket_io, .. } = config.get("server");
    BootPlan::new(registry, config, |plugins| {
        let taken = http::is_taken(&socket_io).then(|| format!("server.path: {socket_io:?} is the server's own"));
        let routes = plugins.iter().flat_map(|plugin| plugin.outline.http.iter().map(|route| (plugin.name, route)));
        let ours = routes.filter(|(_, route)| http::is_own(&route.path, &socket_io));
        let ours =
            ours.map(|(name, route)| format!("{name}: route {:?} ({}): it is the server's own", route.path, route.at));
        taken.into_iter().chain(ours).collect()
    })
}

#[cfg(test)]
mod tests {
    use carillon_config::{Loader, all_sections};
    use carillon_core::prelude::*;
    use carillon_core::registry::{Registration, Registry};

    use super::*;

    struct Greedy;

    impl Plugin for Greedy {
        const NAME: &'static str = "greedy";
        const NAMESPACE: &'static str = "/greedy";
        type Config = NoConfig;

        async fn init(_: NoConfig, _: Host) -> Result<Self> {
            Ok(Self)
        }

        fn routes(on: &mut Routes<Self>, _: &NoConfig) {
            on.get("/metrics", "Not for a plugin.", async |_, (): ()| Ok(1));
        }
    }

    fn refusal(settings: &[(&str, &str)]) -> Option<String> {
        let mut entries: Vec<Registration> = Registry::linked().unwrap().iter().copied().collect();
        entries.push(Registration::of::<Greedy>("greedy.rs", 1));
        let registry = Registry::new(entries).unwrap();
        let sections = all_sections(registry.sections());
        let loader = settings.iter().fold(Loader::new(sections), |all, (key, text)| all.flag(*key, *text, "a test"));
        check(&registry, &loader.load().unwrap()).err().map(|error| error.to_string())
    }

    #[test]
    fn a_route_of_the_servers_own_and_bad_buses_are_refused_together() {
        let text = refusal(&[("bus.url", "redis:///")]).unwrap();
        assert!(text.contains("route \"/metrics\" (server/src/check.rs:"), "{text}");
        assert!(text.contains("bus.url: names no host"), "{text}");
        let text = refusal(&[("plugins.greedy.enabled", "false"), ("bus.url", "redis://127.0.0.1:99/0x")]).unwrap();
        assert!(text.starts_with("bus.url: the database is a number") && !text.contains("/metrics"), "{text}");
        let text = refusal(&[("plugins.greedy.enabled", "false"), ("server.path", "/livez/")]).unwrap();
        assert!(text.contains("server.path") && text.contains("the server's own"), "{text}");
        assert_eq!(refusal(&[("plugins.greedy.enabled", "false")]), None);
    }
}
