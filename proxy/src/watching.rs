//! What the gate tells of itself beside what it counts: its certificates, and the way to the upstream.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lockgate_backend::admin::{Admin, Part};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::tls::CertificateStore;
use crate::upstream::Upstream;

/// Has a program tell of its certificates.
pub(crate) fn tell_of_certificates(admin: &mut Admin, store: &Arc<CertificateStore>) {
    admin.metrics.register_collector(Box::new(Expiry(Arc::clone(store))));
    admin.health.watch(Certificates(Arc::clone(store)));
}

/// Has a program tell of the way to the upstream.
pub(crate) fn tell_of_upstream(admin: &mut Admin, upstream: &Arc<Upstream>) {
    admin.metrics.register_collector(Box::new(Addresses(Arc::clone(upstream))));
    admin.health.watch(Way(Arc::clone(upstream)));
}

struct Certificates(Arc<CertificateStore>);

#[async_trait]
impl Part for Certificates {
    fn name(&self) -> &'static str {
        "certificates"
    }

    async fn check(&self) -> Result<String, String> {
        let problems: Vec<String> = self.0.outside_their_dates().iter().map(ToString::to_string).collect();
        if problems.is_empty() { Ok("all are valid now".to_owned()) } else { Err(problems.join("; ")) }
    }
}

struct Way(Arc<Upstream>);

#[async_trait]
impl Part for Way {
    fn name(&self) -> &'static str {
        "upstream"
    }

    async fn check(&self) -> Result<String, String> {
        self.0
            .reach()
            .await
            .map(|address| format!("{address} takes connections"))
            .map_err(|failure| failure.to_string())
    }
}

#[derive(Debug)]
struct Expiry(Arc<CertificateStore>);

impl Collector for Expiry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "When the certificate for a name ends, in seconds since 1970";
        let name = "lockgate_certificate_expiry_timestamp_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (name, at) in self.0.ends() {
            ConstGauge::new(at).encode(family.encode_family(&[("name", name.as_str())])?)?;
        }
        Ok(())
    }
}

struct Addresses(Arc<Upstream>);

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").finish_non_exhaustive()
    }
}

impl Collector for Addresses {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Addresses of the upstream, by whether they get requests";
        let mut family = encoder.encode_descriptor("lockgate_upstream_addresses", help, None, MetricType::Gauge)?;
        let (ready, away) = self.0.addresses();
        for (state, count) in [("ready", ready), ("away", away)] {
            ConstGauge::new(count as i64).encode(family.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }
}
