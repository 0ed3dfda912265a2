//! For tests: the namespaces of the monitoring job booted together, their clients, and memory buses with a flaw.

mod bus;

use std::time::Duration;

use carillon_core::lifecycle::BootError;
use carillon_core::registry::{Registration, Registry};
use carillon_core::testing::{Harness, TestClient};

use crate::health::Health;
use crate::monitoring::Monitoring;
use crate::relay::Relay;

/// The three namespaces that carry the monitoring job, with these settings.
pub(crate) async fn boot(settings: &[(&str, &str)]) -> Result<Harness, BootError> {
    let plugins = vec![
        Registration::of::<Relay>(file!(), line!()),
        Registration::of::<Health>(file!(), line!()),
        Registration::of::<Monitoring>(file!(), line!()),
    ];
    Harness::boot(&Registry::new(plugins).unwrap(), settings).await
}

/// The same, ready to relay, with nothing on the bus but what the test puts there.
pub(crate) async fn quiet(settings: &[(&str, &str)]) -> Harness {
    let harness = boot(&[&[("plugins.monitoring.collect", "off")], settings].concat()).await.unwrap();
    settle().await;
    harness
}

/// Lets everything happen that happens by itself.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A client of `namespace` that has been greeted.
pub(crate) async fn client(harness: &Harness, namespace: &str) -> TestClient {
    let client = harness.connect(namespace).await.unwrap();
    settle().await;
    client.sink().take();
    client
}
