//! The order of the addresses of a host (RFC 8305 section 4).
//!
//! The resolver of the system has sorted the addresses by preference (RFC 6724). This file only interleaves the two IP
//! versions.

use core::net::SocketAddr;

/// Reorders the addresses so that IPv6 and IPv4 alternate, as long as addresses of both versions are left (RFC 8305
/// section 4).
///
/// The first address stays first, because the resolver prefers its IP version. Within each IP version the order stays.
/// An IPv4-mapped IPv6 address counts as IPv4, because the system connects to it over IPv4.
///
/// ```
/// use core::net::SocketAddr;
///
/// let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
/// let mut addresses = ["[::1]:80", "[::2]:80", "[::3]:80", "192.0.2.1:80", "192.0.2.2:80"].map(parse);
/// hybi::dial::interleave(&mut addresses);
/// assert_eq!(addresses, ["[::1]:80", "192.0.2.1:80", "[::2]:80", "192.0.2.2:80", "[::3]:80"].map(parse));
/// ```
pub fn interleave(addresses: &mut [SocketAddr]) {
    let mut rest = addresses;
    while let Some((first, others)) = rest.split_first_mut() {
        let first_is_ipv6 = is_ipv6(first);
        let Some(other) = others.iter().position(|address| is_ipv6(address) != first_is_ipv6) else { return };
        // The addresses before `other` move one place back, so their order stays.
        if let Some(range) = others.get_mut(..=other) {
            range.rotate_right(1);
        }
        rest = others;
    }
}

/// Returns whether the system connects to the address over IPv6.
const fn is_ipv6(address: &SocketAddr) -> bool {
    match address {
        SocketAddr::V4(_) => false,
        SocketAddr::V6(address) => address.ip().to_ipv4_mapped().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    /// Interleaves addresses. Each character of the text is the IP version of an address. The port of an address is its
    /// original position. Returns the versions and the ports in the new order.
    fn interleaved(families: &str) -> (String, Vec<u16>) {
        let ip = |family| match family {
            '4' => "192.0.2.1".parse().unwrap(),
            '6' => "2001:db8::1".parse().unwrap(),
            // An IPv4-mapped address.
            _ => "::ffff:192.0.2.1".parse().unwrap(),
        };
        let mut addresses: Vec<SocketAddr> =
            (0..).zip(families.chars()).map(|(port, family)| SocketAddr::new(ip(family), port)).collect();
        interleave(&mut addresses);
        let families = addresses.iter().map(|address| if is_ipv6(address) { '6' } else { '4' }).collect();
        (families, addresses.iter().map(SocketAddr::port).collect())
    }

    #[test]
    fn s8305_4_the_families_alternate_and_the_first_address_stays_first() {
        for (families, expected, order) in [
            ("", "", &[][..]),
            ("4", "4", &[0]),
            ("46", "46", &[0, 1]),
            ("66", "66", &[0, 1]),
            ("664", "646", &[0, 2, 1]),
            ("6664", "6466", &[0, 3, 1, 2]),
            ("4466", "4646", &[0, 2, 1, 3]),
            ("4444666", "4646464", &[0, 4, 1, 5, 2, 6, 3]),
            ("6444444", "6444444", &[0, 1, 2, 3, 4, 5, 6]),
            ("66m", "646", &[0, 2, 1]),
            ("4m6", "464", &[0, 2, 1]),
        ] {
            assert_eq!(interleaved(families), (expected.into(), order.to_vec()), "{families}");
        }
    }

    #[test]
    fn s8305_4_every_list_of_up_to_ten_addresses_is_interleaved_in_order() {
        for len in 0..=10_u32 {
            for bits in 0..1_u32 << len {
                let before: String = (0..len).map(|at| if bits >> at & 1 == 1 { '6' } else { '4' }).collect();
                let (after, order) = interleaved(&before);
                // As long as both IP versions are left, no two neighbours have the same version.
                let alternating = after.trim_end_matches(|family| after.ends_with(family));
                for pair in alternating.as_bytes().windows(2) {
                    assert_ne!(pair[0], pair[1], "{before} became {after}");
                }
                assert_eq!(after.chars().next(), before.chars().next());
                // The addresses of each IP version keep their order, and no address is lost.
                for family in ['4', '6'] {
                    let of_family = |port: &&u16| before.as_bytes()[usize::from(**port)] == family as u8;
                    assert!(order.iter().filter(of_family).is_sorted(), "{before}: {order:?}");
                }
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert!(sorted.into_iter().eq((0..).take(before.len())));
            }
        }
    }
}
