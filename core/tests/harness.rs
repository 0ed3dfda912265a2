//! The harness: what a client waits for comes, or the test fails and says what came instead.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::panic::AssertUnwindSafe;

use carillon_core::prelude::*;
use carillon_core::testing::Harness;
use futures_util::FutureExt;
use serde_json::{Value, json};

struct Shop;

impl Plugin for Shop {
    const NAME: &'static str = "shop";
    const NAMESPACE: &'static str = "/shop";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("buy", "Sells.", Self::buy);
        on.emits::<Value>("sold", "Something was bought.");
    }
}

impl Shop {
    async fn buy(self: Arc<Self>, ctx: Ctx, what: Value) -> Result<Value> {
        ctx.emit("sold", &what)?;
        Ok(what)
    }
}

/// What a panic of `work` says.
async fn panic_of(work: impl Future<Output = ()>) -> String {
    let panic = AssertUnwindSafe(work).catch_unwind().await.unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn waiting_for_an_event_that_never_comes_fails_and_says_what_came() {
    let text = panic_of(async {
        let shop = Harness::of::<Shop>().await;
        let mut client = shop.connect("/shop").await.unwrap();
        client.call("buy", json!({"pears": 3})).await;
        client.expect("sold").await;
        client.expect("delivered").await;
    })
    .await;
    assert!(text.contains(r#"waited 60 s for the event "delivered""#), "{text}");
    assert!(text.contains(r#"["sold",{"pears":3}]"#) && text.contains("ack 1"), "{text}");
    assert!(text.contains("tests/harness.rs:"), "the place in the test: {text}");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_name_fails_and_names_both() {
    let text = panic_of(async {
        let shop = Harness::of::<Shop>().await;
        let mut client = shop.connect("/shop").await.unwrap();
        client.call("buy", json!("apples")).await;
        client.expect("delivered").await;
    })
    .await;
    assert!(text.contains("delivered") && text.contains(r#"got "sold""#) && text.contains("apples"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_is_gone_is_answered_at_once() {
    let shop = Harness::of::<Shop>().await;
    let mut client = shop.connect("/shop").await.unwrap();
    client.close(Reason::TransportClose);
    let ack = client.call("buy", json!(1)).await;
    assert_eq!(ack["error"]["code"], "unavailable", "{ack}");
}

#[tokio::test(start_paused = true)]
async fn the_harness_and_its_clients_show_themselves() {
    let shop = Harness::of::<Shop>().await;
    let client = shop.connect("/shop").await.unwrap();
    assert!(format!("{shop:?}").contains("/shop"));
    assert!(format!("{client:?}").contains(client.id()));
}
