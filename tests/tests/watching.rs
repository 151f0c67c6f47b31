//! Promise: whoever runs a gate or a registry is told how it is, on a listener of its own: metrics that Prometheus reads,
//! whether it can do its work, and nothing that a stranger can make grow.

use lockgate_e2e::{
    Backend, Curl, Gate, PATIENCE, PlainApi, Process, Signal, Upstream, eventually, finish, finish_with_input,
    fresh_dir, tool,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What is answered at a socket to `GET path`: a status and a body.
fn ask(socket: &Path, path: &str, accept: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).expect("somebody listens there");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers with text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("it has a head");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

fn metrics(socket: &Path) -> String {
    let (status, text) = ask(socket, "/metrics", OPEN_METRICS);
    assert_eq!(status, 200, "{text}");
    text
}

fn readiness(socket: &Path) -> (u16, Value) {
    let (status, report) = ask(socket, "/readyz", "*/*");
    (status, serde_json::from_str(&report).expect("it is JSON"))
}

/// The value of a series, as it is written before it.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().expect("a number")
}

/// The names and types of all metrics.
fn told(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

struct Watched {
    gate: Gate,
    backend: Backend,
    of_gate: PathBuf,
    of_backend: PathBuf,
    _data: tempfile::TempDir,
}

/// A gate before a backend, both with an admin listener.
fn watched() -> Watched {
    let data = fresh_dir();
    let of_backend = data.path().join("admin.sock");
    let settings = format!(
        "admin.listen = 'unix:{}'\n[[quota]]\nrepositories = 'team/**'\nbytes = '1MiB'\n",
        of_backend.display()
    );
    let backend = Backend::configured_over(&data.path().join("registry"), &settings);
    let gate = Gate::before(backend.url());
    let of_gate = gate.dir().join("admin.sock");
    let gate = gate.set("admin.listen", format!("unix:{}", of_gate.display())).start();
    Watched { gate, backend, of_gate, of_backend, _data: data }
}

#[test]
fn each_metric_stands_in_the_table_and_each_of_the_table_is_told() {
    let Watched { gate, backend, of_gate, of_backend, _data } = watched();
    PlainApi::through(gate.door()).push_image("team/app", "v1", b"a layer");
    eventually(2 * PATIENCE, "it is counted", || metrics(&of_backend).contains("storage_blobs").then_some(()));
    let page = fs::read_to_string(repository().join("docs/watching.md")).expect("it is there");
    for (heading, socket) in [("## The gate's", &of_gate), ("## The registry's", &of_backend)] {
        let (_, rows) = page.split_once(heading).expect("it has its table");
        let rows = rows.split("\n## ").next().expect("it ends").lines().filter_map(|row| row.strip_prefix("| `"));
        let rows = rows.map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().expect("a name").trim_end_matches('`').to_owned();
            (name, cells.next().expect("a type").trim().to_owned())
        });
        assert_eq!(told(&metrics(socket)), rows.collect(), "{heading}");
    }
    drop((gate, backend));
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    let Watched { gate, backend, of_gate, of_backend, _data } = watched();
    PlainApi::through(gate.door()).push_image("team/app", "v1", b"a layer");
    for socket in [&of_gate, &of_backend] {
        let (_, text) = ask(socket, "/metrics", "text/plain");
        let checked = finish_with_input(tool("promtool").args(["check", "metrics"]), text.as_bytes());
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert!(checked.status.success() && said.is_empty(), "{said}\n{text}");
    }
    drop((gate, backend));
}

#[test]
fn what_is_done_is_counted() {
    let Watched { gate, backend, of_gate, of_backend, _data } = watched();
    PlainApi::through(gate.door()).push_image("team/app", "v1", &[7; 10_000]);
    assert_eq!(gate.by("alice:wrong", "GET", "/v2/").run().status(), 401);
    assert_eq!(gate.stranger("/v2/team/app/tags/list").run().status(), 401);
    let text = metrics(&of_gate);
    let pushed = "action=\"push_manifest\",method=\"PUT\",status=\"2xx\"";
    assert_eq!(value(&text, &format!("lockgate_requests_total{{{pushed}}}")), 1.0);
    assert!(value(&text, "lockgate_received_bytes_total") > 10_000.0, "{text}");
    assert!(value(&text, "lockgate_logins_total{scheme=\"basic\",result=\"good\"}") >= 2.0);
    assert_eq!(value(&text, "lockgate_logins_total{scheme=\"basic\",result=\"wrong\"}"), 1.0);
    assert_eq!(value(&text, "lockgate_hashes_total"), 2.0, "a password that is known is not hashed again");
    assert!(value(&text, "lockgate_handshakes_total{result=\"TLSv1.3\"}") >= 3.0);
    assert!(value(&text, "lockgate_certificate_expiry_timestamp_seconds{name=\"localhost\"}") > 1.7e9);
    assert_eq!(value(&text, "lockgate_upstream_addresses{state=\"ready\"}"), 1.0);
    let text = metrics(&of_backend);
    assert_eq!(value(&text, &format!("lockgate_backend_requests_total{{{pushed}}}")), 1.0);
    assert!(value(&text, "lockgate_storage_free_bytes") > 0.0);
    let taken = "lockgate_storage_quota_taken_bytes{repositories=\"team/**\"}";
    assert!(value(&text, taken) > 10_000.0, "{text}");
    drop(backend);
}

