//! A handler that keeps something that is not Send over an await.
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
    async fn say(self: Arc<Self>, _: Ctx, text: String) -> Result<String> {
        let shared = std::rc::Rc::new(text);
        std::future::ready(()).await;
        Ok(shared.to_string())
    }
}

fn main() {}
