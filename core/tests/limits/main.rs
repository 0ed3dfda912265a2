//! Clients that send too much, or fail to get in too often: through the router, as both engines reach it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::testing::Harness;

mod pauses;
mod rates;

struct Desk;

impl Plugin for Desk {
    const NAME: &'static str = "desk";
    const NAMESPACE: &'static str = "/desk";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("say", "Has no limit of its own.", async |_, _, _: Ignored| Ok(()));
        on.event("search", "Is expensive.", async |_, _, _: Ignored| Ok(())).limit(1, 2);
        on.event("move", "Comes often.", async |_, _, _: Ignored| Ok(())).limit(0, 1);
    }

    async fn admit(self: Arc<Self>, peer: Peer) -> Result<()> {
        match peer.auth().as_deref() {
            Some("\"wrong\"") => Err(Error::forbidden("wrong")),
            Some("\"broken\"") => Err(Error::internal("broken")),
            _ => Ok(()),
        }
    }
}

/// Another namespace, which may ask back.
struct Hall;

impl Plugin for Hall {
    const NAME: &'static str = "hall";
    const NAMESPACE: &'static str = "/hall";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("say", "Has no limit of its own.", async |_, _, _: Ignored| Ok(()));
        on.calls::<String, bool>("sure", "Whether it is.");
        on.event("ask", "Asks back.", async |_, ctx, _: Ignored| {
            ctx.call::<bool>("sure", "really", Duration::from_millis(500)).await
        });
    }
}

async fn desk(settings: &[(&str, &str)]) -> Harness {
    Harness::boot(&Registry::of::<Desk>().and::<Hall>().unwrap(), settings).await.unwrap()
}