#[test]
fn no_stranger_makes_the_metrics_grow() {
    let Watched { gate, backend, of_gate, of_backend, _data } = watched();
    let stranger = |number: usize| {
        let path = format!("/v2/name-{number}/manifests/tag-{number}");
        gate.by(&format!("user-{number}:x"), "GET", &path).run();
        gate.stranger(&path).method(&format!("M{number}")).run();
    };
    (0..20).for_each(stranger);
    PlainApi::through(gate.door()).push_image("name-of-a-user/app", "tag-of-a-user", b"a layer");
    for text in [&of_gate, &of_backend].map(|socket| metrics(socket)) {
        for word in ["user-", "name-", "tag-", "\"M"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
    drop(backend);
}

#[test]
fn a_gate_is_ready_while_its_upstream_is_there_and_says_why_it_is_not() {
    let Watched { gate, backend, of_gate, of_backend: _, _data } = watched();
    let (status, report) = readiness(&of_gate);
    assert_eq!((status, &report["ready"]), (200, &Value::from(true)), "{report}");
    backend.stop();
    let (status, report) = readiness(&of_gate);
    let upstream = report["checks"].as_array().expect("a list").iter().find(|check| check["name"] == "upstream");
    let upstream = upstream.expect("it is looked at");
    assert_eq!((status, &upstream["ok"]), (503, &Value::from(false)), "{report}");
    assert!(upstream["reason"].as_str().expect("a text").contains("refused"), "{report}");
    assert_eq!(ask(&of_gate, "/healthz", "*/*").0, 200, "the process is well");
    drop(gate);
}

#[test]
fn a_health_check_asks_there_and_leaves_no_line_in_the_log() {
    let Watched { gate, backend, of_gate: _, of_backend: _, _data } = watched();
    for _ in 0..3 {
        let checked = gate.lockgate(&["health"]);
        assert!(checked.status.success(), "{}", checked.stderr);
    }
    gate.stranger("/v2/").run();
    gate.log().await_line(PATIENCE, "the line of a request", |line| line.contains(" access: "));
    assert_eq!(gate.log().text().matches(" access: ").count(), 1, "{}", gate.log().text());
    drop(backend);
}

#[test]
fn a_second_process_of_a_hand_over_tells_once_the_first_has_let_go() {
    let backend_data = fresh_dir();
    let backend = Backend::over(backend_data.path());
    let gate = Gate::before(backend.url());
    let (socket, handover) = (gate.dir().join("admin.sock"), gate.dir().join("handover.sock"));
    let gate = gate.set("admin.listen", format!("unix:{}", socket.display()));
    let mut gate = gate.set("listen.handover", handover.display()).start();
    assert_eq!(readiness(&socket).0, 200);
    let second = gate.another();
    let mut first = gate.go_on_with(second);
    assert!(first.wait(PATIENCE).success());
    eventually(PATIENCE, "the second tells", || {
        UnixStream::connect(&socket).is_ok().then(|| readiness(&socket)).filter(|(status, _)| *status == 200)
    });
}

#[test]
fn who_is_about_to_end_says_so_first_and_answers_until_the_last_transfer_is_over() {
    let upstream = Upstream::silent();
    let gate = Gate::before(upstream.url());
    let socket = gate.dir().join("admin.sock");
    let gate = gate.set("admin.listen", format!("unix:{}", socket.display())).set("shutdown.grace", "1m").start();
    let _in_flight: Process = gate.curl("/v2/team/app/tags/list").spawn();
    upstream.await_received("the request", |_| true);
    gate.signal(Signal::Terminate);
    eventually(PATIENCE, "it says that it ends", || {
        let (status, report) = readiness(&socket);
        (status == 503 && report["draining"] == true).then_some(())
    });
    assert_eq!(ask(&socket, "/healthz", "*/*").0, 200);
}

/// A Prometheus that reads these every second, with our alerts.
struct Prometheus {
    url: String,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    fn reading(targets: &[String]) -> Self {
        let dir = fresh_dir();
        let rules = repository().join("conf/monitoring/alerts.yml");
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: \
             lockgate\n    static_configs: [{{ targets: {targets:?} }}]\n",
            rules.display()
        );
        fs::write(dir.path().join("prometheus.yml"), config).expect("it is written");
        let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let process = Process::start(
            tool("prometheus")
                .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
                .arg(format!("--web.listen-address={address}")),
        );
        let prometheus = Self { url: format!("http://{address}"), _process: process, _dir: dir };
        eventually(6 * PATIENCE, "Prometheus answers", || std::net::TcpStream::connect(address).is_ok().then_some(()));
        prometheus
    }

    fn get(&self, path: &str, query: &str) -> Value {
        let curl = Curl::new(&format!("{}{path}", self.url)).args(&["-G", "--data-urlencode", query]);
        curl.method("GET").run().json()
    }

    /// How many series an expression has.
    fn series(&self, query: &str) -> usize {
        let answer = self.get("/api/v1/query", &format!("query={query}"));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().map_or(1, Vec::len)
    }
}

/// Each `expr` of a file of rules or of a dashboard, in a form that has data though nothing is wrong.
fn expressions() -> Vec<String> {
    let monitoring = repository().join("conf/monitoring");
    let read = |name: &str| fs::read_to_string(monitoring.join(name)).expect("it is there");
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("it has targets"));
    let drawn = targets.map(|target| target["expr"].as_str().expect("a text").to_owned());
    let drawn = drawn.map(|expr| expr.replace("$__rate_interval", "1m").replace("$instance", ".*"));
    // An alert that is not due has no data, and what it is about has.
    let rules = read("alerts.yml");
    let words =
        rules.split(|c: char| c.is_whitespace() || "()".contains(c)).filter(|word| word.starts_with("lockgate_"));
    let about = words.map(|word| word.split('[').next().expect("it is no part of nothing").to_owned());
    drawn.chain(about).collect()
}

