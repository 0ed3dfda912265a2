//! A handler without the client's context.
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
    async fn say(self: Arc<Self>, text: String) -> Result<String> {
        Ok(text)
    }
}

fn main() {}
