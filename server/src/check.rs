//! Everything that can be known to be wrong before anything is started: what `check` says and `serve` refuses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use carillon_config::{AdminSettings, AuthMode, AuthSettings, Loaded, Problems, ServerSettings};
use carillon_core::identity::Authenticate;
use carillon_core::lifecycle::BootPlan;
use carillon_core::registry::{Description, Registry};

use crate::auth::Auth;
use crate::{admin, http, tls};

/// What is wrong with listening here (`server.listen`), if anything: others than this machine can reach the server, it asks
/// nobody who they are, and nobody has said that this is meant.
pub(crate) fn open_to_all(settings: &AuthSettings, address: SocketAddr) -> Option<String> {
    let closed = settings.mode != AuthMode::Open || settings.allow_open || address.ip().to_canonical().is_loopback();
    (!closed).then(|| {
        format!(
            "other machines can reach {address}, and auth.mode is \"open\": nobody is asked who they are; set \
             auth.mode to \"jwt\" or \"api_key\", or say that everybody may come in: auth.allow_open = true"
        )
    })
}

/// What can be started.
pub(crate) struct Checked {
    pub(crate) plan: BootPlan,
    /// Who checks what clients show.
    pub(crate) auth: Option<Arc<Auth>>,
    /// The certificate, where there is TLS.
    pub(crate) tls: Option<tls::Current>,
}

/// Plans the boot, in which no plugin may declare a route of the server's own.
pub(crate) fn check(registry: &Registry, config: &Loaded) -> Result<Checked, Problems> {
    let settings: AuthSettings = config.get("auth");
    let (auth, mut mistakes) = match Auth::new(&settings) {
        Ok(auth) => (auth, Vec::new()),
        Err(mistakes) => (None, mistakes),
    };
    let tls = tls::read(&config.get::<ServerSettings>("server").tls).unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        None
    });
    let plan = BootPlan::examine(registry, config, |plugins, problems| {
        for mistake in &mistakes {
            // Each begins with its key.
            let (key, message) = mistake.split_once(": ").unwrap_or(("", mistake));
            problems.add(key, message.to_owned());
        }
        refuse(plugins, config, &settings, problems);
    })?;
    let plan = match &auth {
        Some(auth) => plan.authenticated_by(Arc::clone(auth) as Arc<dyn Authenticate>),
        None => plan,
    };
    Ok(Checked { plan, auth, tls })
}

/// Adds to the mistakes that reading the settings has found those that only all of them together show. Where a setting is
/// wrong already, `config` has its default: what may follow from that alone is not told. Nothing can be said of plugins together
/// while one of them has no settings that can be read: that is told already, and its plan needs them.
pub(crate) fn add_all(registry: &Registry, config: &Loaded, problems: &mut Problems) {
    if registry.sections().iter().any(|section| !config.has(section.path())) {
        return;
    }
    let Err(mut more) = check(registry, config) else { return };
    let wrong: Vec<String> = problems.iter().map(|problem| problem.path.clone()).collect();
    let any = |starts: &[&str]| wrong.iter().any(|path| starts.iter().any(|start| path.starts_with(start)));
    let plugins: Vec<String> = registry.iter().map(|entry| format!("plugins.{}.", entry.name())).collect();
    let plugins: Vec<&str> = plugins.iter().map(String::as_str).collect();
    more.retain(|problem| {
        let rests_on: &[&str] = match problem.path.as_str() {
            "server.listen" => &["auth.mode", "auth.allow_open"],
            "admin.listen" => &["server.listen"],
            path if path.starts_with("auth.") => &["auth.mode", "auth.algorithm"],
            path if path.starts_with("limits.") => &plugins,
            path if path.ends_with(".access") => &["auth.mode"],
            "" => &plugins,
            _ => &[],
        };
        !any(rests_on)
    });
    problems.merge(more);
}

