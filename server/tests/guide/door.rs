//! `/door` and `/home`: what happens in one namespace is told in another.

use carillon_core::prelude::*;

#[derive(Deserialize, Serialize, JsonSchema)]
struct Visit {
    /// Who is at the door.
    who: String,
}

/// Where visitors ring.
struct Door {
    host: Host,
}

impl Plugin for Door {
    const NAME: &'static str = "door";
    const NAMESPACE: &'static str = "/door";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("ring", "Rings the bell.", Self::ring);
        on.event_with_ack("leave", "Says good-bye, and the visitor leaves.", Self::leave);
        on.emits_to::<Visit>("/home", "rang", "When somebody is at the door.");
    }
}

impl Door {
    async fn ring(self: Arc<Self>, _: Ctx, visit: Visit) -> Result<()> {
        self.host.to("/home").publish("rang", &visit)
    }

    async fn leave(self: Arc<Self>, ctx: Ctx, _: Ignored, ack: Ack<&'static str>) -> Result<()> {
        ack.send("good-bye")?;
        ctx.disconnect();
        Ok(())
    }
}
plugin!(Door);

/// Where the bell is heard.
struct Home;

impl Plugin for Home {
    const NAME: &'static str = "home";
    const NAMESPACE: &'static str = "/home";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(_: &mut Routes<Self>, _: &NoConfig) {}
}
plugin!(Home);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::registry::Registry;
    use carillon_core::testing::Harness;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn who_rings_is_heard_at_home_and_nowhere_else() {
        let plugins = Registry::of::<Door>().and::<Home>().unwrap();
        let harness = Harness::boot(&plugins, &[]).await.unwrap();
        let home = harness.connect("/home").await.unwrap();
        let mut visitor = harness.connect("/door").await.unwrap();
        visitor.call("ring", json!({"who": "Ann"})).await;
        assert_eq!(home.expect("rang").await, json!({"who": "Ann"}));
        visitor.expect_nothing(Duration::from_secs(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_is_answered_first() {
        let harness = Harness::boot(&Registry::of::<Door>().and::<Home>().unwrap(), &[]).await.unwrap();
        let mut visitor = harness.connect("/door").await.unwrap();
        assert_eq!(visitor.call("leave", json!(null)).await["data"], "good-bye");
        assert!(visitor.sink().disconnected());
    }
}
