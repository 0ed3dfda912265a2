//! Tells what Carillon publishes on `cluster:metrics` from what other programs do, without a trace in the message itself.

use bytes::Bytes;
use carillon_core::bus::Bus;
use carillon_core::prelude::*;

use super::METRICS;

/// How long a mark is kept: as long as a message may be on its way.
const MARK: Duration = Duration::from_secs(60);

/// Publishes metrics. On a bus with others a mark is there first, so that no Carillon takes the message for theirs.
pub(crate) async fn publish_metrics(bus: &dyn Bus, payload: Bytes) -> Result<()> {
    if bus.is_shared() {
        bus.set(&bus.own(&mark(&payload)), Bytes::from_static(b"1"), Some(MARK)).await?;
    }
    bus.publish(METRICS, payload).await
}

/// Whether a Carillon published this.
pub(crate) async fn is_ours(bus: &dyn Bus, payload: &[u8]) -> Result<bool> {
    Ok(bus.get(&bus.own(&mark(payload))).await?.is_some())
}

/// The key that marks a message, behind the prefix of its bus: its FNV-1a hash, the same in every version of Carillon.
fn mark(payload: &[u8]) -> String {
    let hash = payload
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("published:{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::quiet;

    /// Only what a Carillon published is ours, to the byte, and only for a while; alone, nothing is marked.
    #[tokio::test(start_paused = true)]
    async fn what_is_ours() {
        for (url, shared) in [("shared://ours", true), ("memory://", false)] {
            let harness = quiet(&[("bus.url", url)]).await;
            let bus = &**harness.app().bus();
            publish_metrics(bus, "{\"a\":1}".into()).await.unwrap();
            assert_eq!(is_ours(bus, b"{\"a\":1}").await.unwrap(), shared);
            assert!(!is_ours(bus, b"{\"a\": 1}").await.unwrap());
            tokio::time::sleep(MARK).await;
            assert!(!is_ours(bus, b"{\"a\":1}").await.unwrap());
        }
    }

    /// The mark is the published FNV-1a hash: Carillons of other versions make the same.
    #[test]
    fn marks_stay_the_same() {
        assert_eq!(mark(b""), "published:cbf29ce484222325");
        assert_eq!(mark(b"foobar"), "published:85944171f73967e8");
    }
}
