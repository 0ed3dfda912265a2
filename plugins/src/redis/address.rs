//! Reads the address of a Redis, of Redis Sentinel or of a Redis Cluster, with user, password and database.
//!
//! - `redis://[user][:password@]host[:port][/db]`
//! - `rediss://` likewise, over TLS. Certificates are always verified: with the system's authorities, or with the PEM file
//!   `?ca=<file>`; `?cert=<file>&key=<file>` is what the client shows of itself.
//! - `unix:///path/to/redis.sock[?db=<n>&user=<user>&pass=<password>]`
//! - `redis+sentinel://[user][:password@]host[:port],host[:port]/db/master`: the hosts are Sentinels, user and password
//!   those of the master; the Sentinels' own are `?sentinel_user=<user>&sentinel_password=<password>`.
//! - `redis+cluster://[user][:password@]host[:port],host[:port]`: some nodes of the cluster, any of which tells the others.
//! - `rediss+sentinel://` and `rediss+cluster://`: everything over TLS.
//!
//! Every form takes `timeout_ms` (500), the time one command may take; publishes get 1 s at least. Messages never repeat a part of the address: what
//! is not a host in a mistyped address may be the password.

mod hosts;
mod options;
mod server;

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{IntoConnectionInfo, RedisConnectionInfo};
use url::Url;

use hosts::Hosts;
use options::Options;
pub(super) use server::{Maker, Server, answer_in, no_answer, unlimited};

/// Where Redis is, as it was written.
pub(super) struct Address {
    /// What kind of Redis it is.
    pub(super) kind: Kind,
    /// How long one command may take.
    pub(super) timeout: Duration,
    /// What no message may repeat.
    pub(super) secrets: Vec<String>,
}

/// The ways to run Redis.
pub(super) enum Kind {
    /// One server.
    One(Arc<Server>),
    /// Several of which Sentinels say who is the master.
    Sentinel {
        /// What the Sentinels call the master.
        master: String,
        /// Makes clients of Sentinels.
        sentinels: Maker,
        /// Their hosts and ports.
        hosts: Vec<(String, u16)>,
        /// Makes clients of the master.
        maker: Maker,
    },
    /// Several that share the keys and channels among themselves.
    Cluster {
        /// The hosts and ports of some of them.
        hosts: Vec<(String, u16)>,
        /// Makes clients of them.
        maker: Maker,
    },
}

