//! What a message costs once, however many clients get it: the packet with its frame, and frames joined into one batch.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed run")]

use std::hint::black_box;
use std::sync::Arc;

use carillon_benches::reading;
use carillon_core::packet::{Batch, Item};
use carillon_core::payload::{Payload, encode_event};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages that pile up during one sweep.
const RUN: usize = 64;

fn item(size: usize) -> Item {
    encode_event(&Arc::from("/bench"), "reading", &reading(size)).unwrap()
}

/// A value, and JSON that is passed on as it came, into a framed packet.
fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let namespace = Arc::from("/bench");
    for size in [64, 1024] {
        let value = reading(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("value", size), &value, |bencher, value| {
            bencher.iter(|| encode_event(&namespace, "reading", black_box(value)).unwrap());
        });
        let json = Payload::new(&value).unwrap();
        group.bench_with_input(BenchmarkId::new("raw json", size), &json, |bencher, json| {
            bencher.iter(|| encode_event(&namespace, "reading", black_box(json)).unwrap());
        });
    }
}

/// A run of framed packets into one piece.
fn frame(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Elements(RUN as u64));
    for size in [64, 1024] {
        let items = vec![item(size); RUN];
        group.bench_with_input(BenchmarkId::new("64 joined", size), &items, |bencher, items| {
            bencher.iter(|| Batch::new(black_box(items).clone()));
        });
    }
}

criterion_group!(benches, encode, frame);
criterion_main!(benches);
