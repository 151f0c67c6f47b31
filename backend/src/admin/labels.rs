//! By what requests are told apart in metrics. No label has more values than these, whatever strangers send.

use http::{Method, StatusCode};
use lockgate_oci::{Action, NoAction};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::histogram::Histogram;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Asked {
    /// The action, or `none` where it is none that a registry knows.
    pub action: &'static str,
    /// The method, or `other`.
    pub method: &'static str,
}

impl Asked {
    /// What a request asks, by what was read from it.
    pub fn of(action: Result<&Action, &NoAction>, method: &Method) -> Self {
        Self { action: action.map_or("none", Action::name), method: method_of(method) }
    }
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    action: &'static str,
    method: &'static str,
    /// The first digit of the status, as in `2xx`, or `gone` where the client left before.
    status: &'static str,
}

impl Answered {
    /// A request that was answered with this status, if it was.
    pub fn of(Asked { action, method }: Asked, status: Option<StatusCode>) -> Self {
        Self { action, method, status: status.map_or("gone", class_of) }
    }
}

/// The first digit of a status, as in `2xx`.
pub fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// What is told apart by the action alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Of {
    /// As in [`Asked`].
    pub action: &'static str,
}

/// A method by its name, as far as a registry knows it.
pub fn method_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// How long requests take: from those that are answered from memory to layers over slow lines.
pub fn durations() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0])
}
