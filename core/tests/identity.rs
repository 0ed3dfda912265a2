//! What the identity of a client lets it do, through the router: namespaces, roles, events and rooms.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use carillon_core::identity::{Authenticate, Shown, unauthorized};
use carillon_core::lifecycle::BootPlan;
use carillon_core::params::Params;
use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::sink::Transport;
use carillon_core::testing::{Handshake, Harness};
use carillon_core::threads::Threads;
use serde_json::{Value, json};

static HEARD: AtomicUsize = AtomicUsize::new(0);

struct Chat;

impl Plugin for Chat {
    const NAME: &'static str = "chat";
    const NAMESPACE: &'static str = "/chat";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("who", "Who asks, and for which team.", Self::who);
        on.event("join", "Joins a room.", async |_, ctx: Ctx, room: String| ctx.join(&room));
        on.event("shout", "Is heard.", async |_, _: Ctx, _: Ignored| {
            HEARD.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        on.get("/api/chat", "Something.", async |_, (): ()| Ok(7));
    }

    async fn admit(self: Arc<Self>, peer: Peer) -> Result<()> {
        match peer.identity() {
            Some(identity) if identity.subject() == "banned" => Err(Error::forbidden("you are banned")),
            _ => Ok(()),
        }
    }
}

impl Chat {
    async fn who(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<Option<(String, u8)>> {
        ctx.identity().map(|identity| Ok((identity.subject().to_owned(), identity.claim("team")?))).transpose()
    }
}

/// A plugin reads who its client is, typed, in `admit` and in its handlers; where nobody is asked there is none.
#[tokio::test(start_paused = true)]
async fn plugins_read_identities() {
    let harness = Harness::of::<Chat>().await;
    let mut ann = harness.connect_as("/chat", json!({"sub": "ann", "team": 7})).await.unwrap();
    assert_eq!(ann.call("who", Value::Null).await["data"], json!(["ann", 7]));
    let mut bob = harness.connect_as("/chat", json!({"sub": "bob"})).await.unwrap();
    let answer = bob.call("who", Value::Null).await;
    assert_eq!(answer["error"]["code"], "forbidden", "{answer}");
    let mut nobody = harness.connect("/chat").await.unwrap();
    assert_eq!(nobody.call("who", Value::Null).await["data"], Value::Null);
    let banned = harness.connect_as("/chat", json!({"sub": "banned"})).await.unwrap_err();
    assert_eq!(banned.message(), "you are banned");
}

/// A namespace opens to who may enter it, and, where it asks for a role, to who has that.
#[tokio::test(start_paused = true)]
async fn namespaces_and_roles_are_asked_at_the_door() {
    let harness = Harness::with::<Chat>(&[("plugins.chat.access", "operator")]).await;
    for (claims, enters) in [
        (json!({"sub": "ann", "roles": ["operator"]}), true),
        (json!({"sub": "ann", "roles": ["operator"], "namespaces": ["/chat"]}), true),
        (json!({"sub": "ann", "roles": ["operator"], "namespaces": ["/other"]}), false),
        (json!({"sub": "ann", "roles": ["viewer"]}), false),
        (json!({"sub": "ann"}), false),
    ] {
        let entered = harness.connect_as("/chat", claims.clone()).await;
        assert_eq!(
            entered.as_ref().err().map(Error::message),
            (!enters).then_some("not allowed in this namespace"),
            "{claims}"
        );
    }
    assert_eq!(harness.connect("/chat").await.unwrap_err().code(), Code::Forbidden);
    assert_eq!(harness.metric(r#"carillon_connects_refused_total{namespace="/chat"}"#), 4.0);
    assert_eq!(harness.get("/api/chat", &[]).await.unwrap_err().code(), Code::Forbidden);
}

/// Events and rooms that are not on the list are refused; such an event reaches neither queue nor plugin.
#[tokio::test(start_paused = true)]
async fn events_and_rooms_are_listed() {
    let harness = Harness::of::<Chat>().await;
    let claims = json!({"sub": "ann", "events": ["join", "nothing"], "rooms": ["team-*"]});
    let mut ann = harness.connect_as("/chat", claims).await.unwrap();
    let refused = json!({"code": "forbidden", "message": "not allowed to send this event", "retryable": false});
    assert_eq!(ann.call("shout", Value::Null).await, json!({"ok": false, "error": refused}));
    ann.emit("shout", &Value::Null);
    assert_eq!(ann.expect("error").await["code"], "forbidden");
    // The name as it is meant counts, and not as it is spelt.
    ann.send("shout", "", Vec::new(), None);
    assert_eq!(ann.expect("error").await["event"], "shout");
    assert_eq!(HEARD.load(Ordering::Relaxed), 0);
    assert_eq!(
        harness.metric(r#"carillon_handler_outcomes_total{event="shout",namespace="/chat",outcome="forbidden"}"#),
        3.0
    );
    assert_eq!(ann.call("join", json!("team-7")).await["ok"], true);
    assert_eq!(ann.call("join", json!("others")).await["error"]["message"], "not allowed in this room");
    assert_eq!(ann.call("nothing", Value::Null).await["error"]["code"], "unknown_event");
    let mut bob = harness.connect_as("/chat", json!({"sub": "bob"})).await.unwrap();
    assert_eq!(bob.call("shout", Value::Null).await["ok"], true);
    assert_eq!(HEARD.load(Ordering::Relaxed), 1);
}

/// Takes a token for the claims that it is.
struct Trusting;

impl Authenticate for Trusting {
    fn authenticate(&self, shown: &Shown) -> Result<Identity> {
        let claims =
            shown.token.as_deref().and_then(|text| serde_json::from_str(text).ok()).ok_or_else(unauthorized)?;
        Identity::new(claims).map_err(|_| unauthorized())
    }
}

/// Trusts, but for those that were revoked.
#[derive(Default)]
struct Revoking(Arc<Mutex<Vec<String>>>);

impl Authenticate for Revoking {
    fn authenticate(&self, shown: &Shown) -> Result<Identity> {
        Trusting.authenticate(shown)
    }

    fn is_revoked(&self, identity: &Identity) -> bool {
        self.0.lock().unwrap().iter().any(|subject| subject == identity.subject())
    }
}

/// Who is revoked is ended, whether its token has an end or not, and nobody else; who comes in at that moment too.
#[tokio::test(start_paused = true)]
async fn whoever_is_revoked_is_ended() {
    let revoking = Revoking::default();
    let revoked = Arc::clone(&revoking.0);
    let harness = asked_by(revoking).await;
    let endless = json!({ "token": json!({"sub": "ann", "team": 1}).to_string() });
    let ann = harness.connect_with("/chat", Some(token("ann", 60))).await.unwrap();
    let key = harness.connect_with("/chat", Some(endless)).await.unwrap();
    let bob = harness.connect_with("/chat", Some(token("bob", 60))).await.unwrap();
    assert_eq!(harness.app().end_revoked().await, 0);
    revoked.lock().unwrap().push("ann".to_owned());
    assert_eq!(harness.app().end_revoked().await, 2);
    assert_eq!((ann.sink().closed(), key.sink().closed()), (Some(Reason::TokenRevoked), Some(Reason::TokenRevoked)));
    assert_eq!(bob.sink().closed(), None);
    // Checked before it was revoked, connected after that.
    let late = harness.connect_with("/chat", Some(token("ann", 60))).await.unwrap();
    assert_eq!(late.sink().closed(), Some(Reason::TokenRevoked));
    revoked.lock().unwrap().push("bob".to_owned());
    bob.send("refresh_token", &token("bob", 600).to_string(), Vec::new(), None);
    assert_eq!(bob.sink().closed(), Some(Reason::TokenRevoked));
}

/// Knows one token.
struct One;

impl Authenticate for One {
    fn authenticate(&self, shown: &Shown) -> Result<Identity> {
        let Value::Object(claims) = json!({"sub": "ann", "team": 1}) else { return Err(unauthorized()) };
        let text = shown.token.as_deref().or(shown.authorization.as_deref());
        if text == Some("good") { Identity::new(claims).map_err(|_| unauthorized()) } else { Err(unauthorized()) }
    }
}

async fn asked_by(authenticate: impl Authenticate) -> Harness {
    let registry = Registry::of::<Chat>();
    let sections = carillon_core::config::all_sections(registry.sections());
    let config = carillon_core::config::Loader::new(sections).load().unwrap();
    let plan = BootPlan::new(&registry, &config).unwrap().authenticated_by(Arc::new(authenticate));
    Harness::from(plan.boot(&config, Threads::Shared, 1).await.unwrap())
}

/// A token of `sub` that ends so many seconds from now.
fn token(sub: &str, seconds: u64) -> Value {
    let end = SystemTime::now() + Duration::from_secs(seconds);
    let exp = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    json!({ "token": json!({"sub": sub, "exp": exp, "team": 1}).to_string() })
}

/// A connection outlives its token by the grace period, and no longer than a second more.
#[tokio::test(start_paused = true)]
async fn a_connection_ends_after_its_token() {
    let harness = asked_by(Trusting).await;
    let ann = harness.connect_with("/chat", Some(token("ann", 60))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(68)).await;
    assert_eq!(ann.sink().closed(), None);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ann.sink().closed(), Some(Reason::TokenExpired));
}

/// Who shows a newer token in time stays until that has ended; the event reaches no plugin and needs no place on a list.
#[tokio::test(start_paused = true)]
async fn a_client_that_refreshes_its_token_stays() {
    let harness = asked_by(Trusting).await;
    let listed = json!({"sub": "ann", "exp": 253_402_300_799_u64, "events": []}).to_string();
    let mut lister = harness.connect_with("/chat", Some(json!({ "token": listed }))).await.unwrap();
    let second = Duration::from_secs(1);
    let answer = lister.call("refresh_token", token("ann", 600)).await;
    assert_eq!(answer["ok"], true, "{answer}");
    let mut ann = harness.connect_with("/chat", Some(token("ann", 60))).await.unwrap();
    tokio::time::sleep(50 * second).await;
    for (shown, code) in [
        (token("bob", 600), "forbidden"),
        (json!({"token": "made up"}), "unauthorized"),
        (json!({"token": 7}), "bad_payload"),
        (Value::Null, "bad_payload"),
    ] {
        let answer = ann.call("refresh_token", shown).await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(ann.call("refresh_token", token("ann", 600)).await["error"]["code"], "rate_limited");
        tokio::time::sleep(second).await;
    }
    assert_eq!(ann.call_raw("refresh_token", "", Vec::new()).await.args_json()[0]["error"]["code"], "bad_payload");
    tokio::time::sleep(second).await;
    let answer = ann.call("refresh_token", token("ann", 600)).await;
    assert!(answer["ok"] == true && answer["data"]["exp"].is_u64(), "{answer}");
    tokio::time::sleep(500 * second).await;
    assert_eq!(ann.sink().closed(), None);
    assert_eq!(ann.call("who", Value::Null).await["data"], json!(["ann", 1]));
    tokio::time::sleep(120 * second).await;
    assert_eq!(ann.sink().closed(), Some(Reason::TokenExpired));
    assert_eq!(lister.sink().closed(), Some(Reason::TokenExpired));
}

/// What a newer token says of limits holds from then on; the event that shows it counts as any other.
#[tokio::test(start_paused = true)]
async fn a_newer_token_has_newer_limits() {
    let harness = asked_by(Trusting).await;
    let token = |burst: u32| {
        let limits = json!({"events_per_s": 1, "events_burst": burst});
        json!({ "token": json!({"sub": "ann", "limits": limits}).to_string() })
    };
    let mut ann = harness.connect_with("/chat", Some(token(2))).await.unwrap();
    assert_eq!(ann.call("join", json!("room")).await["ok"], true);
    assert_eq!(ann.call("refresh_token", token(5)).await["ok"], true);
    for ok in [true, true, true, false] {
        assert_eq!(ann.call("join", json!("room")).await["ok"], ok, "five in all");
    }
    assert_eq!(
        ann.call("refresh_token", token(10)).await["error"]["message"],
        "all your connections together send too many events"
    );
}

/// Where there is somebody to check what clients show, everybody is asked: at each CONNECT, and at each HTTP route.
#[tokio::test(start_paused = true)]
async fn everybody_is_asked() {
    let harness = asked_by(One).await;
    let mut ann = harness.connect_with("/chat", Some(json!({"token": "good", "more": 7}))).await.unwrap();
    assert_eq!(ann.call("who", Value::Null).await["data"], json!(["ann", 1]));
    for auth in [None, Some(json!({})), Some(json!({"token": "bad"})), Some(json!({"token": 7})), Some(json!([]))] {
        let error = harness.connect_with("/chat", auth.clone()).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (Code::Unauthorized, false), "{auth:?}");
    }
    // Claims that were not shown as a token count for nothing.
    assert_eq!(harness.connect_as("/chat", json!({"sub": "root"})).await.unwrap_err().code(), Code::Unauthorized);
    let router = harness.app().router();
    let route = &router.http()[0];
    let shown = Shown { authorization: Some("good".into()), ..Shown::default() };
    assert_eq!(router.get(route, None, &shown, Params::new(Vec::new())).await.unwrap(), "7");
    let refused = router.get(route, None, &Shown::default(), Params::new(Vec::new())).await.unwrap_err();
    assert_eq!(refused.code().status(), 401);
}

/// Whoever tries keys at HTTP routes is refused as at CONNECT, and what fails there counts here: there is one door.
#[tokio::test(start_paused = true)]
async fn tries_at_http_routes_count_as_those_at_connect() {
    let harness = asked_by(One).await;
    let router = harness.app().router();
    let route = &router.http()[0];
    let get = async |address: [u8; 4], key: &str| {
        let shown = Shown { authorization: Some(key.to_owned().into()), ..Shown::default() };
        router.get(route, Some(address.into()), &shown, Params::new(Vec::new())).await.map_err(|error| error.code())
    };
    // As many at once as the settings say.
    for _ in 0..100 {
        assert_eq!(get([10, 0, 0, 1], "guess").await, Err(Code::Unauthorized));
        assert_eq!(get([127, 0, 0, 1], "guess").await, Err(Code::Unauthorized));
        assert_eq!(get([10, 0, 0, 2], "good").await.unwrap(), "7");
    }
    assert_eq!(get([10, 0, 0, 1], "good").await, Err(Code::RateLimited));
    let handshake = Handshake::new(([10, 0, 0, 1], 0).into(), false, "");
    let connect = harness.connect_from("/chat", handshake, Transport::Polling, Some(json!({"token": "good"}))).await;
    assert_eq!(connect.err().map(|error| error.code()), Some(Code::RateLimited));
    assert_eq!(harness.metric(r#"carillon_rate_limited_total{scope="failed_connects"}"#), 2.0);
    assert_eq!(get([127, 0, 0, 1], "good").await.unwrap(), "7", "this machine may be a proxy");
    assert_eq!(get([10, 0, 0, 2], "good").await.unwrap(), "7");
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(get([10, 0, 0, 1], "good").await.unwrap(), "7");
}
