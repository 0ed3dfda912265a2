//! Bare socketioxide under test: `io.emit` in a loop, on hyper as its own example has it, with settings that favour it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::protocol::{DONE, NAMESPACE, Run, TICK, Tick};
use super::publisher::{self, Outlet};
use super::{PING_INTERVAL, PING_TIMEOUT};
use crate::Result;
use crate::load::shape::{NAMESPACES, ROOMS, Shape, To};

/// Packets that may wait for one client: more than any window, so that none is ever refused.
const BUFFER: usize = 16_384;
/// Bytes of its WebSocket read buffer: clients say little here, and idle connections are weighed.
const READ_BUFFER: usize = 2048;

/// The version under test: the one Carillon is built on.
pub(crate) fn version() -> String {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
    let found = lock.split_once("name = \"socketioxide\"\nversion = \"");
    found.and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown").to_owned()
}

/// Serves until killed.
pub(crate) fn serve(address: SocketAddr, workers: usize) -> Result<()> {
    let runtime = match workers {
        1 => Builder::new_current_thread().enable_all().build()?,
        workers => Builder::new_multi_thread().worker_threads(workers).enable_all().build()?,
    };
    runtime.block_on(run(address))
}

async fn run(address: SocketAddr) -> Result<()> {
    let tasks = TaskTracker::new();
    let (service, io) = SocketIo::builder()
        .ping_interval(Duration::from_millis(PING_INTERVAL))
        .ping_timeout(Duration::from_millis(PING_TIMEOUT))
        .max_buffer_size(BUFFER)
        .ws_read_buffer_size(READ_BUFFER)
        .build_svc();
    let seen = watch::Sender::new(0);
    let notes = Arc::new(AtomicU64::new(0));
    let (all, publishers) = (io.clone(), tasks.clone());
    for namespace in &NAMESPACES[1..] {
        io.ns(*namespace, async |_: SocketRef| {});
    }
    io.ns(NAMESPACE, async move |socket: SocketRef| {
        let query = socket.req_parts().uri.query().unwrap_or_default();
        let number = query.split('&').find_map(|pair| pair.strip_prefix("client=")?.parse::<u64>().ok());
        if let Some(number) = number {
            socket.join([ROOMS[(number % 2) as usize].to_owned(), room_of(number)]);
        }
        let (told, io, tasks) = (seen.clone(), all.clone(), publishers.clone());
        socket.on("run", async move |socket: SocketRef, Data::<Run>(run)| {
            told.send_replace(0);
            let everybody = Everybody { io: io.clone(), shape: run.shape, clients: run.clients };
            let seen = told.subscribe();
            tasks.spawn(async move {
                let done = publisher::publish(&run, seen, &everybody).await;
                if let Err(error) = socket.emit(DONE, &done) {
                    eprintln!("{error}");
                }
            });
        });
        let seen = seen.clone();
        socket.on("seen", async move |Data::<u64>(count)| {
            seen.send_replace(count);
        });
        let notes = Arc::clone(&notes);
        let counted = Arc::clone(&notes);
        socket.on("note", async move |Data::<Value>(_)| {
            notes.fetch_add(1, Ordering::Relaxed);
        });
        socket.on("noted", async move |ack: AckSender| drop(ack.send(&counted.swap(0, Ordering::Relaxed))));
        socket.on("echo", async |Data::<Value>(value), ack: AckSender| drop(ack.send(&value)));
    });
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone()).with_upgrades();
        tasks.spawn(connection);
    }
}

/// The room in which one client is alone.
fn room_of(client: u64) -> String {
    format!("client {client}")
}

/// To whom a run is published.
struct Everybody {
    io: SocketIo,
    shape: Shape,
    clients: u64,
}

impl Outlet for Everybody {
    // Found by trial: it coalesces what its tasks find waiting. Fewer cost more, more only take longer.
    const BURST: u64 = 64;

    async fn publish(&self, number: u64, tick: &Tick) {
        let (namespace, to) = match self.shape.to(number, self.clients) {
            To::All(namespace) => (NAMESPACES[namespace], None),
            to => (NAMESPACE, Some(to)),
        };
        let Some(everybody) = self.io.of(namespace) else { return };
        let receivers = match to {
            Some(To::Room(room)) => everybody.to(ROOMS[room]),
            Some(To::Except(client)) => everybody.except(room_of(client)),
            Some(To::Client(client)) => everybody.to(room_of(client)),
            _ => everybody,
        };
        if let Err(error) = receivers.emit(TICK, tick).await {
            eprintln!("{error}");
        }
    }
}
