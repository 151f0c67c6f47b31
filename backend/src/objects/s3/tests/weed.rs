//! A SeaweedFS of the tests' own: one for each program of tests, which ends with it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Whom it lets in.
pub(crate) const ACCESS_KEY: &str = "tests";
pub(crate) const SECRET_KEY: &str = "not/a+secret";

/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts it, and ends it and its directory when the standard input ends, which it does with whoever holds the other
/// end, however that ends.
const KEEPER: &str = r#"trap "" INT; cd "$1"; shift; "$@" >log 2>&1 & read -r _; kill -9 $!; wait; rm -rf "$PWD""#;

/// What serves S3 at an address.
pub(crate) struct Weed {
    pub(crate) address: String,
    /// It ends when this does.
    _keeper: (Child, ChildStdin),
}

impl Weed {
    /// The one of this program.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Weed> = OnceLock::new();
        // Another program may take a port between the moment that it was free and the start.
        SHARED.get_or_init(|| {
            (0..3).find_map(|_| Self::start()).expect("weed starts; see that it is on PATH (make clients)")
        })
    }

    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("there is room for a directory").keep();
        let users = format!(
            r#"{{"identities": [{{"name": "tests", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}]}}]}}"#
        );
        std::fs::write(directory.join("users.json"), users).expect("the directory is ours");
        let listeners: Vec<TcpListener> =
            (0..8).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free")).collect();
        let ports: Vec<u16> = listeners.iter().map(|it| it.local_addr().expect("it is bound").port()).collect();
        drop(listeners);
        let names = ["master.port", "volume.port", "filer.port", "s3.port"];
        let ports_of = names
            .iter()
            .zip(ports.chunks(2))
            .flat_map(|(name, pair)| [format!("-{name}={}", pair[0]), format!("-{name}.grpc={}", pair[1])]);
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "sh"])
            .arg(&directory)
            .args(["weed", "-v=0", "server", "-dir=.", "-s3"])
            .args(ports_of);
        keeper.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.electionTimeout=1s"]);
        keeper.args(["-master.volumeSizeLimitMB=64", "-volume.max=10000", "-s3.config=users.json"]);
        keeper.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"]);
        keeper.args(["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]);
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut keeper = keeper.spawn().expect("sh starts");
        let stdin = keeper.stdin.take().expect("it is piped");
        let address = format!("127.0.0.1:{}", ports[6]);
        let begun = Instant::now();
        while !answers(&address) && begun.elapsed() < PATIENCE && !has_ended(&directory) {
            std::thread::sleep(Duration::from_millis(50));
        }
        if answers(&address) {
            return Some(Self { address, _keeper: (keeper, stdin) });
        }
        drop(stdin);
        keeper.wait().expect("it is our child");
        None
    }
}

/// It says why it ended before it was up.
fn has_ended(directory: &Path) -> bool {
    let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
    log.contains("address already in use") || log.contains("not found")
}

fn answers(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut head = [0; 12];
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head.starts_with(b"HTTP/1.1 403")
}
