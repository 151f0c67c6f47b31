//! How many TLS handshakes are computed at a time.
//!
//! A handshake costs a signature, and everybody may begin one. A thousand that are ready at once would be
//! computed one behind the other before any request of a known client. So a handshake advances only with
//! a permit, there are fewer permits than threads, and a permit is given back as soon as the handshake
//! waits for its client: who is slow holds none.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Permits to poll a handshake.
#[derive(Debug)]
pub(super) struct HandshakeSemaphore(Semaphore);

impl HandshakeSemaphore {
    /// As many permits as half of the runtime's threads, at least one.
    pub(super) fn of_half_the_threads() -> Self {
        Self::new((Handle::current().metrics().num_workers() / 2).max(1))
    }

    fn new(at_once: usize) -> Self {
        Self(Semaphore::new(at_once))
    }

    /// Runs `future`, polling it only with a permit.
    pub(super) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            let permit = self.0.acquire().await.expect("nobody closes it");
            let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            drop(permit);
            match polled {
                Poll::Ready(output) => return output,
                Poll::Pending => woken().await,
            }
        }
    }
}

/// Resolves when the task is woken, by whatever it waits for.
async fn woken() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    #[tokio::test]
    async fn who_waits_for_its_client_holds_no_permit() {
        let handshakes = Arc::new(HandshakeSemaphore::new(1));
        let (go_on, wait) = oneshot::channel();
        let slow = tokio::spawn({
            let handshakes = handshakes.clone();
            async move { handshakes.run(wait).await }
        });
        yield_now().await;
        let bound = Duration::from_secs(10);
        let other = handshakes.run(async { yield_now().await });
        tokio::time::timeout(bound, other).await.expect("the slow one is in nobody's way");
        go_on.send(7).expect("it waits");
        assert_eq!(slow.await.expect("no panic"), Ok(7));
    }

    #[tokio::test]
    async fn while_the_permit_is_taken_nobody_else_is_polled() {
        let handshakes = HandshakeSemaphore::new(1);
        let taken = handshakes.0.acquire().await.expect("open");
        let mut run = pin!(handshakes.run(async {}));
        assert!(poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await);
        drop(taken);
        run.await;
    }
}
