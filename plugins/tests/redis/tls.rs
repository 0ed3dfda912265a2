//! TLS and Unix sockets.

use std::path::Path;
use std::process::Command;

use crate::harness::{SOON, TestBus, eventually, next_text};
use crate::server::Server;

/// Over a Unix socket everything works as over TCP.
#[tokio::test]
async fn a_unix_socket() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&format!("unix://{}?db=1", redis.socket())).await;
    let mut subscription = bus.subscribe(&["c"]).await;
    bus.publish("c", "x").await;
    assert_eq!(next_text(&mut subscription).await, "x");
    assert_eq!(bus.bus.get("k").await.unwrap(), None);
    assert!(bus.detail().starts_with(&redis.socket()), "{}", bus.detail());
}

/// Over TLS with a private authority and a certificate of the client's own; a server nobody vouches for is refused.
#[tokio::test]
async fn tls_with_a_private_authority() {
    let mut redis = Server::planned();
    let dir = redis.dir().to_owned();
    certificates(&dir);
    let path = |name: &str| dir.join(name).display().to_string();
    // A port for TLS beside the plain one.
    let tls = Server::planned();
    let (port, ca, cert, key) = (tls.port.to_string(), path("ca.pem"), path("redis.pem"), path("redis.key"));
    let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
    redis.run(&[&["--tls-port", port.as_str()][..], &files].concat()).await;

    let bus = TestBus::up(&format!("rediss://localhost:{port}?ca={ca}&cert={cert}&key={key}")).await;
    let mut subscription = bus.subscribe(&["c"]).await;
    bus.publish("c", "x").await;
    assert_eq!(next_text(&mut subscription).await, "x");
    assert_eq!(bus.bus.get("k").await.unwrap(), None);

    let other = path("other.pem");
    let bus = TestBus::at(&format!("rediss://localhost:{port}?ca={other}&cert={cert}&key={key}")).await;
    eventually(SOON, "the reason shows", async || bus.detail().contains("certificate")).await;
    assert!(!bus.bus.status().up);
}

/// A cluster over TLS, of one node: what it says of itself leads to it by the name that its certificate has.
#[tokio::test]
async fn a_cluster_with_tls() {
    let mut redis = Server::planned();
    let dir = redis.dir().to_owned();
    certificates(&dir);
    let path = |name: &str| dir.join(name).display().to_string();
    let (tls, bus) = (Server::planned(), Server::planned());
    let (port, bus, ca, cert, key) =
        (tls.port.to_string(), bus.port.to_string(), path("ca.pem"), path("redis.pem"), path("redis.key"));
    let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let cluster = ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", &bus, "--tls-port", &port];
    redis.run(&[&cluster[..], &files].concat()).await;
    assert_eq!(redis.client().await.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await, "+OK");

    let bus = TestBus::up(&format!("rediss+cluster://localhost:{port}?ca={ca}&cert={cert}&key={key}")).await;
    let mut subscription = bus.subscribe(&["carillon:own", "other"]).await;
    let mut client = redis.client().await;
    assert_eq!(client.command(&["SPUBLISH", "carillon:own", "1"]).await, ":1", "a shard channel");
    assert_eq!(client.command(&["PUBLISH", "other", "2"]).await, ":1", "a plain one");
    bus.publish("carillon:own", "3").await;
    for text in ["1", "2", "3"] {
        assert_eq!(next_text(&mut subscription).await, text);
    }
    // A cluster takes keys a moment after its slots were given out.
    eventually(SOON, "a key is kept", async || bus.bus.set("k", "v".into(), None).await.is_ok()).await;
    assert_eq!(bus.bus.get("k").await.unwrap().as_deref(), Some(&b"v"[..]));
    let owner = |owner| bus.bus.claim("lease", owner, SOON);
    assert_eq!((owner("a").await.unwrap(), owner("b").await.unwrap()), (true, false));
}

/// An authority, a certificate it signed for `localhost`, and another authority.
fn certificates(dir: &Path) {
    let script = "
        key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key; }
        for name in ca other redis; do key $name; done
        for name in ca other; do openssl req -x509 -new -key $name.key -subj /CN=$name -days 2 -out $name.pem; done
        openssl req -new -key redis.key -subj /CN=localhost -out redis.csr
        echo 'subjectAltName=DNS:localhost' > san
        openssl x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out redis.pem";
    let output = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "is openssl missing? apt-get install -y openssl: {errors}");
}
