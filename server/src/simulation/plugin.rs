//! A namespace whose handlers do what the schedule's clients ask for.

use std::sync::Arc;
use std::time::Duration;

use carillon_core::config::NoConfig;
use carillon_core::payload::{Payload, Plain};
use carillon_core::peer::Peer;
use carillon_core::routes::Routes;
use carillon_core::sink::Mode;
use carillon_core::{Ctx, Error, Host, Plugin, Result};

use super::acts::{call, emit, payload, publish};
use super::world::{NAMESPACES, ROOMS, To, tell, world};

/// Serves `NAMESPACES[N]`.
pub(super) struct Player<const N: usize>;

impl<const N: usize> Plugin for Player<N> {
    const NAME: &'static str = ["root", "other"][N];
    const NAMESPACE: &'static str = NAMESPACES[N];
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        world(|world| world.hosts[N] = Some(host));
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("do", "Does something.", Self::act);
        on.emits_any("Whatever the schedule says.");
    }

    async fn admit(self: Arc<Self>, peer: Peer) -> Result<()> {
        dawdle().await;
        if world(|world| world.random.u8(..10)) == 0 {
            return Err(Error::forbidden("not today"));
        }
        world(|world| world.admitted(N, peer.id()));
        Ok(())
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        let member = world(|world| {
            let member = world.by_id(ctx.id());
            world.members[member].ctx = Some(ctx.clone());
            member
        });
        tell!("  member {member} is greeted");
        match world(|world| world.random.u8(..4)) {
            0 => call(member, &ctx),
            1 | 2 => emit(member, &ctx),
            _ => {}
        }
        Ok(())
    }
}

impl<const N: usize> Player<N> {
    async fn act(self: Arc<Self>, ctx: Ctx, ack: bool) -> Result<Plain<Payload>> {
        let member = world(|world| world.by_id(ctx.id()));
        dawdle().await;
        let (what, room) = world(|world| (world.random.u8(..8), world.random.usize(..ROOMS.len())));
        match what {
            0 | 1 => emit(member, &ctx),
            2 => {
                world(|world| world.joins(member, room));
                ctx.join(ROOMS[room])?;
                publish(N, N, &To { rooms: vec![room], ..To::default() }, Mode::All, 0);
            }
            3 => {
                publish(N, N, &To { rooms: vec![room], ..To::default() }, Mode::All, 0);
                world(|world| world.leaves(member, room));
                ctx.leave(ROOMS[room]);
            }
            4 => publish(N, N, &To { member: Some(member), ..To::default() }, Mode::All, 0),
            _ => {}
        }
        if what == 0 {
            dawdle().await;
            emit(member, &ctx);
        }
        if !ack {
            return Ok(Plain(Payload::empty()));
        }
        let answer = world(|world| {
            let number = world.sent(member);
            payload(&mut world.random, number, usize::from(what == 5))
        });
        tell!("  member {member} is answered {}", answer.json());
        Ok(Plain(answer))
    }
}

/// Takes its time, or does not.
async fn dawdle() {
    match world(|world| world.random.u8(..6)) {
        0 => tokio::task::yield_now().await,
        1 => tokio::time::sleep(Duration::from_millis(5)).await,
        _ => {}
    }
}
