//! The log: `tracing` to standard error, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt};

use crate::config::{Log, LogFormat};

/// Libraries that say too much. They print whole headers, credentials with them, when they may say all, and
/// warn of whatever a stranger sends, as of a server name that is none.
const TALKATIVE: [&str; 5] = ["pingora_core", "pingora_pool", "h2", "hyper", "rustls"];

/// The most that a talkative library may say: errors, and to who looks for something its warnings.
/// Never more, at any level that is configured.
fn most(asked: LevelFilter) -> LevelFilter {
    asked.min(if asked >= LevelFilter::DEBUG { LevelFilter::WARN } else { LevelFilter::ERROR })
}

fn filter(asked: LevelFilter) -> Targets {
    Targets::new().with_default(asked).with_targets(TALKATIVE.map(|library| (library, most(asked))))
}

/// Starts logging. It stays with the first caller: a process logs in one way.
pub fn start(config: &Log) {
    // Who reads no log shall not be told so on standard error, which panics.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let layer = match config.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Only a second start fails, and the first one's choice stands.
    let _ = Registry::default().with(layer.with_filter(filter(config.level.into()))).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_library_s_warnings_are_for_who_looks_for_something() {
        for library in ["rustls::msgs::handshake", "h2::proto", "pingora_core::protocols", "hyper::proto"] {
            let says = |asked: Level, level: Level| filter(asked.into()).would_enable(library, &level);
            assert!(says(Level::INFO, Level::ERROR) && !says(Level::INFO, Level::WARN), "{library}");
            assert!(says(Level::TRACE, Level::WARN) && !says(Level::TRACE, Level::INFO), "{library}");
        }
    }

    #[test]
    fn nobody_says_more_than_is_asked_for() {
        assert!(!filter(LevelFilter::OFF).would_enable("rustls", &Level::ERROR));
        assert!(filter(LevelFilter::WARN).would_enable("lockgate::gate", &Level::WARN));
        assert!(!filter(LevelFilter::WARN).would_enable("access", &Level::INFO));
    }
}
