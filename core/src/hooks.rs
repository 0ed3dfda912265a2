//! Which hooks a plugin has written: nobody is handed to a plugin's threads for one that is the trait's own.

use std::any::TypeId;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::plugin::Plugin;

/// What the trait's own hooks return, and nobody else can.
pub(crate) struct Unwritten<T>(Option<T>);

impl<T: Unpin> Unwritten<T> {
    pub(crate) fn new(outcome: T) -> Self {
        Self(Some(outcome))
    }
}

impl<T: Unpin> Future for Unwritten<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        self.0.take().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The hooks in the life of a client, and whether the plugin has written them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hooks {
    pub(crate) admit: bool,
    pub(crate) connected: bool,
    pub(crate) disconnected: bool,
}

impl Hooks {
    pub(crate) fn of<P: Plugin>() -> Self {
        Self {
            admit: is_written(|(plugin, peer)| P::admit(plugin, peer)),
            connected: is_written(|(plugin, ctx)| P::connected(plugin, ctx)),
            disconnected: is_written(|(plugin, ctx, reason)| P::disconnected(plugin, ctx, reason)),
        }
    }
}

/// Whether a hook returns something else than the trait's own. Nothing is called: the types tell.
fn is_written<A, F>(_: impl FnOnce(A) -> F) -> bool
where
    F: Future<Output: 'static> + 'static,
{
    TypeId::of::<F>() != TypeId::of::<Unwritten<F::Output>>()
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;

    use super::*;
    use crate::ctx::Ctx;
    use crate::error::Result;
    use crate::host::Host;
    use crate::peer::Peer;
    use crate::routes::Routes;
    use crate::sink::Reason;
    use carillon_config::NoConfig;

    macro_rules! plugin {
        ($name:ident { $($hook:item)* }) => {
            struct $name;
            impl Plugin for $name {
                const NAME: &'static str = "hooks";
                const NAMESPACE: &'static str = "/hooks";
                type Config = NoConfig;
                async fn init(_: NoConfig, _: Host) -> Result<Self> {
                    Ok(Self)
                }
                fn routes(_: &mut Routes<Self>, _: &NoConfig) {}
                $($hook)*
            }
        };
    }

    plugin!(Silent {});
    plugin!(Doorkeeper {
        fn admit(self: Arc<Self>, _: Peer) -> impl Future<Output = Result<()>> + Send {
            ready(Ok(()))
        }
    });
    plugin!(Greeter {
        async fn connected(self: Arc<Self>, _: Ctx) -> Result<()> {
            Ok(())
        }
        async fn disconnected(self: Arc<Self>, _: Ctx, _: Reason) {}
    });

    /// Whatever a hook of the plugin's own returns, it is the plugin's own.
    #[test]
    fn hooks_that_are_the_traits_own_are_told_from_written_ones() {
        assert_eq!(Hooks::of::<Silent>(), Hooks { admit: false, connected: false, disconnected: false });
        assert_eq!(Hooks::of::<Doorkeeper>(), Hooks { admit: true, connected: false, disconnected: false });
        assert_eq!(Hooks::of::<Greeter>(), Hooks { admit: false, connected: true, disconnected: true });
    }
}
