//! Who in this process listens to which channel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use carillon_core::bus::{Feed, Message};

/// The subscriptions of this process, by channel.
#[derive(Default)]
pub(super) struct Feeds {
    channels: Mutex<HashMap<Arc<str>, Channel>>,
}

struct Channel {
    name: Arc<str>,
    feeds: Vec<Feed>,
}

impl Feeds {
    fn channels(&self) -> MutexGuard<'_, HashMap<Arc<str>, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a listener to these channels, once to each.
    pub(super) fn add(&self, names: &[String], feed: &Feed) {
        let mut channels = self.channels();
        for name in names {
            let name: Arc<str> = name.as_str().into();
            let channel = channels.entry(name).or_insert_with_key(|name| Channel { name: name.clone(), feeds: vec![] });
            if !channel.feeds.iter().any(|known| known.is_same(feed)) {
                channel.feeds.push(feed.clone());
            }
        }
    }

    /// Takes a listener from these channels.
    pub(super) fn remove(&self, names: &[String], feed: &Feed) {
        let mut channels = self.channels();
        for name in names {
            if let Some(channel) = channels.get_mut(&**name) {
                channel.feeds.retain(|known| !known.is_same(feed));
            }
        }
    }

    /// Hands one message to everyone who listens to its channel.
    pub(super) fn deliver(&self, name: &str, payload: &Bytes) {
        if let Some(channel) = self.channels().get_mut(name) {
            let name = &channel.name;
            channel.feeds.retain(|feed| feed.send(Message { channel: Arc::clone(name), payload: payload.clone() }));
        }
    }

    /// The channels somebody still listens to; those nobody listens to any more are forgotten.
    pub(super) fn wanted(&self) -> Vec<Arc<str>> {
        let mut channels = self.channels();
        channels.retain(|_, channel| {
            channel.feeds.retain(Feed::is_open);
            !channel.feeds.is_empty()
        });
        channels.keys().cloned().collect()
    }

    /// Ends this channel for everyone who listens to it. A subscription to nothing else ends with it.
    pub(super) fn end(&self, name: &str) {
        self.channels().remove(name);
    }

    /// Ends every subscription.
    pub(super) fn clear(&self) {
        self.channels().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::bus::Subscription;
    use prometheus::IntCounter;

    #[tokio::test]
    async fn a_channel_is_wanted_as_long_as_somebody_listens() {
        let feeds = Feeds::default();
        let (feed, mut subscription) = Subscription::new(IntCounter::new("dropped", "test").unwrap());
        feeds.add(&["a".to_owned(), "b".to_owned()], &feed);
        feeds.add(&["a".to_owned(), "c".to_owned()], &feed);
        feeds.remove(&["c".to_owned()], &feed);
        feeds.deliver("c", &Bytes::from_static(b"0"));
        feeds.deliver("a", &Bytes::from_static(b"1"));
        feeds.deliver("other", &Bytes::from_static(b"2"));
        let message = subscription.recv().await.unwrap();
        assert_eq!((&*message.channel, &message.payload[..]), ("a", &b"1"[..]));
        assert_eq!(feeds.wanted().len(), 2);
        drop(subscription);
        assert_eq!(feeds.wanted().len(), 0);
    }
}