#[test]
fn a_prometheus_reads_both_programs_and_each_query_of_dashboard_and_alerts_has_data() {
    let data = fresh_dir();
    let settings = "admin.listen = '127.0.0.1:0'\n[[quota]]\nrepositories = 'team/**'\nbytes = '1MiB'\n";
    let backend = Backend::configured_over(data.path(), settings);
    let gate = Gate::before(backend.url()).set("admin.listen", "127.0.0.1:0").start();
    let without_upstream = Gate::before("http://127.0.0.1:1").set("admin.listen", "127.0.0.1:0").start();
    let targets = [backend.process().stderr(), gate.log(), without_upstream.log()].map(|log| {
        let line = log.await_line(PATIENCE, "where it tells", |line| line.contains("metrics and health are told"));
        line.rsplit_once("address=").expect("it names it").1.trim().to_owned()
    });
    let prometheus = Prometheus::reading(&targets);
    let mut api = PlainApi::through(gate.door());
    eventually(12 * PATIENCE, "all of it has data", || {
        api.push_image("team/app", "v1", b"a layer");
        api.call("GET", "/v2/team/app/manifests/v1").expect("it answers");
        assert_eq!(without_upstream.curl("/v2/team/app/tags/list").run().status(), 502);
        let missing: Vec<String> = expressions().into_iter().filter(|query| prometheus.series(query) == 0).collect();
        if !missing.is_empty() {
            eprintln!("no data yet: {missing:#?}");
        }
        missing.is_empty().then_some(())
    });
    let rules = prometheus.get("/api/v1/rules", "type=alert");
    let rules = rules["data"]["groups"][0]["rules"].as_array().expect("they are read").len();
    assert_eq!(rules, 9, "each of conf/monitoring/alerts.yml");
}

#[test]
fn the_alerts_tell_what_is_wrong_and_nothing_else() {
    let tested =
        finish(tool("promtool").args(["test", "rules"]).arg(repository().join("conf/monitoring/alerts.test.yml")));
    assert!(tested.status.success(), "{}{}", tested.stdout, tested.stderr);
}
