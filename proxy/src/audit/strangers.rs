//! Lines of those who showed no good credentials. A stranger can cause as many as there is bandwidth for, so they are
//! counted in memory, and a line tells of all that were the same within a minute.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::SystemTime;

use super::event::{Act, Event, Outcome, Tally, cut};
use crate::client::Client;
use crate::lock::lock;
use crate::network::Network;

/// How many are told apart within a minute. What is beyond that is counted without its source, so that a minute of any
/// attack costs a few hundred kilobytes of memory and of disk.
const MOST: usize = 1000;

/// What of a digest is kept, in bytes: all of a SHA-512.
const DIGEST: usize = "sha512:".len() + 128;

/// What of a reason is kept, in bytes: it may name the host that was asked, by whatever name.
const REASON: usize = 200;

/// The minute's counts.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<HashMap<Key, Sum>>);

/// What is counted together.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    /// `None`: all that are not told apart any more.
    source: Option<Source>,
    outcome: Outcome,
    action: Act,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Source {
    network: Option<Network>,
    /// Somebody who exists.
    user: Option<Box<str>>,
    /// Where it was read: then it exists. What is refused has a name of the stranger's choice, of which there is no end.
    repository: Option<Box<str>>,
}

#[derive(Debug)]
struct Sum {
    /// The first event, as the line that it would be alone.
    first: Vec<u8>,
    tally: Tally,
}

impl Strangers {
    /// Counts an event.
    pub(super) fn count(&self, event: &Event<'_>, now: SystemTime) {
        let mut sums = lock(&self.0);
        let key = Key { source: Some(source_of(event)), outcome: event.outcome, action: event.action };
        if let Some(sum) = sums.get_mut(&key) {
            return sum.tally.add(now);
        }
        let key = if sums.len() < MOST { key } else { Key { source: None, ..key } };
        sums.entry(key).and_modify(|sum| sum.tally.add(now)).or_insert_with_key(|key| Sum {
            first: first_line(key, event, now),
            tally: Tally { count: 1, until: now },
        });
    }

    /// The lines of what was counted since the last call, each with the number of events that it stands for.
    pub(super) fn take(&self) -> impl Iterator<Item = (Vec<u8>, u64)> + use<> {
        let sums = std::mem::take(&mut *lock(&self.0));
        sums.into_values().map(|Sum { first, tally }| {
            let line = if tally.count > 1 { tally.added_to(first) } else { first };
            (line, tally.count)
        })
    }
}

fn source_of(event: &Event<'_>) -> Source {
    let repository = event.repository.filter(|_| event.outcome == Outcome::Done);
    Source {
        network: network_of(event),
        user: event.user.map(Into::into),
        repository: repository.map(|repository| repository.as_str().into()),
    }
}

fn network_of(event: &Event<'_>) -> Option<Network> {
    event.client.map(|client: &Client| client.ip().into())
}

/// The line of the first event, without what a stranger could make long.
fn first_line(key: &Key, event: &Event<'_>, now: SystemTime) -> Vec<u8> {
    if key.source.is_none() {
        return Event::new(key.outcome, key.action, "of more clients than are told apart").line(now);
    }
    let mut event = event.clone();
    event.tags.truncate(1);
    event.reason = cut(event.reason, REASON);
    event.digest = event.digest.filter(|digest| digest.len() <= DIGEST);
    let network = network_of(&event).map(|network| network.to_string());
    event.line_of(now, network.as_deref())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Duration, UNIX_EPOCH};

    use lockgate_oci::{Action, RepositoryName};
    use serde_json::Value;

    use super::*;

    fn client(address: &str) -> Client {
        address.parse::<SocketAddr>().expect("an address").into()
    }

    fn denied<'a>(client: &'a Client, repository: &'a RepositoryName) -> Event<'a> {
        let event = Event::new(Outcome::Denied, Act::Pull, "no grant gives pull to anyone");
        Event { client: Some(client), repository: Some(repository), ..event }
    }

    fn lines(strangers: &Strangers) -> Vec<Value> {
        strangers.take().map(|(line, _)| serde_json::from_slice(&line).expect("JSON")).collect()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_network_s_refusals_of_a_minute_are_one_line() {
        let strangers = Strangers::default();
        for n in 0..100_u64 {
            let repository = format!("guessed-{n}").parse().expect("a name");
            strangers.count(&denied(&client(&format!("[2001:db8::{n}]:1")), &repository), at(n));
        }
        let lines = lines(&strangers);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((line["count"].as_u64(), line["client"].as_str()), (Some(100), Some("2001:db8::")));
        assert_eq!(
            (line["time"].as_str(), line["until"].as_str()),
            (Some("1970-01-01T00:00:00.000000Z"), Some("1970-01-01T00:01:39.000000Z"))
        );
        assert_eq!(line["repository"], "guessed-0", "the first of them");
        assert_eq!(strangers.take().count(), 0, "they are told once");
    }

    #[test]
    fn what_was_read_is_told_by_its_repository_and_a_single_event_is_no_sum() {
        let strangers = Strangers::default();
        let client = client("192.0.2.7:1");
        for name in ["a", "b", "b"] {
            let repository = name.parse().expect("a name");
            let read = Event { outcome: Outcome::Done, ..denied(&client, &repository) };
            strangers.count(&read, at(0));
        }
        let mut counts: Vec<_> =
            lines(&strangers).iter().map(|line| (line["repository"].to_string(), line.get("count").cloned())).collect();
        counts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(counts, [("\"a\"".to_owned(), None), ("\"b\"".to_owned(), Some(2.into()))]);
    }

    #[test]
    fn any_number_of_networks_takes_as_much_memory_as_a_thousand() {
        let strangers = Strangers::default();
        let repository = "r".parse().expect("a name");
        for n in 0..5000_u32 {
            let client = SocketAddr::from((n.to_be_bytes(), 1)).into();
            strangers.count(&denied(&client, &repository), at(0));
        }
        let lines = lines(&strangers);
        assert_eq!(lines.len(), MOST + 1);
        let rest = lines.iter().find(|line| line.get("client").is_none()).expect("a line for all others");
        assert_eq!(rest["count"], 5000 - MOST as u64);
        assert!(rest.get("repository").is_none(), "{rest}");
    }

    #[test]
    fn no_stranger_s_line_is_long() {
        let tags: Vec<_> = (0..50).map(|n| format!("tag=t{n}")).collect();
        let push = Action::parse(&http::Method::PUT, "/v2/a/manifests/v1", Some(&tags.join("&"))).expect("a push");
        let (client, long) = (client("192.0.2.7:1"), "x".repeat(30_000));
        let event = Event {
            client: Some(&client),
            user_agent: Some(&long),
            digest: Some(&long),
            request_id: Some(&long),
            ..Event::of(&push, Outcome::Denied, &long)
        };
        let strangers = Strangers::default();
        strangers.count(&event, at(0));
        let (line, _) = strangers.take().next().expect("a line");
        assert!(line.len() < 1000, "{}", String::from_utf8_lossy(&line));
    }
}
