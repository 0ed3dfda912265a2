//! What a publish costs whoever writes it to Redis, at the least: a thread that writes it and reads the answer as often as
//! the nodes publish, beside one that only wakes up as often.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::cli::Nodes;
use crate::{Result, clock};

/// Bytes of an answer: `:0\r\n`, since nobody is subscribed.
const ANSWER: usize = 4;

/// Microseconds of processor time for each publish.
pub(super) fn publish_us(redis: SocketAddr, options: &Nodes) -> Result<f64> {
    let (rate, seconds, payload) = (options.rate, options.seconds / 2.0, options.payload);
    let measuring = thread::spawn(move || -> std::io::Result<f64> {
        let mut stream = TcpStream::connect(redis)?;
        stream.set_nodelay(true)?;
        let command = format!("*3\r\n$7\r\nPUBLISH\r\n$5\r\nfloor\r\n${payload}\r\n{}\r\n", "x".repeat(payload));
        let mut answer = [0; ANSWER];
        let waking = paced(rate, seconds, || Ok(()))?;
        let publishing = paced(rate, seconds, || {
            stream.write_all(command.as_bytes())?;
            stream.read_exact(&mut answer)
        })?;
        Ok(publishing - waking)
    });
    Ok(measuring.join().map_err(|_| "the thread of the floor has failed")??)
}

/// Microseconds of processor time for each turn of `work`, so many a second.
fn paced(rate: f64, seconds: f64, mut work: impl FnMut() -> std::io::Result<()>) -> std::io::Result<f64> {
    let (start, turns) = (clock::now(), (rate * seconds).max(1.0) as u64);
    let before = clock::of_thread();
    for turn in 0..turns {
        let due = start + clock::nanos(turn as f64 / rate);
        thread::sleep(Duration::from_nanos(due.saturating_sub(clock::now())));
        work()?;
    }
    Ok((clock::of_thread() - before) as f64 / 1e3 / turns as f64)
}
