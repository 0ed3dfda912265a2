//! `[limits]`: how much clients may send, and how often they may fail to get in.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much clients may send, and how often they may fail to get in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Events a second of one connection, over all its namespaces, in the long run. What is over it is answered
    /// `rate_limited`. 0 is no limit.
    #[schemars(range(max = 1_000_000_000))]
    pub connection_events_per_s: u32,
    /// How many of them may come at once, after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub connection_events_burst: u32,
    /// Bytes a second of one connection's events, attachments included. A connection that is over it is read from more
    /// slowly; what comes all the same is answered `rate_limited`. 0 is no limit.
    #[schemars(range(max = 1_000_000_000))]
    pub connection_bytes_per_s: u32,
    /// How many of them may come at once, after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub connection_bytes_burst: u32,
    /// Events a second of one subject, which is who tokens and API keys say that a client is, over all its connections
    /// with this node, those that are gone included. 0 is no limit.
    #[schemars(range(max = 1_000_000_000))]
    pub subject_events_per_s: u32,
    /// How many of them may come at once, after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub subject_events_burst: u32,
    /// Bytes a second of one subject's events: as those of a connection. 0 is no limit.
    #[schemars(range(max = 1_000_000_000))]
    pub subject_bytes_per_s: u32,
    /// How many of them may come at once, after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub subject_bytes_burst: u32,
    /// CONNECTs a second of one address that are refused, for what they show or by a plugin; an IPv6 address counts with
    /// its /64. Requests for HTTP routes of plugins that are refused for what they show count too. Over it every CONNECT of
    /// that address is answered `rate_limited`, such a request 429, and nobody is asked about it. This machine's own
    /// addresses, which may be those of a proxy that speaks for everybody, have no limit. 0 is no limit.
    #[schemars(range(max = 1_000_000_000))]
    pub failed_connects_per_s: u32,
    /// How many of them may fail at once, after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub failed_connects_burst: u32,
    /// Events a second of one connection that may be answered `rate_limited`: a client that goes on beyond that is closed.
    /// 0 closes nobody.
    #[schemars(range(max = 1_000_000_000))]
    pub refusals_per_s: u32,
    /// How many of them may be refused at once, after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub refusals_burst: u32,
    /// Events with a limit of their own, each with its `namespace`, its name (`event`), `per_s` and `burst`: instead of the
    /// limit that its plugin declares, if it does. Such an event counts for nothing else but bytes.
    pub events: Vec<EventLimitSettings>,
    /// How many subjects, and how many addresses, are remembered for what they have sent lately; each takes 17 bytes for
    /// each limit. When there are more, those are forgotten that have the least to wait for.
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub max_entries: usize,
}

/// A rate, and how much may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// How many a second, in the long run; 0 is no limit.
    pub per_s: u32,
    /// How many at once, after a pause that was long enough; no less than 1.
    pub burst: u32,
}

/// For people: `5 a second, 10 at once`, or `not limited`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { per_s: 0, .. } => f.write_str("not limited"),
            Self { per_s, burst } => write!(f, "{per_s} a second, {burst} at once"),
        }
    }
}

/// The limit of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventLimitSettings {
    /// The namespace.
    pub namespace: String,
    /// The event's name.
    pub event: String,
    /// How many a second of one subject, or of one connection where nobody is asked who they are; 0 is no limit.
    #[schemars(range(max = 1_000_000_000))]
    pub per_s: u32,
    /// How many at once.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            connection_events_per_s: 1_000,
            connection_events_burst: 20_000,
            connection_bytes_per_s: 10_000_000,
            connection_bytes_burst: 20_000_000,
            subject_events_per_s: 10_000,
            subject_events_burst: 200_000,
            subject_bytes_per_s: 50_000_000,
            subject_bytes_burst: 100_000_000,
            failed_connects_per_s: 10,
            failed_connects_burst: 100,
            refusals_per_s: 10,
            refusals_burst: 1_000,
            events: Vec::new(),
            max_entries: 65_536,
        }
    }
}

impl LimitSettings {
    /// Events of one connection.
    #[must_use]
    pub fn connection_events(&self) -> Rate {
        Rate { per_s: self.connection_events_per_s, burst: self.connection_events_burst }
    }

    /// Bytes of one connection's events.
    #[must_use]
    pub fn connection_bytes(&self) -> Rate {
        Rate { per_s: self.connection_bytes_per_s, burst: self.connection_bytes_burst }
    }

    /// Events of one subject.
    #[must_use]
    pub fn subject_events(&self) -> Rate {
        Rate { per_s: self.subject_events_per_s, burst: self.subject_events_burst }
    }

    /// Bytes of one subject's events.
    #[must_use]
    pub fn subject_bytes(&self) -> Rate {
        Rate { per_s: self.subject_bytes_per_s, burst: self.subject_bytes_burst }
    }

    /// CONNECTs of one address that are refused.
    #[must_use]
    pub fn failed_connects(&self) -> Rate {
        Rate { per_s: self.failed_connects_per_s, burst: self.failed_connects_burst }
    }

    /// Events of one connection that are refused.
    #[must_use]
    pub fn refusals(&self) -> Rate {
        Rate { per_s: self.refusals_per_s, burst: self.refusals_burst }
    }

    /// The limit that an event of a namespace has here, if any: it goes before what its plugin declares.
    #[must_use]
    pub fn own(&self, namespace: &str, event: &str) -> Option<Rate> {
        let set = self.events.iter().find(|limit| limit.namespace == namespace && limit.event == event);
        set.map(|limit| Rate { per_s: limit.per_s, burst: limit.burst })
    }

    /// No event has two limits.
    pub fn check(&self, problems: &mut Problems) {
        for (index, limit) in self.events.iter().enumerate() {
            let same =
                |other: &EventLimitSettings| (&other.namespace, &other.event) == (&limit.namespace, &limit.event);
            if self.events[..index].iter().any(same) {
                problems
                    .add(
                        format!("events[{index}]"),
                        format!("`{}` of `{}` is in the list twice", limit.event, limit.namespace),
                    )
                    .hint("leave one of the two out");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event has one limit.
    #[test]
    fn an_event_is_limited_once() {
        let limit = |event: &str| EventLimitSettings {
            namespace: "/chat".to_owned(),
            event: event.to_owned(),
            per_s: 1,
            burst: 1,
        };
        let mut problems = Problems::default();
        let events = vec![limit("say"), limit("shout"), limit("say")];
        LimitSettings { events, ..LimitSettings::default() }.check(&mut problems);
        let paths: Vec<&str> = problems.iter().map(|problem| &*problem.path).collect();
        assert_eq!(paths, ["events[2]"]);
    }

    /// Only the event that is meant has the limit, and people are told it in words.
    #[test]
    fn a_limit_is_that_of_its_event() {
        let limit = |event: &str, per_s| EventLimitSettings {
            namespace: "/chat".to_owned(),
            event: event.to_owned(),
            per_s,
            burst: 9,
        };
        let limits = LimitSettings { events: vec![limit("say", 2), limit("shout", 0)], ..LimitSettings::default() };
        let told = |namespace, event| limits.own(namespace, event).map(|rate| rate.to_string());
        assert_eq!(told("/chat", "say").as_deref(), Some("2 a second, 9 at once"));
        assert_eq!(told("/chat", "shout").as_deref(), Some("not limited"));
        assert_eq!([told("/", "say"), told("/chat", "sing")], [None, None]);
    }
}
