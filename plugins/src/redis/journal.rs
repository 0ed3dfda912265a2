//! Journals in Redis: a stream for each, and a hash with its epoch, its last number and its bytes.
//!
//! Appending, publishing and forgetting what has no room is one script, so that all nodes hear one order, and whoever reads
//! finds what was published. Both keys of a journal, and its channel, have one hash tag.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use carillon_core::journal::{Bounds, Entry, Offset, Page, new_epoch};
use carillon_core::{Code, Error, Result};
use deadpool_redis::redis::{ErrorKind, RedisError, Script, ServerErrorKind};

use super::Topology;
use super::commands::Commands;

/// Bytes of the records of one script, unless the first has more, and of those that are read at once.
const BYTES: usize = 4 << 20;
/// Entries that are read at once.
const ENTRIES: usize = 1024;

static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("journal_append.lua")));
static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("journal_read.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("journal_renew.lua")));

/// What the script that appends answers: epoch, last number, time, how many, and why no more.
type Appended = (String, u64, u64, usize, String);
/// What the script that reads answers: epoch, last number, the oldest one, and the entries.
type Found = (String, u64, String, Vec<(u64, String, u64, Vec<u8>)>);

/// The keys of a journal.
pub(super) struct Journal<'a> {
    topology: &'a Topology,
    stream: String,
}

impl<'a> Journal<'a> {
    /// The journal that is kept, and told of, under this name.
    pub(super) fn new(topology: &'a Topology, stream: String) -> Self {
        Self { topology, stream }
    }

    fn state(&self) -> String {
        format!("{}:state", self.stream)
    }

    /// See [`Bus::append`](carillon_core::bus::Bus::append).
    pub(super) async fn append(&self, records: &[Bytes], bounds: Bounds, known: Option<&Offset>) -> Vec<Result<Entry>> {
        let mut results = Vec::with_capacity(records.len());
        while results.len() < records.len() {
            let rest = &records[results.len()..];
            let some = &rest[..at_once(rest)];
            match self.append_some(some, bounds, known).await {
                Ok(entries) if entries.len() == some.len() => results.extend(entries.into_iter().map(Ok)),
                Ok(entries) => {
                    results.extend(entries.into_iter().map(Ok));
                    break;
                }
                Err(error) if error.code() == Code::Timeout => {
                    results.extend(some.iter().map(|_| Err(unknown())));
                    break;
                }
                Err(_) => break,
            }
        }
        while results.len() < records.len() {
            results.push(Err(Error::unavailable("Redis did not take it")));
        }
        results
    }

    async fn append_some(&self, records: &[Bytes], bounds: Bounds, known: Option<&Offset>) -> Result<Vec<Entry>> {
        if !self.topology.is_usable(&self.stream).await {
            return Err(Error::unavailable("Redis is away"));
        }
        // Set as soon as anything may have left.
        let asked = Arc::new(AtomicBool::new(false));
        let ask = async |commands: Arc<Commands>, asking| {
            let mut script = APPEND.prepare_invoke();
            script.key(&*self.stream).key(self.state()).arg(&*new_epoch());
            script.arg(known.map_or("", Offset::epoch)).arg(known.map_or(0, Offset::number));
            script.arg(bounds.events).arg(bounds.age.as_millis() as u64).arg(bounds.bytes);
            script.arg(self.topology.publishes());
            for record in records {
                script.arg(&**record);
            }
            let asked = Arc::clone(&asked);
            let work = async move |mut redis| {
                asked.store(true, Ordering::Relaxed);
                let answer = script.invoke_async::<Appended>(&mut redis).await;
                asked.store(!answer.as_ref().is_err_and(is_refusal), Ordering::Relaxed);
                answer
            };
            commands.run("append", asking, work).await
        };
        let answer = self.topology.ask(&self.stream, ask).await;
        let (epoch, last, at, count, why) = answer.map_err(|error| match error.code() {
            // No connection was to be had.
            Code::Overloaded => error,
            _ if !asked.load(Ordering::Relaxed) => error,
            _ => unknown(),
        })?;
        if !why.is_empty() {
            tracing::warn!("Redis refuses to append: {why}");
        }
        let (epoch, first) = (Arc::<str>::from(epoch), last + 1 - count as u64);
        let entries = records.iter().take(count).zip(first..);
        let entry = |(record, number): (&Bytes, u64)| Entry {
            offset: Offset::new(Arc::clone(&epoch), number),
            at,
            record: record.clone(),
        };
        Ok(entries.map(entry).collect())
    }

    /// See [`Bus::read`](carillon_core::bus::Bus::read).
    pub(super) async fn read(&self, after: Option<&Offset>, limit: usize) -> Result<Page> {
        let ask = async |commands: Arc<Commands>, asking| {
            let mut script = READ.prepare_invoke();
            script.key(&*self.stream).key(self.state()).arg(&*new_epoch());
            script.arg(after.map_or_else(String::new, |after| after.number().to_string()));
            script.arg(limit.min(ENTRIES)).arg(BYTES).arg(after.map_or("", Offset::epoch));
            let work = async move |mut redis| script.invoke_async::<Found>(&mut redis).await;
            commands.run("read", asking, work).await
        };
        let (epoch, last, oldest, found) = self.topology.ask(&self.stream, ask).await?;
        let last = Offset::new(epoch.into(), last);
        // With nothing kept, what was last is the only place that nothing is missing after.
        let oldest = oldest.parse().unwrap_or(last.number() + 1);
        let whole = after.is_none_or(|after| {
            after.epoch() == last.epoch() && (oldest..=last.number() + 1).contains(&(after.number() + 1))
        });
        let entry = |(number, epoch, at, record): (u64, String, u64, Vec<u8>)| Entry {
            offset: Offset::new(epoch.into(), number),
            at,
            record: record.into(),
        };
        Ok(Page { entries: found.into_iter().map(entry).collect(), whole, last })
    }

    /// See [`Bus::renew`](carillon_core::bus::Bus::renew).
    pub(super) async fn renew(&self, known: &Offset) -> Result<()> {
        let ask = async |commands: Arc<Commands>, asking| {
            let mut script = RENEW.prepare_invoke();
            script.key(&*self.stream).key(self.state()).arg(known.epoch()).arg(&*new_epoch());
            let work = async move |mut redis| script.invoke_async::<u64>(&mut redis).await;
            commands.run("renew", asking, work).await
        };
        self.topology.ask(&self.stream, ask).await.map(drop)
    }
}

/// Whether an error says that the script has done nothing, because this server is not, or not now, the one to ask.
fn is_refusal(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    let ErrorKind::Server(kind) = error.kind() else { return false };
    matches!(kind, Ask | BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly | TryAgain)
}

fn unknown() -> Error {
    Error::timeout("Redis did not say whether it has taken it")
}

/// How many records go into one script.
fn at_once(records: &[Bytes]) -> usize {
    let mut bytes = 0;
    let fits = |record: &&Bytes| {
        bytes += record.len();
        bytes <= BYTES
    };
    records.iter().take_while(fits).count().max(1)
}
