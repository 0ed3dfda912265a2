//! The router's face towards the server: handshakes, CONNECT, events and the end of a client; HTTP routes.

use std::net::IpAddr;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use bytestring::ByteString;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::host::Shared;
use crate::identity::{Authenticate, Identity, Shown};
use crate::limits::Over;
use crate::namespace::Namespace;
use crate::params::Params;
use crate::peer::Peer;
use crate::question::ask_running;
use crate::recovery::{Claim, Membership, Resumed};
use crate::refusal::Refusal;
use crate::sink::{Reason, Sink};

/// Routes clients to namespaces. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
    http: Arc<Vec<HttpRoute>>,
    /// The namespaces whose plugins are asked about handshakes, in the order of asking.
    handshakes: Arc<[Arc<str>]>,
}

/// An HTTP GET route of a plugin.
#[derive(Debug, Clone)]
pub struct HttpRoute {
    /// The path, `{name}` matching one segment.
    pub path: String,
    /// What it answers.
    pub doc: String,
    /// The namespace of the plugin that answers.
    pub namespace: Arc<str>,
    pub(crate) index: usize,
}

impl Router {
    pub(crate) fn new(shared: Arc<Shared>, http: Vec<HttpRoute>, handshakes: Vec<Arc<str>>) -> Self {
        Self { shared, http: Arc::new(http), handshakes: handshakes.into() }
    }

    /// The namespaces served.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.shared.namespaces.keys().map(|name| &**name)
    }

    /// The HTTP routes of all plugins.
    #[must_use]
    pub fn http(&self) -> &[HttpRoute] {
        &self.http
    }

    fn namespace(&self, name: &str) -> Result<&Arc<Namespace>> {
        self.shared.namespaces.get(name).ok_or_else(|| Error::not_found("Invalid namespace"))
    }

    /// Whether any plugin is asked about handshakes.
    #[must_use]
    pub fn decides_handshakes(&self) -> bool {
        !self.handshakes.is_empty()
    }

    /// Asks the plugins that decide about handshakes whether `peer` may have a session. Called while there is none; what
    /// the peer sent is forgotten afterwards, whoever kept a copy of it.
    ///
    /// # Errors
    /// The first refusal; a plugin that fails, or does not answer in time, refuses too.
    pub async fn handshake(&self, peer: Peer) -> Result<(), Refusal> {
        let told = Told(peer);
        for namespace in &*self.handshakes {
            let namespace = self.namespace(namespace)?;
            let module = Arc::clone(namespace.module()?);
            let asking = told.0.clone();
            let question = async move { Ok(module.handshake(asking).await) };
            let verdict = ask_running(namespace, "handshake".to_owned(), question).await;
            let verdict = verdict.unwrap_or_else(|failure| Err(failure.into_error().into()));
            verdict.inspect_err(|refusal| {
                namespace.failed(|| "handshake".to_owned(), refusal.error());
            })?;
        }
        Ok(())
    }

    /// Asks who `peer` is, where that is asked, and the plugin of `namespace` whether it may connect. Called while the
    /// CONNECT is being answered; the session gets its events from then on, but nothing is sent before
    /// [`Session::opened`]. Ready at once where the plugin decides about nobody, unless the client is the first of its
    /// namespace here: then it waits, for a moment, until what other nodes publish comes.
    ///
    /// # Errors
    /// `rate_limited` when too many of its address have failed, `unauthorized` when it has shown nothing valid, `forbidden`
    /// when that does not open this namespace, or the plugin's refusal. The message is meant for `connect_error`.
    pub async fn admit(&self, namespace: &str, peer: Peer, sink: Arc<dyn Sink>) -> Result<Session> {
        let namespace = self.namespace(namespace)?;
        let module = Arc::clone(namespace.module()?);
        let refused = |error: Error| {
            peer.forget();
            namespace.metrics.refused.with_label_values(&[&*namespace.name]).inc();
            error
        };
        let address = peer.address().ip();
        namespace.rates.may_connect(address).map_err(|over| refused(over.error()))?;
        let failed = |error: Error| {
            namespace.rates.connect_failed(address, &error);
            refused(error)
        };
        recognise(namespace, &peer).await.map_err(failed)?;
        let returning = match namespace.recovering().filter(|_| sink.resumes()) {
            // What is meant for us is not its plugin's, also of one that wants nothing of it.
            Some((keeper, sessions)) => match Claim::take(&peer) {
                claim if claim.wanted == Some(false) => None,
                claim => Some((namespace.resume(keeper, sessions, &peer, &claim).await, claim)),
            },
            None => None,
        };
        peer.belongs_to(self.shared.node);
        if module.hooks().admit {
            let asking = peer.clone();
            let question = async move { module.admit(asking).await };
            if let Err(failure) = ask_running(namespace, "admit".to_owned(), question).await {
                let error = failure.into_error();
                namespace.failed(|| "admit".to_owned(), &error);
                return Err(failed(error));
            }
        }
        let membership = match returning {
            Some((resumed, claim)) => self.remember(namespace, &peer, &claim, resumed).await,
            None => None,
        };
        let client = Arc::new(Client::new(peer, Arc::clone(namespace), sink, membership));
        if let Some(interest) = &namespace.interest {
            interest.namespace_heard().await;
        }
        Ok(Session(client))
    }

    /// What a client that is let in may come back with. Whoever has come before with the same is gone from here on.
    async fn remember(
        &self,
        namespace: &Namespace,
        peer: &Peer,
        claim: &Claim,
        resumed: Option<Resumed>,
    ) -> Option<Membership> {
        let (keeper, sessions) = namespace.recovering()?;
        let membership = namespace.remember(keeper, sessions, peer, claim, resumed).await?;
        if membership.resumed.is_some() {
            let over = membership.takeover();
            if !sessions.supersede(&over)
                && let Some(cluster) = &self.shared.cluster
            {
                cluster.supersede(&namespace.name, peer.id(), &over);
            }
        }
        Some(membership)
    }

    /// Answers an HTTP GET route with the JSON text of its body. Where it is asked who somebody is, those who fail count for
    /// the address that they come `from`, if that is known, as their CONNECTs do.
    ///
    /// # Errors
    /// `unauthorized` and `forbidden` as for a client of the plugin's namespace, `rate_limited` when too many of its address
    /// have failed; what the plugin's handler returns, or `timeout`, or `internal` after a panic.
    pub async fn get(&self, route: &HttpRoute, from: Option<IpAddr>, shown: &Shown, params: Params) -> Result<Bytes> {
        let namespace = self.namespace(&route.namespace)?;
        match &namespace.authenticate {
            Some(authenticate) => {
                from.map_or(Ok(()), |address| namespace.rates.may_connect(address)).map_err(Over::error)?;
                let identity = authenticated(&**authenticate, shown).await;
                identity.and_then(|identity| namespace.admits(Some(&identity))).inspect_err(|error| {
                    if let Some(address) = from {
                        namespace.rates.connect_failed(address, error);
                    }
                })?;
            }
            None => namespace.admits(None)?,
        }
        let module = Arc::clone(namespace.module()?);
        let index = route.index;
        let body = async move { module.get(index, &params)?.await };
        let what = || format!("GET {}", route.path);
        ask_running(namespace, what(), body).await.map_err(|failure| {
            let error = failure.into_error();
            namespace.failed(what, &error);
            error
        })
    }
}