impl Address {
    /// Reads a URL.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once("://").and_then(|(scheme, rest)| Some((scheme.split_once('+')?, rest))) {
            Some(((scheme, "sentinel"), rest)) => Self::sentinel(scheme, rest),
            Some(((scheme, "cluster"), rest)) => Self::cluster(scheme, rest),
            _ => Self::one(text),
        }
    }

    fn one(text: &str) -> Result<Self, String> {
        let url = parsed(text)?;
        match url.scheme() {
            "unix" if url.host().is_some() => {
                return Err("unix:// takes three slashes: unix:///path/to/redis.sock".to_owned());
            }
            "unix" => {}
            _ if url.host_str().unwrap_or_default().is_empty() => return Err("names no host".to_owned()),
            _ => database(url.path().trim_matches('/'))?,
        }
        let known: &[&str] = match url.scheme() {
            "unix" => &["db", "user", "pass", "timeout_ms"],
            "rediss" => &["ca", "cert", "key", "timeout_ms"],
            _ => &["timeout_ms"],
        };
        let options = Options::read(&url, known)?;
        let info = url.clone().into_connection_info().map_err(|error| error.category().to_owned());
        let info = info.map_err(|what| format!("is no address Redis can be reached at ({what})"))?;
        let maker = Maker::new(info.redis_settings().clone(), options.tls(url.scheme() == "rediss")?);
        let server = maker.server(info.addr().clone())?;
        Ok(Self { secrets: secrets([info.redis_settings()]), kind: Kind::One(server), timeout: options.timeout })
    }

    fn sentinel(scheme: &str, rest: &str) -> Result<Self, String> {
        let known = ["ca", "cert", "key", "sentinel_user", "sentinel_password", "timeout_ms"];
        let Hosts { hosts, settings, path, options } = Hosts::read(scheme, rest, 26379, &known)?;
        let form = "is written redis+sentinel://host,host/db/master, as in redis+sentinel://a,b,c/0/mymaster";
        let (db, master) = path.split_once('/').ok_or(form)?;
        database(db)?;
        let named = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if master.is_empty() || !master.bytes().all(named) {
            return Err(format!("the name of the master is made of letters, digits and `-_.`; the address {form}"));
        }
        let settings = settings.set_db(db.parse().unwrap_or_default());
        let mut own = RedisConnectionInfo::default();
        if let Some(user) = &options.sentinel_user {
            own = own.set_username(user);
        }
        if let Some(password) = &options.sentinel_password {
            own = own.set_password(password);
        }
        let secrets = secrets([&settings, &own]);
        let tls = options.tls(scheme == "rediss")?;
        let (maker, sentinels) = (Maker::new(settings, tls.clone()), Maker::new(own, tls));
        let kind = Kind::Sentinel { master: master.to_owned(), sentinels, hosts, maker };
        Ok(Self { kind, timeout: options.timeout, secrets })
    }

    fn cluster(scheme: &str, rest: &str) -> Result<Self, String> {
        let Hosts { hosts, settings, path, options } =
            Hosts::read(scheme, rest, 6379, &["ca", "cert", "key", "timeout_ms"])?;
        if !matches!(&*path, "" | "0") {
            return Err("a cluster has the database 0 only: redis+cluster://host,host".to_owned());
        }
        let secrets = secrets([&settings]);
        let maker = Maker::new(settings, options.tls(scheme == "rediss")?);
        Ok(Self { kind: Kind::Cluster { hosts, maker }, timeout: options.timeout, secrets })
    }
}

fn parsed(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| {
        format!("{error} (in a password write /, #, ?, @, : and % as %2F, %23, %3F, %40, %3A and %25)")
    })?;
    if url.fragment().is_some() {
        return Err("no #fragment is known; TLS certificates are always verified, and ?ca=<file> names a private \
                    authority (a # in a password is written %23)"
            .to_owned());
    }
    Ok(url)
}

