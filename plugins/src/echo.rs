//! `/echo`: answers with the text it was sent. Copy this file to start a namespace of your own.
use carillon_core::prelude::*;
#[derive(Deserialize, Serialize, JsonSchema)]
struct Text {
    /// What to repeat.
    text: String,
}
struct Echo;
impl Plugin for Echo {
    const NAME: &'static str = "echo"; // its section `[plugins.echo]`, and its label in metrics
    const NAMESPACE: &'static str = "/echo";
    type Config = NoConfig;
    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }
    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("say", "Answers with the same text.", Self::say);
    }
}
impl Echo {
    async fn say(self: Arc<Self>, _: Ctx, said: Text) -> Result<Text> {
        Ok(said)
    }
}
plugin!(Echo);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::testing::Harness;
    use serde_json::json;

    /// What is said comes back, and a slip is answered with its place.
    #[tokio::test(start_paused = true)]
    async fn says_the_same() {
        let harness = Harness::of::<Echo>().await;
        let mut client = harness.connect("/echo").await.unwrap();
        let answer = client.call("say", json!({"text": "dong"})).await;
        assert_eq!(answer, json!({"ok": true, "data": {"text": "dong"}}));
        let answer = client.call("say", json!({"text": 1})).await;
        assert_eq!(answer["error"]["code"], "bad_payload");
        assert!(answer["error"]["message"].as_str().unwrap().starts_with("`text`: "), "{answer}");
    }
}
