//! A plugin with its type erased: what the router and the lifecycle call.

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::hooks::Hooks;
use crate::host::Host;
use crate::params::Params;
use crate::payload::Arguments;
use crate::peer::Peer;
use crate::plugin::Plugin;
use crate::refusal::Refusal;
use crate::routes::{Answer, Table};
use crate::sink::Reason;

/// A running plugin behind its namespace.
pub(crate) trait Module: Send + Sync + 'static {
    /// Starts a call: declared event `route`, or the catch-all for `None`. Decodes; the future runs the handler.
    fn call(&self, route: Option<usize>, ctx: Ctx, arguments: &Arguments, ack: Option<i64>) -> Result<Answer>;
    fn get(&self, route: usize, params: &Params) -> Result<BoxFuture<'static, Result<Bytes>>>;
    fn handshake(&self, peer: Peer) -> BoxFuture<'static, Result<(), Refusal>>;
    /// Which of the next three the plugin has written; the others need not be called.
    fn hooks(&self) -> Hooks;
    fn admit(&self, peer: Peer) -> BoxFuture<'static, Result<()>>;
    fn connected(&self, ctx: Ctx) -> BoxFuture<'static, Result<()>>;
    fn disconnected(&self, ctx: Ctx, reason: Reason) -> BoxFuture<'static, Result<()>>;
    fn run(&self, host: Host) -> BoxFuture<'static, Result<()>>;
    fn ready(&self) -> Result<(), String>;
    fn shutdown(&self) -> BoxFuture<'static, ()>;
}

/// The one implementation: a plugin and its table.
pub(crate) struct Typed<P> {
    pub(crate) plugin: Arc<P>,
    pub(crate) table: Table<P>,
}

impl<P: Plugin> Module for Typed<P> {
    fn call(&self, route: Option<usize>, ctx: Ctx, arguments: &Arguments, ack: Option<i64>) -> Result<Answer> {
        let handler = match route {
            Some(index) => self.table.events.get(index),
            None => self.table.any.as_ref(),
        };
        let handler = handler.ok_or_else(|| ctx.unknown_event(arguments.event()))?;
        handler(&self.plugin, ctx, arguments, ack)
    }

    fn get(&self, route: usize, params: &Params) -> Result<BoxFuture<'static, Result<Bytes>>> {
        let handler = self.table.gets.get(route).ok_or_else(|| Error::not_found("no such route"))?;
        handler(&self.plugin, params)
    }

    fn handshake(&self, peer: Peer) -> BoxFuture<'static, Result<(), Refusal>> {
        match &self.table.handshake {
            Some(decide) => decide(&self.plugin, peer),
            None => Box::pin(ready(Ok(()))),
        }
    }

    fn hooks(&self) -> Hooks {
        Hooks::of::<P>()
    }

    fn admit(&self, peer: Peer) -> BoxFuture<'static, Result<()>> {
        Box::pin(Arc::clone(&self.plugin).admit(peer))
    }

    fn connected(&self, ctx: Ctx) -> BoxFuture<'static, Result<()>> {
        Box::pin(Arc::clone(&self.plugin).connected(ctx))
    }

    fn disconnected(&self, ctx: Ctx, reason: Reason) -> BoxFuture<'static, Result<()>> {
        let farewell = Arc::clone(&self.plugin).disconnected(ctx, reason);
        Box::pin(async move {
            farewell.await;
            Ok(())
        })
    }

    fn run(&self, host: Host) -> BoxFuture<'static, Result<()>> {
        Box::pin(Arc::clone(&self.plugin).run(host))
    }

    fn ready(&self) -> Result<(), String> {
        self.plugin.ready()
    }

    fn shutdown(&self) -> BoxFuture<'static, ()> {
        Box::pin(Arc::clone(&self.plugin).shutdown())
    }
}
