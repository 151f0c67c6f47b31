//! The requests of crane, containerd and BuildKit, as their sources make them.

use super::before_both;
use super::clocks::{LEEWAY, LIFE, with_short_tokens};
use crate::{ALICE, BOB, blob, path_of, push};
use lockgate_e2e::{Answer, Gate, sha256};

/// A client that gets tokens where challenges send it.
struct Client<'a> {
    gate: &'a Gate,
    way: Way,
    credentials: Option<&'a str>,
    scopes: Vec<String>,
    token: Option<String>,
}

#[derive(Clone, Copy)]
enum Way {
    /// crane, cosign, ko, kaniko, flux: GET with Basic; whatever a 401 asks for is added, and asked for once more.
    Crane,
    /// containerd, and BuildKit by its command line: POST, and GET where that is refused; the token is kept for good, but
    /// where a challenge says `error`.
    Containerd,
}

/// A parameter of a challenge.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let value = challenge.split_once(&format!("{name}=\""))?.1;
    Some(value.split('"').next().expect("it has a first part").to_owned())
}

impl<'a> Client<'a> {
    fn new(gate: &'a Gate, way: Way, credentials: Option<&'a str>) -> Self {
        Self { gate, way, credentials, scopes: Vec::new(), token: None }
    }

    /// The same, which asks for this scope from the beginning.
    fn asking_for(mut self, scope: &str) -> Self {
        self.scopes.push(scope.to_owned());
        self
    }

    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        if self.token.is_none() && matches!(self.way, Way::Crane) {
            let ping = self.gate.stranger("/v2/").run().expect(401);
            if let Err(refused) = self.heed(ping.head().one("www-authenticate")) {
                return refused;
            }
        }
        let answer = self.once(method, path, body);
        if answer.status() != 401 {
            return answer;
        }
        let challenge = answer.head().one("www-authenticate").to_owned();
        if matches!(self.way, Way::Containerd) && self.token.is_some() && parameter(&challenge, "error").is_none() {
            return answer;
        }
        if let Err(refused) = self.heed(&challenge) {
            return refused;
        }
        self.once(method, path, body)
    }

    fn once(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let request = self.gate.stranger(path).method(method);
        let request = request.header(&format!("Accept: {MANIFEST}"));
        let request = match method {
            "HEAD" => request.arg("--head"),
            "GET" => request,
            _ if path.contains("/manifests/") => request.body_of_type(MANIFEST, body),
            _ => request.body_of_type("application/octet-stream", body),
        };
        let token = self.token.iter().map(|token| format!("Authorization: Bearer {token}"));
        token.fold(request, |request, token| request.header(&token)).run()
    }

    /// Gets the token that a challenge asks for.
    fn heed(&mut self, challenge: &str) -> Result<(), Answer> {
        assert_eq!(parameter(challenge, "realm"), Some(self.gate.door().url("/token")), "{challenge}");
        let service = parameter(challenge, "service").expect("a service");
        let asked = parameter(challenge, "scope").unwrap_or_default();
        for scope in asked.split(' ').filter(|scope| !scope.is_empty()) {
            if !self.scopes.iter().any(|known| known == scope) {
                self.scopes.push(scope.to_owned());
            }
        }
        let answer = match (self.way, self.credentials.and_then(|credentials| credentials.split_once(':'))) {
            (Way::Containerd, Some((user, password))) => {
                let scope = self.scopes.join("%20");
                let form = format!(
                    "grant_type=password&service={service}&client_id=containerd-client&scope={scope}&username={user}\
                     &password={password}"
                );
                let post = self.gate.stranger("/token").method("POST");
                let post = post.body_of_type("application/x-www-form-urlencoded; charset=utf-8", form).run();
                if [401, 404, 405].contains(&post.status()) { self.get_token(&service) } else { post }
            }
            _ => self.get_token(&service),
        };
        if answer.status() != 200 {
            return Err(answer);
        }
        let said = answer.json();
        let token = said["access_token"].as_str().or_else(|| said["token"].as_str());
        self.token = Some(token.expect("a token").to_owned());
        Ok(())
    }

    fn get_token(&self, service: &str) -> Answer {
        let scopes = self.scopes.iter().map(|scope| format!("&scope={scope}")).collect::<String>();
        let request = self.gate.stranger(&format!("/token?service={service}{scopes}"));
        self.credentials.into_iter().fold(request, |request, credentials| request.user(credentials)).run()
    }

    /// Uploads a blob by a POST without a body, a PATCH, and a PUT without one.
    #[track_caller]
    fn upload(&mut self, begun: &Answer, content: &[u8]) {
        let sent = self.send("PATCH", &path_of(begun.head().one("location")), content).expect(202);
        let location = path_of(sent.head().one("location"));
        let separator = if location.contains('?') { '&' } else { '?' };
        self.send("PUT", &format!("{location}{separator}digest={}", sha256(content)), b"").expect(201);
    }
}

const MANIFEST: &str = "application/vnd.oci.image.index.v1+json";
const WAYS: [Way; 2] = [Way::Crane, Way::Containerd];

#[test]
fn without_credentials_they_pull_what_anyone_may() {
    before_both(|gate| {
        push(gate, "public/app", "v1", "public");
        push(gate, "team/app", "v1", "team");
        for way in WAYS {
            let mut client = Client::new(gate, way, None);
            client.send("HEAD", "/v2/public/app/manifests/v1", b"").expect(200);
            client.send("GET", "/v2/public/app/manifests/v1", b"").expect(200);
            let refused = client.send("GET", "/v2/team/app/manifests/v1", b"");
            let (code, message) = refused.oci_error(401);
            assert_eq!(code, "DENIED");
            assert!(message.starts_with("log in first: docker login"), "{message}");
        }
    });
}

