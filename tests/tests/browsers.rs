//! Promise: a browser runs nothing of what was pushed, shows nothing to the next user, and does nothing for other sites.

use lockgate_e2e::{Answer, Api, Gate, Upstream, fresh_dir};

const BLOB: &str = "/v2/a/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn typed(media_type: &str, more: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n{more}Content-Length: 17\r\n\r\n<script></script>")
}

#[track_caller]
fn assert_disarmed(blob: &Answer, media_type: &str) {
    assert_eq!(blob.head().one("content-type"), media_type);
    assert_eq!(blob.head().one("content-disposition"), "attachment");
    assert_eq!(blob.head().one("x-content-type-options"), "nosniff");
    assert_eq!(blob.head().one("content-security-policy"), "default-src 'none'; frame-ancestors 'none'; sandbox");
}

/// zot serves a blob under the type that a manifest gives it.
#[test]
fn a_blob_that_is_a_page_or_a_script_is_bytes() {
    for runs in ["text/html", "Text/HTML;charset=utf-8", "image/svg+xml", "text/javascript", "text/css"] {
        let upstream = Upstream::answering(typed(runs, "Content-Disposition: inline\r\n"));
        let gate = Gate::before(upstream.url()).start();
        assert_disarmed(&gate.curl(BLOB).run().expect(200), "application/octet-stream");
        assert_disarmed(&gate.curl(BLOB).method("HEAD").run().expect(200), "application/octet-stream");
    }
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let upstream = Upstream::answering(typed(layer, ""));
    let gate = Gate::before(upstream.url()).start();
    assert_disarmed(&gate.curl(BLOB).run().expect(200), layer);
}

#[test]
fn a_blob_of_the_registry_within_is_bytes_whole_and_in_parts() {
    let data = fresh_dir();
    let gate = Gate::over(data.path()).start();
    let api = Api::at(gate.door());
    let digest = api.push_blob("eve/x", b"<script></script>");
    assert_disarmed(&api.blob("eve/x", &digest).expect(200), "application/octet-stream");
    let part = gate.curl(&format!("/v2/eve/x/blobs/{digest}")).header("Range: bytes=0-3").run().expect(206);
    assert_disarmed(&part, "application/octet-stream");
}

#[test]
fn a_manifest_keeps_its_type_and_runs_in_a_sandbox() {
    let upstream = Upstream::answering(typed("text/html", ""));
    let gate = Gate::before(upstream.url()).start();
    let answer = gate.curl("/v2/a/manifests/v1").run().expect(200);
    assert_eq!(answer.head().one("content-type"), "text/html");
    assert!(answer.head().one("content-security-policy").ends_with("; sandbox"));
}

/// Our blobs are kept for a year, and two people share a browser.
#[test]
fn every_answer_is_for_the_user_who_asked() {
    let upstream = Upstream::answering(typed("application/json", "Vary: Accept\r\n"));
    let gate = Gate::before(upstream.url()).start();
    assert_eq!(gate.curl(BLOB).run().expect(200).head().all("vary"), ["Accept", "Authorization"]);
    assert_eq!(gate.stranger("/v2/").run().head().all("vary"), ["Authorization"]);
}

#[test]
fn another_site_asks_nothing_with_the_browser_s_password() {
    let upstream = Upstream::answering(typed("application/json", ""));
    let gate = Gate::before(upstream.url()).start();
    for site in ["cross-site", "same-site"] {
        let mount = format!("/v2/public/x/blobs/uploads/?from=secret/y&mount={}", &BLOB[12..]);
        for (method, path) in [("POST", &*mount), ("GET", "/v2/"), ("DELETE", "/v2/a/manifests/v1")] {
            let site = format!("Sec-Fetch-Site: {site}");
            let (code, _) = gate.curl(path).method(method).header(&site).run().oci_error(403);
            assert_eq!(code, "DENIED");
            let wrong = gate.stranger(path).method(method).header(&site).user("alice:wrong-horse").run();
            wrong.oci_error(403);
        }
    }
    assert!(upstream.received().is_empty());
    for own in ["same-origin", "none"] {
        gate.curl("/v2/").header(&format!("Sec-Fetch-Site: {own}")).run().expect(200);
    }
}

/// A registry with the same users asks for their passwords by itself.
#[test]
fn a_browser_gets_no_prompt_from_the_registry_behind_either() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
    let upstream = Upstream::answering(answer);
    let gate = Gate::before(upstream.url()).set("upstream.forward_authorization", true).start();
    let challenges = |mode: Option<&str>| {
        let request = mode.into_iter().fold(gate.curl("/v2/"), |request, mode| request.header(mode));
        request.run().expect(401).head().all("www-authenticate").len()
    };
    assert_eq!(challenges(Some("Sec-Fetch-Mode: cors")), 0);
    assert_eq!(challenges(None), 1);
}
