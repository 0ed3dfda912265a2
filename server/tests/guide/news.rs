//! `/news`: what was told before, for whoever asks; who comes back is not greeted again.

use carillon_core::journal::History;
use carillon_core::prelude::*;

struct News {
    host: Host,
}

impl Plugin for News {
    const NAME: &'static str = "news";
    const NAMESPACE: &'static str = "/news";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("tell", "Tells everybody.", Self::tell);
        on.event("earlier", "The newest 50, in order; with an offset, the 50 that follow it.", Self::earlier);
        on.emits::<String>("told", "To everybody when somebody tells something.");
        on.emits::<String>("welcome", "To a client that is new.");
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        if ctx.recovered() {
            // Its rooms are back, and it has got what it has missed.
            return Ok(());
        }
        ctx.emit("welcome", "what is new?")
    }
}

impl News {
    async fn tell(self: Arc<Self>, _: Ctx, text: String) -> Result<()> {
        self.host.to("/news").publish("told", &text)
    }

    async fn earlier(self: Arc<Self>, _: Ctx, since: Option<String>) -> Result<History> {
        self.host.history("/news", since.as_deref(), 50).await
    }
}
plugin!(News);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::testing::Harness;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_told_again() {
        let harness = Harness::with::<News>(&[("journal.namespaces", r#"["/news"]"#)]).await;
        let mut client = harness.connect("/news").await.unwrap();
        assert_eq!(client.expect("welcome").await, "what is new?");
        client.call("tell", json!("rain")).await;
        assert_eq!(client.expect("told").await, "rain");
        client.call("tell", json!("sun")).await;
        assert_eq!(client.expect("told").await, "sun");
        let all = client.call("earlier", json!(null)).await;
        assert_eq!(all["data"]["events"][1]["args"], json!(["sun"]), "{all}");
        let more = client.call("earlier", all["data"]["events"][0]["offset"].clone()).await;
        assert_eq!(more["data"]["events"][0]["args"], json!(["sun"]), "{more}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_gets_what_it_has_missed() {
        let settings = [("journal.namespaces", r#"["/news"]"#), ("journal.recovery", r#"["/news"]"#)];
        let harness = Harness::with::<News>(&settings).await;
        let client = harness.connect_with("/news", Some(json!({"recovery": true}))).await.unwrap();
        client.expect("welcome").await;
        let mut other = harness.connect("/news").await.unwrap();
        other.call("tell", json!("rain")).await;
        // What is kept has its offset as last argument.
        let (_, told) = client.event().await;
        client.close(Reason::TransportClose);
        other.call("tell", json!("sun")).await;
        let auth = json!({"recovery": true, "pid": client.pid(), "offset": told[1]});
        let back = harness.connect_with("/news", Some(auth)).await.unwrap();
        assert_eq!(back.id(), client.id());
        assert_eq!(back.expect("told").await, "sun", "and nobody has said welcome before it");
    }
}
