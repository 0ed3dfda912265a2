//! The wiring of `carillon serve`: configuration, plugins, router, Socket.IO and sockets become one running server.

// Names the crate that holds the plugins, or the linker would leave it and them out.
use carillon_plugins as _;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use carillon_config::{
    AdminSettings, AuthMode, AuthSettings, DrainSettings, EngineName, Loaded, RouterSettings, ServerSettings,
    WireSettings,
};
use carillon_core::lifecycle::{App, BootError};
use carillon_core::registry::Registry;
use carillon_core::threads::Threads;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::admission::Admission;
use crate::check::{Checked, check, open_to_all};
use crate::contract::{Contract, Documents};
use crate::drain::Running;
use crate::exit::Exit;
use crate::http::{Origins, Scrapes, Site};
use crate::metrics::Metrics;
use crate::program::{Program, REVISION};
use crate::reload::Reload;
use crate::serving::Serving;
use crate::signals::{Caught, Signals};
use crate::tls::{self, Tls};
use crate::wire::{Options, Pace};
use crate::{accept, admin, auth, bridge, engine, http, listen, logs, pages, process, say, supervisor};

/// Runs the server until a signal stops it.
pub(crate) fn serve(program: Program, registry: &Registry, mut reload: Reload<'_>) -> Exit {
    let config = &reload.running.clone();
    let server: ServerSettings = config.get("server");
    let checked = match check(registry, config) {
        Ok(checked) => checked,
        Err(problems) => return say::problems(config, &problems),
    };
    let runtime = match runtime(server.workers) {
        Ok(runtime) => runtime,
        Err(error) => return say::trouble(format_args!("cannot start threads: {error}"), Exit::Failure),
    };
    let exit = match runtime.block_on(run(program, checked, config, &server, &mut reload)) {
        Ok(()) => Exit::Success,
        Err((text, exit)) => say::refusal(config, &text, exit),
    };
    // Whatever is left was given its time.
    runtime.shutdown_background();
    exit
}

fn runtime(workers: usize) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.thread_name("server").enable_all().build()
}

type Failure = (String, Exit);

async fn run(
    program: Program,
    Checked { plan, auth, tls }: Checked,
    config: &Loaded,
    server: &ServerSettings,
    reload: &mut Reload<'_>,
) -> Result<(), Failure> {
    // Caught before anything is up: a signal during the start stops the server right after it.
    let signals = Signals::catch().map_err(|error| failure(format_args!("cannot catch signals: {error}")))?;
    let documents = Documents::new(&Contract::of(&plan.describe()), program);
    // Opened first, because a taken port is the likeliest failure and plugins need not start for it.
    let options = Options::new(&config.get("wire"));
    let clients = listen::open(&server.listen, options, "--listen").await.map_err(failure)?;
    let operators = admin::open(&config.get("admin"), options).await.map_err(failure)?;
    let listeners = Listeners { clients, operators, tls };
    let address = listeners.clients.local_addr().map_err(failure)?;
    if let Some(text) = open_to_all(&config.get("auth"), address) {
        return Err((format!("server.listen: {text}"), Exit::Config));
    }
    let server = &allow_files(server, &config.get("admin"));
    let router: RouterSettings = config.get("router");
    let shards = Handle::current().metrics().num_workers();
    let threads = Threads::PerPlugin(router.plugin_threads);
    let app = Arc::new(plan.boot(config, threads, shards).await.map_err(boot_failure)?);
    let started = app.metrics().build_info(program.name, program.version, REVISION);
    started
        .and_then(|()| app.metrics().register(reload.logs.lines.clone()))
        .and_then(|_| auth::register(app.metrics(), auth.as_deref()))
        .map_err(|error| failure(error.message()))?;
    let keeping = auth.clone();
    let following = match auth.filter(|_| app.bus().is_shared()) {
        Some(auth) => Some(auth.follow(Arc::clone(app.bus()), Arc::downgrade(&app)).await),
        None => None,
    };
    let running = match start(program, app, config, server, listeners, documents) {
        Ok(running) => running,
        Err(error) => return Err(failure(format_args!("cannot start: {error}"))),
    };
    following.map(|follower| running.tasks.spawn(follower.run(running.accepting.clone())));
    keeping.map(|auth| running.tasks.spawn(auth.keep_keys(running.accepting.clone())));
    supervisor::ready();
    let drain: DrainSettings = config.get("drain");
    let watchdog = supervisor::watchdog(running.tasks.clone());
    tokio::select! {
        end = until_stopped(running, &drain, signals, reload) => end,
        never = watchdog => match never {},
    }
}

/// Waits for a signal and does what it asks for, until the server has stopped.
async fn until_stopped(
    running: Running,
    drain: &DrainSettings,
    mut signals: Signals,
    reload: &mut Reload<'_>,
) -> Result<(), Failure> {
    let signal = loop {
        match signals.next().await {
            Caught::Stop(signal) => break signal,
            Caught::Reload => {
                reload.run();
                // A file may be far away.
                let tls = running.tls.clone();
                tokio::task::spawn_blocking(move || tls.iter().for_each(|tls| tls.reload("SIGHUP")));
            }
        }
    };
    tracing::info!("{signal}: stopping; a second signal ends the server at once");
    supervisor::stopping();
    tokio::select! {
        () = running.stop(drain) => {
            tracing::info!("the server has stopped");
            Ok(())
        }
        signal = signals.stop() => Err(failure(format_args!("{signal} again: ended at once"))),
    }
}

