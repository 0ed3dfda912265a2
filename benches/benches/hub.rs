//! What the hub takes for one client: a publish to it, a join, an answer; while nothing waits, and while another plugin's
//! flood waits for the same clients.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed run")]

use std::sync::Arc;

use carillon_benches::MemorySink;
use carillon_core::bench::{Hall, One};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Clients in each of the two namespaces.
const CLIENTS: usize = 10_000;
/// Publishes that wait for all of them.
const FLOOD: usize = 10_000;

fn hub(criterion: &mut Criterion) {
    for (waiting, flood) in [("idle", 0), ("flood", FLOOD)] {
        let mut group = criterion.benchmark_group("hub");
        let room: Arc<str> = "a room".into();
        for shards in [1, 2] {
            let hall = Hall::new(shards, CLIENTS, || Arc::new(MemorySink::default())).unwrap();
            hall.flood(flood);
            let id = |what: &str| BenchmarkId::new(what, format!("{waiting}, {shards} shards"));
            let mut client = 0;
            let mut next = move || {
                client = (client + 1) % CLIENTS;
                client
            };
            // Whom a plugin addresses is its own to say, before the hub is asked.
            let ones: Vec<One> = (0..CLIENTS).map(One::new).collect();
            group.bench_function(id("publish to one"), |bencher| bencher.iter(|| hall.publish_to(&ones[next()])));
            group.bench_function(id("join and leave"), |bencher| {
                bencher.iter(|| {
                    let client = next();
                    hall.join(client, &room);
                    hall.leave(client, &room);
                });
            });
            group.bench_function(id("ack"), |bencher| bencher.iter(|| hall.ack(next())));
        }
    }
}

criterion_group!(benches, hub);
criterion_main!(benches);