/// Notes who `peer` is, and whether that opens the namespace to it.
async fn recognise(namespace: &Namespace, peer: &Peer) -> Result<()> {
    if let Some(authenticate) = &namespace.authenticate {
        peer.identify(authenticated(&**authenticate, &Shown::by(peer)?).await?);
    }
    namespace.admits(peer.identity().as_ref())
}

/// Who shows this, once that can be told.
async fn authenticated(authenticate: &dyn Authenticate, shown: &Shown) -> Result<Identity> {
    if let Some(ready) = authenticate.prepare(shown) {
        ready.await;
    }
    authenticate.authenticate(shown)
}

/// A peer that is forgotten when it is decided about, also when nobody waits for that any more.
struct Told(Peer);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.forget();
    }
}

/// One client of one namespace, from CONNECT to its end. Clones are the same client; a client whose last clone goes
/// before [`Session::opened`] is counted as abandoned.
#[derive(Clone)]
pub struct Session(Arc<Client>);

impl Session {
    /// The CONNECT reply is queued. The client joins its namespace and may be sent to from here on.
    pub fn opened(&self) {
        self.0.opened();
    }

    /// The same for a client that may have come back: it gets what it has missed first, as it reads. One that cannot get
    /// all of it is closed.
    pub async fn open(&self) {
        self.0.open().await;
    }

    /// Whether it has come back, and is sent what it has missed before it is in.
    #[must_use]
    pub fn has_resumed(&self) -> bool {
        self.0.has_resumed()
    }

    /// What the client is told at its CONNECT, to show it when it comes back.
    #[must_use]
    pub fn pid(&self) -> Option<&str> {
        self.0.membership().map(|membership| &*membership.pid)
    }

    /// One event as received: the JSON array `["name",args..]`, its attachments, and the id of the ack it asks for.
    /// Call it in the order of reading; it does not block.
    pub fn event(&self, json: ByteString, attachments: Vec<Bytes>, ack: Option<i64>) {
        self.0.event(json, attachments, ack);
    }

    /// [`Sink::transport`] says something else than before. Call it at an upgrade: the gauges of clients by transport
    /// are kept, not looked up. Before [`Session::opened`], which asks for itself, and after the end it does nothing.
    pub fn transport_changed(&self) {
        self.0.transport_changed();
    }

    /// A handle that does not keep the client: for who is kept by its sink.
    #[must_use]
    pub fn downgrade(&self) -> WeakSession {
        WeakSession(Arc::downgrade(&self.0))
    }

    /// The client is gone. Only the first call counts.
    pub fn closed(&self, reason: Reason) {
        self.0.closed(reason);
    }

    /// The public id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.peer.id()
    }
}

/// A [`Session`] for as long as somebody else keeps it.
#[derive(Clone)]
pub struct WeakSession(Weak<Client>);

impl WeakSession {
    /// The session, if it still exists.
    #[must_use]
    pub fn upgrade(&self) -> Option<Session> {
        self.0.upgrade().map(Session)
    }
}
