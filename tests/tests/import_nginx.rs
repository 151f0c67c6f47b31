//! Promise: what `import-nginx` makes of a configuration of nginx's answers as nginx did with it, or refuses.

use lockgate_e2e::{
    Api, Authority, Backend, Curl, Door, Finished, Front, PATIENCE, Process, Scheme, finish, fresh_dir, htpasswd_line,
    program,
};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

/// A directory with a certificate for `ip` and the user alice.
struct Site {
    dir: TempDir,
    ca: Authority,
    ip: &'static str,
}

const ALICE: &str = "alice:correct-horse";

impl Site {
    fn at(ip: &'static str) -> Self {
        let dir = fresh_dir();
        let ca = Authority::new(dir.path());
        ca.issue("domain", &[ip]);
        fs::write(dir.path().join("users"), htpasswd_line(Scheme::Apr1, "alice", "correct-horse") + "\n")
            .expect("the directory is ours");
        Self { dir, ca, ip }
    }

    /// Where the users are, in the place of USERS.
    fn named(&self, directives: &str) -> String {
        directives.replace("USERS", &self.dir.path().join("users").display().to_string())
    }

    /// nginx with a server of a registry, whose location has more in it.
    fn nginx(&self, server: &str, location: &str, registry: &str) -> Front {
        let dir = self.dir.path().display();
        let (server, location) = (self.named(server), self.named(location));
        let config = |address: SocketAddr| {
            format!(
            "events {{}}
             http {{ upstream docker-registry {{ server {registry}; keepalive 4; }}
             map $upstream_http_docker_distribution_api_version $docker_distribution_api_version {{ '' 'registry/2.0'; }}
             server {{
                 listen {address} ssl;
                 ssl_certificate {dir}/domain.crt;
                 ssl_certificate_key {dir}/domain.key;
                 client_max_body_size 0;
                 {server}
                 location /v2/ {{
                     if ($http_user_agent ~ \"^(docker\\/1\\.(3|4|5(?!\\.[0-9]-dev))|Go ).*$\" ) {{ return 404; }}
                     add_header 'Docker-Distribution-Api-Version' $docker_distribution_api_version always;
                     proxy_pass http://docker-registry;
                     proxy_set_header Host $http_host;
                     proxy_set_header X-Forwarded-Proto $scheme;
                     proxy_read_timeout 900;
                     {location}
                 }}
             }} }}"
            )
        };
        Front::nginx_at(self.ip, config)
    }

    fn import(&self, config: &Path, out: &Path) -> Finished {
        finish(program("lockgate").arg("import-nginx").arg(config).arg("--out").arg(out))
    }

    /// Lockgate at nginx's address, after `lockgate check` found nothing.
    fn lockgate_in_place_of(&self, nginx: Front) -> Process {
        let config = nginx.config().to_owned();
        let _files = nginx.stop();
        let out = self.dir.path().join("conf");
        self.import(&config, &out).success();
        let config = out.join("lockgate.toml");
        finish(program("lockgate").arg("check").arg("--config").arg(&config)).success();
        let process = Process::start(program("lockgate").arg("serve").arg("--config").arg(&config));
        process.stderr().await_line(PATIENCE, "it listens", |line| line.contains("listening"));
        process
    }

    fn door(&self, nginx: &Front) -> Door {
        let (user, password) = ALICE.split_once(':').expect("there is one");
        Door {
            address: nginx.address(),
            ca: self.ca.certificate.clone(),
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }
}

/// A question, and what a client sees of its answer: status, digest, and the body of a 200.
type Seen = (String, u16, Option<String>, Vec<u8>);

/// Questions of all kinds, by all whom nginx may tell apart.
fn answers(door: &Door) -> Vec<Seen> {
    let mut all = Vec::new();
    let paths = [
        ("GET", "/v2/"),
        ("GET", "/v2/team/app/manifests/v1"),
        ("HEAD", "/v2/team/app/manifests/v1"),
        ("GET", "/v2/team/app/manifests/none"),
        ("GET", "/v2/team/app/tags/list"),
        ("GET", "/v2/_catalog"),
        ("POST", "/v2/team/app/blobs/uploads/"),
        ("DELETE", "/v2/team/app/manifests/none"),
    ];
    for (method, path) in paths {
        // Lockgate rations wrong passwords.
        let wrong = [Some("alice:wrong"), Some("bob:correct-horse")].into_iter().filter(|_| path == "/v2/");
        for credentials in [None, Some(ALICE)].into_iter().chain(wrong) {
            for (from, agent) in
                [("127.0.0.1", "docker/27.3.1"), ("127.0.0.9", "docker/27.3.1"), ("127.0.0.1", "docker/1.4.1")]
            {
                let curl = Curl::new(&door.url(path)).trusting(&door.ca).method(method);
                let curl = credentials.into_iter().fold(curl, Curl::user);
                let answer = curl.args(&["--interface", from, "--user-agent", agent]).run();
                let digest = answer.head().all("docker-content-digest").first().map(|digest| (*digest).to_owned());
                let question = format!("{method} {path} by {credentials:?} from {from} with {agent}");
                // The words of a refusal are nginx's or Lockgate's.
                let body = if answer.status() == 200 && method == "GET" { answer.body.clone() } else { Vec::new() };
                all.push((question, answer.status(), digest, body));
            }
        }
    }
    all
}

fn host_of(backend: &Backend) -> &str {
    backend.url().strip_prefix("http://").expect("it is of TCP")
}

#[test]
fn the_recipe_of_the_guides_is_answered_as_by_nginx() {
    let (site, data) = (Site::at("127.0.0.71"), fresh_dir());
    let backend = Backend::over(data.path());
    let passwords = "auth_basic \"Registry realm\"; auth_basic_user_file USERS;";
    let nginx = site.nginx("", passwords, host_of(&backend));
    let door = site.door(&nginx);
    Api::at(&door).push_image("team/app", "v1", b"a layer");
    let before = answers(&door);
    assert_eq!((before[0].1, before[1].1, before[3].1), (401, 401, 200), "the configuration is one");
    let _lockgate = site.lockgate_in_place_of(nginx);
    for (theirs, ours) in before.iter().zip(answers(&door)) {
        assert_eq!(*theirs, ours);
    }
    let digest = Api::at(&door).push_image("team/app", "v2", b"another layer");
    assert_eq!(Api::at(&door).manifest("team/app", "v2").expect(200).head().one("docker-content-digest"), digest);
}

#[test]
fn an_address_that_needs_no_password_and_readers_that_need_none_are_answered_as_by_nginx() {
    for (ip, location) in [
        ("127.0.0.72", "satisfy any; allow 127.0.0.9; deny all; auth_basic R; auth_basic_user_file USERS;"),
        ("127.0.0.73", "limit_except GET HEAD { auth_basic R; auth_basic_user_file USERS; }"),
        ("127.0.0.74", "allow 127.0.0.1; deny all; auth_basic R; auth_basic_user_file USERS;"),
    ] {
        let (site, data) = (Site::at(ip), fresh_dir());
        let backend = Backend::over(data.path());
        // The image comes in by other rules.
        let nginx = site.nginx("", "auth_basic R; auth_basic_user_file USERS;", host_of(&backend));
        Api::at(&site.door(&nginx)).push_image("team/app", "v1", b"a layer");
        drop(nginx.stop());
        let nginx = site.nginx("", location, host_of(&backend));
        let door = site.door(&nginx);
        let before = answers(&door);
        let _lockgate = site.lockgate_in_place_of(nginx);
        let after = answers(&door);
        assert_eq!(before.len(), after.len());
        // Who asks for nothing in particular is asked to log in, and gets a token without; and nginx forgets the rule
        // for old docker within limit_except.
        let is_told = |question: &str| question.contains("/v2/team/") && question.ends_with("docker/27.3.1");
        let of_repositories = before.iter().zip(&after).filter(|(theirs, _)| is_told(&theirs.0));
        for (theirs, ours) in of_repositories {
            assert_eq!(
                is_let_in(theirs.1),
                is_let_in(ours.1),
                "{location}: {} with {} and {}",
                theirs.0,
                theirs.1,
                ours.1
            );
        }
    }
}

/// Whether an answer is the registry's and not a refusal.
fn is_let_in(status: u16) -> bool {
    !matches!(status, 401 | 403)
}

#[test]
fn what_lockgate_cannot_look_at_lets_nobody_in() {
    let (site, data) = (Site::at("127.0.0.75"), fresh_dir());
    let backend = Backend::over(data.path());
    let server = "auth_basic R; auth_basic_user_file USERS; if ($http_x_gate != open) { return 403; }";
    let nginx = site.nginx(server, "", host_of(&backend));
    let door = site.door(&nginx);
    let ask = || Curl::new(&door.url("/v2/team/app/blobs/uploads/")).trusting(&door.ca).user(ALICE).method("POST");
    ask().header("X-Gate: open").run().expect(202);
    ask().run().expect(403);
    let _lockgate = site.lockgate_in_place_of(nginx);
    ask().header("X-Gate: open").run().expect(403);
    ask().run().expect(403);
    let report = fs::read_to_string(site.dir.path().join("conf/import-report.txt")).unwrap();
    assert!(report.contains("UNDECIDED: ") && !report.contains("open)"), "{report}");
}

#[test]
fn no_file_is_overwritten_and_what_is_wrong_is_told_its_place() {
    let site = Site::at("127.0.0.1");
    let out = site.dir.path().join("conf");
    let config = site.dir.path().join("registry.conf");
    fs::write(&config, "server { location /v2/ { proxy_pass http://r:5000; } }").unwrap();
    let done = site.import(&config, &out).success();
    assert!(done.stderr.starts_with("DIFFERENT: ") && done.stdout.contains("lockgate check --config"), "{done}");
    let again = site.import(&config, &out).failure();
    assert!(again.stderr.contains("cannot make ") && again.status.code() == Some(1), "{again}");
    let printed = finish(program("lockgate").arg("import-nginx").arg(&config)).success();
    assert_eq!(printed.stdout, fs::read_to_string(out.join("lockgate.toml")).unwrap());
    assert!(printed.stderr.contains("Every directive:"), "{printed}");
    fs::write(&config, "server {\n  location /v2/ { proxy_pass http://r:5000 }\n}").unwrap();
    let wrong = finish(program("lockgate").arg("import-nginx").arg(&config)).failure();
    assert!(wrong.stderr.contains("registry.conf:2:19: a ; is missing behind"), "{wrong}");
    assert_eq!(wrong.status.code(), Some(64));
}
