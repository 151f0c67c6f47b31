//! `allow` and `deny`: which addresses are let in.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// More networks than this are no list that a person would read.
const MAX_NETWORKS: usize = 256;

/// A rule of `allow` or `deny`, in the order in which they are written. The first that fits counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allows: bool,
    /// Every address, where there is none.
    pub(super) network: Option<IpNet>,
}

/// What the rules make of all addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Networks {
    /// What an `allow` fits.
    pub(super) allowed: Vec<IpNet>,
    /// What no rule fits.
    pub(super) unmatched: Vec<IpNet>,
}

impl Rule {
    /// Reads an argument of `allow` or `deny`; `None` where it is no address. A Unix socket is no way into Lockgate.
    pub(super) fn parse(allows: bool, text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self { allows, network: None });
        }
        let network = text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        let network = network.ok()?.trunc();
        (network.network() == network.network().to_canonical()).then_some(Self { allows, network: Some(network) })
    }
}

impl Networks {
    /// `None` where they would be too many.
    pub(super) fn of(rules: &[Rule]) -> Option<Self> {
        let everything = [Ipv4Net::default().into(), Ipv6Net::default().into()];
        let (mut allowed, mut unmatched) = (Vec::new(), everything.to_vec());
        for rule in rules {
            let networks = rule.network.map_or_else(|| everything.to_vec(), |network| vec![network]);
            for network in networks {
                let mut rest = Vec::new();
                for open in unmatched {
                    if rule.allows {
                        allowed.extend(common(open, network));
                    }
                    subtract(open, network, &mut rest);
                }
                unmatched = rest;
            }
            if allowed.len() + unmatched.len() > MAX_NETWORKS {
                return None;
            }
        }
        // No client has an address of IPv4 that is written as one of IPv6.
        let written = |networks: &Vec<IpNet>| {
            let mut networks = IpNet::aggregate(networks);
            networks.retain(|network| network.network() == network.network().to_canonical());
            networks
        };
        Some(Self { allowed: written(&allowed), unmatched: written(&unmatched) })
    }

    /// Who is let in where an address has to be allowed, or not denied; `None` is everyone.
    pub(super) fn let_in(&self) -> Option<Vec<IpNet>> {
        let all = IpNet::aggregate(&[&self.allowed[..], &self.unmatched[..]].concat());
        (all.iter().filter(|network| network.prefix_len() == 0).count() < 2).then_some(all)
    }
}

/// Two networks are apart, or one is in the other.
fn common(a: IpNet, b: IpNet) -> Option<IpNet> {
    if a.contains(&b) { Some(b) } else { b.contains(&a).then_some(a) }
}

/// What of `network` is not in `hole`: at most as many networks as an address has bits.
fn subtract(network: IpNet, hole: IpNet, rest: &mut Vec<IpNet>) {
    if common(network, hole).is_none() {
        rest.push(network);
    } else if !hole.contains(&network) {
        // It is larger than the hole, so it has halves.
        for half in network.subnets(network.prefix_len() + 1).into_iter().flatten() {
            subtract(half, hole, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn rules(text: &str) -> Vec<Rule> {
        let rule = |rule: &str| {
            let (word, network) = rule.trim().split_once(' ').expect("two words");
            Rule::parse(word == "allow", network).expect("a network")
        };
        text.split(';').map(rule).collect()
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let texts = |networks: Vec<IpNet>| networks.iter().map(ToString::to_string).collect::<Vec<_>>();
        let of = |text: &str| Networks::of(&rules(text)).expect("few").let_in().map(texts);
        assert_eq!(of("allow 10.1.2.3/8; deny all"), Some(vec!["10.0.0.0/8".to_owned()]));
        assert_eq!(of("deny 10.0.0.1; allow 10.0.0.0/30; deny all").map(|all| all.len()), Some(2));
        assert_eq!(of("deny all; allow 10.0.0.0/8"), Some(vec![]));
        assert_eq!(of("allow 10.0.0.0/8"), None, "who is not denied is let in");
        assert_eq!(of("allow all; deny 10.0.0.0/8"), None);
        assert_eq!(of("deny 0.0.0.0/0"), Some(vec!["::/0".to_owned()]));
        assert_eq!(of("deny ::fffe:0:0/96").map(|all| all.iter().any(|network| network.contains("ffff"))), Some(false));
        assert_eq!([Rule::parse(true, "unix:"), Rule::parse(true, "::ffff:10.0.0.0/104")], [None, None]);
    }

    proptest! {
        #[test]
        fn each_address_is_judged_as_by_the_rules_in_turn(
            drawn in proptest::collection::vec((any::<bool>(), 0_u8..4, 0_u8..=32), 0..6),
            asked in 0_u8..4,
        ) {
            let address = |low: u8| IpAddr::V4(Ipv4Addr::new(10, 0, 0, low));
            let rules: Vec<Rule> = drawn
                .iter()
                .map(|(allows, low, length)| Rule::parse(*allows, &format!("{}/{length}", address(*low))).expect("one"))
                .collect();
            let fitting = rules.iter().find(|rule| rule.network.is_none_or(|network| network.contains(&address(asked))));
            let networks = Networks::of(&rules).expect("few");
            let holds = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address(asked)));
            prop_assert_eq!(holds(&networks.allowed), fitting.is_some_and(|rule| rule.allows));
            prop_assert_eq!(holds(&networks.unmatched), fitting.is_none());
        }
    }
}
