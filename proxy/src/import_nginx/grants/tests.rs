//! Whom nginx lets in, and whom the grants that are made of it do.

use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use proptest::prelude::*;

use super::super::tests::{access_of, imported};
use crate::access::Asker;
use crate::auth::UserName;
use crate::rights::Wish;

/// Rules of access as nginx has them, and whom they let in.
#[derive(Debug, Clone)]
struct Rules {
    /// Of `allow` (true) and `deny`: the last byte of an address, and the length of its network.
    addresses: Vec<(bool, u8, u8)>,
    asks_password: bool,
    either: bool,
}

impl Rules {
    fn text(&self) -> String {
        let word = |allows| if allows { "allow" } else { "deny" };
        let rules =
            self.addresses.iter().map(|(allows, low, length)| format!("{} 10.0.0.{low}/{length};", word(*allows)));
        let realm = if self.asks_password { "auth_basic R; auth_basic_user_file u;" } else { "auth_basic off;" };
        rules.collect::<String>() + realm
    }

    fn let_in(&self, address: Ipv4Addr, has_password: bool) -> bool {
        let bits = |low: u8, length: u8| {
            u32::from(Ipv4Addr::new(10, 0, 0, low)) & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
        };
        let fits = |(_, low, length): &&(bool, u8, u8)| {
            bits(*low, *length) == u32::from(address) & u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0)
        };
        let rule = self.addresses.iter().find(fits).map(|(allows, ..)| *allows);
        let knows = !self.asks_password || has_password;
        if self.either && self.asks_password {
            rule == Some(true) || has_password
        } else {
            rule != Some(false) && knows
        }
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let addresses = proptest::collection::vec((any::<bool>(), 0_u8..4, prop_oneof![Just(0_u8), 30_u8..=32]), 0..4);
    (addresses, any::<bool>(), any::<bool>()).prop_map(|(addresses, asks_password, either)| Rules {
        addresses,
        asks_password,
        either,
    })
}

proptest! {
    #[test]
    fn nobody_gets_in_whom_nginx_kept_out(
        outer in rules(),
        writing in proptest::option::of(rules()),
    ) {
        let either = if outer.either { "satisfy any;" } else { "" };
        let inner = writing.as_ref().map(|rules| format!("limit_except GET {{ {} }}", rules.text())).unwrap_or_default();
        let text = format!("server {{ location /v2/ {{ {either} {} {inner} proxy_pass http://r:5000; }} }}", outer.text());
        let imported = imported(&text);
        let grants = access_of(&imported);
        let user: UserName = "alice".parse().expect("a name");
        // Rules in limit_except replace those around it, each kind by itself.
        let writing = writing.map(|inner| Rules {
            addresses: if inner.addresses.is_empty() { outer.addresses.clone() } else { inner.addresses },
            either: outer.either,
            ..inner
        });
        for (low, has_password) in (0_u8..6).flat_map(|low| [(low, false), (low, true)]) {
            let address = Ipv4Addr::new(10, 0, 0, low);
            let asker = Asker { user: has_password.then_some(&user), address: IpAddr::V4(address), now: SystemTime::now() };
            let gives = |wish| grants.as_ref().map_or(has_password, |access| {
                access.grants.permits(&asker, wish, &"team/app".parse().expect("a name")).is_some()
            });
            let may_read = outer.let_in(address, has_password);
            let may_write = writing.as_ref().unwrap_or(&outer).let_in(address, has_password);
            for (wish, may) in [(Wish::Pull, may_read), (Wish::Create, may_write), (Wish::Delete, may_write)] {
                prop_assert!(may || !gives(wish), "{text}\n{}", imported.report);
            }
            // And where somebody is asked for a password it is the same, unless a person has to decide.
            let asks = outer.asks_password || writing.as_ref().is_some_and(|rules| rules.asks_password);
            if asks && !imported.grave.iter().any(|line| line.starts_with("UNDECIDED")) {
                prop_assert_eq!((gives(Wish::Pull), gives(Wish::Delete)), (may_read, may_write), "{}\n{}", text, imported.report);
            }
        }
    }
}
