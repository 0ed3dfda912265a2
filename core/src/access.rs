//! What a namespace asks of who comes, beyond a valid token or key: that it opens the namespace, and has the role of `access`.

use prometheus::IntCounter;

use crate::error::{Error, Result};
use crate::failures::{NAME_MAX, cut};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::throttle::Throttle;

/// What somebody lacks; a label of `carillon_access_refused_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lacks {
    /// The claim `namespaces` does not name this one.
    Namespace,
    /// The role that `access` asks for.
    Role,
}

impl Lacks {
    const ALL: [Self; 2] = [Self::Namespace, Self::Role];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Role => "role",
        }
    }
}

/// See the module's documentation.
pub(crate) struct Access {
    namespace: Box<str>,
    plugin: &'static str,
    /// The role that clients must have, if any.
    role: Option<Box<str>>,
    /// By [`Lacks`].
    refused: [IntCounter; 2],
    log: Throttle,
}

impl Access {
    pub(crate) fn new(namespace: &str, plugin: &'static str, role: Option<Box<str>>, metrics: &Metrics) -> Self {
        let refused = Lacks::ALL.map(|lacks| metrics.access_refused.with_label_values(&[namespace, lacks.as_str()]));
        Self { namespace: namespace.into(), plugin, role, refused, log: Throttle::per_second() }
    }

    /// Whether the namespace is open to whoever that is: to everybody whom the application knows, with the role that is asked
    /// for, if one is. Who is not let in is counted, and the operator told what was missing.
    ///
    /// # Errors
    /// `forbidden`, which says neither.
    pub(crate) fn admits(&self, identity: Option<&Identity>) -> Result<()> {
        let Some(lacks) = self.lacks(identity) else { return Ok(()) };
        self.refused[lacks as usize].inc();
        if let Some(left_out) = self.log.allow() {
            let (namespace, plugin) = (&*self.namespace, self.plugin);
            let subject = identity.map(|identity| cut(identity.subject(), NAME_MAX));
            let reason = lacks.as_str();
            match (lacks, &self.role) {
                (Lacks::Role, Some(role)) => tracing::warn!(
                    left_out,
                    namespace,
                    reason,
                    subject,
                    "a client was refused: its token or key has no role {role:?} (plugins.{plugin}.access)"
                ),
                _ => tracing::warn!(
                    left_out,
                    namespace,
                    reason,
                    subject,
                    "a client was refused: the list `namespaces` of its token or key does not open this one"
                ),
            }
        }
        Err(Error::forbidden("not allowed in this namespace"))
    }

    fn lacks(&self, identity: Option<&Identity>) -> Option<Lacks> {
        if identity.is_some_and(|identity| !identity.may_enter(&self.namespace)) {
            return Some(Lacks::Namespace);
        }
        let has = |role: &str| identity.is_some_and(|identity| identity.has_role(role));
        self.role.as_deref().is_some_and(|role| !has(role)).then_some(Lacks::Role)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn identity(claims: Value) -> Identity {
        let Value::Object(claims) = claims else { panic!("not an object") };
        Identity::new(claims).unwrap()
    }

    /// The namespace has to be opened, and the role to be there, where one is asked for; each that is missing is counted.
    #[test]
    fn what_is_missing_is_told_apart_and_counted() {
        let metrics = Metrics::new().unwrap();
        let (open, asking) = (
            Access::new("/chat", "chat", None, &metrics),
            Access::new("/desk", "desk", Some("operator".into()), &metrics),
        );
        let ann = identity(json!({"sub": "ann", "namespaces": ["/chat"]}));
        let bob = identity(json!({"sub": "bob", "roles": ["operator"]}));
        let eve = identity(json!({"sub": "eve"}));
        for (access, who, lacks) in [
            (&open, Some(&ann), None),
            (&open, Some(&bob), None),
            (&open, None, None),
            (&asking, Some(&bob), None),
            (&asking, Some(&ann), Some(Lacks::Namespace)),
            (&asking, Some(&eve), Some(Lacks::Role)),
            (&asking, None, Some(Lacks::Role)),
        ] {
            assert_eq!(access.lacks(who), lacks, "{who:?}");
            assert_eq!(access.admits(who).is_ok(), lacks.is_none(), "{who:?}");
        }
        let counted = |access: &Access| [access.refused[0].get(), access.refused[1].get()];
        assert_eq!((counted(&open), counted(&asking)), ([0, 0], [1, 2]));
    }
}
