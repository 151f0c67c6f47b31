//! Networks of clients, and of what stands before this.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// The addresses of a network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange(IpNet);

/// Why a text is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRangeError {
    /// It has another form.
    #[error("it is no address and no network, as in \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"")]
    Form,
    /// It is an address of a network, with the length of the network's prefix.
    #[error("the address has bits behind the prefix: write {0} for the network, {1} for the address")]
    HostBits(IpNet, IpAddr),
    /// IPv4 written as IPv6.
    #[error("the addresses of IPv4 are written as such, as in \"10.0.0.0/8\"")]
    Mapped,
}

impl AddressRange {
    /// Whether an address is in it. One of IPv4 that comes by an IPv6 listener is the same.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether more machines are in it than on one link: a /24 of IPv4, a /64 of IPv6.
    pub fn is_wide(&self) -> bool {
        let link = if self.0.network().is_ipv4() { 24 } else { 64 };
        self.0.prefix_len() < link
    }

    /// The lowest of its addresses.
    pub fn first(&self) -> IpAddr {
        self.0.network()
    }
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let range: IpNet = text.parse().map_err(|_| AddressRangeError::Form)?;
        match range.addr() {
            address if address != address.to_canonical() => Err(AddressRangeError::Mapped),
            address if address != range.network() => Err(AddressRangeError::HostBits(range.trunc(), address)),
            _ => Ok(Self(range)),
        }
    }
}

/// One address without the length of a prefix.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.first().fmt(f) } else { self.0.fmt(f) }
    }
}

lockgate_settings::written_as_text!(AddressRange, "an address or a network, as in \"10.0.0.0/24\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_however_they_come() {
        for (range, yes, no) in [
            ("10.0.0.0/8", &["10.1.2.3", "::ffff:10.1.2.3"][..], &["11.0.0.1", "::1"][..]),
            ("192.0.2.7", &["192.0.2.7"], &["192.0.2.8"]),
            ("2001:db8::/32", &["2001:db8::1"], &["2001:db9::1", "10.0.0.1"]),
            ("::1", &["::1"], &["::2"]),
            ("0.0.0.0/0", &["1.2.3.4"], &["::1"]),
        ] {
            let parsed: AddressRange = range.parse().unwrap();
            assert_eq!(parsed.to_string(), range);
            assert!(yes.iter().all(|address| parsed.holds(address.parse().unwrap())), "{range}");
            assert!(!no.iter().any(|address| parsed.holds(address.parse().unwrap())), "{range}");
        }
    }

    #[test]
    fn what_is_no_range_is_told_with_what_to_write() {
        let told = |text: &str| text.parse::<AddressRange>().expect_err(text).to_string();
        for text in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "example.com", "10.*", "10.0.0.1-10.0.0.9", " ::1"] {
            assert!(told(text).starts_with("it is no address and no network"), "{text}");
        }
        let bits = "the address has bits behind the prefix: write 10.0.0.0/8 for the network, 10.0.0.5 for the address";
        assert_eq!(told("10.0.0.5/8"), bits);
        assert!(told("::ffff:10.0.0.0/104").contains("written as such"));
    }
}
