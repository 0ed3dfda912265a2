//! What a journal tells of the past: to plugins all of it, to clients what they would have got.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Entry, Keeper, Offset, Record};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::routes::Routes;
use crate::time::written;

/// Publishes in one answer, at most and where nobody says how many.
const MOST: usize = 1_000;
const MANY: usize = 100;
/// Publishes that are looked at for the newest that somebody may be told.
const FAR: usize = 5 * MOST;
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
    async fn read(&self, keeper: &Keeper, tells: impl Fn(&Record) -> bool + Send + Sync) -> Result<History> {
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
    tells: impl Fn(&Record) -> bool + Send + Sync,
) -> Result<History> {
    let limit = limit.clamp(1, MOST);
    let told = |entry: &Entry| match Record::read(keeper, entry) {
        Ok(record) => tells(&record).then_some(record),
        Err(_) => {
            keeper.counts.malformed.inc();
            None
        }
    };
    match since {
        Some(since) => read_on(keeper, since.parse()?, limit, told).await,
        None => read_newest(keeper, limit, told).await,
    }
}

/// Those of the `limit` that follow `since` which are told.
async fn read_on(
    keeper: &Keeper,
    since: Offset,
    limit: usize,
    told: impl Fn(&Entry) -> Option<Record> + Send,
) -> Result<History> {
    let page = keeper.read(Some(&since), limit).await?;
    let (mut events, mut bytes, mut offset) = (Vec::new(), 0, since);
    for entry in &page.entries {
        bytes += entry.record.len();
        if bytes > BYTES && !events.is_empty() {
            break;
        }
        offset = entry.offset.clone();
        if let Some(record) = told(entry) {
            events.push(Past::new(entry, record)?);
        }
    }
    if page.entries.is_empty() {
        offset = page.last.clone();
    }
    Ok(History { events, more: offset != page.last, offset: offset.to_string(), complete: page.whole })
}

/// The newest that are told, up to `limit`. Where others lie between they are looked for behind those, [so far](FAR).
async fn read_newest(keeper: &Keeper, limit: usize, told: impl Fn(&Entry) -> Option<Record> + Send) -> Result<History> {
    let mut page = keeper.read(None, limit).await?;
    let (last, whole) = (page.last.clone(), page.whole);
    let offset = page.entries.last().map_or_else(|| last.clone(), |entry| entry.offset.clone());
    let (mut events, mut bytes, mut looked) = (VecDeque::new(), 0, page.entries.len());
    'looking: loop {
        for entry in page.entries.iter().rev() {
            let Some(record) = told(entry) else { continue };
            bytes += entry.record.len();
            if bytes > BYTES && !events.is_empty() {
                break 'looking;
            }
            events.push_front(Past::new(entry, record)?);
            if events.len() == limit {
                break 'looking;
            }
        }
        let Some(first) = page.entries.first().map(|entry| entry.offset.number()) else { break };
        let before = first.saturating_sub(1 + MOST as u64);
        let older = (first - 1 - before) as usize;
        if older == 0 || looked >= FAR {
            break;
        }
        page = keeper.read(Some(&Offset::new(Arc::from(last.epoch()), before)), older).await?;
        page.entries.retain(|entry| entry.offset.number() < first);
        looked += page.entries.len();
        // One that is too large to be read at once ends before what is known already.
        if page.entries.last().is_none_or(|entry| entry.offset.number() + 1 != first) {
            break;
        }
    }
    Ok(History { events: events.into(), more: offset != last, offset: offset.to_string(), complete: whole })
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
