//! A request that is a reference.
use carillon_core::prelude::*;

struct Mine;

impl Plugin for Mine {
    const NAME: &'static str = "mine";
    const NAMESPACE: &'static str = "/mine";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("say", "Says it.", Self::say);
    }
}

impl Mine {
    async fn say(self: Arc<Self>, _: Ctx, text: &str) -> Result<String> {
        Ok(text.to_owned())
    }
}

fn main() {}
