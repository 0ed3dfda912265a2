//! Plugins decide about handshakes before there is a session: who is asked, what they are told, and what a refusal is.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

use std::sync::Mutex;

use carillon_core::peer::Handshake;
use carillon_core::prelude::*;
use carillon_core::registry::{Registration, Registry};
use carillon_core::testing::Harness;

/// The first one asked: does as the query says.
struct First {
    kept: Mutex<Option<Peer>>,
    host: Host,
}

impl Plugin for First {
    const NAME: &'static str = "a-first";
    const NAMESPACE: &'static str = "/first";
    type Config = NoConfig;
    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { kept: Mutex::default(), host })
    }
    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.handshake("Does as the query says.", Self::decide);
        on.event("kept", "What is still known of the last peer.", Self::kept);
        on.emits::<String>("known", "What was known of a peer.");
    }
}

#[derive(Deserialize, JsonSchema)]
struct Asked {
    first: Option<String>,
}

impl First {
    async fn decide(self: Arc<Self>, peer: Peer) -> Result<(), Refusal> {
        *self.kept.lock().unwrap() = Some(peer.clone());
        match peer.query_as::<Asked>()?.first.as_deref() {
            Some("refuse") => Err(Refusal::new(402, "the first says no")),
            Some("limit") => Err(Error::rate_limited("too often").into()),
            Some("fail") => Ok("x".parse::<u8>().map(drop)?),
            Some("panic") => panic!("on purpose"),
            Some("hang") => std::future::pending().await,
            _ => {
                let known = (peer.address(), peer.is_secure(), peer.header("cookie"), peer.path(), peer.auth());
                self.host.to("/first").publish("known", &format!("{known:?}"))?;
                Ok(())
            }
        }
    }

    async fn kept(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<String> {
        let kept = self.kept.lock().unwrap();
        let peer = kept.as_ref().unwrap();
        Ok(format!("{:?} {:?} {:?}", peer.query(), peer.header("cookie"), peer.path()))
    }
}

/// Asked next: refuses always.
struct Second;

impl Plugin for Second {
    const NAME: &'static str = "b-second";
    const NAMESPACE: &'static str = "/second";
    type Config = NoConfig;
    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }
    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.handshake("Refuses.", async |_, _| Err(Refusal::new(418, "the second says no")));
    }
}

/// Not asked.
struct Other;

impl Plugin for Other {
    const NAME: &'static str = "other";
    const NAMESPACE: &'static str = "/other";
    type Config = NoConfig;
    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }
    fn routes(_: &mut Routes<Self>, _: &NoConfig) {}
}

fn handshake(query: &'static str) -> Handshake {
    let sent = [("cookie", "id=7"), ("accept", "*/*")];
    let handshake = Handshake::new(([10, 0, 0, 1], 80).into(), true, query);
    handshake.with_headers(sent.into_iter()).with_path("/socket.io/")
}

async fn refused(harness: &Harness, query: &'static str) -> (u16, String) {
    let refusal = harness.handshake(handshake(query)).await.unwrap_err();
    (refusal.status(), refusal.message().to_owned())
}

/// Status and text are the plugin's; what fails, hangs or panics refuses, and tells the client nothing of itself.
#[tokio::test(start_paused = true)]
async fn a_refusal_has_the_plugins_status_and_text_and_a_failure_refuses() {
    let harness = Harness::of::<First>().await;
    assert!(harness.handshake(handshake("")).await.is_ok());
    assert_eq!(refused(&harness, "first=refuse").await, (402, "the first says no".to_owned()));
    assert_eq!(refused(&harness, "first=limit").await, (429, "too often".to_owned()));
    assert!(harness.app().failures().is_empty(), "that was no failure of the server's");
    assert_eq!(refused(&harness, "first=fail").await, (500, "internal error".to_owned()));
    assert_eq!(refused(&harness, "first=panic").await, (500, "internal error".to_owned()));
    assert_eq!(refused(&harness, "first=hang").await.0, 503);
    let failures = harness.app().failures();
    let told: Vec<_> = failures.iter().map(|failure| (failure.plugin, failure.event.as_str())).collect();
    assert_eq!(told, [("a-first", "handshake"); 2]);
    assert!(failures[0].cause.contains("on purpose") && failures[1].cause.contains("invalid digit"), "{failures:?}");
}

/// One after the other by name; the first refusal is the answer, and who declares nothing is not asked.
#[tokio::test(start_paused = true)]
async fn plugins_are_asked_in_the_order_of_their_names() {
    let registry = Registry::new(vec![
        Registration::of::<Second>(file!(), line!()),
        Registration::of::<Other>(file!(), line!()),
        Registration::of::<First>(file!(), line!()),
    ]);
    let harness = Harness::boot(&registry.unwrap(), &[]).await.unwrap();
    assert_eq!(refused(&harness, "first=refuse").await.0, 402);
    assert_eq!(refused(&harness, "").await, (418, "the second says no".to_owned()));
    let alone = Harness::of::<Other>().await;
    assert!(!alone.app().router().decides_handshakes() && harness.app().router().decides_handshakes());
    assert!(alone.handshake(handshake("first=refuse")).await.is_ok());
}

/// The plugin is told where the request comes from and what it said, and keeps none of it, whoever waited for its word.
#[tokio::test(start_paused = true)]
async fn what_a_handshake_said_is_told_and_forgotten() {
    let harness = Harness::of::<First>().await;
    let mut client = harness.connect("/first").await.unwrap();
    harness.handshake(handshake("token=s3cr3t")).await.unwrap();
    let known = r#"(10.0.0.1:80, true, Some("id=7"), "/socket.io/", None)"#;
    assert_eq!(client.expect("known").await, known);
    assert_eq!(client.call("kept", serde_json::json!(null)).await["data"], r#""" None """#);
    let gone = harness.handshake(handshake("first=hang&token=s3cr3t"));
    assert!(tokio::time::timeout(Duration::from_millis(10), gone).await.is_err(), "the client hangs up");
    assert_eq!(client.call("kept", serde_json::json!(null)).await["data"], r#""" None """#);
}