#[test]
fn they_push_what_is_granted_and_show_why_not() {
    before_both(|gate| {
        push(gate, "public/app", "v1", "public");
        for (number, way) in WAYS.into_iter().enumerate() {
            let mut alice = Client::new(gate, way, Some(ALICE));
            let (content, tag) = (format!("layer {number}"), format!("/v2/team/app/manifests/v{number}"));
            alice.send("HEAD", &tag, b"").expect(404);
            let begun = alice.send("POST", "/v2/team/app/blobs/uploads/", b"").expect(202);
            alice.upload(&begun, content.as_bytes());
            alice.send("PUT", &tag, crate::index("theirs").as_bytes()).expect(201);
            alice.send("GET", &tag, b"").expect(200);
            let mut bob = Client::new(gate, way, Some(BOB));
            bob.send("HEAD", "/v2/public/app/manifests/v2", b"").expect(404);
            let (_, message) = bob.send("POST", "/v2/public/app/blobs/uploads/", b"").oci_error(403);
            assert!(message.starts_with("bob may not push public/app: no grant gives create or push"), "{message}");
            // What a HEAD is answered has no body to say it, and containerd repeats it as a GET.
            assert_eq!(bob.send("HEAD", &tag, b"").status(), 403);
            let (_, message) = bob.send("GET", &tag, b"").oci_error(403);
            assert!(message.starts_with("bob may not pull team/app: no grant gives pull"), "{message}");
        }
    });
}

#[test]
fn a_wrong_password_is_no_token_by_post_and_then_by_get() {
    before_both(|gate| {
        push(gate, "team/app", "v1", "team");
        for way in WAYS {
            let mut client = Client::new(gate, way, Some("alice:wrong-horse"));
            let refused = client.send("GET", "/v2/team/app/manifests/v1", b"");
            let (code, message) = refused.oci_error(401);
            assert_eq!((&*code, &*message), ("UNAUTHORIZED", "the user name or the password is wrong"));
            assert_eq!(client.token, None);
        }
    });
}

/// Both ask for the source's scope by themselves; an older crane does not, and is told it.
#[test]
fn a_layer_is_mounted_from_where_one_may_pull_and_uploaded_where_not() {
    before_both(|gate| {
        let digest = blob(gate, "team/app", b"the layer");
        let mount = |repository: &str| format!("/v2/{repository}/blobs/uploads/?from=team%2Fapp&mount={digest}");
        let scope = |repository: &str| format!("repository:{repository}:pull,push");
        let source = "repository:team/app:pull";
        for (number, way) in WAYS.into_iter().enumerate() {
            let (hers, his) = (format!("home/alice/x{number}"), format!("home/bob/x{number}"));
            let mut alice = Client::new(gate, way, Some(ALICE)).asking_for(&scope(&hers)).asking_for(source);
            alice.send("POST", &mount(&hers), b"").expect(201);
            let mut bob = Client::new(gate, way, Some(BOB)).asking_for(&scope(&his)).asking_for(source);
            let begun = bob.send("POST", &mount(&his), b"").expect(202);
            bob.upload(&begun, b"the layer");
        }
        let mut older = Client::new(gate, Way::Crane, Some(ALICE)).asking_for(&scope("home/alice/old"));
        older.send("POST", &mount("home/alice/old"), b"").expect(201);
    });
}

/// What podman does in the place of a mount where it gets an upload: it gives that up and begins one of its own.
#[test]
fn the_upload_in_the_place_of_a_mount_may_be_given_up() {
    before_both(|gate| {
        let digest = blob(gate, "team/app", b"the layer");
        let uploads = "/v2/home/bob/app/blobs/uploads/";
        let mut bob = Client::new(gate, Way::Crane, Some(BOB)).asking_for("repository:home/bob/app:pull,push");
        let begun = bob.send("POST", &format!("{uploads}?from=team%2Fapp&mount={digest}"), b"").expect(202);
        bob.send("DELETE", &path_of(begun.head().one("location")), b"").expect(204);
        let begun = bob.send("POST", uploads, b"").expect(202);
        bob.upload(&begun, b"the layer");
    });
}

/// As a build with its cache in the registry, which reads that at its beginning and writes it at its end. containerd keeps
/// its token until it is told that it is none, and crane asks for another at any 401.
#[test]
fn with_a_token_that_has_ended_meanwhile_they_get_another_and_go_on() {
    with_short_tokens(|gate, clock| {
        for way in WAYS {
            clock.set(0);
            let mut client = Client::new(gate, way, Some(ALICE));
            let cache = "/v2/team/cache/manifests/latest";
            client.send("GET", "/v2/team/cache/manifests/none", b"").expect(404);
            let begun = client.send("POST", "/v2/team/cache/blobs/uploads/", b"").expect(202);
            client.upload(&begun, b"a layer");
            let first = client.token.clone();
            clock.set(LIFE + LEEWAY + 10);
            client.send("PUT", cache, crate::index("cache").as_bytes()).expect(201);
            assert_ne!(client.token, first);
            client.send("GET", cache, b"").expect(200);
        }
    });
}
