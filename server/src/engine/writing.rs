//! The way out of a session, its other half: what leaves is written as the socket takes it, and whoever waits for room
//! is told.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::out::{Carrier, Out, Written};
use super::outbox::Load;
use super::session::Session;
use super::slow::Stall;
use crate::wire::Stream;

/// So much may wait for the end of a run of events; more is written at once.
const CORKED_BYTES: usize = 64 << 10;

impl Out {
    /// Whether anything waits that need not wait for the end of a run.
    pub(super) fn may_leave(&self) -> bool {
        !self.outbox.is_empty() && (!self.is_corked() || self.outbox.cost() >= CORKED_BYTES)
    }
}

impl Session {
    /// The common case: nothing waits, and the socket takes a single frame at once.
    pub(super) fn write_through(&self, out: &mut Out, frames: &[Bytes]) -> Written {
        let ([frame], true, Carrier::WebSocket(stream)) = (frames, out.is_idle(), &out.carrier) else {
            return Written::Nothing;
        };
        match stream.send(frame) {
            Ok(written) => {
                self.common.metrics.writes.inc();
                out.written += written as u64;
                if written == frame.len() { Written::Whole } else { Written::Some(written) }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_blocked(out);
                Written::Nothing
            }
            // The reading task meets the same end and closes the session.
            Err(_) => Written::Nothing,
        }
    }

    fn is_blocked(&self, out: &mut Out) {
        out.blocked = true;
        self.reader.wake();
        if out.stall.is_none()
            && let Carrier::WebSocket(stream) = &out.carrier
        {
            let taken = stream.taken(out.written);
            out.stall = Some(Box::new(Stall::new(Instant::now(), taken)));
        }
    }

    /// Writes what can be, or wakes the poll that waits.
    pub(super) fn flush(&self, out: &mut Out) {
        if !out.may_leave() {
            return;
        }
        match &mut out.carrier {
            Carrier::Polling { waiting, .. } => waiting.take().into_iter().for_each(Waker::wake),
            Carrier::WebSocket(stream) if !out.blocked => {
                let stream = Arc::clone(stream);
                self.write_to(&stream, out);
            }
            Carrier::WebSocket(_) | Carrier::None => {}
        }
    }

    /// Writes until everything is out or the socket takes no more; `false` after an error.
    fn write_to(&self, stream: &Stream, out: &mut Out) -> bool {
        while !out.outbox.is_empty() {
            let written = stream.try_write(&out.outbox.slices());
            match written {
                Ok(written) => {
                    self.common.metrics.writes.inc();
                    out.written += written as u64;
                    let gone = out.outbox.advance(written);
                    self.has_left(out, gone);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked(out);
                    return true;
                }
                // The reading task meets the same end and closes the session.
                Err(_) => return false,
            }
        }
        out.stall = None;
        true
    }

    /// Called by the reading task, which is woken whenever the socket takes more.
    pub(super) fn drive(&self, stream: &Stream, cx: &mut Context<'_>) {
        self.reader.register(cx.waker());
        let mut out = self.out();
        while out.blocked {
            match stream.poll_writable(cx) {
                Poll::Pending => {
                    drop(out);
                    // The stall has begun since the alarm was set.
                    return self.wind(Instant::now());
                }
                Poll::Ready(Err(_)) => return,
                Poll::Ready(Ok(())) => {
                    out.blocked = false;
                    if !self.write_to(stream, &mut out) {
                        return;
                    }
                }
            }
        }
    }

    pub(super) fn has_left(&self, out: &mut Out, gone: Load) {
        if gone.copies > 0 {
            self.common.deliveries.delivered(gone.copies);
        }
        out.left += gone.cost as u64;
        self.has_room_since(out, out.outbox.cost() + gone.cost);
    }

    /// Less waits than `before`: who waits for room is told when there is.
    pub(super) fn has_room_since(&self, out: &Out, before: usize) {
        let (after, low) = (out.outbox.cost(), self.low_mark());
        if after <= low && before > low {
            self.changed.notify_waiters();
        }
    }

    fn low_mark(&self) -> usize {
        self.common.settings.max_queued_bytes / 4
    }

    /// `None` while less than half of what may wait is waiting; else resolves below a quarter.
    pub(super) fn room(self: &Arc<Self>) -> Option<BoxFuture<'static, ()>> {
        if self.queued_bytes() <= self.common.settings.max_queued_bytes / 2 || self.has_room_now() {
            return None;
        }
        let session = Arc::clone(self);
        Some(Box::pin(async move { session.until(|session| session.has_room_now().then_some(()).ok_or(None)).await }))
    }

    pub(super) fn has_room_now(&self) -> bool {
        let out = self.out();
        out.outbox.cost() <= self.low_mark() || out.upgrading || self.ended().is_some()
    }

    pub(super) fn is_upgrading(&self) -> bool {
        self.out().upgrading
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use carillon_config::WireSettings;
    use tokio::sync::Semaphore;

    use crate::engine::Engine;
    use crate::wire::{Memory, Place};

    use super::*;

    /// The text message `40`, as a client frames it whose mask is nothing.
    const CONNECT: [u8; 8] = [0x81, 0x82, 0, 0, 0, 0, b'4', b'0'];

    /// Whoever reads that it is in is in: publishes reach a client from the moment its CONNECT reply leaves.
    #[tokio::test(start_paused = true)]
    async fn a_connect_reply_leaves_when_its_client_is_in() {
        let app = crate::simulation::app(0).await;
        let (engine, metrics) = Engine::of(&app, &WireSettings::default());
        let place = Place::new(metrics, Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap());
        let memory = Memory::new(1 << 20, 1);
        let (told, counts) = (Arc::new(Mutex::new(String::new())), Arc::clone(app.metrics()));
        let seen = Arc::clone(&told);
        memory.when_written(move |bytes| {
            let mut told = seen.lock().unwrap();
            told.push_str(&String::from_utf8_lossy(bytes));
            let members = r#"carillon_connected_clients{namespace="/",transport="websocket"} 1"#;
            assert_eq!(told.contains("40{\"sid\""), counts.render().unwrap().contains(members), "after {told}");
        });
        let stream = Arc::new(Stream::Memory(memory.clone()));
        // The namespaces of the simulation refuse some; a client that is in may ask again.
        let asking = async {
            for _ in 0..9 {
                memory.client_sends(&CONNECT);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = engine.carry(None, stream, place, Vec::new()) => unreachable!("its client stays"),
            () = asking => {}
        }
        let told = told.lock().unwrap();
        assert!(told.contains("40{\"sid\""), "no reply has left after {told}");
    }
}
