//! Settings without a default.
use carillon_core::prelude::*;

struct Mine;

impl Plugin for Mine {
    const NAME: &'static str = "mine";
    const NAMESPACE: &'static str = "/mine";
    type Config = Settings;

    async fn init(_: Settings, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(_: &mut Routes<Self>, _: &Settings) {
    }
}

/// How to speak.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Settings {
    /// Whether to shout.
    loud: bool,
}

fn main() {}
