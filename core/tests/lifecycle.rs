//! From boot to shutdown: conflicts are refused in words, plugins stop in reverse, and one bad plugin hurts only itself.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

use std::sync::Mutex;

use carillon_config::Loader;
use carillon_core::lifecycle::{App, BootError, BootPlan};
use carillon_core::prelude::*;
use carillon_core::readiness::Status;
use carillon_core::registry::{Registration, Registry};
use carillon_core::testing::Harness;
use carillon_core::threads::Threads;
use serde_json::json;

/// Declares a plugin whose parts differ from the default only where named.
macro_rules! probe {
    ($type:ident, $name:literal, $namespace:literal $(, $key:ident = $value:expr)*) => {
        struct $type;
        impl Plugin for $type {
            const NAME: &'static str = $name;
            const NAMESPACE: &'static str = $namespace;
            type Config = NoConfig;
            async fn init(_: NoConfig, _: Host) -> Result<Self> {
                probe!(@or Ok(Self) $(, $key = $value)*; init)
            }
            fn routes(on: &mut Routes<Self>, _: &NoConfig) {
                let declare: fn(&mut Routes<Self>) = probe!(@or |_| () $(, $key = $value)*; routes);
                declare(on);
            }
            async fn run(self: Arc<Self>, host: Host) -> Result<()> {
                note(concat!("run ", $name));
                host.shutdown().await;
                note(concat!("stop ", $name));
                Ok(())
            }
            async fn shutdown(self: Arc<Self>) {
                note(concat!("shutdown ", $name));
            }
        }
    };
    (@or $default:expr; $want:ident) => { $default };
    (@or $default:expr, init = $value:expr $(, $key:ident = $rest:expr)*; init) => { $value };
    (@or $default:expr, routes = $value:expr $(, $key:ident = $rest:expr)*; routes) => { $value };
    (@or $default:expr, $other:ident = $value:expr $(, $key:ident = $rest:expr)*; $want:ident) => {
        probe!(@or $default $(, $key = $rest)*; $want)
    };
}

static NOTES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

fn note(what: &'static str) {
    NOTES.lock().unwrap().push(what);
}

probe!(Alpha, "alpha", "/alpha");
probe!(Beta, "beta", "/beta");
probe!(AlphaAgain, "alpha", "/elsewhere");
probe!(AlphaPlace, "gamma", "/alpha");
probe!(Broken, "broken", "/broken", init = Err(Error::unavailable("no database at db:1")));
probe!(
    Lost,
    "lost",
    "/lost",
    routes = |on| {
        on.emits_to::<u8>("/nowhere", "e", "Goes nowhere.");
    }
);
probe!(
    Twice,
    "twice",
    "/twice",
    routes = |on| {
        on.event("e", "One.", async |_, _, _: Ignored| Ok(()));
        on.event("e", "Two.", async |_, _, _: Ignored| Ok(()));
    }
);
probe!(
    Odd,
    "odd",
    "/odd",
    routes = |on| {
        on.event("caf\u{e9}", "Not ASCII.", async |_, _, _: Ignored| Ok(()));
    }
);
probe!(
    Clash,
    "clash",
    "/clash",
    routes = |on| {
        on.get("/a/{x}", "One.", async |_, _: Anything| Ok(()));
        on.get("/a/{y}", "Two.", async |_, _: Anything| Ok(()));
    }
);
probe!(
    Lacking,
    "lacking",
    "/lacking",
    routes = |on| {
        on.get("/fruit/{kind}/{size}", "Lacks a field.", async |_, fruit: Fruit| Ok(fruit.kind));
        on.get("/rest/{*rest}", "Not a route of ours.", async |_, _: Anything| Ok(()));
    }
);

type Anything = std::collections::HashMap<String, String>;

#[derive(Deserialize, JsonSchema)]
struct Fruit {
    kind: String,
}

