//! `/desk`: who sits here is known from a token.

use carillon_core::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Auth {
    name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Seat {
    who: String,
    team: Option<String>,
}

struct Desk;

impl Plugin for Desk {
    const NAME: &'static str = "desk";
    const NAMESPACE: &'static str = "/desk";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.auth::<Auth>();
        on.event("sit", "Takes a seat.", Self::sit);
        on.emits::<String>("hello", "Greets a client by its name.");
    }

    async fn admit(self: Arc<Self>, peer: Peer) -> Result<()> {
        name_of(&peer).map(drop)
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        ctx.emit("hello", &name_of(ctx.peer())?)
    }
}

/// What the token says, where clients must show one; else what the client says itself.
fn name_of(peer: &Peer) -> Result<String> {
    if let Some(identity) = peer.identity() {
        return Ok(identity.subject().to_owned());
    }
    let auth: Auth = peer.auth_as()?;
    auth.name.ok_or_else(|| Error::forbidden("a name, please"))
}

impl Desk {
    async fn sit(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<Seat> {
        let identity = ctx.identity().ok_or_else(|| Error::forbidden("sign in first"))?;
        let team: Option<String> = identity.claim("team")?;
        Ok(Seat { who: identity.subject().to_owned(), team })
    }
}
plugin!(Desk);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::testing::Harness;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn a_seat_has_the_name_of_its_token() {
        let harness = Harness::of::<Desk>().await;
        let mut ann = harness.connect_as("/desk", json!({"sub": "ann", "team": "blue"})).await.unwrap();
        assert_eq!(ann.call("sit", json!(null)).await["data"], json!({"who": "ann", "team": "blue"}));
        let mut bob = harness.connect_with("/desk", Some(json!({"name": "bob"}))).await.unwrap();
        assert_eq!(bob.call("sit", json!(null)).await["error"]["message"], "sign in first");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_that_of_the_token_where_there_is_one() {
        let harness = Harness::of::<Desk>().await;
        let shown = json!({"name": "bob"});
        let ann = harness.connect_as_with("/desk", json!({"sub": "ann"}), shown.clone()).await.unwrap();
        assert_eq!(ann.expect("hello").await, "ann");
        let bob = harness.connect_with("/desk", Some(shown)).await.unwrap();
        assert_eq!(bob.expect("hello").await, "bob");
        assert_eq!(harness.connect_with("/desk", Some(json!({}))).await.unwrap_err().message(), "a name, please");
    }
}
