//! The wiring of `carillon serve`: configuration, plugins, router, Socket.IO and sockets become one running server.

// Names the crate that holds the plugins, or the linker would leave it and them out.
use carillon_plugins as _;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use carillon_config::{
    DrainSettings, Loaded, LogFormat, LogSettings, RouterSettings, ServerSettings, TransportName, WireSettings,
};
use carillon_core::lifecycle::{App, BootError};
use carillon_core::registry::Registry;
use carillon_core::threads::Threads;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::check::check;
use crate::drain::Running;
use crate::exit::Exit;
use crate::http::{Origins, Site};
use crate::links::Links;
use crate::metrics::Metrics;
use crate::program::Program;
use crate::signals::Signals;
use crate::wire::Options;
use crate::{accept, bridge, http, logs, process, say};

/// Runs the server until a signal stops it.
pub(crate) fn serve(program: Program, registry: &Registry, config: &Loaded) -> Exit {
    let server: ServerSettings = config.get("server");
    let runtime = match runtime(server.workers) {
        Ok(runtime) => runtime,
        Err(error) => return say::trouble(format_args!("cannot start threads: {error}"), Exit::Failure),
    };
    let exit = match runtime.block_on(run(program, registry, config, &server)) {
        Ok(()) => Exit::Success,
        Err((text, exit)) => report(config, &text, exit),
    };
    // Whatever is left was given its time.
    runtime.shutdown_background();
    exit
}

/// Says why the server ended: among JSON log lines as one of them, else as a plain line.
fn report(config: &Loaded, text: &str, exit: Exit) -> Exit {
    let json = config.get::<LogSettings>("log").format == LogFormat::Json;
    if json && tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{text}");
        return exit;
    }
    say::trouble(text, exit)
}

fn runtime(workers: usize) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.thread_name("server").enable_all().build()
}

type Failure = (String, Exit);

async fn run(program: Program, registry: &Registry, config: &Loaded, server: &ServerSettings) -> Result<(), Failure> {
    check(registry, config).map_err(boot_failure)?;
    // Caught before anything is up: a signal during the start stops the server right after it.
    let mut signals = Signals::catch().map_err(|error| failure(format_args!("cannot catch signals: {error}")))?;
    // Opened first, because a taken port is the likeliest failure and plugins need not start for it.
    let listener = accept::listen(server.listen).map_err(|error| failure(cannot_listen(server.listen, &error)))?;
    let router: RouterSettings = config.get("router");
    let shards = Handle::current().metrics().num_workers();
    let threads = Threads::PerPlugin(router.plugin_threads);
    let app = App::boot(registry, config, threads, shards).await.map_err(boot_failure)?;
    app.metrics().build_info(program.name, program.version).map_err(|error| failure(error.message()))?;
    tracing::info!("{} {}", program.name, program.version);
    let running = match start(app, config, server, listener) {
        Ok(running) => running,
        Err(error) => return Err(failure(format_args!("cannot start: {error}"))),
    };
    let signal = signals.next().await;
    tracing::info!("{signal}: stopping; a second signal ends the server at once");
    let drain: DrainSettings = config.get("drain");
    tokio::select! {
        () = running.stop(&drain) => {
            tracing::info!("the server has stopped");
            Ok(())
        }
        signal = signals.next() => Err(failure(format_args!("{signal} again: ended at once"))),
    }
}

/// Puts the pieces together and starts accepting.
fn start(app: App, config: &Loaded, server: &ServerSettings, listener: TcpListener) -> carillon_core::Result<Running> {
    let wire: WireSettings = config.get("wire");
    let runtime = Handle::current();
    let app = Arc::new(app);
    let metrics = Arc::new(Metrics::new(app.metrics())?);
    logs::count_panics(&metrics.panics);
    process::register(app.metrics(), &runtime)?;
    let tasks = TaskTracker::new();
    let accepting = CancellationToken::new();
    let socket_io = bridge::Settings::new(server, &wire);
    let links = Links::new(socket_io.limits(), Arc::clone(&metrics), app.metrics().deliveries());
    let engine = bridge::Engine::new(&socket_io, app.router(), &links, &tasks, &runtime);
    let site = Site {
        engine,
        path: server.path.clone(),
        links: Arc::clone(&links),
        origins: Origins::new(&server.origins),
        metrics: Arc::clone(&metrics),
        app: Arc::downgrade(&app),
        plugins: app.router().clone(),
        tasks: tasks.clone(),
        websocket: server.transports.contains(&TransportName::Websocket),
        max_message_bytes: server.max_message_bytes,
        max_sessions: server.max_connections,
    };
    let settings = accept::Settings {
        max_connections: server.max_connections,
        header_timeout: Duration::from_millis(server.header_timeout_ms),
        wire: Options::new(&wire),
    };
    let address = listener.local_addr()?;
    let routes = http::router(Arc::new(site));
    tasks.spawn(Arc::clone(&links).sweep(accepting.clone()));
    tasks.spawn(accept::run(listener, routes, settings, metrics, tasks.clone(), accepting.clone()));
    allow_files(server);
    notices(server);
    tracing::info!("listening on http://{address}");
    Ok(Running { app, links, accepting, tasks })
}

/// Says which safe defaults are in force, and the one key that changes each.
fn notices(server: &ServerSettings) {
    if server.listen.ip().is_loopback() {
        tracing::info!(
            "only this machine can connect; server.listen = \"0.0.0.0:{}\" lets others",
            server.listen.port()
        );
    }
    if server.origins.is_empty() {
        tracing::info!("only web pages of the same host can connect; server.origins lists others");
    } else if server.origins.iter().any(|origin| origin == "*") {
        tracing::warn!("every web page can connect: server.origins is [\"*\"]");
    }
}

/// Lets the process open as many files as it may, and says when that is too few for the connections it should hold.
fn allow_files(server: &ServerSettings) {
    let wanted = u64::try_from(server.max_connections).unwrap_or(u64::MAX);
    if let Some(files) = process::raise_open_files().filter(|files| *files < wanted) {
        tracing::warn!(
            "the system allows {files} open files, fewer than server.max_connections = {wanted} (see LimitNOFILE, ulimit -n)"
        );
    }
}

fn failure(text: impl ToString) -> Failure {
    (text.to_string(), Exit::Failure)
}

fn boot_failure(error: BootError) -> Failure {
    let exit = match error {
        BootError::Config(_) => Exit::Config,
        BootError::Failed(_) => Exit::Failure,
    };
    (error.to_string(), exit)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("cannot listen on {address}: the port is in use by another program; choose another with --listen")
        }
        std::io::ErrorKind::AddrNotAvailable => format!("cannot listen on {address}: this machine has no such address"),
        std::io::ErrorKind::PermissionDenied => {
            format!("cannot listen on {address}: permission denied; ports below 1024 need a privilege")
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}
