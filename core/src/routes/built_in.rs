//! What the router itself adds to a namespace, as the settings say: tokens that clients show, and offsets they are sent.

use std::panic::Location;

use carillon_config::{AuthMode, AuthSettings, JournalSettings, Loaded};
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::Routes;
use crate::client::refresh;

/// What clients show where the server asks who they are.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only described")]
struct ShownToken {
    /// A token or an API key; without it that of a header counts, or of the cookie or query parameter in the settings.
    #[schemars(extend("default" = null))]
    token: Option<String>,
}

impl<P: Send + Sync + 'static> Routes<P> {
    /// Describes what clients of `namespace` may do that the plugin has no part in.
    pub(crate) fn describe_built_in(&mut self, namespace: &str, settings: &Loaded) {
        let journal: JournalSettings = settings.get("journal");
        self.table.outline.recovery = journal.recovery.iter().any(|name| name == namespace);
        let auth: AuthSettings = settings.get("auth");
        if auth.mode == AuthMode::Open {
            return;
        }
        let shown = self.schemas.subschema_for::<ShownToken>();
        let own = self.table.outline.auth.take();
        self.table.outline.auth = Some(match own {
            None => shown,
            Some(own) => both(shown.into(), own.into()),
        });
        let refresh = self.outlined::<refresh::Refresh, refresh::Refreshed>(
            refresh::EVENT.to_owned(),
            "Shows a newer token of the same subject, in place of the one that ends.",
            Location::caller(),
        );
        self.table.outline.built_in.push(refresh);
    }
}

fn both(one: Value, other: Value) -> schemars::Schema {
    let mut fields = serde_json::Map::new();
    fields.insert("allOf".to_owned(), json!([one, other]));
    fields.into()
}