/// What the server cannot do with these plugins and settings.
fn refuse(plugins: &[Description], config: &Loaded, settings: &AuthSettings, problems: &mut Problems) {
    let ServerSettings { path: socket_io, listen, .. } = config.get("server");
    // What a name stands for is known when it is listened on.
    let address = listen.host.parse().ok().map(|host: IpAddr| SocketAddr::new(host, listen.port));
    if let Some(message) = address.and_then(|address| open_to_all(settings, address)) {
        problems.add("server.listen", message);
    }
    let AdminSettings { listen: operators } = config.get("admin");
    if let Some(operators) = operators.filter(|operators| admin::clash(operators, &listen)) {
        let message = format!("clients are served on {listen} (server.listen): {operators} needs another port");
        problems.add("admin.listen", message);
    }
    if http::is_taken(&socket_io) {
        problems.add("server.path", format!("{socket_io:?} is the server's own"));
    }
    let routes = plugins.iter().flat_map(|plugin| plugin.outline.http.iter().map(|route| (plugin.name, route)));
    for (name, route) in routes.filter(|(_, route)| http::is_own(&route.path, &socket_io)) {
        problems.add("", format!("{name}: route {:?} ({}): it is the server's own", route.path, route.at));
    }
    // A role that nobody can have would shut everybody out.
    let asks = |plugin: &&Description| config.plugin_access(plugin.name).is_some();
    for plugin in plugins.iter().filter(asks).filter(|_| settings.mode == AuthMode::Open) {
        problems
            .add(format!("plugins.{}.access", plugin.name), "no client has a role while auth.mode is \"open\"")
            .hint("set auth.mode to \"jwt\" or \"api_key\", or leave `access` out");
    }
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
        check(&registry, &loader.load().unwrap()).err().map(|problems| problems.to_string())
    }

    /// A plugin whose settings have no defaults that could be read is a mistake beside the others, and ends nothing.
    #[test]
    fn a_plugin_without_usable_settings_is_told_with_all_else() {
        #[derive(Default, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        struct Taken {
            enabled: bool,
        }
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        struct Unreadable {
            #[serde(deserialize_with = "refuse")]
            number: u8,
        }
        impl Default for Unreadable {
            fn default() -> Self {
                Self { number: 1 }
            }
        }
        fn refuse<'de, D: serde::Deserializer<'de>>(_: D) -> std::result::Result<u8, D::Error> {
            Err(serde::de::Error::custom("no number will do"))
        }
        struct Badly<C>(std::marker::PhantomData<C>);
        impl<C: carillon_config::Config> Plugin for Badly<C> {
            const NAME: &'static str = "badly";
            const NAMESPACE: &'static str = "/badly";
            type Config = C;

            async fn init(_: C, _: Host) -> Result<Self> {
                Ok(Self(std::marker::PhantomData))
            }

            fn routes(_: &mut Routes<Self>, _: &C) {}
        }
        for (badly, said) in [
            (Registration::of::<Badly<Taken>>("badly.rs", 1), "plugins.badly: `enabled` is the loader's own key"),
            (Registration::of::<Badly<Unreadable>>("badly.rs", 1), "plugins.badly.number: no number will do"),
        ] {
            let registry = Registry::new(vec![Registration::of::<Greedy>("greedy.rs", 1), badly]).unwrap();
            let loader = Loader::new(all_sections(registry.sections())).flag("server.workers", "-1", "a test");
            let (config, mut problems) = loader.examine();
            add_all(&registry, &config, &mut problems);
            let text = problems.to_string();
            assert!(text.contains(said) && text.contains("server.workers: "), "{text}");
        }
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
        // Where operators read makes no route free for plugins.
        let text = refusal(&[("admin.listen", "127.0.0.1:9085")]).unwrap();
        assert!(text.contains("route \"/metrics\""), "{text}");
        let text = refusal(&[("plugins.greedy.enabled", "false"), ("admin.listen", "127.0.0.1:8085")]).unwrap();
        assert!(text.starts_with("admin.listen: clients are served on 127.0.0.1:8085 (server.listen)"), "{text}");
    }

    /// Whoever lets others in without asking them has to say so; so has whoever asks for a role that nobody can have.
    #[test]
    fn a_server_that_asks_nobody_is_meant_to() {
        let refusal = |more: &[(&str, &str)]| refusal(&[&[("plugins.greedy.enabled", "false")], more].concat());
        let secret = "x".repeat(32);
        for (listen, open) in [("0.0.0.0:80", true), ("[::]:80", true), ("192.0.2.1:80", true), ("[::1]:80", false)] {
            let listen = ("server.listen", listen);
            let text = refusal(&[listen]).unwrap_or_default();
            assert_eq!(text.contains("server.listen: ") && text.contains("auth.allow_open = true"), open, "{text}");
            assert_eq!(refusal(&[listen, ("auth.allow_open", "true")]), None);
            assert_eq!(refusal(&[listen, ("auth.mode", "jwt"), ("auth.key", &secret)]), None);
        }
        let access = ("plugins.echo.access", "operator");
        let text = refusal(&[access]).unwrap();
        let fix = "(set auth.mode to \"jwt\" or \"api_key\", or leave `access` out) [flag a test]";
        assert_eq!(text, format!("plugins.echo.access: no client has a role while auth.mode is \"open\" {fix}"));
        assert_eq!(refusal(&[access, ("auth.mode", "jwt"), ("auth.key", &secret)]), None);
        let text = refusal(&[("auth.mode", "jwt"), ("auth.key", "short")]).unwrap();
        assert_eq!(
            text,
            "auth.key: a secret for HS256 has at least 32 bytes: `openssl rand -hex 32` makes one [flag a test]"
        );
    }
}
