//! The log: `tracing` to standard error, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt};

use crate::config::{Log, LogFormat};

/// Libraries that print whole headers, credentials with them, when they may say all: they may not, at
/// any level that is configured.
const TALKATIVE: [(&str, LevelFilter); 6] = [
    // Its errors hold parts of requests; ours are written by the gate.
    ("pingora_proxy", LevelFilter::OFF),
    ("pingora_core", LevelFilter::WARN),
    ("pingora_pool", LevelFilter::WARN),
    ("h2", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
];

/// Starts logging. It stays with the first caller: a process logs in one way.
pub fn start(config: &Log) {
    let filter = Targets::new().with_default(config.level).with_targets(TALKATIVE.iter().map(|(target, most)| {
        let asked: LevelFilter = config.level.into();
        (*target, asked.min(*most))
    }));
    let layer = match config.format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => fmt::layer().with_writer(std::io::stderr).json().flatten_event(true).boxed(),
    };
    // Only a second start fails, and the first one's choice stands.
    let _ = Registry::default().with(layer.with_filter(filter)).try_init();
}
