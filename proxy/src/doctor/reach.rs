//! The way to the server: DNS, TCP and TLS, and what /v2/ answers without a password.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Method;
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use super::answer::Answer;
use super::certificate;
use super::client::{AskError, Client};
use super::connection::{ask_plainly, connect, resolve, shake_hands};
use super::finding::Check;
use super::limits;
use super::remedy;
use super::report::Report;
use super::target::Target;
use super::trust::{Trust, lenient};

/// A registry that answers by TLS.
pub(super) struct Reached {
    /// Asks it. It verifies, unless the certificate was refused.
    pub(super) client: Client,
    /// A client's TLS that verifies, for other hosts; none where the certificate was refused, and then no password is
    /// sent to anybody.
    pub(super) verified: Option<Arc<ClientConfig>>,
    /// What /v2/ answers without a password.
    pub(super) first: Result<Answer, AskError>,
}

/// Goes as far as TLS lets it; none where there is no TLS.
pub(super) async fn reach(report: &mut Report<'_>, target: &Target, trust: &Trust) -> Option<Reached> {
    let addresses = look_up(report, target).await?;
    let addresses = try_all(report, addresses).await?;
    let (chain, lenient) = first_handshake(report, target, &addresses).await?;
    let strict = trust.strict().ok();
    let unverified = Client::new(target.clone(), addresses.clone(), lenient);
    let first = unverified.ask(unverified.request(Method::GET, "/v2/")).await;
    let server_time = first.as_ref().ok().and_then(Answer::date);
    let is_right = certificate::judge(report, &chain, target.name(), trust, server_time);
    judge_clock(report, server_time);
    let verified = strict.filter(|_| is_right);
    let client = verified.as_ref().map_or(unverified, |tls| Client::new(target.clone(), addresses, Arc::clone(tls)));
    Some(Reached { client, verified, first })
}

async fn look_up(report: &mut Report<'_>, target: &Target) -> Option<Vec<SocketAddr>> {
    match resolve(target).await {
        Ok(addresses) => {
            let listed: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
            report.ok(Check::Dns, format!("{} is {}", target.host(), listed.join(", ")));
            Some(addresses)
        }
        Err(error) => {
            report.fail(Check::Dns, format!("{}: {error}", target.host()), &remedy::NO_ADDRESS);
            None
        }
    }
}

/// Those that take a connection.
async fn try_all(report: &mut Report<'_>, addresses: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
    let start = Instant::now();
    let attempts = addresses.iter().map(|address| async move { (*address, connect(*address).await) });
    let (mut open, mut refused) = (Vec::new(), Vec::new());
    for (address, outcome) in futures_util::future::join_all(attempts).await {
        match outcome {
            Ok(_) => open.push(address),
            Err(error) => refused.push(format!("{address}: {error}")),
        }
    }
    let listed = open.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match (open.is_empty(), refused.is_empty()) {
        (true, _) => report.fail(Check::Tcp, refused.join("; "), &remedy::NOBODY_THERE),
        (false, true) => report.ok(Check::Tcp, format!("{listed} in {} ms", start.elapsed().as_millis())),
        (false, false) => {
            report.warn(Check::Tcp, format!("{}; but {listed} answers", refused.join("; ")), &remedy::SOME_ADDRESSES);
        }
    }
    (!open.is_empty()).then_some(open)
}

type Shaken = (Vec<CertificateDer<'static>>, Arc<ClientConfig>);

async fn first_handshake(report: &mut Report<'_>, target: &Target, addresses: &[SocketAddr]) -> Option<Shaken> {
    // There is one: try_all says so. A provider that rustls itself brings has what rustls asks for.
    let address = *addresses.first()?;
    let (config, presented) = lenient().ok()?;
    let shaken = async { shake_hands(connect(address).await?, target, &config).await }.await;
    match shaken {
        Ok(stream) => {
            let (_, session) = stream.get_ref();
            let version = match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
                _ => "TLS 1.2",
            };
            let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
            report.ok(Check::Tls, format!("{version}, {}", suite.unwrap_or("an unknown cipher")));
            Some((presented.chain(), config))
        }
        Err(error) => {
            no_tls(report, target, address, &error).await;
            None
        }
    }
}

async fn no_tls(report: &mut Report<'_>, target: &Target, address: SocketAddr, error: &io::Error) {
    let plain = ask_plainly(address, target).await;
    if let Some(line) =
        plain.as_ref().ok().filter(|plain| plain.starts_with("HTTP/")).and_then(|text| text.lines().next())
    {
        // Who speaks TLS and refuses this handshake says 400 to plain HTTP.
        if !line.contains(" 400") {
            return report.fail(Check::Tls, format!("plain HTTP is answered by {line}"), &remedy::PLAIN_HTTP);
        }
    }
    let is_about_versions = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|error| matches!(error, rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)));
    let remedy = if is_about_versions { &remedy::NO_COMMON_VERSION } else { &remedy::NO_HANDSHAKE };
    report.fail(Check::Tls, error.to_string(), remedy);
}

fn judge_clock(report: &mut Report<'_>, server_time: Option<OffsetDateTime>) {
    let Some(theirs) = server_time else {
        return report.skip(&[Check::Clock], "the answer has no Date");
    };
    let ahead = theirs - OffsetDateTime::from(SystemTime::now());
    let apart = ahead.unsigned_abs();
    let which = if ahead.is_negative() { "behind" } else { "ahead of" };
    let seen = format!(
        "the server's is {} {which} this machine's",
        humantime::format_duration(std::time::Duration::from_secs(apart.as_secs()))
    );
    if apart >= limits::CLOCK_FAIL {
        report.fail(Check::Clock, seen, &remedy::CLOCK);
    } else if apart >= limits::CLOCK_WARN {
        report.warn(Check::Clock, seen, &remedy::CLOCK);
    } else {
        report.ok(Check::Clock, "the server's and this machine's agree");
    }
}
