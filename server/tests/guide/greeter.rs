//! `/hello`: greets by name.
use carillon_core::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Hello {
    /// Whom to greet.
    name: String,
}

struct Greeter;
impl Plugin for Greeter {
    const NAME: &'static str = "greeter";
    const NAMESPACE: &'static str = "/hello";
    type Config = NoConfig;
    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }
    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("hello", "Greets by name.", Self::hello);
    }
}
impl Greeter {
    async fn hello(self: Arc<Self>, _: Ctx, hello: Hello) -> Result<String> {
        Ok(format!("hello, {}", hello.name))
    }
}
plugin!(Greeter);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::testing::Harness;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn greets_by_name() {
        let harness = Harness::of::<Greeter>().await;
        let mut client = harness.connect("/hello").await.unwrap();
        let answer = client.call("hello", json!({"name": "you"})).await;
        assert_eq!(answer, json!({"ok": true, "data": "hello, you"}));
        let answer = client.call("hello", json!({})).await;
        assert_eq!(answer["error"]["message"], "`name` is missing: expected a string");
    }
}
