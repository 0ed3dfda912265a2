//! Threads of a plugin's own, so that a handler that blocks stops its own plugin and nothing else.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Where plugins run.
#[derive(Debug, Clone, Copy)]
pub enum Threads {
    /// A small runtime for each plugin, of so many threads.
    PerPlugin(usize),
    /// The runtime of the caller, for tests on paused time.
    Shared,
}

impl Threads {
    /// The threads of the plugin `name`.
    pub(crate) fn start(self, name: &str) -> io::Result<PluginThreads> {
        match self {
            Self::Shared => Ok(PluginThreads { handle: Handle::current(), own: None }),
            Self::PerPlugin(count) => {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(count.max(1))
                    .thread_name(format!("plugin-{name}"))
                    .enable_all()
                    .build()?;
                Ok(PluginThreads { handle: runtime.handle().clone(), own: Some(runtime) })
            }
        }
    }
}

/// The threads of one plugin. Dropping them abandons whatever still runs there, without waiting.
pub(crate) struct PluginThreads {
    pub(crate) handle: Handle,
    own: Option<Runtime>,
}

impl Drop for PluginThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.own.take() {
            // A runtime must not be waited for inside another one, and a blocked handler may never end.
            runtime.shutdown_background();
        }
    }
}
