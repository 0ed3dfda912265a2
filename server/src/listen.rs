//! Opens a listening socket: looks the host's name up, and says in one line why it cannot.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use carillon_config::ListenAddress;
use tokio::net::{TcpListener, lookup_host};

use crate::accept;
use crate::wire::Options;

/// Listens on the first address of the host that can be listened on, those that every client speaks before others. `how`
/// tells how to choose another.
///
/// # Errors
/// In words: the name is unknown, or the address taken, foreign or forbidden.
pub(crate) async fn open(listen: &ListenAddress, options: Options, how: &str) -> Result<TcpListener, String> {
    let target = (listen.host.as_str(), listen.port);
    let found = lookup_host(target)
        .await
        .map_err(|error| format!("cannot listen on {listen}: the name {:?} has no address ({error})", listen.host))?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut refusal = format!("cannot listen on {listen}: the name {:?} has no address", listen.host);
    for address in addresses {
        match accept::listen(address, options) {
            Ok(listener) => return Ok(listener),
            Err(error) => refusal = refused(listen, address, how, &error),
        }
    }
    Err(refusal)
}

fn refused(listen: &ListenAddress, address: SocketAddr, how: &str, error: &io::Error) -> String {
    let (asked, found) = (listen.to_string(), address.to_string());
    let address = if asked == found { asked } else { format!("{asked} ({found})") };
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("cannot listen on {address}: the port is in use by another program; choose another with {how}")
        }
        ErrorKind::AddrNotAvailable => format!("cannot listen on {address}: this machine has no such address"),
        ErrorKind::PermissionDenied => {
            format!("cannot listen on {address}: permission denied; ports below 1024 need a privilege")
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use carillon_config::WireSettings;

    use super::*;

    const HOW: &str = "--listen";

    /// A name of this machine is listened on; one that nobody knows, and an address of another machine, are told.
    #[tokio::test]
    async fn names_are_looked_up() {
        let options = Options::new(&WireSettings::default());
        let listener = open(&"localhost:0".parse().unwrap(), options, HOW).await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.ip().is_loopback() && address.is_ipv4(), "{address}");
        let told = open(&address.into(), options, HOW).await.unwrap_err();
        assert!(told.contains("the port is in use"), "{told}");
        let told = open(&"no-such-host.invalid:80".parse().unwrap(), options, HOW).await.unwrap_err();
        assert!(told.contains("\"no-such-host.invalid\" has no address"), "{told}");
        let told = open(&"192.0.2.1:0".parse().unwrap(), options, HOW).await.unwrap_err();
        assert_eq!(told, "cannot listen on 192.0.2.1:0: this machine has no such address");
    }
}
