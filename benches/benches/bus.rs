//! What a message of the bus costs until it is with a client: the embedded bus alone, and with the relay and the hub behind.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed run")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use carillon_benches::{MemorySink, boot_with, connect, reading};
use carillon_core::cluster::envelope::Envelopes;
use carillon_core::registry::{Registration, Registry};
use carillon_plugins as _;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages published before what became of them is waited for.
const BURST: usize = 64;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The relay without its neighbours.
fn relay() -> Registry {
    let linked = Registry::linked().unwrap();
    let relay: Vec<Registration> = linked.iter().filter(|plugin| plugin.name() == "relay").copied().collect();
    Registry::new(relay).unwrap()
}

/// Rows that all send the messages of one channel to the root namespace.
fn rows(count: usize) -> String {
    let row = |nth| format!("{{channel = \"c\", event = \"e{nth}\", namespaces = [\"/\"]}}");
    format!("[{}]", (0..count).map(row).collect::<Vec<_>>().join(","))
}

/// A message through the embedded bus to a subscriber.
fn bus(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bus");
    group.throughput(Throughput::Elements(BURST as u64));
    let message = Bytes::from(serde_json::to_vec(&reading(128)).unwrap());
    group.bench_function("embedded", |bencher| {
        let runtime = runtime();
        let app = runtime.block_on(boot_with(&relay(), &[("plugins.relay.rows", "[]")])).unwrap();
        let mut feed = runtime.block_on(app.bus().subscribe(&["c".to_owned()])).unwrap();
        bencher.iter(|| {
            runtime.block_on(async {
                for _ in 0..BURST {
                    app.bus().publish("c", message.clone()).await.unwrap();
                }
                for _ in 0..BURST {
                    feed.recv().await.unwrap();
                }
            });
        });
    });
}

/// A message from the bus through the relay and the hub to one client: with one row, and with eight.
fn relay_rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relay");
    group.throughput(Throughput::Elements(BURST as u64));
    let message = Bytes::from(serde_json::to_vec(&reading(128)).unwrap());
    for count in [1, 8] {
        group.bench_function(BenchmarkId::new("rows", count), |bencher| {
            let runtime = runtime();
            let rows = rows(count);
            let app = runtime.block_on(boot_with(&relay(), &[("plugins.relay.rows", &rows)])).unwrap();
            let sink = Arc::new(MemorySink::default());
            let _session = runtime.block_on(connect(&app, "/", Arc::clone(&sink))).unwrap();
            // The greeting.
            runtime.block_on(until(&sink, 1));
            bencher.iter(|| {
                runtime.block_on(async {
                    let target = sink.pushed() + (BURST * count) as u64;
                    for _ in 0..BURST {
                        app.bus().publish("c", message.clone()).await.unwrap();
                    }
                    until(&sink, target).await;
                });
            });
        });
    }
}

/// What a message of another Carillon costs before anything is made of it: one of this Carillon's own, one without a secret,
/// and one with.
fn envelopes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cluster");
    let (channel, node, text) = ("carillon:cluster:{/bench}", "abcdefgh", serde_json::to_vec(&reading(128)).unwrap());
    let open = Envelopes::new(channel, None);
    let message = open.seal(node, 1, &text);
    group.bench_function("own", |bencher| bencher.iter(|| Envelopes::is_of(black_box(&message), black_box(node))));
    group.bench_function("open", |bencher| bencher.iter(|| open.open(black_box(&message)).is_ok()));
    let proved = Envelopes::new(channel, Some("known to our nodes alone"));
    let message = proved.seal(node, 1, &text);
    group.bench_function("proved", |bencher| bencher.iter(|| proved.open(black_box(&message)).is_ok()));
}

async fn until(sink: &MemorySink, target: u64) {
    while sink.pushed() < target {
        tokio::task::yield_now().await;
    }
}

criterion_group!(benches, bus, envelopes, relay_rows);
criterion_main!(benches);
