//! What the log says about an outage: enough, seldom, and no password. In a process of its own, for what is logged where is
//! decided once a process.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

use carillon_plugins as _;

use harness::{SHOWS, TestBus, eventually};
use server::Server;

#[expect(dead_code, reason = "shared with the other tests of the bus")]
#[path = "redis/client.rs"]
mod client;
#[expect(dead_code, reason = "shared with the other tests of the bus")]
#[path = "redis/harness.rs"]
mod harness;
#[expect(dead_code, reason = "shared with the other tests of the bus")]
#[path = "redis/server.rs"]
mod server;

/// Lines with the time they were written at.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Instant, String)>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push((Instant::now(), String::from_utf8_lossy(bytes).into_owned()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Redis is away under traffic and every call fails: no line comes more than once a second, and none tells the password.
#[tokio::test]
async fn an_outage_does_not_flood_the_log() {
    let lines = Lines::default();
    let log = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false);
    let _guard = tracing::subscriber::set_default(log.with_max_level(tracing::Level::DEBUG).finish());

    let mut redis = Server::start(&["--requirepass", "s3cret"]).await;
    let bus = TestBus::up(&format!("redis://:s3cret@127.0.0.1:{}", redis.port)).await;
    redis.kill();
    let busy = async || {
        bus.publish("c", "x").await;
        drop(bus.bus.get("k").await);
        bus.metric("carillon_bus_unsubscribed_seconds_total") > 4.0
    };
    eventually(SHOWS, "it is away for a while", busy).await;
    // Another trouble, and back.
    redis.run(&["--requirepass", "another"]).await;
    eventually(SHOWS, "the password is wrong", async || bus.detail().contains("the password")).await;
    redis.kill();
    redis.run(&["--requirepass", "s3cret"]).await;
    bus.is_up(SHOWS).await;

    let lines = lines.0.lock().unwrap().clone();
    let text = lines.iter().map(|(_, line)| line.as_str()).collect::<String>();
    println!("{text}");
    assert!(!text.contains("s3cret"), "{text}");
    for saying in ["Redis is away", "Redis delivers"] {
        let times: Vec<Instant> =
            lines.iter().filter(|(_, line)| line.contains(saying)).map(|(time, _)| *time).collect();
        assert!(!times.is_empty(), "{saying}: {text}");
        for pair in times.windows(2) {
            assert!(pair[1] - pair[0] >= Duration::from_millis(990), "{saying}: {text}");
        }
    }
}