fn secrets<const N: usize>(of: [&RedisConnectionInfo; N]) -> Vec<String> {
    of.into_iter().filter_map(|info| info.password()).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

fn database(text: &str) -> Result<(), String> {
    match text {
        "" => Ok(()),
        text if text.parse::<u32>().is_ok() => Ok(()),
        _ => Err("the database is a number, as in redis://host:6379/2 (a / in a password is written %2F)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match Address::parse(url) {
            Ok(_) => panic!("{url} was accepted"),
            Err(why) => why,
        }
    }

    #[test]
    fn user_password_and_database_are_read_and_the_address_shows_none_of_them() {
        let address = Address::parse("redis://us%40er:p%2Fss@cache.lan:7000/2?timeout_ms=800").unwrap();
        assert_eq!((address.timeout, &address.secrets[..]), (Duration::from_millis(800), &["p/ss".to_owned()][..]));
        let Kind::One(server) = address.kind else { panic!("another kind") };
        let redis = server.client.get_connection_info().redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (Some("us@er"), Some("p/ss"), 2));
        assert_eq!(server.address, "cache.lan:7000");

        let Kind::One(server) = Address::parse("unix:///run/redis.sock?db=3&user=u&pass=p").unwrap().kind else {
            panic!("another kind")
        };
        let redis = server.client.get_connection_info().redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (Some("u"), Some("p"), 3));
        assert_eq!(server.address, "/run/redis.sock");
        assert!(Address::parse("rediss://[::1]/0").is_ok());
    }

    fn hosts(hosts: &[(&str, u16)]) -> Vec<(String, u16)> {
        hosts.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect()
    }

    #[test]
    fn sentinels_are_named_with_the_master_they_know_and_have_a_password_of_their_own() {
        let text = "redis+sentinel://u:p%2Fss@a,b:5000,[::1]/2/my-master?sentinel_user=s&sentinel_password=w%40w";
        let address = Address::parse(text).unwrap();
        assert_eq!(address.secrets, ["p/ss", "w@w"]);
        let Kind::Sentinel { master, sentinels, hosts: at, maker } = address.kind else { panic!("another kind") };
        assert_eq!((&*master, at), ("my-master", hosts(&[("a", 26379), ("b", 5000), ("::1", 26379)])));
        let (own, redis) = (sentinels.settings(), maker.settings());
        assert_eq!((own.username(), own.password(), own.db()), (Some("s"), Some("w@w"), 0));
        assert_eq!((redis.username(), redis.password(), redis.db()), (Some("u"), Some("p/ss"), 2));
        assert!(maker.tls().is_none());
        let Kind::Sentinel { maker, .. } = Address::parse("rediss+sentinel://a/0/m").unwrap().kind else {
            panic!("another kind")
        };
        assert!(maker.tls().is_some());
    }

    #[test]
    fn some_nodes_of_a_cluster_are_enough() {
        let Kind::Cluster { hosts: at, maker } = Address::parse("redis+cluster://:p@10.0.0.1:7000,b/").unwrap().kind
        else {
            panic!("another kind")
        };
        assert_eq!((at, maker.settings().password()), (hosts(&[("10.0.0.1", 7000), ("b", 6379)]), Some("p")));
        assert!(Address::parse("rediss+cluster://b/0?timeout_ms=1000").is_ok());
    }

    #[test]
    fn a_wrong_address_is_refused_with_the_reason_and_nothing_of_the_password() {
        for (url, reason) in [
            ("redis:///1", "names no host"),
            ("redis://:s3cret@host:6379/s3cret", "the database is a number"),
            ("redis://:s3cret/x@host", "empty host"),
            ("redis://:1/s3cret@host", "empty host"),
            ("redis://user:12/s3cret@host:6379/0", "the database is a number"),
            ("redis://host?s3cret", "known are timeout_ms"),
            ("redis://host?timeout_ms=s3cret", "timeout_ms is a number from 50 to 10000"),
            ("redis://user:s3cret/x@host", "invalid port number"),
            ("redis://user:s3cret@host:99999", "invalid port number"),
            ("redis://0.0.0.0:6379", "is no address"),
            ("rediss://:s3cret@host#insecure", "always verified"),
            ("rediss://host?ca=/nowhere/s3cret", "the file of ca cannot be read"),
            ("unix://run/redis.sock", "three slashes"),
            ("unix:///run/redis.sock?db=s3cret", "the database is a number"),
            ("redis+sentinel://a,b/s3cret", "redis+sentinel://host,host/db/master"),
            ("redis+sentinel://a,b", "redis+sentinel://host,host/db/master"),
            ("redis+sentinel://a/x/s3cret", "the database is a number"),
            ("redis+sentinel://a/0/s3cret/more", "letters, digits and `-_.`"),
            ("redis+sentinel://:s3cret@a,,b/0/m", "a host that is empty"),
            ("redis+sentinel://:s3cret@/0/m", "a host that is empty"),
            ("redis+sentinel://:s3cret/x@a/0/m", "empty host"),
            ("redis+sentinel://a/0/m?sentinel_pass=s3cret", "known are ca, cert, key, sentinel_user"),
            ("redis+sentinel://a/0/m?ca=/nowhere/s3cret", "the file of ca cannot be read"),
            ("redis+sentinel://a:s3cret,b/0/m", "invalid port number"),
            ("redis+cluster://a,b/1", "the database 0 only"),
            ("redis+cluster://a,s3cret@b:1:2", "invalid port number"),
            ("redis+cluster://a:0", "a host that is none"),
            ("unix+cluster:///s3cret", "rediss+cluster://"),
            ("redis+other://s3cret", "is no address"),
        ] {
            let why = refused(url);
            assert!(why.contains(reason), "{url}: {why}");
            assert!(!why.contains("s3cret"), "{url}: {why}");
        }
    }
}
