//! Commands for the process that has a directory, or a bucket alone: over a socket that its user alone may use.
//!
//! A directory has it within. That of a bucket is in a directory of the user's own, below `XDG_RUNTIME_DIR` or else `/tmp`.
//!
//! Who asks sends an [`Operation`] in a line of JSON; who answers sends a line of JSON for each line that the command says,
//! and one for how it ended.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_oci::Algorithm;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::operation::Operation;
use super::outcome::{OperationError, Say};
use crate::config::{Data, Nodes, S3Server, Storage};
use crate::hasher::digest_of;
use crate::registry::Registry;

/// Below a data directory.
const DIRECTORY: &str = ".lockgate";
const NAME: &str = "socket";

/// The longest command, in bytes: a plan of a hundred thousand lines.
const MAX_COMMAND: u64 = 64 << 20;

/// After an error to accept, trying at once would only spin.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, Deserialize)]
enum Told {
    Line(String),
    Done,
    Failed(String),
}

/// Answers commands for a directory, as long as it is not dropped.
pub(crate) async fn answer_commands(registry: Registry) {
    let Some((directory, name)) = place(&registry.storage, &registry.endpoint) else { return };
    let listener = match made(&registry.storage, &directory).and_then(|()| bind(&directory, &name)) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "commands beside this process are not answered: there is no socket for them");
            return;
        }
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if is_ours(&stream) => drop(connections.spawn(converse(stream, registry.clone()))),
                Ok(_) => tracing::warn!("another user asked over the socket for commands, and was not answered"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a command");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

/// Whether it is this process's user who asks, or root: for a moment others may reach a socket that was just made.
fn is_ours(stream: &UnixStream) -> bool {
    let ours = [0, rustix::process::geteuid().as_raw()];
    stream.peer_cred().is_ok_and(|peer| ours.contains(&peer.uid()))
}

/// The directory and the name of the socket of whoever has these alone.
fn place(storage: &Storage, endpoint: &S3Server) -> Option<(PathBuf, String)> {
    match &storage.data {
        Data::Directory(data) => Some((data.join(DIRECTORY), NAME.to_owned())),
        Data::Bucket(_) if storage.nodes == Nodes::Many => None,
        Data::Bucket(bucket) => {
            let user = rustix::process::geteuid().as_raw();
            let below = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
            let name = digest_of(Algorithm::Sha256, format!("{bucket} {endpoint}").as_bytes());
            Some((below.join(format!("lockgate-{user}")), name.hex()[..16].to_owned()))
        }
    }
}

/// Makes the directory of a socket, where it is none of the data's.
fn made(storage: &Storage, directory: &Path) -> io::Result<()> {
    if storage.data.directory().is_some() {
        return Ok(());
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if is_private(directory)? {
        Ok(())
    } else {
        Err(io::Error::other(format!("{} is not ours alone", directory.display())))
    }
}

/// Whether nobody else can have put a socket there.
fn is_private(directory: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(directory)?;
    Ok(metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0)
}

/// A path that is short enough for a socket, however long that of its directory is; good as long as the directory is open.
fn short(directory: &File, name: &str) -> PathBuf {
    Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name)
}

fn bind(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let opened = File::open(directory)?;
    // That of a process which is gone: this one has the data.
    match fs::remove_file(directory.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(short(&opened, name))?;
    fs::set_permissions(directory.join(name), Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn converse(stream: UnixStream, registry: Registry) {
    let (read, mut write) = stream.into_split();
    let mut command = Vec::new();
    let read = BufReader::new(read.take(MAX_COMMAND)).read_until(b'\n', &mut command).await;
    let Ok(operation) = serde_json::from_slice::<Operation>(&command) else {
        tracing::warn!(?read, "what came over the socket for commands is no command");
        return;
    };
    // At most a plan, which names no more than so many things.
    let (lines, mut said) = mpsc::unbounded_channel();
    let run = async move {
        // Who asked may have left: it goes on all the same.
        let mut say = |line| drop(lines.send(Told::Line(line)));
        let told = match operation.run(&registry, &mut say).await {
            Ok(()) => Told::Done,
            Err(OperationError(message)) => Told::Failed(message),
        };
        drop(lines.send(told));
    };
    let tell = async move {
        while let Some(told) = said.recv().await {
            let mut line = serde_json::to_vec(&told).expect("texts are written as JSON");
            line.push(b'\n');
            write.write_all(&line).await?;
        }
        Ok::<_, io::Error>(())
    };
    let _ = tokio::join!(run, tell);
}

/// Has the process carry out a command that has this directory, and says what it says.
///
/// # Errors
/// It cannot be reached, or the command failed.
pub async fn ask(data: &Path, operation: &Operation, say: Say<'_>) -> io::Result<()> {
    let directory = File::open(data.join(DIRECTORY))?;
    let stream = UnixStream::connect(short(&directory, NAME)).await.map_err(|error| {
        let message = format!(
            "another process has {}, and cannot be asked to do this ({error}): run this as its user, or stop it first",
            data.display()
        );
        io::Error::new(error.kind(), message)
    })?;
    command(stream, operation, say).await
}

/// The same for the process that has a bucket alone (`storage.nodes = "one"`), where there is one on this machine; false
/// where there is none.
///
/// # Errors
/// The command failed.
pub async fn ask_node(storage: &Storage, endpoint: &S3Server, operation: &Operation, say: Say<'_>) -> io::Result<bool> {
    let place = place(storage, endpoint).filter(|_| storage.data.directory().is_none());
    let Some((directory, name)) = place.filter(|(directory, _)| is_private(directory).unwrap_or_default()) else {
        return Ok(false);
    };
    let directory = File::open(directory)?;
    let Ok(stream) = UnixStream::connect(short(&directory, &name)).await else { return Ok(false) };
    command(stream, operation, say).await.map(|()| true)
}

async fn command(stream: UnixStream, operation: &Operation, say: Say<'_>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(operation).map_err(io::Error::other)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line).map_err(io::Error::other)? {
            Told::Line(line) => say(line),
            Told::Done => return Ok(()),
            Told::Failed(message) => return Err(io::Error::other(message)),
        }
    }
    Err(io::Error::other("the process that serves ended before it was done; its log says why"))
}