fn registry(entries: &[Registration]) -> Registry {
    Registry::new(entries.to_vec()).unwrap()
}

async fn refusal(entry: Registration) -> BootError {
    Harness::boot(&registry(&[entry]), &[]).await.err().unwrap()
}

#[test]
fn conflicts_name_both_places() {
    let two = |a, b| Registry::new(vec![a, b]).err().unwrap().to_string();
    let alpha = Registration::of::<Alpha>("a.rs", 1);
    let text = two(alpha, Registration::of::<AlphaAgain>("b.rs", 2));
    assert!(text.starts_with("two plugins are named \"alpha\": a.rs:1 and b.rs:2; give one of them another"), "{text}");
    assert!(text.contains("plugins.alpha.enabled = false"), "{text}");
    let text = two(alpha.package("acme"), Registration::of::<AlphaAgain>("b.rs", 2).package("carillon-plugins"));
    assert!(text.contains(": a.rs:1 of the crate acme and b.rs:2 of the crate carillon-plugins; "), "{text}");
    let text = Registry::new(vec![]).err().unwrap().to_string();
    assert!(text.contains("use carillon_plugins as _;"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_disabled_plugin_leaves_its_namespace_to_another() {
    let both = registry(&[Registration::of::<Alpha>("a.rs", 1), Registration::of::<AlphaPlace>("c.rs", 3)]);
    let error = Harness::boot(&both, &[]).await.unwrap_err();
    assert!(matches!(error, BootError::Config(_)));
    assert_eq!(
        error.to_string(),
        "two plugins serve \"/alpha\": alpha (a.rs:1) and gamma (c.rs:3); switch one off (plugins.alpha.enabled = false, or \
         plugins.gamma.enabled = false), or give it another NAMESPACE"
    );
    let one = Harness::boot(&both, &[("plugins.alpha.enabled", "false")]).await.unwrap();
    let client = one.connect("/alpha").await.unwrap();
    assert_eq!(one.metric(r#"carillon_plugin_up{plugin="gamma"}"#), 1.0);
    drop(client);
}

#[test]
fn what_serve_would_refuse_is_refused_by_the_check_alone() {
    let clash = registry(&[Registration::of::<Alpha>("a.rs", 1), Registration::of::<AlphaPlace>("c.rs", 3)]);
    let lacking = registry(&[Registration::of::<Lacking>("l.rs", 1)]);
    for (registry, expected) in [
        (&clash, "two plugins serve"),
        (&lacking, "route \"/fruit/{kind}/{size}\" (core/tests/lifecycle.rs:"),
        (&lacking, "its request type has no field \"size\""),
        (&lacking, "\"{*rest}\" is neither a plain segment nor a whole {name}"),
    ] {
        let config = Loader::new(carillon_config::all_sections(registry.sections()));
        let error = BootPlan::new(registry, &config.load().unwrap()).err().unwrap();
        assert!(matches!(&error, BootError::Config(text) if text.contains(expected)), "{error}");
        assert!(!error.to_string().contains("\"kind\""), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn impossible_tables_are_refused_before_any_io() {
    for (entry, expected) in [
        (Registration::of::<Lost>("l.rs", 1), "which no plugin serves"),
        (Registration::of::<Twice>("t.rs", 1), "is declared twice: core/tests/lifecycle.rs"),
        (Registration::of::<Odd>("o.rs", 1), "printable ASCII"),
        (Registration::of::<Clash>("c.rs", 1), "route \"/a/{y}\" is declared twice"),
    ] {
        let error = refusal(entry).await;
        assert!(matches!(&error, BootError::Config(text) if text.contains(expected)), "{error}");
    }
    let error = refusal(Registration::of::<Broken>("b.rs", 1)).await;
    assert_eq!(error.to_string(), "plugin broken did not start: no database at db:1");
}

#[tokio::test(start_paused = true)]
async fn plugins_start_in_order_and_stop_in_reverse() {
    let entries = [Registration::of::<Beta>("b.rs", 1), Registration::of::<Alpha>("a.rs", 1)];
    let harness = Harness::boot(&registry(&entries), &[]).await.unwrap();
    assert_eq!(harness.app().readiness().await.status, Status::Ready);
    tokio::task::yield_now().await;
    assert_eq!(harness.metric(r#"carillon_plugin_up{plugin="alpha"}"#), 1.0);
    harness.shutdown().await;
    let mut notes = NOTES.lock().unwrap().clone();
    // The other tests of this file write here too.
    notes.retain(|note| note.ends_with(" alpha") || note.ends_with(" beta"));
    assert_eq!(notes, ["run alpha", "run beta", "stop beta", "shutdown beta", "stop alpha", "shutdown alpha"]);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_plugin_is_not_there_and_may_still_be_addressed() {
    probe!(
        Sender,
        "sender",
        "/sender",
        routes = |on| {
            on.emits_to::<u8>("/alpha2", "e", "Goes to alpha.");
        }
    );
    probe!(Alpha2, "alpha2", "/alpha2");
    let entries = [Registration::of::<Sender>("s.rs", 1), Registration::of::<Alpha2>("a.rs", 1)];
    let settings = [("plugins.alpha2.enabled", "false")];
    let harness = Harness::boot(&registry(&entries), &settings).await.unwrap();
    assert!(harness.app().router().namespaces().eq(["/sender"]));
    assert!(harness.connect("/alpha2").await.is_err());
}

/// Blocks the thread it runs on, and fails its background work twice.
struct Rough(std::sync::atomic::AtomicUsize);

impl Plugin for Rough {
    const NAME: &'static str = "rough";
    const NAMESPACE: &'static str = "/rough";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self(0.into()))
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("block", "Blocks its thread for two seconds.", async |_, _, _: Ignored| {
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        });
    }

    async fn run(self: Arc<Self>, _: Host) -> Result<()> {
        match self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Err(Error::unavailable("first")),
            1 => panic!("second"),
            _ => Ok(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failed_background_work_starts_again() {
    let harness = Harness::of::<Rough>().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(harness.app().readiness().await.status, Status::Unready);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(harness.app().readiness().await.status, Status::Ready);
    assert_eq!(harness.metric(r#"carillon_plugin_restarts_total{plugin="rough"}"#), 2.0);
    assert_eq!(harness.metric(r#"carillon_plugin_up{plugin="rough"}"#), 1.0);
}

/// A plugin that blocks every thread it has stops itself: the other plugin answers at once, and readiness tells.
#[test]
fn a_blocking_plugin_hurts_only_its_own_calls() {
    probe!(
        Quick,
        "quick",
        "/quick",
        routes = |on| {
            on.event("hi", "Answers.", async |_, _, _: Ignored| Ok("hi"));
        }
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let entries = [Registration::of::<Rough>("r.rs", 1), Registration::of::<Quick>("q.rs", 1)];
        let registry = registry(&entries);
        let sections = carillon_config::all_sections(registry.sections());
        let config = carillon_config::Loader::new(sections).load().unwrap();
        let app = App::boot(&registry, &config, Threads::PerPlugin(1), 1).await.unwrap();
        let harness = Harness::from(app);
        let rough = harness.connect("/rough").await.unwrap();
        let mut quick = harness.connect("/quick").await.unwrap();
        let start = tokio::time::Instant::now();
        rough.emit("block", &json!(null));
        let answer = quick.call("hi", json!(null)).await;
        assert_eq!(answer["data"], "hi");
        let readiness = harness.app().readiness().await;
        assert!(start.elapsed() < Duration::from_secs(2), "answered while the other plugin was blocked");
        assert!(readiness.components["rough"].detail.contains("blocked"), "{readiness:?}");
        assert!(readiness.components["quick"].ready);
    });
}
