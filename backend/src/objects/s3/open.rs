//! A client of what the configuration names.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use lockgate_settings::read_bounded;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpConnector as _, ReqwestConnector};
use object_store::{Certificate, ClientOptions};

use super::client::Client;
use crate::config::{Bucket, S3, S3Server};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// More than any answer is waited for; tests wait less.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Or what is wrong, and what to do.
pub(super) fn client(bucket: &Bucket, settings: &S3, credentials: AmazonS3Builder) -> Result<Client, String> {
    let (scheme, host) = match &settings.endpoint {
        S3Server::Aws => ("https", format!("s3.{}.amazonaws.com", settings.region)),
        S3Server::At { is_https: true, host } => ("https", host.clone()),
        S3Server::At { is_https: false, host } if settings.allow_http => ("http", host.clone()),
        S3Server::At { .. } => {
            return Err(
                "s3.endpoint is http://, which sends everything unencrypted; write https://, or say that this is \
                        meant by s3.allow_http = true"
                    .to_owned(),
            );
        }
    };
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
    let http = ReqwestConnector::default().connect(&options).map_err(|error| error.to_string())?;
    let address = if settings.path_style { endpoint.clone() } else { format!("{scheme}://{}.{host}", bucket.name) };
    let builder = credentials
        .with_config(AmazonS3ConfigKey::S3Endpoint, address)
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_bucket_name(&bucket.name)
        .with_region(&settings.region)
        .with_client_options(options);
    let signer = builder.build().map_err(|error| format!("S3 cannot be used: {error}"))?;
    let prefix = if bucket.prefix.is_empty() { String::new() } else { format!("{}/", bucket.prefix) };
    let (bucket, longest_wait) = (bucket.name.clone(), LONGEST_WAIT);
    Ok(Client { signer, http, endpoint, bucket, prefix, longest_wait, ahead: AtomicI64::new(0) })
}