/// The sockets that are listened on.
struct Listeners {
    clients: TcpListener,
    operators: Option<TcpListener>,
    /// What clients are shown, where there is TLS.
    tls: Option<tls::Current>,
}

/// Puts the pieces together and starts accepting.
fn start(
    program: Program,
    app: Arc<App>,
    config: &Loaded,
    server: &ServerSettings,
    Listeners { clients: listener, operators, tls }: Listeners,
    documents: Documents,
) -> carillon_core::Result<Running> {
    let wire: WireSettings = config.get("wire");
    let runtime = Handle::current();
    let metrics = Arc::new(Metrics::new(app.metrics())?);
    logs::count_panics(&metrics.panics);
    process::register(app.metrics(), &runtime)?;
    let tasks = TaskTracker::new();
    let accepting = CancellationToken::new();
    let serving = match server.engine {
        EngineName::Carillon => {
            let (settings, deliveries) = (engine::Settings::new(server, &wire), app.metrics().deliveries());
            let router = app.router();
            Serving::Carillon(engine::Engine::new(settings, router, &metrics, deliveries, &tasks, &runtime))
        }
        EngineName::Socketioxide => {
            let settings = bridge::Settings::new(server, &wire);
            Serving::Bridge(Box::new(bridge::Engine::new(&settings, app.router(), &metrics, &tasks, &runtime)))
        }
    };
    let admission = Arc::new(Admission::new(server));
    admission.register(app.metrics())?;
    let site = Site {
        engine: serving.clone(),
        path: server.path.clone(),
        origins: Origins::new(&server.origins),
        admission: Arc::clone(&admission),
        metrics: Arc::clone(&metrics),
        scrapes: Arc::new(Scrapes::default()),
        app: Arc::downgrade(&app),
        plugins: app.router().clone(),
        documents: Arc::new(documents),
        max_sessions: server.max_connections,
        token_parameter: config.get::<AuthSettings>("auth").query,
        apart: operators.is_some(),
    };
    let settings = accept::Settings {
        max_connections: server.max_connections,
        header_timeout: Duration::from_millis(server.header_timeout_ms),
        pace: Pace::new(&wire),
        tls: tls.map(|current| Arc::new(Tls::new(&server.tls, current, Arc::clone(&metrics)))),
    };
    let address = listener.local_addr()?;
    let admin = operators.map(|operators| Admin::start(operators, &site, server, settings.clone())).transpose()?;
    let tls = settings.tls.clone();
    if let Some(tls) = &tls {
        tasks.spawn(Arc::clone(tls).watch(accepting.clone()));
    }
    let routes = http::router(Arc::new(site));
    tasks.spawn(serving.clone().run(accepting.clone()));
    tasks.spawn(accept::run(listener, routes, settings, admission, metrics, tasks.clone(), accepting.clone()));
    notices(server, &config.get("auth"), address);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (name, version, bus) = (program.name, program.version, app.bus().kind());
    tracing::info!(program = name, version, revision = REVISION, bus, "listening on {scheme}://{address}");
    Ok(Running { app, serving, accepting, tasks, admin, tls })
}

/// Says which safe defaults are in force, and the one key that changes each.
fn notices(server: &ServerSettings, auth: &AuthSettings, address: SocketAddr) {
    if address.ip().is_loopback() {
        tracing::info!(
            "only this machine can connect; server.listen = \"0.0.0.0:{}\" lets others, with auth.mode or auth.allow_open",
            server.listen.port
        );
    } else if auth.mode == AuthMode::Open {
        tracing::warn!("whoever reaches {address} may come in: auth.allow_open is true");
    }
    if !pages::are_built() {
        tracing::warn!("{}", pages::UNBUILT);
    }
    if server.origins.is_empty() {
        tracing::info!("only web pages of the same host can connect; server.origins lists others");
    } else if server.origins.iter().any(|origin| origin == "*") {
        tracing::warn!("every web page can connect: server.origins is [\"*\"]");
    }
}

/// Lets the process open as many files as it may, and holds fewer connections where those would be too few.
fn allow_files(server: &ServerSettings, admin: &AdminSettings) -> ServerSettings {
    let files = process::raise_open_files();
    let wanted = server.max_connections;
    let max_connections = process::room_for(wanted, if admin.listen.is_some() { admin::MOST } else { 0 }, files);
    if let Some(files) = files.filter(|_| max_connections < wanted) {
        tracing::warn!(
            "the system allows {files} open files: {max_connections} connections at once instead of \
             server.max_connections = {wanted} (see LimitNOFILE, ulimit -n)"
        );
    }
    ServerSettings { max_connections, ..server.clone() }
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
