//! Where clients are sent for large blobs, and whether they would show the registry's password there.
//!
//! Clients written in Go (docker, podman, containerd) send `Authorization` on to where they are redirected, when that is
//! the host that they came to, on whatever port, or a subdomain of it.

use http::uri::Authority;

use crate::config::{Data, Redirect, S3, S3Server, Storage};

/// How the bucket is opened for those who are sent there, if anybody is.
pub(crate) fn settings(storage: &Storage, s3: &S3) -> Option<S3> {
    match (storage.redirect, &storage.redirect_endpoint) {
        (Redirect::Off, _) => None,
        (Redirect::Auto, S3Server::Aws) => Some(s3.clone()),
        (Redirect::Auto, server) => Some(S3 { endpoint: server.clone(), ..s3.clone() }),
    }
}

/// The host that clients are sent to. Those of AWS are nobody's own.
pub fn redirect_host(storage: &Storage, s3: &S3) -> Option<String> {
    let Data::Bucket(bucket) = &storage.data else { return None };
    let S3Server::At { host, .. } = settings(storage, s3)?.endpoint else { return None };
    Some(if s3.path_style { host } else { format!("{}.{host}", bucket.name) })
}

/// Whether a client shows the password to `host` that it came to `registry` with. Both may have a port.
pub fn is_shown_the_password(host: &str, registry: &str) -> bool {
    let name = |text: &str| {
        let authority = text.parse::<Authority>().ok()?;
        Some(authority.host().trim_end_matches('.').to_ascii_lowercase())
    };
    // What has no name is not judged to be another.
    let (Some(host), Some(registry)) = (name(host), name(registry)) else { return true };
    host.strip_suffix(&registry).is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_shown_to_the_registry_s_own_host_and_what_is_below_it() {
        for (host, registry) in [
            ("registry.example.org", "registry.example.org"),
            ("registry.example.org:9000", "registry.example.org:5043"),
            ("S3.Registry.example.org.", "registry.example.org"),
            ("bucket.s3.registry.example.org", "registry.example.org:443"),
            ("127.0.0.1:8333", "127.0.0.1:5043"),
            ("[::1]:8333", "[::1]"),
            ("s3.example.org", ""),
        ] {
            assert!(is_shown_the_password(host, registry), "{host} {registry}");
        }
        for (host, registry) in [
            ("s3.example.org", "registry.example.org"),
            ("example.org", "registry.example.org"),
            ("myregistry.example.org", "registry.example.org"),
            ("localhost:8333", "127.0.0.1:5043"),
        ] {
            assert!(!is_shown_the_password(host, registry), "{host} {registry}");
        }
    }

    #[test]
    fn clients_are_sent_to_the_bucket_s_own_name_or_to_its_server_s() {
        let server = |host: &str| S3Server::At { is_https: true, host: host.to_owned() };
        let bucket = Data::Bucket("images".parse().unwrap());
        let storage = Storage { data: bucket, redirect: Redirect::Auto, ..Storage::default() };
        let s3 = S3 { endpoint: server("s3.test"), ..S3::default() };
        let path_style = S3 { path_style: true, ..s3.clone() };
        let elsewhere = Storage { redirect_endpoint: server("s3.example.org:9000"), ..storage.clone() };
        assert_eq!(redirect_host(&storage, &s3).as_deref(), Some("images.s3.test"));
        assert_eq!(redirect_host(&storage, &path_style).as_deref(), Some("s3.test"));
        assert_eq!(redirect_host(&elsewhere, &path_style).as_deref(), Some("s3.example.org:9000"));
        assert_eq!(redirect_host(&Storage { redirect: Redirect::Off, ..elsewhere }, &s3), None);
        assert_eq!(redirect_host(&storage, &S3::default()), None);
        assert_eq!(redirect_host(&Storage { data: Data::Directory("data".into()), ..storage }, &s3), None);
    }
}
