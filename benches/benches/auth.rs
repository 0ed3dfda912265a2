//! What a client's token costs at its CONNECT: the whole of the check, beside its signature alone.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed run")]

use std::hint::black_box;

use carillon_server::bench::Tokens;
use criterion::{Criterion, criterion_group, criterion_main};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: &str = "a secret that is known to everybody";

fn check(criterion: &mut Criterion) {
    let tokens = Tokens::of(SECRET).unwrap();
    let token = tokens.issue("ann").unwrap();
    let mut group = criterion.benchmark_group("auth");
    group.bench_function("signature", |bencher| {
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let (message, signature) = token.rsplit_once('.').unwrap();
        bencher.iter(|| {
            assert!(crypto::verify(black_box(signature), message.as_bytes(), &key, Algorithm::HS256).unwrap());
        });
    });
    group.bench_function("check", |bencher| bencher.iter(|| assert!(tokens.accept(black_box(&token)))));
}

criterion_group!(benches, check);
criterion_main!(benches);
