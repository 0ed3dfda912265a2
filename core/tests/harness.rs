//! The harness: what a client waits for comes, or the test fails and says what came instead.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::panic::AssertUnwindSafe;

use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::testing::Harness;
use futures_util::FutureExt;
use serde_json::{Value, json};

struct Shop {
    host: Host,
}

impl Plugin for Shop {
    const NAME: &'static str = "shop";
    const NAMESPACE: &'static str = "/shop";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("buy", "Sells.", Self::buy);
        on.event("later", "Says so after half a second.", Self::later);
        on.event("leave", "Sends the client away and answers.", Self::leave);
        on.event_with_ack("pay_and_leave", "Answers and sends the client away.", Self::pay_and_leave);
        on.event("elsewhere", "Publishes to a namespace that nobody serves.", Self::elsewhere);
        on.emits::<Value>("sold", "Something was bought.");
        on.emits::<Attachment>("receipt", "What was paid.");
    }
}

/// Sells to whoever is in the shop.
struct Market {
    host: Host,
}

impl Plugin for Market {
    const NAME: &'static str = "market";
    const NAMESPACE: &'static str = "/market";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        host.metrics().counter("market_prices_total", "Prices asked.", &["fruit", "size"])?;
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("offer", "Tells the shop.", Self::offer);
        on.emits_to::<Value>("/shop", "sold", "Something was offered.");
    }
}

impl Market {
    async fn offer(self: Arc<Self>, _: Ctx, what: Value) -> Result<()> {
        self.host.to("/shop").publish("sold", &what)
    }
}

impl Shop {
    async fn buy(self: Arc<Self>, ctx: Ctx, what: Value) -> Result<Value> {
        ctx.emit("sold", &what)?;
        Ok(what)
    }

    async fn later(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<()> {
        self.host.spawn("later", async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            ctx.emit("receipt", &Attachment::from("paid")).ok();
        });
        Ok(())
    }

    async fn leave(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<&'static str> {
        ctx.disconnect();
        Ok("bye")
    }

    async fn pay_and_leave(self: Arc<Self>, ctx: Ctx, _: Ignored, ack: Ack<&'static str>) -> Result<()> {
        ack.send("bye")?;
        ctx.disconnect();
        Ok(())
    }

