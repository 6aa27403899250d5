//! The rules of the environment variable `no_proxy`: the servers that are reached without a proxy.
//!
//! No standard defines this variable. This file accepts each form of an entry that curl, Python or Go accepts. If Go
//! gives a form another meaning than curl and Python, the meaning of curl and Python is used. The record "Proxies from
//! the environment" in `docs/decisions/` compares the three programs.
//!
//! ```text
//!  list   = entries, separated by commas or whitespace
//!  entry  = "*"                                every server
//!         | [ [ "*" ] "." ] name [ ":" port ]  this name and all names below it
//!         | address [ ":" port ]               this IP address; with a port, an IPv6 address is in brackets
//!         | address "/" bits                   the addresses of a CIDR block (RFC 4632 section 3.1)
//! ```
//!
//! An entry of another form matches nothing. A name is never resolved, so an address matches only a server that is
//! written as an address.

use core::net::IpAddr;

/// Returns whether an entry of `list` matches the server `host` at `port`. `host` has no brackets.
pub(super) fn contains(list: &str, host: &str, port: u16) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.parse::<IpAddr>().ok();
    let mut entries = list.split(|c: char| c == ',' || c.is_ascii_whitespace());
    entries.any(|entry| match address {
        _ if entry == "*" => true,
        Some(address) => address_matches(entry, address, port) == Some(true),
        None => name_matches(entry, host, port) == Some(true),
    })
}

/// Returns whether `entry` matches the name `host` at `port`, or `None` if the entry has another form.
fn name_matches(entry: &str, host: &str, port: u16) -> Option<bool> {
    let (name, only_port) = split_port(entry)?;
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    let name = name.trim_start_matches('.');
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || only_port.is_some_and(|only| only != port) {
        return Some(false);
    }
    let (before, end) = host.split_at_checked(host.len().checked_sub(name.len())?)?;
    // A suffix must begin at a label: "example.com" does not match "myexample.com".
    Some(end.eq_ignore_ascii_case(name) && (before.is_empty() || before.ends_with('.')))
}

/// Returns whether `entry` matches `address` at `port`, or `None` if the entry has another form.
fn address_matches(entry: &str, address: IpAddr, port: u16) -> Option<bool> {
    if let Some((network, bits)) = entry.split_once('/') {
        return block_contains(network.parse().ok()?, bits.parse().ok()?, address);
    }
    let (text, only_port) = split_port(entry)?;
    let listed = text.parse::<IpAddr>().ok()?;
    Some(listed.to_canonical() == address.to_canonical() && only_port.is_none_or(|only| only == port))
}

/// Returns whether the CIDR block `network/bits` contains `address`, or `None` if the block is invalid. Only the first
/// `bits` bits of `network` count.
fn block_contains(network: IpAddr, bits: u32, address: IpAddr) -> Option<bool> {
    let (network, bits) = match network {
        // The addresses in ::ffff:0:0/96 stand for IPv4 addresses (RFC 4291 2.5.5.2). `address` is converted to IPv4
        // below, so the block is converted as well.
        IpAddr::V6(mapped) if (96..=128).contains(&bits) => match network.to_canonical() {
            IpAddr::V4(network) => (network.into(), bits - 96),
            IpAddr::V6(_) => (mapped.into(), bits),
        },
        network => (network, bits),
    };
    let differs = match (network, address.to_canonical()) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            // The result of a shift by all bits is `None`: a block of 0 bits contains all addresses.
            (network.to_bits() ^ address.to_bits()).checked_shr(32_u32.checked_sub(bits)?).unwrap_or(0) != 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            (network.to_bits() ^ address.to_bits()).checked_shr(128_u32.checked_sub(bits)?).unwrap_or(0) != 0
        }
        _ => true,
    };
    Some(!differs)
}

/// Splits off the port of an entry. Returns `None` if brackets or port are malformed. Brackets are removed from the
/// name.
fn split_port(entry: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = entry.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        return match port {
            "" => Some((address, None)),
            _ => Some((address, Some(port.strip_prefix(':')?.parse().ok()?))),
        };
    }
    match entry.split_once(':') {
        // An IPv6 address without brackets has at least two colons.
        Some((name, port)) if !port.contains(':') => Some((name, Some(port.parse().ok()?))),
        _ => Some((entry, None)),
    }
}
