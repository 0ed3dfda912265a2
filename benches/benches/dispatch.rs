//! What the router itself costs: one event through find, decode, run and answer; one publish to so many members.
//!
//! `parse` is the floor of `call` in the same run: what serde_json alone takes for the event's argument.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed run")]

use std::hint::black_box;
use std::sync::Arc;

use bytestring::ByteString;
use carillon_benches::{MemorySink, Reading, boot, boot_on_threads, connect, reading};
use carillon_core::prelude::*;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Clients of the fan-out.
const MEMBERS: [usize; 3] = [10, 1_000, 10_000];
/// Events of one client under way at once.
const IN_FLIGHT: [u64; 2] = [1, 16];
/// Events sent before their answers are waited for: a client that flushes a buffer.
const BURST: u64 = 1_000;

struct Bench {
    host: Host,
}

impl Plugin for Bench {
    const NAME: &'static str = "bench";
    const NAMESPACE: &'static str = "/bench";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("store", "Takes a reading.", async |_, _, reading: Reading| Ok(reading.value));
        on.event("spread", "Publishes a reading to everybody.", Self::spread);
        on.emits::<Reading>("reading", "A reading.");
    }
}

impl Bench {
    async fn spread(self: Arc<Self>, _: Ctx, reading: Reading) -> Result<()> {
        self.host.to("/bench").publish("reading", &reading)
    }
}

/// A reading of `size` bytes as JSON.
fn json(size: usize) -> String {
    serde_json::to_string(&reading(size)).unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn call(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    group.throughput(Throughput::Elements(1));
    for size in [64, 1024] {
        let argument = json(size);
        group.bench_with_input(BenchmarkId::new("parse", size), &argument, |bencher, argument| {
            bencher.iter(|| serde_json::from_str::<Reading>(black_box(argument)).unwrap());
        });
        let event = format!("[\"store\",{argument}]");
        group.bench_with_input(BenchmarkId::new("dispatch", size), &event, |bencher, event| {
            let runtime = runtime();
            let sink = Arc::new(MemorySink::default());
            let app = runtime.block_on(boot::<Bench>()).unwrap();
            let session = runtime.block_on(connect(&app, "/bench", sink.clone())).unwrap();
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let start = Instant::now();
                    let mut left = times;
                    while left > 0 {
                        let burst = left.min(BURST);
                        let target = sink.pushed() + burst;
                        for id in 0..burst {
                            session.event(event.as_str().into(), Vec::new(), Some(id as i64));
                        }
                        while sink.pushed() < target {
                            tokio::task::yield_now().await;
                        }
                        left -= burst;
                    }
                    start.elapsed()
                })
            });
        });
    }
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    let event = format!("[\"spread\",{}]", json(64));
    for members in MEMBERS {
        group.throughput(Throughput::Elements(members as u64));
        group.bench_with_input(BenchmarkId::new("sinks", members), &event, |bencher, event| {
            let runtime = runtime();
            let app = runtime.block_on(boot::<Bench>()).unwrap();
            let sinks: Vec<_> = (0..members).map(|_| Arc::new(MemorySink::default())).collect();
            let join = async |sink: &Arc<MemorySink>| connect(&app, "/bench", Arc::clone(sink)).await.unwrap();
            let sessions: Vec<_> = sinks.iter().map(|sink| runtime.block_on(join(sink))).collect();
            bencher.iter(|| {
                runtime.block_on(async {
                    let target = sinks[members - 1].pushed() + 1;
                    sessions[0].event(event.as_str().into(), Vec::new(), None);
                    while sinks[members - 1].pushed() < target {
                        tokio::task::yield_now().await;
                    }
                });
            });
        });
    }
}

/// An acked event of 64 bytes on the plugin's own threads, so many in flight: read, handed over, run and answered, and the
/// next ones are sent when all have their answers. No sockets.
fn ingress(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ingress");
    let event = ByteString::from(format!("[\"store\",{}]", json(64)));
    for in_flight in IN_FLIGHT {
        group.throughput(Throughput::Elements(in_flight));
        group.bench_with_input(BenchmarkId::new("acked", in_flight), &event, |bencher, event| {
            let runtime = runtime();
            let sink = Arc::new(MemorySink::default());
            let app = runtime.block_on(boot_on_threads::<Bench>(2)).unwrap();
            let session = runtime.block_on(connect(&app, "/bench", sink.clone())).unwrap();
            bencher.iter(|| {
                let target = sink.pushed() + in_flight;
                sink.wake_at(target);
                for id in 0..in_flight {
                    session.event(event.clone(), Vec::new(), Some(id as i64));
                }
                while sink.pushed() < target {
                    std::thread::park();
                }
            });
        });
    }
}

criterion_group!(benches, call, ingress, publish);
criterion_main!(benches);
