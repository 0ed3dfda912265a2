//! What counts as one address, wherever addresses are limited.

use std::net::{IpAddr, Ipv6Addr};

/// The address that this one counts as: an IPv6 address stands for its /64, which is what one household or machine gets.
#[must_use]
pub fn address_group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address => address,
    }
}
