//! One subscribed connection of the subscriber: what it is subscribed to, and how that follows what is wanted.

use std::collections::HashSet;
use std::sync::Arc;

use super::inbox::{Inbox, Trouble};
use super::subscriber::Subscriber;

/// A subscribed connection.
pub(super) struct Open {
    pub(super) inbox: Inbox,
    /// The channel of its probes.
    pub(super) probe: Arc<str>,
    subscribed: HashSet<Arc<str>>,
}

impl Open {
    /// Subscribes to probes, and to what is wanted of `of`.
    pub(super) async fn begin(mut inbox: Inbox, of: &Subscriber) -> Result<Self, String> {
        let probe = probe(of)?;
        subscribe_to_probe(&mut inbox, &probe).await?;
        let mut open = Self { inbox, probe, subscribed: HashSet::new() };
        open.sync(of).await?;
        Ok(open)
    }

    /// Redis has ended a subscription, because the channel's slot has moved.
    pub(super) fn ended(&mut self, channel: &str, of: &Subscriber) {
        let here = self.subscribed.remove(channel) || channel == &*self.probe;
        if let Some(shard) = of.target.as_shard().filter(|_| here) {
            shard.doubt();
        }
    }

    /// Subscribes to what is wanted and unsubscribes from what is not, where that has changed. What Redis refuses by its
    /// access lists ends for those who listen to it; the last refusal is returned.
    pub(super) async fn sync(&mut self, of: &Subscriber) -> Result<Option<String>, String> {
        if of.target.as_shard().is_some_and(|shard| !shard.owns(&self.probe)) {
            let next = probe(of)?;
            subscribe_to_probe(&mut self.inbox, &next).await?;
            self.probe = next;
        }
        let mut wanted: HashSet<Arc<str>> = of.feeds.wanted().into_iter().collect();
        if let Some(shard) = of.target.as_shard() {
            wanted.retain(|channel| shard.owns(channel));
        }
        let missing: Vec<Arc<str>> = wanted.difference(&self.subscribed).cloned().collect();
        let mut refusal = None;
        if !missing.is_empty() {
            let all: Vec<&str> = missing.iter().map(|channel| &**channel).collect();
            match self.inbox.subscribe(&all).await {
                Ok(()) => {}
                Err(Trouble::Broken(why)) => return Err(why),
                // One of them, maybe. Which?
                Err(Trouble::Refused(_) | Trouble::Elsewhere(_)) => {
                    for channel in missing {
                        match self.inbox.subscribe(&[&channel]).await {
                            Ok(()) => continue,
                            Err(Trouble::Broken(why)) => return Err(why),
                            Err(Trouble::Refused(why)) => refusal = Some(refuse(of, &channel, &why)),
                            // Whoever has it now is asked for it when that is known.
                            Err(Trouble::Elsewhere(_)) => {
                                of.target.as_shard().into_iter().for_each(|shard| shard.doubt())
                            }
                        }
                        wanted.remove(&channel);
                    }
                }
            }
        }
        let unwanted: Vec<&str> = self.subscribed.difference(&wanted).map(|channel| &**channel).collect();
        if !unwanted.is_empty() {
            match self.inbox.unsubscribe(&unwanted).await {
                Ok(()) | Err(Trouble::Refused(_) | Trouble::Elsewhere(_)) => {}
                Err(Trouble::Broken(why)) => return Err(why),
            }
        }
        self.subscribed = wanted;
        Ok(refusal)
    }
}

/// A channel for probes, of a slot that the server has.
fn probe(of: &Subscriber) -> Result<Arc<str>, String> {
    match of.target.as_shard() {
        None => Ok(Arc::clone(&of.probe_name)),
        Some(shard) => shard.probe(&of.probe_name).ok_or_else(|| "has no slots".to_owned()),
    }
}

async fn subscribe_to_probe(inbox: &mut Inbox, probe: &str) -> Result<(), String> {
    match inbox.subscribe(&[probe]).await {
        Ok(()) => Ok(()),
        Err(Trouble::Refused(why) | Trouble::Elsewhere(why) | Trouble::Broken(why)) => Err(why),
    }
}

fn refuse(of: &Subscriber, channel: &str, why: &str) -> String {
    of.feeds.end(channel);
    let why = of.target.scrub(&format!("Redis refuses to subscribe to {channel}: {why}"));
    if let Some(left_out) = of.throttle.allow() {
        tracing::warn!(left_out, "{why}");
    }
    why
}
