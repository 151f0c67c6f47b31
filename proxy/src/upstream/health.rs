//! Whether an address answers.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType};
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::read_ahead::ReadAheadBudget;
use super::socket::Socket;
use crate::config;
use crate::lock::lock;

const REQUEST: &[u8] =
    b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nUser-Agent: lockgate-health-check\r\nConnection: close\r\n\r\n";

/// What became of the last check, or connect, of each address: why it failed, where it did.
pub(super) type Outcomes = Arc<Mutex<BTreeMap<SocketAddr, Option<String>>>>;

/// An address is healthy while the registry there answers, if only that it wants a password. pingora's own check would
/// start a thread for its timers that wakes a hundred times a second for ever.
pub(super) struct AnswerCheck {
    timeout: Duration,
    failures: usize,
    successes: usize,
    outcomes: Outcomes,
}

impl AnswerCheck {
    /// By the configured interval and thresholds.
    pub(super) fn new(config: &config::Upstream, outcomes: Outcomes) -> Self {
        Self {
            timeout: config.health_interval.duration(),
            failures: config.health_failures.get(),
            successes: config.health_successes.get(),
            outcomes,
        }
    }
}

#[async_trait]
impl HealthCheck for AnswerCheck {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let asked = tokio::time::timeout(self.timeout, ask(&target.addr)).await;
        let failed = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).err().map(|why| why.to_string());
        lock(&self.outcomes).insert(target.addr.clone(), failed.clone());
        failed.map_or(Ok(()), |why| Err(Error::explain(ErrorType::ConnectError, why)))
    }

    fn health_threshold(&self, success: bool) -> usize {
        if success { self.successes } else { self.failures }
    }
}

async fn ask(address: &SocketAddr) -> io::Result<()> {
    let mut socket = Socket::connect(address, &ReadAheadBudget::new(0)).await?;
    socket.write_all(REQUEST).await?;
    let mut status = *b"HTTP/1.1 200";
    socket.read_exact(&mut status).await?;
    match &status {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', b'1'..=b'4', _, _] => Ok(()),
        [.., b' ', b'5', _, _] => Err(io::Error::other("it answers 5xx")),
        _ => Err(io::Error::other("it does not answer in HTTP/1.1")),
    }
}