    async fn elsewhere(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<()> {
        let target = self.host.to("/nowhere");
        target.publish("sold", &1)
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

#[tokio::test(start_paused = true)]
async fn the_bytes_of_what_came_can_be_looked_at() {
    let shop = Harness::of::<Shop>().await;
    let mut client = shop.connect("/shop").await.unwrap();
    client.call("later", json!(null)).await;
    let receipt = client.expect_raw("receipt").await;
    assert_eq!(receipt.attachments(), ["paid"]);
    assert_eq!(&receipt.arg::<Attachment>(0).unwrap()[..], b"paid");
}

/// That nothing comes can be said, and fails with the place when something does.
#[tokio::test(start_paused = true)]
async fn that_nothing_comes_is_looked_at_for_as_long_as_one_likes() {
    let text = panic_of(async {
        let shop = Harness::of::<Shop>().await;
        let mut client = shop.connect("/shop").await.unwrap();
        client.call("later", json!(null)).await;
        client.expect_nothing(Duration::from_millis(499)).await;
        client.expect_nothing(Duration::from_millis(2)).await;
    })
    .await;
    assert!(text.contains("nothing was to come for 2ms") && text.contains(r#"["receipt","#), "{text}");
    assert!(text.contains("tests/harness.rs:"), "the place in the test: {text}");
}

#[tokio::test(start_paused = true)]
async fn plugins_that_work_together_run_in_one_harness() {
    let both = Registry::of::<Shop>().and::<Market>().unwrap();
    let harness = Harness::boot(&both, &[]).await.unwrap();
    let shop = harness.connect("/shop").await.unwrap();
    let mut market = harness.connect("/market").await.unwrap();
    market.call("offer", json!("figs")).await;
    assert_eq!(shop.expect("sold").await, "figs");
    market.expect_nothing(Duration::from_secs(1)).await;
    let text = both.and::<Market>().err().unwrap().to_string();
    assert_eq!(text.matches("core/tests/harness.rs:").count(), 2, "both places: {text}");
}

#[tokio::test(start_paused = true)]
async fn a_metric_that_does_not_exist_fails_and_names_similar_ones() {
    let both = Registry::of::<Shop>().and::<Market>().unwrap();
    let harness = Harness::boot(&both, &[]).await.unwrap();
    let mut client = harness.connect("/shop").await.unwrap();
    client.call("buy", json!(1)).await;
    let sent = |labels: &str| harness.metric(&format!("carillon_messages_sent_total{{{labels}}}"));
    assert_eq!(sent(r#"namespace="/shop",event="sold""#), 1.0, "labels in any order");
    assert_eq!(sent(r#"namespace="/shop",event="so\"ld,""#), 0.0, "nothing was counted there");
    assert_eq!(harness.metric(r#"carillon_market_prices_total{fruit="fig",size="s"}"#), 0.0, "nor anywhere in it");
    assert_eq!(harness.metric(r#"carillon_handler_seconds_count{namespace="/shop",event="buy"}"#), 1.0);
    assert_eq!(harness.metric(r#"carillon_handler_seconds_bucket{namespace="/shop",event="buy",le="+Inf"}"#), 1.0);
    let told = |series: &str| {
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| harness.metric(series))).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let text = told(r#"market_price_total{fruit="fig"}"#);
    assert!(
        text.contains(r#"no metric "market_price_total"; similar ones are carillon_market_prices_total, "#),
        "{text}"
    );
    let text = told(r#"carillon_market_prices_total{fruit="fig"}"#);
    assert!(text.ends_with("the labels of carillon_market_prices_total are: fruit, size"), "{text}");
    assert!(told("carillon_bus_up{a=\"b\"}").ends_with("are: none"));
    assert!(told("carillon_handler_seconds").contains("carillon_handler_seconds"));
    assert!(told("carillon_bus_up{a=b}").contains("is no series"));
}

/// A failed boot shows the line of the test, and speaks of a setting in words of a configuration.
#[tokio::test(start_paused = true)]
async fn a_boot_that_fails_shows_the_line_of_the_test() {
    let text = panic_of(async {
        Harness::with::<Shop>(&[("router.handler_timeout", "5")]).await;
    })
    .await;
    assert!(text.contains("tests/harness.rs:"), "the place in the test: {text}");
    assert!(
        text.ends_with("boot: router.handler_timeout: no such setting (did you mean `router.handler_timeout_ms`?)"),
        "{text}"
    );
    for (path, hint) in [("plugins.shop.x", "settings: `plugins.shop.enabled`"), ("x.y", "sections: `server`, ")] {
        let error = Harness::boot(&Registry::of::<Shop>(), &[(path, "5")]).await.unwrap_err().to_string();
        assert!(error.contains(hint) && !error.contains("flag"), "{error}");
    }
}

/// Nothing reaches a client behind its DISCONNECT, and the harness does not pretend that it does.
#[tokio::test(start_paused = true)]
async fn the_ack_goes_before_the_disconnect_or_not_at_all() {
    let shop = Harness::of::<Shop>().await;
    let mut client = shop.connect("/shop").await.unwrap();
    let ack = client.call("pay_and_leave", json!(null)).await;
    assert_eq!(ack["data"], "bye");
    assert!(client.sink().disconnected());
    let text = panic_of(async {
        let mut client = shop.connect("/shop").await.unwrap();
        client.call("leave", json!(null)).await;
    })
    .await;
    assert!(text.contains("the server disconnected it") && !text.contains("bye"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_publish_to_nobodys_namespace_is_told_with_its_place() {
    let shop = Harness::of::<Shop>().await;
    let mut client = shop.connect("/shop").await.unwrap();
    let ack = client.call("elsewhere", json!(null)).await;
    let failures = shop.app().failures();
    assert_eq!(ack["error"]["id"], json!(failures[0].id));
    let cause = &failures[0].cause;
    assert!(cause.starts_with("no plugin serves /nowhere, published to at core/tests/harness.rs:"), "{cause}");
    assert!(cause.ends_with("there are: /shop"), "{cause}");
    assert_eq!(shop.undeclared().len(), 1, "the test would fail without this");
}

/// What fails because of an event that nobody declared has more to tell than its name.
#[tokio::test(start_paused = true)]
async fn an_undeclared_event_fails_with_the_causes_of_what_else_failed() {
    let text = panic_of(async {
        let shop = Harness::of::<Shop>().await;
        let mut client = shop.connect("/shop").await.unwrap();
        client.call("elsewhere", json!(null)).await;
    })
    .await;
    assert!(text.contains("sent and not declared: /nowhere sold (sent at "), "{text}");
    assert!(text.contains(" of /shop elsewhere: no plugin serves /nowhere"), "{text}");
}

/// A mistake in a test is told with the test's line.
#[tokio::test(start_paused = true)]
async fn panics_of_metric_and_answer_name_the_line_of_the_test() {
    let shop = Harness::of::<Shop>().await;
    let client = shop.connect("/shop").await.unwrap();
    let places = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (kept, before) = (Arc::clone(&places), std::panic::take_hook());
    let here = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == here {
            kept.lock().unwrap().push(panic.location().unwrap().file().to_owned());
        } else {
            before(panic);
        }
    }));
    std::panic::catch_unwind(AssertUnwindSafe(|| shop.metric("carillon_http_requests_total"))).unwrap_err();
    std::panic::catch_unwind(AssertUnwindSafe(|| client.answer(Payload::empty()))).unwrap_err();
    // Not while it is locked: the hook would wait for it.
    let places = std::mem::take(&mut *places.lock().unwrap());
    assert_eq!(places, ["core/tests/harness.rs"; 2]);
}
