//! Large blobs are read at the bucket's server (`storage.redirect`), by those who can, and it is shown no password.

use lockgate_e2e::{
    Api, Backend, Bucket, Containerd, Curl, Docker, Gate, GateBuilder, ImageLayout, PATIENCE, Pattern, Podman, Skopeo,
    Upstream, digest_of, eventually, fresh_dir,
};
use serde_json::Value;
use std::io::Write as _;
use std::net::TcpStream;

const LARGE: u64 = 3_000_000;

const GRANTS: &str = "[[grant]]\nrepositories = ['**']\nto = ['user:alice']\nallow = ['push']\n";

/// The bucket's server under another name than the gate's, which notes what it is asked.
fn store(bucket: &Bucket) -> Upstream {
    let address = bucket.address().to_owned();
    Upstream::scripted(move |connection| {
        let Some(head) = connection.request()? else { return Ok(()) };
        let mut server = TcpStream::connect(&address)?;
        server.write_all(head.start_line.as_bytes())?;
        for (name, value) in head.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("connection")) {
            write!(server, "\r\n{name}: {value}")?;
        }
        server.write_all(b"\r\nConnection: close\r\n\r\n")?;
        connection.send_all_of(&mut server).map(drop)
    })
}

fn name_of(store: &Upstream) -> String {
    format!("http://localhost:{}", store.address().port())
}

/// A gate with the registry within.
fn within(bucket: &Bucket, store: &Upstream) -> GateBuilder {
    let gate = Gate::on(bucket).set("log.format", "json").set("storage.redirect", "auto");
    gate.set("storage.redirect_endpoint", name_of(store))
}

/// A gate, and the registry behind it.
fn behind(bucket: &Bucket, store: &Upstream) -> (GateBuilder, Backend) {
    let redirect = format!("storage.redirect = 'auto'\nstorage.redirect_endpoint = '{}'", name_of(store));
    let backend = Backend::configured_on(bucket, &redirect);
    (Gate::before(backend.url()).set("log.format", "json"), backend)
}

/// The image's one layer.
fn layer_of(gate: &Gate, repository: &str, tag: &str) -> String {
    let accept =
        "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    let path = format!("/v2/{repository}/manifests/{tag}");
    let manifest = gate.curl(&path).header(accept).run().expect(200).json();
    manifest["layers"][0]["digest"].as_str().expect("it has a layer").to_owned()
}

/// The layer has come from the store to who showed it nothing, and not a byte of it through the gate.
#[track_caller]
fn assert_came_from(store: &Upstream, gate: &Gate, layer: &str) {
    let hex = layer.trim_start_matches("sha256:");
    let received = store.received();
    assert!(received.iter().any(|asked| asked.head.target().contains(hex)), "{received:#?}");
    for asked in &received {
        for header in ["authorization", "cookie", "proxy-authorization"] {
            assert_eq!(asked.head.all(header), [""; 0], "{:#?}", asked.head);
        }
    }
    let answers = eventually(PATIENCE, "the log's line", || {
        let lines = gate.log().text();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let answers: Vec<Value> = lines
            .map(|mut line| if line["fields"].is_object() { line["fields"].take() } else { line })
            .filter(|line| line["method"] == "GET" && line["path"].as_str().is_some_and(|path| path.ends_with(layer)))
            .collect();
        (!answers.is_empty()).then_some(answers)
    });
    for answer in answers {
        assert_eq!((&answer["status"], &answer["bytes_out"]), (&Value::from(307), &Value::from(0)), "{answer}");
    }
}

#[test]
fn skopeo_with_a_token_reads_a_layer_at_the_bucket_s_server() {
    let bucket = Bucket::fresh();
    let store = store(&bucket);
    let (gate, _backend) = behind(&bucket, &store);
    let gate = gate.access(GRANTS).start();
    let dir = fresh_dir();
    let image = ImageLayout::new(dir.path(), 1, LARGE);
    let skopeo = Skopeo::at(gate.door());
    skopeo.push(&image.transport(), "team/app:v1").success();
    skopeo.pull("team/app:v1", &format!("oci:{}:latest", dir.path().join("pulled").display())).success();
    assert_came_from(&store, &gate, &image.layer);
}

