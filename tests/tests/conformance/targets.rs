//! The registries that are asked. Each is started once, by the first test that needs it.

use lockgate_e2e::{Backend, Bucket, Client, DockerRegistry, Door, Gate, LastWill, fresh_dir};
use std::any::Any;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// A registry to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// `lockgate-backend`.
    Backend,
    /// The same behind `lockgate`.
    Proxied,
    /// The same within `lockgate`.
    Within,
    /// Two gates, each of which gets every other request, before three of the first over one bucket.
    Bucket,
    /// Distribution 2.8.
    DockerRegistry,
}

/// How it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Setting {
    /// Deletes are allowed, and manifests must have their content.
    Usual,
    /// Deletes are forbidden.
    NoDelete,
    /// Manifests need not have their content.
    Sparse,
}

/// Where a registry is, and what a client must show.
#[derive(Debug, Clone)]
pub(crate) enum Entrance {
    /// Whoever comes may in.
    Open(SocketAddr),
    /// TLS and a password, at any of these.
    Gates(Vec<Door>),
}

impl Entrance {
    pub(crate) fn client(&self) -> Client {
        match self {
            Self::Open(address) => Client::plain(*address),
            Self::Gates(doors) => Client::in_turn_at(doors),
        }
    }
}

/// A running registry; it is never dropped.
struct Server {
    entrance: Entrance,
    _running: Box<dyn Any + Send>,
}

static SERVERS: Mutex<Option<HashMap<(Target, Setting), Server>>> = Mutex::new(None);

/// The entrance of a target, which is started if it does not run.
pub(crate) fn entrance(target: Target, setting: Setting) -> Entrance {
    // Whoever panicked could not start a server; the next one tries again.
    let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    let servers = servers.get_or_insert_default();
    servers.entry((target, setting)).or_insert_with(|| start(target, setting)).entrance.clone()
}

fn start(target: Target, setting: Setting) -> Server {
    let data = fresh_dir();
    match target {
        Target::DockerRegistry => {
            let registry = match setting {
                Setting::NoDelete => DockerRegistry::without_delete_over(data.path()),
                // It has no setting for sparse manifests.
                Setting::Usual | Setting::Sparse => DockerRegistry::over(data.path()),
            };
            let entrance = Entrance::Open(registry.address().parse().expect("it says where it listens"));
            let will = LastWill::ending(&[registry.process()]);
            Server { entrance, _running: Box::new((registry, will, data)) }
        }
        Target::Bucket => on_a_bucket(setting),
        Target::Within => {
            let gate = Gate::over(data.path());
            let gate = match setting {
                Setting::Usual => gate,
                Setting::NoDelete => gate.set("storage.delete", false),
                Setting::Sparse => gate.set("storage.sparse", true),
            };
            let gate = gate.start();
            let entrance = Entrance::Gates(vec![gate.door().clone()]);
            let will = LastWill::ending(&[gate.process()]);
            Server { entrance, _running: Box::new((gate, will, data)) }
        }
        Target::Backend | Target::Proxied => {
            let backend = match setting {
                Setting::Usual => Backend::over(data.path()),
                Setting::NoDelete => Backend::without_delete_over(data.path()),
                Setting::Sparse => Backend::sparse_over(data.path()),
            };
            if target == Target::Proxied {
                return behind_a_gate(backend, data);
            }
            let address = backend.url().trim_start_matches("http://");
            let entrance = Entrance::Open(address.parse().expect("it says where it listens"));
            let will = LastWill::ending(&[backend.process()]);
            Server { entrance, _running: Box::new((backend, will, data)) }
        }
    }
}

fn on_a_bucket(setting: Setting) -> Server {
    let bucket = Bucket::fresh();
    let settings = match setting {
        Setting::Usual => "",
        Setting::NoDelete => "storage.delete = false",
        Setting::Sparse => "storage.sparse = true",
    };
    let nodes = [(); 3].map(|()| Backend::configured_on(&bucket, settings));
    let urls = nodes.each_ref().map(Backend::url);
    let gates = [(); 2].map(|()| Gate::before(format!("{urls:?}")).start());
    let entrance = Entrance::Gates(gates.iter().map(|gate| gate.door().clone()).collect());
    let processes = gates.iter().map(Gate::process).chain(nodes.iter().map(Backend::process));
    let will = LastWill::ending(&processes.collect::<Vec<_>>());
    Server { entrance, _running: Box::new((gates, nodes, will)) }
}

fn behind_a_gate(backend: Backend, data: impl Any + Send) -> Server {
    let gate = Gate::before(backend.url()).start();
    let entrance = Entrance::Gates(vec![gate.door().clone()]);
    let will = LastWill::ending(&[gate.process(), backend.process()]);
    Server { entrance, _running: Box::new((gate, backend, will, data)) }
}
