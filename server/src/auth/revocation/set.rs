//! What is revoked now, as it is looked up: once for each CONNECT, in a time that does not depend on how much there is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use carillon_core::Result;
use carillon_core::identity::Identity;
use prometheus::IntGauge;

use super::LIMIT;
use super::entry::{Revocation, now};

/// What is revoked, shared by who asks and who follows the bus.
pub(in crate::auth) struct Revoked {
    /// Whether there is anything: most servers look no further.
    any: AtomicBool,
    list: RwLock<List>,
    pub(in crate::auth) number: IntGauge,
}

impl Revoked {
    pub(in crate::auth) fn new() -> Result<Self> {
        let number = IntGauge::new("carillon_auth_revocations", "Revocations in force on this node.")?;
        Ok(Self { any: AtomicBool::new(false), list: RwLock::default(), number })
    }

    /// Whether somebody's token or key is revoked.
    pub(in crate::auth) fn covers(&self, identity: &Identity) -> bool {
        self.any.load(Ordering::Acquire)
            && self.list.read().unwrap_or_else(PoisonError::into_inner).covers(identity, now())
    }

    /// Adds what is new, and forgets what is over.
    pub(super) fn add(&self, list: &[Revocation]) -> Added {
        let mut known = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let added = known.add(list, now());
        self.any.store(known.number > 0, Ordering::Release);
        self.number.set(known.number as i64);
        added
    }

    /// Lists what is not over where `stored` does not have all of it. Nobody who asks waits for that.
    pub(super) fn missing_in(&self, stored: &List) -> Option<Vec<Revocation>> {
        let mut all = self.list.read().unwrap_or_else(PoisonError::into_inner).all();
        let now = now();
        all.retain(|one| one.until > now);
        all.iter().any(|one| !stored.has(one)).then_some(all)
    }
}

/// What became of a list that was added.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    /// New ones.
    pub(super) new: usize,
    /// Those that there was no room for.
    pub(super) left_out: usize,
}

/// Revocations by what they name.
#[derive(Default)]
pub(super) struct List {
    subjects: HashMap<String, Vec<Term>>,
    ids: HashMap<String, Vec<Term>>,
    all: Vec<Term>,
    number: usize,
}

/// What is issued before this is revoked until then.
#[derive(Clone, Copy)]
struct Term {
    /// [`u64::MAX`] stands for whenever it was.
    before: u64,
    until: u64,
}

impl Term {
    fn of(revocation: &Revocation) -> Self {
        Self { before: revocation.before.unwrap_or(u64::MAX), until: revocation.until }
    }

    /// Whether the other says nothing that this does not.
    fn includes(self, other: Self) -> bool {
        self.before >= other.before && self.until >= other.until
    }
}

impl List {
    fn covers(&self, identity: &Identity, now: u64) -> bool {
        let issued = identity.claims().get("iat").and_then(serde_json::Value::as_f64);
        let id = identity.claims().get("jti").and_then(serde_json::Value::as_str);
        let revokes = |term: &Term| {
            term.until > now && (term.before == u64::MAX || issued.is_none_or(|issued| issued < term.before as f64))
        };
        let named = |terms: Option<&Vec<Term>>| terms.is_some_and(|terms| terms.iter().any(revokes));
        named(self.subjects.get(identity.subject()))
            || id.is_some_and(|id| named(self.ids.get(id)))
            || self.all.iter().any(revokes)
    }

    /// Adds what is not included in what there is, as long as there is room.
    pub(super) fn add(&mut self, list: &[Revocation], now: u64) -> Added {
        self.forget(now);
        let mut added = Added::default();
        for revocation in list.iter().filter(|revocation| revocation.until > now) {
            let term = Term::of(revocation);
            let full = self.number >= LIMIT;
            let terms = self.terms(revocation);
            let before = terms.len();
            if terms.iter().any(|known| known.includes(term)) {
                continue;
            }
            terms.retain(|known| !term.includes(*known));
            if full && terms.len() == before {
                added.left_out += 1;
                continue;
            }
            terms.push(term);
            let after = terms.len();
            self.number = self.number + after - before;
            added.new += 1;
        }
        added
    }

    /// Where terms of this kind stand.
    fn terms(&mut self, revocation: &Revocation) -> &mut Vec<Term> {
        match (&revocation.sub, &revocation.jti) {
            (Some(subject), _) => self.subjects.entry(subject.clone()).or_default(),
            (None, Some(id)) => self.ids.entry(id.clone()).or_default(),
            (None, None) => &mut self.all,
        }
    }

    /// Whether all is here that this says.
    pub(super) fn has(&self, revocation: &Revocation) -> bool {
        let terms = match (&revocation.sub, &revocation.jti) {
            (Some(subject), _) => self.subjects.get(subject),
            (None, Some(id)) => self.ids.get(id),
            (None, None) => Some(&self.all),
        };
        terms.is_some_and(|terms| terms.iter().any(|known| known.includes(Term::of(revocation))))
    }

    /// Drops what is over.
    fn forget(&mut self, now: u64) {
        let live = |terms: &mut Vec<Term>| {
            terms.retain(|term| term.until > now);
            !terms.is_empty()
        };
        self.subjects.retain(|_, terms| live(terms));
        self.ids.retain(|_, terms| live(terms));
        live(&mut self.all);
        let named = self.subjects.values().chain(self.ids.values()).map(Vec::len);
        self.number = named.sum::<usize>() + self.all.len();
    }

