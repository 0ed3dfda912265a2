//! The one trait a namespace implements.

use std::future::{Future, ready};
use std::sync::Arc;

use carillon_config::{Config, Problems};

use crate::ctx::Ctx;
use crate::error::Result;
use crate::hooks::Unwritten;
use crate::host::Host;
use crate::peer::Peer;
use crate::routes::Routes;
use crate::sink::Reason;

/// A namespace: its events, its configuration, its background work. Registered by [`plugin!`](crate::plugin!).
///
/// Everything a plugin runs (handlers, hooks, background work) runs on threads of the plugin's own: a plugin that
/// blocks hurts its own calls only. The life of a plugin is `check`, `init`, `run`, `shutdown`; plugins start in the
/// order of their names and stop in reverse, and no plugin may count on another's `init`.
///
/// ```
/// use carillon_core::prelude::*;
///
/// struct Greeter;
/// impl Plugin for Greeter {
///     const NAME: &'static str = "greeter";
///     const NAMESPACE: &'static str = "/hello";
///     type Config = NoConfig;
///     async fn init(_: NoConfig, _: Host) -> Result<Self> {
///         Ok(Self)
///     }
///     fn routes(on: &mut Routes<Self>, _: &NoConfig) {
///         on.event("hello", "Greets by name.", Self::hello);
///     }
/// }
/// impl Greeter {
///     async fn hello(self: Arc<Self>, _: Ctx, name: String) -> Result<String> {
///         Ok(format!("hello, {name}"))
///     }
/// }
/// plugin!(Greeter);
/// ```
#[diagnostic::on_unimplemented(message = "`{Self}` is not a plugin", note = "implement `carillon_core::Plugin` for it")]
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The plugin's name: its configuration section `[plugins.<name>]` and its metric label. Lower case, `a-z0-9_-`.
    const NAME: &'static str;

    /// The namespace it serves, such as `/echo`.
    const NAMESPACE: &'static str;

    /// The type of its configuration section; [`NoConfig`](carillon_config::NoConfig) when it has none.
    type Config: Config;

    /// Makes the plugin. I/O is allowed here, and so is [`Host::spawn`], for what need not be started again when it
    /// fails; an error stops the boot and names the plugin.
    fn init(config: Self::Config, host: Host) -> impl Future<Output = Result<Self>> + Send;

    /// Declares the events, routes and emitted events. Called once, before `init`; the table is frozen then.
    fn routes(on: &mut Routes<Self>, config: &Self::Config);

    /// Rules that span several configuration fields. No I/O.
    fn check(_config: &Self::Config, _problems: &mut Problems) {}

    /// Decides about a CONNECT. An error becomes the client's `connect_error` with its message. This is the place to refuse
    /// a client; without it everybody is let in, whatever [`Routes::auth`] declares.
    fn admit(self: Arc<Self>, _peer: Peer) -> impl Future<Output = Result<()>> + Send {
        Unwritten::new(Ok(()))
    }

    /// Runs after the CONNECT reply and before the client's first event: the place for greetings and snapshots. It
    /// refuses nobody: an error is told to the client as an `error` event, and the client stays. Whoever is to be kept out
    /// is refused by [`admit`](Self::admit).
    fn connected(self: Arc<Self>, _ctx: Ctx) -> impl Future<Output = Result<()>> + Send {
        Unwritten::new(Ok(()))
    }

    /// Runs after the client's last event, once per client that was `connected`.
    fn disconnected(self: Arc<Self>, _ctx: Ctx, _reason: Reason) -> impl Future<Output = ()> + Send {
        Unwritten::new(())
    }

    /// Background work until [`Host::shutdown`] fires. When it fails or panics it is started again after a pause of
    /// 1 s, doubling to 30 s, and `/readyz` names it meanwhile. What [`Host::spawn`] starts is not started again.
    fn run(self: Arc<Self>, _host: Host) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Whether the plugin can do its job now; the text of the error is shown by `/readyz`. Must not block.
    ///
    /// # Errors
    /// When it cannot.
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    /// The last call: `run` has ended, clients are gone.
    fn shutdown(self: Arc<Self>) -> impl Future<Output = ()> + Send {
        ready(())
    }
}
