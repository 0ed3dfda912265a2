//! What clients ask a plugin to publish, and to whom.

use carillon_core::prelude::*;
use carillon_core::testing::TestClient;
use carillon_core::{Host, Target};
use serde_json::Value;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Say {
    pub(crate) text: Value,
    rooms: Vec<String>,
    clients: Vec<String>,
    except: Vec<String>,
    local: bool,
}

impl Say {
    /// To whom.
    pub(crate) fn to(&mut self, host: &Host) -> Target {
        let to = host.to("/chat");
        let to = self.rooms.drain(..).fold(to, |to, room| to.room(room));
        let to = self.clients.drain(..).fold(to, |to, id| to.client(id));
        let to = self.except.drain(..).fold(to, |to, name| to.except(name));
        if self.local { to.local() } else { to }
    }
}

/// Has it published.
pub(crate) async fn say(client: &mut TestClient, what: Value) {
    let answer = client.call("say", what).await;
    assert_eq!(answer["ok"], true, "{answer}");
}
