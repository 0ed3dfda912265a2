//! Whom a selection reaches, and when.

use super::*;
use crate::testing::RecordingSink;

fn selection(to: &[&str], except: &[&str]) -> Selection {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Selection { to: own(to), except: own(except), ..Selection::default() }
}

fn clients(ids: &[&str]) -> Selection {
    Selection { clients: ids.iter().map(|id| (*id).to_owned()).collect(), ..Selection::default() }
}

fn newcomer(key: Key, id: &str) -> (Key, Newcomer) {
    (key, id.into())
}

fn keys(members: &Members, selection: &Selection) -> Vec<Key> {
    let mut keys: Vec<Key> = members.select(selection, NOW).map(|member| member.key).collect();
    assert_eq!(members.count(selection), keys.len());
    keys.sort_unstable();
    keys
}

/// A11: what is meant for a client does not reach who joined a room called like it, and the other way round.
#[test]
fn a_room_called_like_a_client_is_not_that_client() {
    let mut members = Members::default();
    for (key, id) in ["victim", "thief"].into_iter().enumerate() {
        members.add(newcomer(key as Key, id), Arc::new(RecordingSink::default()), key as Slot, 1);
    }
    members.join(1, "victim".into(), 1);
    assert_eq!(keys(&members, &clients(&["victim"])), [0]);
    assert_eq!(keys(&members, &selection(&["victim"], &[])), [1]);
    assert!(matches!(members.reached(&clients(&["victim"])), Reached::One(0, _)));
    assert!(matches!(members.reached(&selection(&["victim"], &[])), Reached::One(1, _)));
    let both = Selection { to: vec!["victim".to_owned()], ..clients(&["victim"]) };
    assert_eq!(keys(&members, &both), [0, 1]);
    assert_eq!(keys(&members, &clients(&["victim", "nobody"])), [0]);
    assert_eq!(keys(&members, &selection(&[], &["victim"])), [0; 0], "either is left out");
}

#[test]
fn rooms_ids_and_exceptions_select_each_member_once() {
    let mut members = Members::default();
    for (key, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        members.add(newcomer(key as Key, id), Arc::new(RecordingSink::default()), 0, 1);
    }
    for (key, room) in [(0, "r"), (1, "r"), (1, "s"), (2, "s")] {
        members.join(key, room.into(), 1);
    }
    let reached = |members: &Members, to: &[&str], except: &[&str]| keys(members, &selection(to, except));
    assert_eq!(reached(&members, &[], &[]), [0, 1, 2, 3]);
    assert_eq!(reached(&members, &["r"], &[]), [0, 1]);
    assert_eq!(reached(&members, &["r", "s"], &[]), [0, 1, 2], "a member of both rooms gets one copy");
    assert_eq!(reached(&members, &["r", "s"], &["s"]), [0]);
    assert_eq!(reached(&members, &[], &["r", "d"]), [2]);
    assert_eq!(keys(&members, &clients(&["c"])), [2]);
    assert_eq!(reached(&members, &["nobody"], &[]), [0; 0]);
    members.join(3, "d".into(), 1);
    assert_eq!(reached(&members, &["d"], &[]), [3], "a room may bear a client's id");
    for (key, room) in [(3, "d"), (1, "r"), (0, "r")] {
        members.leave(key, room, 2);
        members.forget_stays(key, room, 2);
    }
    assert_eq!(members.remove(0, 2), Some(0));
    members.forget(0);
    assert_eq!(reached(&members, &["r"], &[]), [0; 0]);
    assert_eq!(keys(&members, &clients(&["d"])), [3], "found where it was moved to");
    assert!(members.rooms.keys().eq([&Arc::from("s")]), "empty rooms are forgotten");
    members.join(0, "r".into(), 3);
    assert!(!members.rooms.contains_key("r"), "who has left joins nothing");
}

#[test]
fn a_membership_holds_from_its_beginning_to_its_end() {
    let mut members = Members::default();
    members.add(newcomer(0, "a"), Arc::new(RecordingSink::default()), 7, 3);
    members.join(0, "r".into(), 5);
    members.leave(0, "r", 6);
    members.join(0, "r".into(), 8);
    let room = selection(&["r"], &[]);
    let when = |members: &Members, selection: &Selection| -> Vec<Moment> {
        (0..12).filter(|moment| members.slots(selection, *moment).next().is_some()).collect()
    };
    assert_eq!(when(&members, &room), [5, 8, 9, 10, 11]);
    assert_eq!((members.remove(0, 10), members.remove(0, 11)), (Some(7), None));
    members.leave(0, "r", 10);
    assert_eq!(when(&members, &room), [5, 8, 9]);
    assert_eq!(when(&members, &selection(&[], &[])), [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(when(&members, &Selection { except: vec!["r".to_owned()], ..clients(&["a"]) }), [3, 4, 6, 7]);
    assert_eq!((members.count(&room), members.count(&selection(&[], &[]))), (0, 0));
    assert!(matches!(members.reached(&clients(&["a"])), Reached::Nobody) && members.sinks(&room, 9).is_empty());
    members.forget_stays(0, "r", 6);
    assert_eq!(when(&members, &room), [8, 9], "only what had ended is forgotten");
    members.forget_stays(0, "r", 10);
    members.forget(0);
    assert!(members.rooms.is_empty() && members.dense.is_empty() && members.ids.is_empty());
}

/// Who takes offsets is one kind of member, who does not is another, in every selection.
#[test]
fn members_are_of_two_kinds() {
    let mut members = Members::default();
    for key in 0..6 {
        let newcomer = Newcomer { offsets: key % 2 == 0, ..format!("c{key}").into() };
        members.add((key, newcomer), Arc::new(RecordingSink::default()), key as Slot, 1);
    }
    (0..3).for_each(|key| members.join(key, "r".into(), 1));
    assert_eq!(members.kinds(), (3, 3));
    assert_eq!(keys(&members, &Selection::default().of_kind(true)), [0, 2, 4]);
    assert_eq!(keys(&members, &selection(&["r"], &[]).of_kind(false)), [1]);
    assert_eq!(keys(&members, &selection(&["r"], &["c2"]).of_kind(true)), [0]);
    assert_eq!(keys(&members, &selection(&[], &["r"]).of_kind(false)), [3, 5]);
    assert_eq!(keys(&members, &clients(&["c0", "c3"]).of_kind(true)), [0]);
    assert!(matches!(members.reached(&clients(&["c0"]).of_kind(true)), Reached::One(0, _)));
    assert!(matches!(members.reached(&clients(&["c0"]).of_kind(false)), Reached::Nobody));
    members.remove(0, 5);
    assert_eq!(members.kinds(), (2, 3));
}

/// A client that comes back has the id it had before: what is meant for it goes to its newest life, in whatever order the
/// older ones are forgotten.
#[test]
fn an_id_is_its_newest_life() {
    for order in [[0, 1], [1, 0]] {
        let mut members = Members::default();
        for life in 0..3 {
            members.add(newcomer(life, "same"), Arc::new(RecordingSink::default()), life as Slot, 1 + life);
        }
        order.iter().for_each(|life| assert!(members.remove(*life, 9).is_some()));
        order.iter().for_each(|life| members.forget(*life));
        assert_eq!(keys(&members, &clients(&["same"])), [2]);
        assert_eq!(members.slot_of("same", 9), Some(2));
        members.remove(2, 10);
        members.forget(2);
        assert_eq!(keys(&members, &clients(&["same"])), [0; 0]);
    }
}
