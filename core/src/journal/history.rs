//! What a journal tells of the past: to plugins all of it, to clients what they would have got.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Entry, Keeper, Record};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::routes::Routes;
use crate::time::written;

/// Publishes in one answer, at most and where nobody says how many.
const MOST: usize = 1_000;
const MANY: usize = 100;
/// Bytes of the publishes in one answer, unless the first has more.
const BYTES: usize = 1 << 20;

/// A part of what was published to a namespace, in order.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct History {
    /// The publishes.
    pub events: Vec<Past>,
    /// Where this part ends: what follows it comes after this offset.
    pub offset: String,
    /// Whether more is kept behind that.
    pub more: bool,
    /// Whether nothing is missing between the offset that was asked for and the first of these. When something is, it is
    /// kept no longer.
    pub complete: bool,
}

/// One publish of the past.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Past {
    /// Its place.
    pub offset: String,
    /// When it was published, RFC 3339 in UTC.
    pub timestamp: String,
    /// The event's name.
    pub event: String,
    /// Its arguments. Binary data stands in them as `{"_placeholder":true,"num":n}`.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub args: Vec<Box<RawValue>>,
    /// The binary data of these places, in base 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
}

/// What a client asks for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Ask {
    /// What follows this offset; without one the newest.
    since: Option<String>,
    /// How many at most: 1 to 1,000. Without a number, 100.
    limit: Option<usize>,
}

impl Ask {
    async fn read(&self, keeper: &Keeper, tells: impl Fn(&Record) -> bool + Send) -> Result<History> {
        read_past(keeper, self.since.as_deref(), self.limit.unwrap_or(MANY), tells).await
    }
}

impl Past {
    fn new(entry: &Entry, record: Record) -> Result<Self> {
        let payload = record.payload()?;
        Ok(Self {
            offset: entry.offset.to_string(),
            timestamp: written(entry.at),
            args: payload.args()?,
            attachments: payload.attachments().iter().map(|data| STANDARD.encode(data)).collect(),
            event: record.event,
        })
    }
}

/// The publishes that follow `since`, or the newest, of which those are told that `tells` says.
pub(crate) async fn read_past(
    keeper: &Keeper,
    since: Option<&str>,
    limit: usize,
    tells: impl Fn(&Record) -> bool + Send,
) -> Result<History> {
    let since = since.map(str::parse).transpose()?;
    let page = keeper.read(since.as_ref(), limit.clamp(1, MOST)).await?;
    let (mut events, mut bytes, mut offset) = (Vec::new(), 0, since.unwrap_or_else(|| page.last.clone()));
    for entry in &page.entries {
        bytes += entry.record.len();
        if bytes > BYTES && !events.is_empty() {
            break;
        }
        offset = entry.offset.clone();
        match Record::read(keeper, entry) {
            Ok(record) if tells(&record) => events.push(Past::new(entry, record)?),
            Ok(_) => {}
            Err(_) => keeper.counts.malformed.inc(),
        }
    }
    if page.entries.is_empty() {
        offset = page.last.clone();
    }
    Ok(History { events, more: offset != page.last, offset: offset.to_string(), complete: page.whole })
}

/// The router, for routes that are declared before there is one.
pub(crate) type LateHost = Arc<OnceLock<Host>>;

/// Lets clients of `namespace` ask what was published: by the event `history` what they would have got, by
/// `GET /api/history/..` what went to everybody.
pub(crate) fn declare<P: Send + Sync + 'static>(on: &mut Routes<P>, namespace: &'static str, host: LateHost) {
    on.event(
        "history",
        "What was published lately, as far as this client would have got it.",
        async |_, ctx: Ctx, ask: Ask| {
            let keeper = ctx.keeper().ok_or_else(|| Error::not_found("nothing is kept of this namespace"))?;
            let (id, rooms) = (ctx.id(), ctx.rooms());
            ask.read(keeper, |record| record.is_for(id, &rooms)).await
        },
    );
    let path = format!("/api/history{}", if namespace == "/" { "" } else { namespace });
    on.get(path, "What was published lately to everybody.", move |_, ask: Ask| {
        let host = host.clone();
        async move {
            let host = host.get().ok_or_else(|| Error::unavailable("the server is starting"))?;
            ask.read(host.keeper(namespace)?, Record::is_for_all).await
        }
    });
}
