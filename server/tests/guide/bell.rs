//! `/bell`: whoever rings is heard by all. Copy this file to start a namespace of your own.

use std::sync::atomic::{AtomicU64, Ordering};

use carillon_core::prelude::*;

/// Settings of the bell: the section `[plugins.bell]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct BellConfig {
    /// The most strokes of one ring.
    #[schemars(range(max = 100))]
    max_strokes: u32,
    /// Strokes of a ring that does not say how many.
    strokes: u32,
}

impl Default for BellConfig {
    fn default() -> Self {
        Self { max_strokes: 12, strokes: 1 }
    }
}

/// What a client sends with `ring`.
#[derive(Deserialize, JsonSchema)]
struct Ring {
    /// How many strokes; the settings say how many where it is missing.
    strokes: Option<u32>,
}

/// What everybody is sent.
#[derive(Serialize, JsonSchema)]
struct Rang {
    /// How many strokes.
    strokes: u32,
}

struct Bell {
    host: Host,
    config: BellConfig,
    rings: AtomicU64,
}

impl Plugin for Bell {
    const NAME: &'static str = "bell"; // the section `[plugins.bell]`, and the label in metrics
    const NAMESPACE: &'static str = "/bell";
    type Config = BellConfig;

    fn check(config: &BellConfig, problems: &mut Problems) {
        if config.strokes > config.max_strokes {
            problems.add("strokes", "must not be above `max_strokes`").hint("1 suits most");
        }
    }

    fn routes(on: &mut Routes<Self>, _: &BellConfig) {
        on.event("ring", "Rings the bell; answers with the number of strokes.", Self::ring);
        on.emits::<Rang>("rang", "To everybody when somebody rings.");
        on.emits::<u64>("rings", "To a client that connects: how often it rang before.");
        on.get("/api/bell", "How often it rang.", Self::count);
    }

    async fn init(config: BellConfig, host: Host) -> Result<Self> {
        Ok(Self { host, config, rings: AtomicU64::new(0) })
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        ctx.emit("rings", &self.rings.load(Ordering::Relaxed))
    }
}

impl Bell {
    async fn ring(self: Arc<Self>, _: Ctx, ring: Ring) -> Result<u32> {
        let strokes = ring.strokes.unwrap_or(self.config.strokes);
        if strokes > self.config.max_strokes {
            return Err(Error::bad_payload(format!("at most {} strokes", self.config.max_strokes)));
        }
        self.rings.fetch_add(1, Ordering::Relaxed);
        self.host.to("/bell").publish("rang", &Rang { strokes })?;
        Ok(strokes)
    }

    /// `Ignored`: the route has no parameters, and whatever stands behind the question mark is fine.
    async fn count(self: Arc<Self>, _: Ignored) -> Result<u64> {
        Ok(self.rings.load(Ordering::Relaxed))
    }
}
plugin!(Bell);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::registry::Registry;
    use carillon_core::testing::Harness;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn a_ring_is_heard_by_all() {
        let harness = Harness::with::<Bell>(&[("plugins.bell.strokes", "3")]).await;
        let mut ann = harness.connect("/bell").await.unwrap();
        let bob = harness.connect("/bell").await.unwrap();
        assert_eq!(bob.expect("rings").await, 0);
        assert_eq!(ann.call("ring", json!({})).await, json!({"ok": true, "data": 3}));
        assert_eq!(bob.expect("rang").await, json!({"strokes": 3}));
        let refused = ann.call("ring", json!({"strokes": 13})).await;
        assert_eq!(refused["error"]["message"], "at most 12 strokes");
        assert_eq!(harness.get("/api/bell", &[("cache", "no")]).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn settings_that_contradict_each_other_are_refused() {
        let settings = [("plugins.bell.strokes", "13")];
        let refused = Harness::boot(&Registry::of::<Bell>(), &settings).await.unwrap_err();
        let told = "plugins.bell.strokes: must not be above `max_strokes` (1 suits most)";
        assert_eq!(refused.to_string(), told);
        let mut problems = Problems::default();
        Bell::check(&BellConfig { max_strokes: 0, strokes: 1 }, &mut problems);
        assert_eq!(problems.len(), 1);
    }
}
