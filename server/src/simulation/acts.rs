//! What plugins send: publishes, emits and calls, each with a number that tells it from all others.

use std::time::Duration;

use bytes::Bytes;
use carillon_core::payload::Payload;
use carillon_core::sink::Mode;
use carillon_core::{Code, Ctx};
use futures_util::FutureExt;

use super::world::{NAMESPACES, ROOMS, To, spawn, tell, world};

/// The plugin of one namespace publishes something to another, or the same.
pub(super) fn publish(by: usize, namespace: usize, to: &To, mode: Mode, topic: usize) {
    // What two plugins publish never replaces each other: it has no order.
    let topic = 2 * by + topic;
    let (host, number, data, id) = world(|world| {
        let attachments = attachments(&mut world.random);
        let number = world.published((by, namespace), to, (mode, topic), attachments);
        let id = to.member.map(|member| world.members[member].id.clone());
        (world.hosts[by].clone(), number, payload(&mut world.random, number, attachments), id)
    });
    tell!("  {number} is published to {} {to:?}, {mode:?} of {topic}, by {by}", NAMESPACES[namespace]);
    let Some(host) = host else { return };
    let mut target = host.to(NAMESPACES[namespace]).mode(mode);
    for room in &to.rooms {
        target = target.room(ROOMS[*room]);
    }
    for room in &to.except {
        target = target.except(ROOMS[*room]);
    }
    if let Some(id) = id {
        target = target.client(id);
    }
    if let Err(error) = target.publish(["t0", "t1", "u0", "u1"][topic], &data) {
        assert_eq!(error.code(), Code::Overloaded);
        tell!("  {number} is refused");
        world(|world| world.refused(number));
    }
}

/// Emits something to one member.
pub(super) fn emit(member: usize, ctx: &Ctx) {
    let data = world(|world| {
        let number = world.sent(member);
        let attachments = attachments(&mut world.random);
        payload(&mut world.random, number, attachments)
    });
    tell!("  {} is emitted to member {member}", data.json());
    ctx.emit("e", &data).unwrap();
}

/// Calls a member: the call is on its way when this returns.
pub(super) fn call(member: usize, ctx: &Ctx) {
    let (number, data, seconds) = world(|world| {
        let number = world.sent(member);
        (number, payload(&mut world.random, number, 0), world.random.u64(1..30))
    });
    tell!("  {number} is a call to member {member}");
    let ctx = ctx.clone();
    let mut call = Box::pin(async move {
        let answer = ctx.call::<u64>("c", &data, Duration::from_secs(seconds)).await;
        tell!("  call {number} ends: {answer:?}");
        if answer.is_ok_and(|answer| answer != number) {
            world(|world| world.fail(format!("call {number} got another's answer")));
        }
    });
    if call.as_mut().now_or_never().is_none() {
        spawn(call);
    }
}

fn attachments(random: &mut fastrand::Rng) -> usize {
    random.choice([0, 0, 0, 0, 1, 2]).unwrap_or(0)
}

/// Arguments that tell their number, and attachments that belong to it.
pub(super) fn payload(random: &mut fastrand::Rng, number: u64, attachments: usize) -> Payload {
    let pad = random.choice([0, 0, 10, 100, 1000]).unwrap_or(0);
    let places: String = (0..attachments).map(|at| format!(r#",{{"_placeholder":true,"num":{at}}}"#)).collect();
    let data = (0..attachments).map(|at| Bytes::from(format!("{number}:{at}:{}", "b".repeat(pad)))).collect();
    Payload::from_array(&format!("[{number},\"{}\"{places}]", "p".repeat(pad)).into(), data).unwrap()
}
