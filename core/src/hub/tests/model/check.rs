//! What has to hold when a schedule has ended.

use super::*;

impl World {
    /// Everything has left: what came, in which order, is what had to.
    pub(super) fn check(&self) {
        for (at, connection) in self.connections.iter().enumerate() {
            let got = connection.got.lock().unwrap().clone();
            let expected = &self.expected.lock().unwrap()[at];
            for publisher in 0..=SPACES.len() {
                self.check_order(&got, expected.iter().filter(|sent| sent.publisher == publisher).collect(), at);
            }
            let known: BTreeSet<&str> = expected.iter().map(|sent| &*sent.text).collect();
            assert!(got.iter().all(|text| known.contains(&**text)), "connection {at} got what was for others");
            let items: Vec<&String> = got.iter().filter(|text| *text != "disconnect").collect();
            assert_eq!(items.iter().collect::<BTreeSet<_>>().len(), items.len(), "connection {at} got something twice");
            if !connection.blocked {
                let wire: Vec<u8> = items.iter().flat_map(|text| self.frames[*text].clone()).collect();
                assert!(*connection.wire.lock().unwrap() == wire, "the bytes of connection {at}");
            }
        }
        for Life { connection, since, before } in &self.lives {
            let expected = &self.expected.lock().unwrap()[*connection];
            let of_old = |text: &String| {
                let sent = expected.iter().find(|sent| sent.text == *text);
                sent.and_then(|sent| sent.id.as_ref()).is_some_and(|id| before.contains(id))
            };
            let got = self.connections[*connection].got.lock().unwrap();
            let old = got[*since..].iter().filter(|text| *text != "disconnect").find(|text| of_old(text));
            assert!(old.is_none(), "connection {connection} came back and got {old:?} of before");
        }
        assert_eq!(self.metrics.expected.get(), self.copies);
        let ledger = self.metrics.ledger();
        let queued = self.connections.iter().any(|connection| connection.blocked);
        assert!(queued || ledger.is_balanced(), "{ledger}");
        for space in 0..SPACES.len() {
            assert_eq!(self.hub.waiting(space), Used::default(), "nothing waits in the end");
            let members = self.members.iter().filter(|member| member.space == space).count();
            assert_eq!(self.hub.count(space, &Selection::default()), members, "{ledger}");
            for room in ROOMS {
                let there = |member: &&Member| member.space == space && member.rooms.contains(&room);
                let selection = named(vec![room.to_owned()]);
                assert_eq!(self.hub.count(space, &selection), self.members.iter().filter(there).count());
            }
        }
        let connections: BTreeSet<usize> = self.members.iter().map(|member| member.connection).collect();
        assert_eq!(self.hub.connections(), connections.len());
        for shard in &self.hub.shards {
            assert!(shard.state().table.is_clean(), "nobody is remembered who has left");
        }
    }

    /// What one publisher does comes in its order; only what may be replaced or dropped may be missing, or be early.
    fn check_order(&self, got: &[String], expected: Vec<&Sent>, connection: usize) {
        let strict = |text: &str| expected.iter().any(|sent| sent.text == text && sent.mode == Mode::All);
        let mut got_strictly: Vec<&str> = got.iter().map(|text| &**text).filter(|text| strict(text)).collect();
        // Whoever is told twice without a word in between may have been told once.
        got_strictly.dedup_by(|one, other| one == other && *one == "disconnect");
        let mut came = got_strictly.into_iter().peekable();
        let gone = self.gone.lock().unwrap();
        let mut before = "";
        for sent in expected.iter().filter(|sent| sent.mode == Mode::All) {
            let has_gone = sent.id.as_ref().is_some_and(|id| gone.contains(id));
            let again = sent.text == "disconnect" && before == "disconnect";
            match came.next_if(|text| *text == sent.text) {
                Some(text) => before = text,
                None => assert!(has_gone || again, "connection {connection} lacks {}: {:?}", sent.text, came.peek()),
            }
        }
        assert_eq!(came.next(), None, "connection {connection}, out of order");
        for sent in expected.iter().filter(|sent| sent.mode == Mode::Latest) {
            let newest =
                self.newest.get(&(sent.publisher, sent.topic.clone())).is_some_and(|newest| *newest == sent.text);
            let has_gone = sent.id.as_ref().is_some_and(|id| gone.contains(id));
            assert!(!newest || has_gone || got.contains(&sent.text), "connection {connection} lacks {}", sent.text);
        }
        let latest = |topic: &String| -> Vec<usize> {
            let places = got.iter().filter_map(|text| expected.iter().position(|sent| sent.text == *text));
            places.filter(|at| expected[*at].mode == Mode::Latest && expected[*at].topic.0 == *topic).collect()
        };
        assert!(expected.iter().all(|sent| latest(&sent.topic.0).is_sorted()), "an older one came later");
    }
}
