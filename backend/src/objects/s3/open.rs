//! A client of what the configuration names.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use lockgate_settings::read_bounded;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpConnector as _, ReqwestConnector};
use object_store::{Certificate, ClientOptions, RetryConfig};

use super::addresses::{CONNECT_TIMEOUT, OneAddress};
use super::client::Client;
use super::failure::causes;
use crate::config::{Bucket, S3, S3Server};

/// More than any answer is waited for; tests wait less.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The server of the configuration.
fn server(settings: &S3) -> (&'static str, String) {
    match &settings.endpoint {
        S3Server::Aws => ("https", format!("s3.{}.amazonaws.com", settings.region)),
        S3Server::At { is_https, host } => (if *is_https { "https" } else { "http" }, host.clone()),
    }
}

/// The host and port that are connected to.
pub(super) fn authority(bucket: &Bucket, settings: &S3) -> String {
    let (scheme, host) = server(settings);
    let host = if settings.path_style { host } else { format!("{}.{host}", bucket.name) };
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (has_port, scheme) {
        (true, _) => host,
        (false, "https") => format!("{host}:443"),
        (false, _) => format!("{host}:80"),
    }
}

/// Or what is wrong, and what to do. It connects to the server's name, or to the one address that is given.
pub(super) fn client(
    bucket: &Bucket,
    settings: &S3,
    credentials: AmazonS3Builder,
    address: Option<IpAddr>,
) -> Result<Client, String> {
    let (scheme, host) = server(settings);
    if scheme == "http" && !settings.allow_http {
        let advice = "write https://, or say that this is meant by s3.allow_http = true";
        return Err(format!("s3.endpoint is http://, which sends everything unencrypted; {advice}"));
    }
    let endpoint = format!("{scheme}://{host}");
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    let is_address = name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
    // Of https://a.b.host no certificate of *.host speaks.
    if !settings.path_style && (is_address || scheme == "https" && bucket.name.contains('.')) {
        return Err(format!("{} cannot stand in a name before {host}; write s3.path_style = true", bucket.name));
    }
    // Each request has a limit of its own (client.rs), which counts what it sends.
    let options = ClientOptions::new().with_timeout_disabled().with_connect_timeout(CONNECT_TIMEOUT);
    let mut options = options.with_allow_http(settings.allow_http);
    if let Some(file) = &settings.ca_file {
        let problem = |what: &dyn std::fmt::Display| format!("s3.ca_file: {}: {what}", file.display());
        let pem = read_bounded(file).map_err(|error| problem(&error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| problem(&error))?;
        if certificates.is_empty() {
            return Err(problem(&"there is no certificate in it"));
        }
        options = certificates.into_iter().fold(options, ClientOptions::with_root_certificate);
    }
    // Credentials come from elsewhere.
    let here = address
        .into_iter()
        .fold(options.clone(), |options, address| options.with_dns_resolver(Arc::new(OneAddress(address))));
    let http = ReqwestConnector::default().connect(&here).map_err(|error| match &settings.ca_file {
        Some(file) => format!("s3.ca_file: {}: {}", file.display(), causes(&error)),
        None => format!(
            "there is no authority here whose certificates are trusted: install the package ca-certificates, or name a \
             file with your own authority's certificate in s3.ca_file: {}",
            causes(&error)
        ),
    })?;
    let address = if settings.path_style { endpoint.clone() } else { format!("{scheme}://{}.{host}", bucket.name) };
    let builder = credentials
        .with_config(AmazonS3ConfigKey::S3Endpoint, address)
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_bucket_name(&bucket.name)
        .with_region(&settings.region)
        // What needs credentials that are not to be had is tried again by the client.
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_client_options(options);
    let signer = builder.build().map_err(|error| format!("S3 cannot be used: {error}"))?;
    let prefix = if bucket.prefix.is_empty() { String::new() } else { format!("{}/", bucket.prefix) };
    let (bucket, longest_wait) = (bucket.name.clone(), LONGEST_WAIT);
    Ok(Client { signer, http, endpoint, bucket, prefix, longest_wait, ahead: AtomicI64::new(0) })
}
