//! What `/readyz` says.

use std::collections::BTreeMap;

use serde::Serialize;

/// The application's state in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything works.
    Ready,
    /// Clients are served, but something that is not required is away.
    Degraded,
    /// Something required is away.
    Unready,
    /// The server is going away.
    Draining,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, Serialize)]
pub struct Readiness {
    /// In a word.
    pub status: Status,
    /// Component by component: the bus and every plugin.
    pub components: BTreeMap<String, ComponentState>,
}

/// One component's part.
#[derive(Debug, Clone, Serialize)]
pub struct ComponentState {
    /// Whether it can do its job.
    pub ready: bool,
    /// What to tell an operator.
    pub detail: String,
}

/// One component as the lifecycle sees it.
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) ready: bool,
    pub(crate) required: bool,
    pub(crate) detail: String,
}

impl Readiness {
    pub(crate) fn new(forced: Option<Status>, components: Vec<Component>) -> Self {
        let missing = |required: bool| components.iter().any(|c| !c.ready && c.required == required);
        let status = forced.unwrap_or(match (missing(true), missing(false)) {
            (true, _) => Status::Unready,
            (false, true) => Status::Degraded,
            (false, false) => Status::Ready,
        });
        let components =
            components.into_iter().map(|c| (c.name, ComponentState { ready: c.ready, detail: c.detail })).collect();
        Self { status, components }
    }

    /// Whether traffic should be sent here: HTTP 200, else 503.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.status, Status::Ready | Status::Degraded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_required_only_degrades() {
        let component = |ready, required| Component { name: "x".to_owned(), ready, required, detail: String::new() };
        let status = |forced, components| Readiness::new(forced, components).status;
        assert_eq!(status(None, vec![component(true, true)]), Status::Ready);
        assert_eq!(status(None, vec![component(false, false)]), Status::Degraded);
        assert_eq!(status(None, vec![component(false, false), component(false, true)]), Status::Unready);
        assert_eq!(status(Some(Status::Draining), vec![component(true, true)]), Status::Draining);
    }
}
