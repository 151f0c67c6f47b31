//! Buckets of a real S3 server: one SeaweedFS for each program of tests, and a fresh bucket for who asks.

use crate::certificates::Authority;
use crate::content::sha256;
use crate::curl::Curl;
use crate::directory::fresh_dir;
use crate::last_will::LastWill;
use crate::process::Process;
use crate::programs::{program, tool};
use crate::secrets::note_password;
use std::fmt::Display;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ACCESS_KEY: &str = "end-to-end";
const SECRET_KEY: &str = "secret/of+tests";

/// How long it may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A bucket that nobody else has.
#[derive(Debug, Clone)]
pub struct Bucket {
    name: String,
    endpoint: String,
}

impl Bucket {
    /// A bucket with nothing in it.
    ///
    /// # Panics
    /// When the server does not start, or does not make it.
    pub fn fresh() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bucket-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let bucket = Self { name, endpoint: format!("http://{}", Weed::shared().address) };
        bucket.request("PUT", "").run().expect(200);
        bucket
    }

    /// The same bucket, which keeps from now on what is deleted.
    ///
    /// # Panics
    /// When the server does not do it.
    pub fn versioned(self) -> Self {
        let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        let hash = sha256(enabled.as_bytes()).replace("sha256:", "x-amz-content-sha256: ");
        self.request("PUT", "?versioning=").body(enabled).header(&hash).run().expect(200);
        self
    }

    /// The same bucket, reached over TLS.
    pub fn over_tls(self) -> Self {
        Self { endpoint: format!("https://{}", Weed::shared().tls_address), ..self }
    }

    /// The certificate of the authority that the server's is signed by.
    pub fn authority() -> PathBuf {
        Weed::shared().authority.certificate.clone()
    }

    /// What `storage.data` says.
    pub fn url(&self) -> String {
        format!("s3://{}", self.name)
    }

    /// `lockgate-backend copy`, which is told of this bucket's server by its environment.
    pub fn copying(&self, from: impl Display, to: impl Display) -> Command {
        let mut copy = program("lockgate-backend");
        copy.args(["copy", &from.to_string(), &to.to_string()]).envs(Self::credentials());
        copy.env("LOCKGATE_BACKEND_S3_ENDPOINT", &self.endpoint);
        copy.env("LOCKGATE_BACKEND_S3_PATH_STYLE", "true").env("LOCKGATE_BACKEND_S3_ALLOW_HTTP", "true");
        copy
    }

    /// The keys of `[s3]`, and their values as they are written there.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("s3.endpoint", format!("'{}'", self.endpoint)),
            ("s3.path_style", "true".to_owned()),
            ("s3.allow_http", "true".to_owned()),
        ]
    }

    /// The variables that have the credentials.
    pub fn credentials() -> [(&'static str, &'static str); 2] {
        note_password(ACCESS_KEY, SECRET_KEY);
        [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]
    }

    /// What distribution's configuration has below `storage`.
    pub(crate) fn driver(&self) -> String {
        format!(
            "  s3:\n    region: us-east-1\n    regionendpoint: {}\n    bucket: {}\n    accesskey: {ACCESS_KEY}\n    \
             secretkey: {SECRET_KEY}\n    secure: false\n    v4auth: true\n    rootdirectory: /\n  redirect:\n    \
             disable: true\n",
            self.endpoint, self.name
        )
    }

    /// Where the server listens.
    pub fn address(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// The keys that begin so, in the order of the server.
    ///
    /// # Panics
    /// When the server does not tell.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        // What is signed is the query as it stands, and a slash does not stand in one.
        let escaped = |text: &str| text.replace('/', "%2F");
        loop {
            let after = keys.last().map(|last| format!("&start-after={}", escaped(last))).unwrap_or_default();
            let query = format!("?list-type=2&prefix={}{after}", escaped(prefix));
            let page = self.request("GET", &query).run().expect(200).text();
            keys.extend(page.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())));
            if !page.contains("<IsTruncated>true") {
                return keys;
            }
        }
    }

    /// A request to the server, of the bucket or of what is in it.
    fn request(&self, method: &str, rest: &str) -> Curl {
        let [(_, key), (_, secret)] = Self::credentials();
        let curl = Curl::new(&format!("{}/{}{rest}", self.endpoint, self.name)).method(method);
        curl.user(&format!("{key}:{secret}")).args(&["--aws-sigv4", "aws:amz:us-east-1:s3"])
    }
}

/// The server, which ends with the program.
#[derive(Debug)]
struct Weed {
    address: String,
    tls_address: String,
    authority: Authority,
    _process: Process,
    _directory: TempDir,
    _will: LastWill,
}

impl Weed {
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Weed> = OnceLock::new();
        // Another program may take a port between the moment that it was free and the start.
        SHARED.get_or_init(|| (0..3).find_map(|_| Self::start()).expect("weed starts"))
    }

    fn start() -> Option<Self> {
        let directory = fresh_dir();
        let users = format!(
            r#"{{"identities": [{{"name": "tests", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}]}}]}}"#
        );
        fs::write(directory.path().join("users.json"), users).expect("the directory is ours");
        let authority = Authority::new(directory.path());
        authority.issue("weed", &["127.0.0.1"]);
        let ports = free_ports();
        let mut process = Process::start(weed(directory.path(), &ports).current_dir(directory.path()));
        let will = LastWill::ending(&[&process]);
        let [address, tls_address] = [ports[6], ports[8]].map(|port| format!("127.0.0.1:{port}"));
        let begun = Instant::now();
        while !refuses_strangers(&address) {
            if begun.elapsed() > START || !process.is_running() {
                eprintln!("{}", process.stderr().text());
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { address, tls_address, authority, _process: process, _directory: directory, _will: will })
    }
}

fn free_ports() -> [u16; 9] {
    // All at once, so that they are nine.
    let listeners = [(); 9].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    listeners.map(|listener| listener.local_addr().expect("it is bound").port())
}

fn weed(directory: &Path, ports: &[u16; 9]) -> Command {
    let mut weed = tool("weed");
    weed.args(["-v=0", "server", "-s3"]).arg(format!("-dir={}", directory.display()));
    for (name, pair) in ["master", "volume", "filer", "s3"].iter().zip(ports.chunks(2)) {
        weed.arg(format!("-{name}.port={}", pair[0])).arg(format!("-{name}.port.grpc={}", pair[1]));
    }
    weed.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.electionTimeout=1s"]);
    weed.args(["-master.volumeSizeLimitMB=64", "-volume.max=10000", "-s3.config=users.json"]);
    weed.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"]);
    weed.arg(format!("-s3.port.https={}", ports[8])).args(["-s3.cert.file=weed.crt", "-s3.key.file=weed.key"]);
    weed.args(["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]);
    weed
}

/// Whether it serves by now: who shows nothing is refused.
fn refuses_strangers(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut line = String::new();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").is_ok()
        && BufReader::new(stream).read_line(&mut line).is_ok()
        && line.starts_with("HTTP/1.1 403")
}
