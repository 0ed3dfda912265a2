//! An ack in the handler's own hands: sent before the handler ends, or long after it.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytestring::ByteString;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::payload::Reply;

/// The ack of one call, as a handler of [`Routes::event_with_ack`](crate::routes::Routes::event_with_ack) gets it: to be
/// sent before the handler's end, or kept and sent later, from a task or another handler.
///
/// A call gets exactly one ack all the same. An error that the handler returns is the ack, unless one was sent before;
/// so are its timeout and its panic, after which [`send`](Self::send) does nothing. One that is dropped unsent is
/// answered with the error `internal`.
#[must_use = "dropped unsent, the client is told of an error"]
pub struct Ack<T: Reply> {
    ctx: Ctx,
    /// The event, by which a failure is remembered.
    event: ByteString,
    id: Option<i64>,
    pending: Arc<Pending>,
    answer: PhantomData<fn(T)>,
}

impl<T: Reply> Ack<T> {
    /// For the call of `event`, the whole array.
    pub(crate) fn new(ctx: &Ctx, event: ByteString, id: Option<i64>) -> (Self, Arc<Pending>) {
        let pending = Arc::new(Pending(Mutex::new(Standing::Running)));
        if let Some(id) = id {
            ctx.deferred().insert(id, Arc::clone(&pending));
        }
        (Self { ctx: ctx.clone(), event, id, pending: Arc::clone(&pending), answer: PhantomData }, pending)
    }

    /// Whether the client asked for an ack. When it did not, [`send`](Self::send) does nothing.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Answers the call. What was emitted to the client before arrives before it.
    ///
    /// # Errors
    /// `internal` when the value cannot be written as JSON: that is the answer then.
    pub fn send(self, answer: T) -> Result<()> {
        let Some(id) = self.id else { return Ok(()) };
        let item = answer.encode(self.ctx.namespace_arc(), id)?;
        if self.pending.answer() {
            self.ctx.send_ack(item);
        }
        Ok(())
    }

    /// Answers the call with an error.
    pub fn fail(self, error: Error) {
        self.refuse(&error);
    }

    fn refuse(&self, error: &Error) {
        if let Some(id) = self.id.filter(|_| self.pending.answer()) {
            self.ctx.fail_call(&self.event, id, error);
        }
    }
}

impl<T: Reply> Drop for Ack<T> {
    fn drop(&mut self) {
        if self.pending.drop_unsent() {
            self.refuse(&Error::internal(UNSENT));
        }
    }
}

/// What the log says of an ack that nobody sent.
const UNSENT: &str = "the handler dropped its ack";

/// How an ack stands that a handler holds.
#[derive(Debug)]
pub(crate) struct Pending(Mutex<Standing>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The handler runs.
    Running,
    /// It runs, and has dropped its ack.
    Dropped,
    /// It has ended well; somebody has the ack.
    Kept,
    /// The client has its answer.
    Answered,
}

impl Pending {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller is the one to answer.
    fn answer(&self) -> bool {
        std::mem::replace(&mut *self.standing(), Standing::Answered) != Standing::Answered
    }

    /// The ack is dropped. While the handler runs, its end decides what the client is told.
    fn drop_unsent(&self) -> bool {
        let mut standing = self.standing();
        if *standing == Standing::Running {
            *standing = Standing::Dropped;
        }
        *standing == Standing::Kept
    }

    /// The handler has ended well.
    ///
    /// # Errors
    /// `internal` when it has dropped its ack unsent.
    pub(crate) fn keep(&self) -> Result<()> {
        let mut standing = self.standing();
        match *standing {
            Standing::Dropped => Err(Error::internal(UNSENT)),
            Standing::Running => {
                *standing = Standing::Kept;
                Ok(())
            }
            Standing::Kept | Standing::Answered => Ok(()),
        }
    }
}

/// How their acks stand, by the ids of the calls.
type Calls = HashMap<i64, Arc<Pending>>;

/// The calls of one client whose handlers hold their ack and have not ended yet.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    /// So that most acks need not look.
    count: AtomicUsize,
    calls: Mutex<Option<Box<Calls>>>,
}

impl Deferred {
    fn insert(&self, id: i64, pending: Arc<Pending>) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get_or_insert_default().insert(id, pending);
        self.count.store(calls.as_ref().map_or(0, |calls| calls.len()), Ordering::Release);
    }

    /// The handler of call `id` has ended, or its time has.
    pub(crate) fn remove(&self, id: i64) -> Option<Arc<Pending>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = calls.as_mut()?.remove(&id);
        self.count.store(calls.as_ref().map_or(0, |calls| calls.len()), Ordering::Release);
        pending
    }

    /// Whether the router may send the ack of call `id`: not when its handler has.
    pub(crate) fn allows(&self, id: Option<i64>) -> bool {
        id.and_then(|id| self.remove(id)).is_none_or(|pending| pending.answer())
    }
}
