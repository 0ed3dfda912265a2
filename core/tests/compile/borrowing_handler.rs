//! A handler that borrows from what made it.
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
        let greeting = String::from("hello ");
        on.event("say", "Says it.", async |_, _, text: String| Ok(format!("{greeting}{text}")));
    }
}

fn main() {}