#[test]
fn podman_with_a_password_reads_a_layer_at_the_bucket_s_server() {
    let bucket = Bucket::fresh();
    let store = store(&bucket);
    let gate = within(&bucket, &store).start();
    let dir = fresh_dir();
    let image = ImageLayout::new(dir.path(), 2, LARGE);
    Skopeo::at(gate.door()).push(&image.transport(), "team/app:v1").success();
    let (podman, credentials) = (Podman::at(gate.door()), gate.door().credentials());
    podman.run(&["pull", "--cert-dir", "CERTS", "--creds", &credentials, "DOOR/team/app:v1"]).success();
    assert_came_from(&store, &gate, &image.layer);
}

#[test]
#[ignore = "needs a Docker engine"]
fn docker_reads_a_layer_at_the_bucket_s_server_with_a_password_and_with_a_token() {
    for grants in [None, Some(GRANTS)] {
        let bucket = Bucket::fresh();
        let store = store(&bucket);
        let (gate, _backend) = behind(&bucket, &store);
        let gate = grants.into_iter().fold(gate, GateBuilder::access).start();
        let docker = Docker::at(gate.door()).logged_in();
        let content = Pattern::new(u64::from(gate.door().address.port()), LARGE).bytes();
        let image = docker.import("team/app:v1", &content, &[]);
        docker.run(&["push", &image]).success();
        docker.run(&["rmi", &image]).success();
        docker.run(&["pull", &image]).success();
        assert_came_from(&store, &gate, &layer_of(&gate, "team/app", "v1"));
    }
}

#[test]
#[ignore = "needs a Docker engine"]
fn containerd_reads_a_layer_at_the_bucket_s_server_with_a_password_and_with_a_token() {
    for grants in [None, Some(GRANTS)] {
        let bucket = Bucket::fresh();
        let store = store(&bucket);
        let gate = grants.into_iter().fold(within(&bucket, &store), GateBuilder::access).start();
        let dir = fresh_dir();
        let image = ImageLayout::new(dir.path(), 3, LARGE);
        Skopeo::at(gate.door()).push(&image.transport(), "team/app:v1").success();
        Containerd::at(gate.door()).pull("team/app:v1").success();
        assert_came_from(&store, &gate, &image.layer);
    }
}

#[test]
fn whole_large_blobs_are_read_there_and_nothing_else_is_and_by_no_browser() {
    let bucket = Bucket::fresh();
    let store = store(&bucket);
    let gate = within(&bucket, &store).start();
    let (large, small) = (Pattern::new(4, (1 << 20) + 1).bytes(), Pattern::new(5, 1 << 20).bytes());
    let api = Api::at(gate.door());
    let path_of = |content: &[u8]| format!("/v2/team/app/blobs/{}", api.push_blob("team/app", content));
    let (path, small_path) = (path_of(&large), path_of(&small));
    assert!(path.ends_with(&digest_of(&large)));

    let sent = gate.curl(&path).run().expect(307);
    let location = sent.head().one("location");
    assert!(location.starts_with(&name_of(&store)) && sent.body.is_empty(), "{sent:#?}");
    let followed = gate.curl(&path).arg("--location").run();
    assert_eq!((followed.statuses(), followed.body == large), (vec![307, 200], true));
    let part = Curl::new(location).args(&["--range", "1000-1999"]).run().expect(206);
    assert!(part.body == large[1000..2000], "a signature is of every range");
    assert_eq!(store.received().len(), 2);

    assert!(gate.curl(&small_path).run().expect(200).body == small);
    gate.curl(&path).method("HEAD").run().expect(200);
    assert!(gate.curl(&path).args(&["--range", "1000-1999"]).run().expect(206).body == large[1000..2000]);
    let page = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let marks = ["Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: document"];
    for mark in marks.into_iter().chain(["Origin: https://pages.test", page]) {
        assert!(gate.curl(&path).header(mark).run().expect(200).body == large, "{mark}");
    }
    // Where it is the registry's own name, some would show it the password.
    let own = format!("Host: localhost:{}", gate.door().address.port());
    assert!(gate.curl(&path).header(&own).run().expect(200).body == large);
    assert_eq!(store.received().len(), 2, "nobody else was sent there");
}
