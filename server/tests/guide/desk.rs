//! `/desk`: who sits here is known from a token.

use carillon_core::prelude::*;

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
        on.event("sit", "Takes a seat.", Self::sit);
    }
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
        let mut nobody = harness.connect("/desk").await.unwrap();
        assert_eq!(nobody.call("sit", json!(null)).await["error"]["message"], "sign in first");
    }
}
