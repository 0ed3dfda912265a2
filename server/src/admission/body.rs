//! The body of a POST on its way in: up to a limit, within its time, and counted in the budget while it is there.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::Held;

/// The most a body may send beyond its limit before the connection is closed without an answer, and the longest it
/// may take: so that the refusal can be read by a client that sends everything first.
const OVERRUN: usize = 16 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a body was not taken.
pub(crate) enum NoBody {
    TooLarge,
    /// It was cut short, or took too long.
    Broken,
    /// The server holds as much as it may of messages that have come in part.
    NoMemory,
}

/// A request's body, up to `limit` bytes, and what is held for it for as long as it is there.
pub(crate) async fn read(body: Body, limit: usize, held: Held) -> Result<(Bytes, Held), NoBody> {
    let reading = async {
        let mut body = Limited::new(body, limit.saturating_add(OVERRUN));
        let mut taken = Vec::new();
        let mut held = Some(held);
        let mut total = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| if error.is::<LengthLimitError>() { NoBody::TooLarge } else { NoBody::Broken })?;
            let Some(data) = frame.data_ref() else { continue };
            total += data.len();
            if total > limit {
                // The rest is read so that the client gets to reading the answer, but not kept.
                (taken, held) = (Vec::new(), None);
            } else if held.as_mut().is_some_and(|held| held.grow(data.len())) {
                taken.extend_from_slice(data);
            } else {
                return Err(NoBody::NoMemory);
            }
        }
        held.map(|held| (Bytes::from(taken), held)).ok_or(NoBody::TooLarge)
    };
    tokio::time::timeout(BODY_TIMEOUT, reading).await.unwrap_or(Err(NoBody::Broken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Budget;

    #[tokio::test]
    async fn a_body_over_the_limit_is_read_to_its_end_and_refused() {
        let budget = Budget::new(100);
        let read = |body: Body| read(body, 5, budget.hold([127, 0, 0, 1].into(), 0).unwrap());
        assert!(matches!(read(Body::from("12345")).await, Ok((body, _)) if body == "12345"));
        assert!(matches!(read(Body::from("123456")).await, Err(NoBody::TooLarge)));
        assert!(matches!(read(Body::from(vec![0; OVERRUN + 6])).await, Err(NoBody::TooLarge)));
        assert_eq!(budget.total(), 0);
    }

    /// A6: what has come of a body is held, and there is an end to what can be.
    #[tokio::test]
    async fn a_body_counts_for_as_long_as_it_is_there() {
        let budget = Budget::new(20);
        let address = [127, 0, 0, 1].into();
        let (body, held) = read(Body::from("123456"), 9, budget.hold(address, 0).unwrap()).await.ok().unwrap();
        assert_eq!((body.len(), budget.total()), (6, 6));
        let second = read(Body::from("123456"), 9, budget.hold(address, 0).unwrap()).await;
        assert!(matches!(second, Err(NoBody::NoMemory)));
        drop(held);
        assert_eq!(budget.total(), 0);
    }
}
