//! Servers that every test of a process shares live in statics, and statics are never dropped: somebody else must end
//! them.

use crate::directory;
use crate::process::Process;
use crate::programs::tool;
use std::process::{Child, Stdio};

/// What is done when this process has ended, however it ended: the servers are killed, and the directories of
/// [`crate::fresh_dir`] removed.
#[derive(Debug)]
pub struct LastWill {
    /// Waits for the end of its standard input, which is ours: the kernel closes it when we are gone.
    _executor: Child,
}

impl LastWill {
    /// Names the servers.
    ///
    /// # Panics
    /// When there is no shell.
    pub fn ending(servers: &[&Process]) -> Self {
        let script = r#"cat; kill -KILL "$@"; rm -rf -- "$0"*"#;
        let directories = std::env::temp_dir().join(directory::prefix());
        let mut sh = tool("sh");
        sh.arg("-c").arg(script).arg(directories).args(servers.iter().map(|server| server.id().to_string()));
        let executor = sh.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { _executor: executor.expect("sh starts") }
    }
}
