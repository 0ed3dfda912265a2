//! HTTP long-polling: a GET waits for packets to the client, a POST brings packets from it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::response::Response;
use carillon_core::packet::engine::{Kind, Posted, posted};
use carillon_core::sink::Reason;
use http::{HeaderValue, header};

use super::handshake::Refusal;
use super::out::Carrier;
use super::session::Session;
use crate::admission::body::{self, NoBody};

/// The answer to a request of a polling client.
pub(super) fn answer(body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A packet without data as the whole body of an answer.
fn single(kind: Kind) -> String {
    char::from(kind.byte()).to_string()
}

/// Waits for packets to the client.
pub(super) async fn get(session: &Arc<Session>) -> Result<Response, Refusal> {
    let Some(turn) = Turn::take(session) else {
        if matches!(session.out().carrier, Carrier::Polling { .. }) {
            session.end(Reason::DoublePoll);
        }
        return Err(Refusal::BadRequest("not the only poll of a polling session"));
    };
    let body = std::future::poll_fn(|cx| session.poll_packets(cx)).await;
    turn.over();
    body.map(answer).ok_or(Refusal::BadRequest("another poll has ended the session"))
}

/// The right to be the one poll of a session. A poll that its client cancels ends the session.
struct Turn(Option<Arc<Session>>);

impl Turn {
    fn take(session: &Arc<Session>) -> Option<Self> {
        match &mut session.out().carrier {
            Carrier::Polling { polled, .. } if !*polled => *polled = true,
            _ => return None,
        }
        Some(Self(Some(Arc::clone(session))))
    }

    fn over(mut self) {
        let Some(session) = self.0.take() else { return };
        if let Carrier::Polling { polled, waiting } = &mut session.out().carrier {
            (*polled, *waiting) = (false, None);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.end(Reason::TransportClose);
        }
    }
}

impl Session {
    /// The body of a poll's answer; none when another poll has ended the session.
    fn poll_packets(&self, cx: &Context<'_>) -> Poll<Option<String>> {
        let mut out = self.out();
        match self.ended() {
            Some(Reason::DoublePoll) => return Poll::Ready(None),
            Some(_) => return Poll::Ready(Some(single(Kind::Close))),
            None => {}
        }
        let upgrading = out.upgrading;
        let Carrier::Polling { waiting, .. } = &mut out.carrier else {
            return Poll::Ready(Some(single(Kind::Noop)));
        };
        waiting.take();
        if out.may_leave() {
            let (body, gone) = out.outbox.take();
            self.has_left(&mut out, gone);
            return Poll::Ready(Some(body));
        }
        if upgrading {
            // The client waits for its poll to end before it leaves polling.
            return Poll::Ready(Some(single(Kind::Noop)));
        }
        if let Carrier::Polling { waiting, .. } = &mut out.carrier {
            *waiting = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Ends the poll that waits, if one does, so that the client can leave polling.
    pub(super) fn release_poll(&self) {
        if let Carrier::Polling { waiting, .. } = &mut self.out().carrier {
            waiting.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// Takes packets from the client.
pub(super) async fn post(session: Arc<Session>, body: Body) -> Result<Response, Refusal> {
    if !matches!(session.out().carrier, Carrier::Polling { .. }) {
        return Err(Refusal::BadRequest("not a polling session"));
    }
    let Some(posting) = Posting::take(&session) else {
        // Which of the two comes first could not be told: Node ends such a session too.
        session.end(Reason::DoublePoll);
        return Err(Refusal::BadRequest("another POST is under way"));
    };
    let held = session.newcomer.hold(0).ok_or(Refusal::NoMemory)?;
    let (body, held) = match body::read(body, session.common.settings.max_message_bytes, held).await {
        Ok(taken) => taken,
        Err(NoBody::TooLarge) => {
            session.end(Reason::TooLarge);
            return Err(Refusal::TooLarge);
        }
        Err(NoBody::Broken) => {
            session.end(Reason::TransportError);
            return Err(Refusal::BadRequest("the body did not arrive"));
        }
        Err(NoBody::NoMemory) => {
            // What it said is lost, so the session is over.
            session.end(Reason::TransportError);
            return Err(Refusal::NoMemory);
        }
    };
    let (tasks, runtime) = (session.common.tasks.clone(), session.common.runtime.clone());
    // What has arrived is handled to its end, also when the client hangs up meanwhile.
    let handled = tasks.spawn_on(
        async move {
            let handled = handle(&session, &body).await;
            drop((posting, held));
            match handled {
                Ok(()) => {}
                Err(Reason::TransportClose) => session.gone(Reason::TransportClose),
                Err(reason) => session.end(reason),
            }
            handled
        },
        &runtime,
    );
    match handled.await {
        Ok(Ok(()) | Err(Reason::TransportClose)) => Ok(answer("ok".to_owned())),
        _ => Err(Refusal::BadRequest("malformed packets")),
    }
}

/// Handles the packets of a body one by one, and none while the client is paused.
async fn handle(session: &Arc<Session>, body: &[u8]) -> Result<(), Reason> {
    let body = std::str::from_utf8(body).map_err(|_| Reason::BadPacket)?;
    for packet in posted(body) {
        session.readable().await;
        if session.ended().is_some() {
            return Ok(());
        }
        match packet.ok_or(Reason::BadPacket)? {
            Posted::Text(kind, data) => session.packet(kind, data)?,
            Posted::Binary(data) => session.binary(data)?,
        }
    }
    Ok(())
}

/// The right to hand over one POST body, given back when dropped.
struct Posting(Arc<Session>);

impl Posting {
    fn take(session: &Arc<Session>) -> Option<Self> {
        let posting = std::mem::replace(&mut session.inside().posting, true);
        (!posting).then(|| Self(Arc::clone(session)))
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        self.0.inside().posting = false;
    }
}
