//! The words between this process and a supervisor such as systemd: `sd_listen_fds(3)`,
//! `sd_notify(3)`. Without one nothing happens.

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The listening socket that `LISTEN_FDS` announces, if it does.
///
/// Call it before there are threads: it takes the announcement out of the environment.
///
/// # Errors
/// There are several, or it is no TCP socket.
pub fn given_listener() -> io::Result<Option<TcpListener>> {
    let mut given = ListenFd::from_env();
    match given.len() {
        0 => Ok(None),
        1 => given.take_tcp_listener(0),
        many => Err(io::Error::other(format!("LISTEN_FDS gives {many} sockets; one is wanted"))),
    }
}

/// This process serves now, whichever did before.
pub(crate) fn ready() {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
}

/// This process is about to end, and none follows.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        tracing::warn!(%error, "cannot tell the supervisor at NOTIFY_SOCKET");
    }
}