    /// All that is here.
    pub(super) fn all(&self) -> Vec<Revocation> {
        let list = |sub: Option<&String>, jti: Option<&String>, terms: &[Term]| {
            let one = |term: &Term| Revocation {
                sub: sub.cloned(),
                jti: jti.cloned(),
                before: Some(term.before).filter(|before| *before != u64::MAX),
                until: term.until,
            };
            terms.iter().map(one).collect::<Vec<_>>()
        };
        let subjects = self.subjects.iter().flat_map(|(subject, terms)| list(Some(subject), None, terms));
        let ids = self.ids.iter().flat_map(|(id, terms)| list(None, Some(id), terms));
        subjects.chain(ids).chain(list(None, None, &self.all)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::entry::read;
    use super::*;

    const NOW: u64 = 1_000;

    fn revocations(list: Value) -> Vec<Revocation> {
        read(list.to_string().as_bytes()).unwrap()
    }

    fn list(entries: Value) -> List {
        let mut list = List::default();
        list.add(&revocations(entries), NOW);
        list
    }

    fn covers(list: &List, claims: Value) -> bool {
        let Value::Object(claims) = claims else { panic!("not an object") };
        list.covers(&Identity::new(claims).unwrap(), NOW)
    }

    /// Each names whom it means, and no one else; what was issued at no known time was issued before any.
    #[test]
    fn a_revocation_means_whom_it_names() {
        let one = list(json!([
            {"sub": "ann", "until": 2_000}, {"jti": "x", "until": 2_000},
            {"sub": "bob", "before": 500, "until": 2_000}, {"before": 100, "until": 2_000},
            {"sub": "old", "until": 1_000},
        ]));
        assert_eq!(one.number, 4);
        for (claims, expected) in [
            (json!({"sub": "ann", "iat": 999}), true),
            (json!({"sub": "ann2", "iat": 999}), false),
            (json!({"sub": "x", "iat": 999}), false),
            (json!({"sub": "eve", "iat": 999, "jti": "x"}), true),
            (json!({"sub": "bob", "iat": 499}), true),
            (json!({"sub": "bob", "iat": 499.9}), true),
            (json!({"sub": "bob", "iat": 500}), false),
            (json!({"sub": "bob"}), true),
            (json!({"sub": "eve", "iat": 99}), true),
            (json!({"sub": "eve", "iat": "100"}), true),
            (json!({"sub": "eve", "iat": 100}), false),
            (json!({"sub": "old", "iat": 999}), false),
        ] {
            assert_eq!(covers(&one, claims.clone()), expected, "{claims}");
        }
        assert!(
            !list(json!([])).covers(&Identity::new(json!({"sub": "a"}).as_object().unwrap().clone()).unwrap(), NOW)
        );
    }

    /// What says more takes the place of what says less; what is known is no news; what is over is forgotten.
    #[test]
    fn the_list_stays_as_small_as_what_it_says() {
        let mut one = list(json!([{"sub": "ann", "before": 100, "until": 2_000}]));
        let mut add = |entries| one.add(&revocations(entries), NOW);
        assert_eq!(add(json!([{"sub": "ann", "before": 99, "until": 1_999}])), Added { new: 0, left_out: 0 });
        assert_eq!(add(json!([{"sub": "ann", "before": 99, "until": 2_001}])), Added { new: 1, left_out: 0 });
        assert_eq!(add(json!([{"sub": "ann", "until": 2_001}])), Added { new: 1, left_out: 0 });
        assert_eq!(one.all(), revocations(json!([{"sub": "ann", "until": 2_001}])));
        assert!(one.has(&revocations(json!([{"sub": "ann", "before": 7, "until": 2_001}]))[0]));
        assert!(!one.has(&revocations(json!([{"sub": "ann", "until": 2_002}]))[0]));
        one.forget(2_001);
        assert_eq!((one.number, one.all()), (0, Vec::new()));
    }

    /// Whoever looks somebody up does not wait while it is listed what the bus has lost; what is over is not listed.
    #[test]
    fn what_is_missing_is_listed_beside_those_who_ask() {
        let revoked = std::sync::Arc::new(Revoked::new().unwrap());
        let holds = revocations(json!([{"sub": "ann", "until": 253_402_300_799_u64}]));
        revoked.add(&holds);
        revoked.list.write().unwrap().add(&revocations(json!([{"sub": "bob", "until": 2_000}])), NOW);
        let asking = revoked.list.read().unwrap();
        let (sender, listed) = std::sync::mpsc::channel();
        let other = std::sync::Arc::clone(&revoked);
        std::thread::spawn(move || {
            let missing = [List::default(), list(json!([{"sub": "ann", "until": 253_402_300_799_u64}]))];
            sender.send(missing.map(|stored| other.missing_in(&stored))).unwrap();
        });
        let listed = listed.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
        drop(asking);
        assert_eq!(listed, [Some(holds), None]);
    }

    /// No more are taken than there is room for; those that there are hold.
    #[test]
    fn the_list_is_bounded() {
        let many = |from: usize, to: usize| {
            revocations((from..to).map(|n| json!({"jti": format!("t{n}"), "until": 2_000})).collect())
        };
        let mut one = List::default();
        assert_eq!(one.add(&many(0, LIMIT), NOW), Added { new: LIMIT, left_out: 0 });
        assert_eq!(one.add(&many(5, LIMIT), NOW), Added::default());
        assert_eq!(one.add(&many(LIMIT, LIMIT + 3), NOW), Added { new: 0, left_out: 3 });
        let longer = revocations(json!([{"jti": "t7", "until": 3_000}]));
        assert_eq!(one.add(&longer, NOW), Added { new: 1, left_out: 0 }, "it takes the place of another");
        assert_eq!((one.number, one.all().len()), (LIMIT, LIMIT));
        assert!(covers(&one, json!({"sub": "ann", "jti": "t9999"})));
        assert_eq!(one.add(&many(LIMIT, LIMIT + 3), 2_000), Added { new: 0, left_out: 0 });
        assert_eq!(one.number, 1);
    }
}
