//! `/pictures`: an application that was ported: several arguments, binary data, questions to clients, the bus.

use std::sync::Mutex;

use carillon_core::prelude::*;

/// The channel of the bus that other programs announce pictures on.
const ANNOUNCED: &str = "pictures:announced";
/// How long a client may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one Carillon is the one to tidy up.
const LEASE: Duration = Duration::from_secs(30);

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Picture {
    /// Its name.
    name: String,
    /// The file.
    file: Attachment,
}

struct Pictures {
    host: Host,
    all: Mutex<Vec<Picture>>,
    malformed: IntCounterVec,
}

impl Plugin for Pictures {
    const NAME: &'static str = "pictures";
    const NAMESPACE: &'static str = "/pictures";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        let help = "Announcements that are no JSON.";
        let malformed = host.metrics().counter("pictures_malformed_total", help, &[])?;
        Ok(Self { host, all: Mutex::default(), malformed })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("upload", "Takes a picture and shows it to everybody.", Self::upload);
        on.event("resize", "Takes a name, a width and a height; answers with both.", Self::resize);
        on.event_with_ack("delete", "Deletes a picture if the client is sure.", Self::delete);
        on.event("tidy", "Tidies up, unless another Carillon does.", Self::tidy);
        on.emits::<Picture>("uploaded", "To everybody when there is a new picture.");
        on.emits::<Payload>("announced", "Each message of the bus's channel `pictures:announced`.");
        on.calls::<String, bool>("sure", "Whether the picture of this name may be deleted.");
    }

    async fn run(self: Arc<Self>, host: Host) -> Result<()> {
        let mut messages = host.bus().subscribe(&[ANNOUNCED.to_owned()]).await?;
        loop {
            tokio::select! {
                () = host.shutdown() => return Ok(()),
                message = messages.recv() => match message {
                    Some(message) => self.announce(&message),
                    None => return Err(Error::unavailable("the bus has ended")),
                }
            }
        }
    }
}

impl Pictures {
    async fn upload(self: Arc<Self>, _: Ctx, picture: Picture) -> Result<usize> {
        self.host.to("/pictures").publish("uploaded", &picture)?;
        let size = picture.file.len();
        self.all.lock().unwrap_or_else(|broken| broken.into_inner()).push(picture);
        Ok(size)
    }

    async fn resize(
        self: Arc<Self>,
        _: Ctx,
        Args((name, width, height)): Args<(String, u32, Option<u32>)>,
    ) -> Result<Plain<Args<(String, u32)>>> {
        Ok(Plain(Args((name, width * height.unwrap_or(width)))))
    }

    async fn delete(self: Arc<Self>, ctx: Ctx, name: String, ack: Ack<bool>) -> Result<()> {
        let pictures = Arc::clone(&self);
        self.host.spawn("delete", async move {
            match ctx.call::<bool>("sure", &name, PATIENCE).await {
                Ok(sure) => {
                    if sure {
                        pictures.forget(&name);
                    }
                    ack.send(sure).ok();
                }
                Err(error) => ack.fail(error),
            }
        });
        Ok(())
    }

    /// No error leaves it: one bad message of another program would end `run`.
    fn announce(&self, message: &Message) {
        if let Err(error) = self.pass_on(message) {
            self.malformed.with_label_values::<&str>(&[]).inc();
            tracing::warn!(channel = &*message.channel, %error, "a message that cannot be passed on");
        }
    }

    fn pass_on(&self, message: &Message) -> Result<()> {
        let text = String::from_utf8_lossy(&message.payload).into_owned();
        let payload = Payload::from_json(text.into())?;
        self.host.to("/pictures").local().publish("announced", &payload)
    }

    /// What only one of all Carillons on the bus does at a time.
    async fn tidy(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<bool> {
        let bus = self.host.bus();
        if !bus.claim("pictures:tidy", "this one", LEASE).await? {
            return Ok(false);
        }
        bus.set("pictures:tidied", timestamp().into(), None).await?;
        bus.publish("pictures:log", "tidied".into()).await?;
        Ok(bus.get("pictures:tidied").await?.is_some())
    }

    fn forget(&self, name: &str) {
        self.all.lock().unwrap_or_else(|broken| broken.into_inner()).retain(|picture| picture.name != name);
    }
}
plugin!(Pictures);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::testing::Harness;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn a_picture_reaches_everybody() {
        let harness = Harness::of::<Pictures>().await;
        let mut client = harness.connect("/pictures").await.unwrap();
        let picture = r#"{"name": "dot", "file": {"_placeholder": true, "num": 0}}"#;
        let ack = client.call_raw("upload", picture, vec!["pixels".into()]).await;
        assert_eq!(ack.args_json(), [json!({"ok": true, "data": 6})]);
        let shown = client.expect_raw("uploaded").await;
        assert_eq!(shown.attachments(), ["pixels"]);
        assert_eq!(shown.arg::<Picture>(0).unwrap().name, "dot");
        let ack = client.call_raw("resize", r#""dot", 3"#, Vec::new()).await;
        assert_eq!(ack.args_json(), [json!("dot"), json!(9)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_is_asked_before_a_picture_goes() {
        let harness = Harness::of::<Pictures>().await;
        let client = harness.connect("/pictures").await.unwrap();
        client.send("delete", r#""dot""#, Vec::new(), Some(1));
        assert_eq!(client.expect("sure").await, "dot");
        client.answer(Payload::new(&true).unwrap());
        assert_eq!(client.ack(1).await.args_json(), [json!({"ok": true, "data": true})]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_other_programs_announce_is_passed_on() {
        let harness = Harness::of::<Pictures>().await;
        let client = harness.connect("/pictures").await.unwrap();
        harness.app().bus().publish(ANNOUNCED, "no JSON".into()).await.unwrap();
        harness.app().bus().publish(ANNOUNCED, r#"{"name":"dot"}"#.into()).await.unwrap();
        assert_eq!(client.expect("announced").await, json!({"name": "dot"}));
        assert_eq!(harness.metric("carillon_pictures_malformed_total"), 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_all_tidies() {
        let harness = Harness::of::<Pictures>().await;
        let mut client = harness.connect("/pictures").await.unwrap();
        assert_eq!(client.call("tidy", json!(null)).await["data"], true);
        harness.app().bus().claim("pictures:tidy", "another", LEASE).await.unwrap();
        tokio::time::advance(LEASE).await;
        assert!(harness.app().bus().claim("pictures:tidy", "another", LEASE).await.unwrap());
        assert_eq!(client.call("tidy", json!(null)).await["data"], false);
    }
}
