//! A hundred namespaces with members on one node each: what is said in one is received by that node, and by no other.

use carillon_core::registry::Registration;
use serde_json::json;

use super::*;

/// `/n00` to `/n99`: tens, then units.
struct Numbered<const T: usize, const U: usize> {
    host: Host,
}

impl<const T: usize, const U: usize> Numbered<T, U> {
    const TEXT: [u8; 4] = [b'/', b'n', b'0' + T as u8, b'0' + U as u8];
}

const fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("not a text"),
    }
}

impl<const T: usize, const U: usize> Plugin for Numbered<T, U> {
    const NAME: &'static str = text(Self::TEXT.split_at(1).1);
    const NAMESPACE: &'static str = text(&Self::TEXT);
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.emits::<String>("said", "What somebody said.");
        on.event("join", "Joins a room.", async |_, ctx: Ctx, room: String| ctx.join(&room));
        on.event("all", "To everybody.", async |this: Arc<Self>, _, text: String| {
            this.host.to(Self::NAMESPACE).publish("said", &text)
        });
        on.event("room", "To a room.", async |this: Arc<Self>, _, room: String| {
            this.host.to(Self::NAMESPACE).room(room).publish("said", &"to the room")
        });
        on.event("one", "To a client.", async |this: Arc<Self>, _, id: String| {
            this.host.to(Self::NAMESPACE).client(id).publish("said", &"to one")
        });
    }
}

macro_rules! ten {
    ($tens:literal: $($units:literal)*) => { [$(Registration::of::<Numbered<$tens, $units>>(file!(), line!())),*] };
}
macro_rules! hundred {
    ($($tens:literal)*) => { [$(ten!($tens: 0 1 2 3 4 5 6 7 8 9)),*].concat() };
}

const NODES: usize = 4;

async fn hundred_at_each() -> Vec<Harness> {
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let registry = Registry::new(hundred!(0 1 2 3 4 5 6 7 8 9)).unwrap();
        let settings = [("bus.url", "shared://"), ("bus.prefix", "hundred")];
        nodes.push(Harness::boot(&registry, &settings).await.unwrap());
    }
    settle().await;
    nodes
}

fn received(nodes: &[Harness]) -> Vec<[f64; 3]> {
    let of =
        |node: &Harness, channel| node.metric(&format!("carillon_cluster_received_total{{channel=\"{channel}\"}}"));
    nodes.iter().map(|node| ["namespace", "room", "node"].map(|channel| of(node, channel))).collect()
}

/// Each publish to a namespace, a room, or a client comes to the node that has somebody there, whoever publishes it.
#[tokio::test(start_paused = true)]
async fn of_four_nodes_the_one_with_members_receives() {
    let nodes = hundred_at_each().await;
    let names: Vec<String> = (0..100).map(|n| format!("/n{n:02}")).collect();
    // A speaker on one node, a member on the next: 25 namespaces for each node.
    let (mut pairs, mut expected) = (Vec::new(), vec![[0.0; 3]; NODES]);
    for (at, name) in names.iter().enumerate() {
        let (from, to) = (at % NODES, (at + 1 + at / NODES % (NODES - 1)) % NODES);
        let speaker = nodes[from].connect(name).await.unwrap();
        let mut member = nodes[to].connect(name).await.unwrap();
        member.call("join", json!("red")).await;
        expected[to].iter_mut().for_each(|count| *count += 1.0);
        pairs.push((speaker, member));
    }
    settle().await;
    assert_eq!(received(&nodes), vec![[0.0; 3]; NODES]);
    for (speaker, member) in &mut pairs {
        speaker.call("all", json!("hi")).await;
        speaker.call("room", json!("red")).await;
        speaker.call("one", json!(member.id())).await;
    }
    settle().await;
    for (speaker, member) in &pairs {
        assert_eq!([speaker, member].map(|client| client.sink().take().len()), [1, 3]);
    }
    assert_eq!(received(&nodes), expected);
    assert_eq!(expected.iter().flatten().sum::<f64>(), 300.0, "each by one other node, and not by three");
    assert_eq!(nodes.iter().map(|node| counted(node, "sent")).sum::<f64>(), 300.0);
    for node in nodes {
        node.shutdown().await;
    }
}
