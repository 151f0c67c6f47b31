//! Small things that every program with settings does alike.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Says a line on standard error, which a supervisor may have closed: `eprintln!` would panic there. Where nobody
/// reads, the exit code is left to tell.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The address to ask at whoever listens at `listen`: the loopback one, where that is every address.
pub fn reachable(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}

/// Raises the limit of open files to the hard one, as programs in Go do: the soft one is that low for the sake of
/// programs that use `select`. Returns how many files may be open.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let in_force = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    in_force.current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_on_the_loopback_address() {
        for (listen, at) in
            [("0.0.0.0:5000", "127.0.0.1:5000"), ("[::]:5000", "[::1]:5000"), ("192.0.2.1:5000", "192.0.2.1:5000")]
        {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), at);
        }
    }
}
