//! What one connection costs for one batch: our own part of the way and the kernel's `send`, over a real socket.
//!
//! `send` is the floor in the same run: the bare system call with the same bytes on such a socket.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed run")]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use carillon_benches::reading;
use carillon_core::packet::Batch;
use carillon_core::payload::encode_event;
use carillon_core::sink::Pushed;
use carillon_server::bench::Connection;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use socket2::SockRef;
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Two ends of a connection; a thread reads whatever comes out of the other one.
fn socket() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nodelay(true).unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        while client.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    server
}

fn push(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    for (name, messages) in [("one message", 1), ("64 joined", 64)] {
        let item = encode_event(&Arc::from("/bench"), "reading", &reading(128)).unwrap();
        let batch = Batch::new(vec![item; messages]);
        group.bench_with_input(BenchmarkId::new("send", name), &batch, |bencher, batch| {
            let socket = socket();
            bencher.iter(|| SockRef::from(&socket).send(&batch.frames()[0]).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("push", name), &batch, |bencher, batch| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let socket = socket();
            socket.set_nonblocking(true).unwrap();
            let entered = runtime.enter();
            let socket = tokio::net::TcpStream::from_std(socket).unwrap();
            drop(entered);
            let mut connection = runtime.block_on(Connection::over(socket, "/bench")).unwrap();
            bencher.iter(|| {
                if connection.push(batch) != Pushed::Delivered {
                    runtime.block_on(connection.flush());
                }
            });
        });
    }
}

criterion_group!(benches, push);
criterion_main!(benches);
