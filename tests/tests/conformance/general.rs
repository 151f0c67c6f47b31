//! The base, the grammar of names and tags, methods, and how refusals are written.

use crate::images::{IMAGE, Manifest, NOWHERE};
use crate::targets::{Entrance, Setting, Target, entrance};
use crate::visit::Visit;
use lockgate_e2e::{Curl, sha256};

checks! {
    "Determining Support" {
        MUST the_base_answers_200_with_json,
        ALSO every_answer_says_registry_2_0,
    }
    "Pulling manifests: <name>" {
        MUST every_form_of_name_in_the_grammar_is_a_repository,
        MUST a_name_has_255_bytes_at_most,
        MUST a_name_with_upper_case_is_name_invalid,
        MUST a_name_that_begins_with_a_separator_is_name_invalid,
        MUST a_name_that_ends_with_a_separator_is_name_invalid,
        MUST a_name_with_a_wrong_run_of_separators_is_name_invalid,
        MUST a_name_with_an_empty_component_is_name_invalid,
        MUST a_name_with_a_component_of_dots_is_name_invalid,
        MUST a_name_with_an_escape_is_400,
    }
    "Pulling manifests: <tag-or-digest>" {
        MUST every_form_of_tag_in_the_grammar_is_taken,
        MUST a_tag_that_begins_with_a_dot_or_a_dash_is_400,
        MUST a_tag_of_129_bytes_is_400,
        MUST a_reference_with_a_colon_that_is_no_digest_is_digest_invalid,
    }
    "Error Codes" {
        MUST a_refusal_is_json_with_a_code_and_a_message,
        MUST a_refusal_of_a_head_has_no_body,
        ALSO a_path_that_the_specification_does_not_know_is_refused_in_json,
        ALSO the_connection_goes_on_after_a_refusal,
    }
    "Endpoints" {
        MUST the_base_knows_get_and_head,
        MUST the_catalog_knows_get_and_head,
        MUST a_list_of_tags_knows_get_and_head,
        MUST a_manifest_knows_get_head_put_and_delete,
        MUST a_blob_knows_get_head_and_delete,
        MUST the_place_of_uploads_knows_post,
        MUST an_upload_knows_get_head_patch_put_and_delete,
        MUST a_list_of_referrers_knows_get_and_head,
    }
}

fn the_base_answers_200_with_json(visit: &Visit) {
    for path in ["/v2/", "/v2"] {
        let answer = visit.get(path).expect(200).with_body("{}");
        assert!(answer.header("content-type").starts_with("application/json"));
    }
    visit.head("/v2/").expect(200);
}

fn every_answer_says_registry_2_0(visit: &Visit) {
    let header = "docker-distribution-api-version";
    visit.get("/v2/").expect(200).with(header, "registry/2.0");
    visit.get("manifests/none").expect(404).with(header, "registry/2.0");
    visit.post("blobs/uploads/").expect(202).with(header, "registry/2.0");
}

fn every_form_of_name_in_the_grammar_is_a_repository(visit: &Visit) {
    for part in ["a", "0", "a.b", "a_b", "a__b", "a-b", "a---b", "a.b_c__d-e--f", "blobs", "tags/list", "a/b/c/d/e"] {
        let name = visit.below(part);
        let blob = visit.push_to(&name, part);
        visit.get(format!("/v2/{name}/{}", blob.path())).expect(200).with_body(part);
    }
}

fn a_name_has_255_bytes_at_most(visit: &Visit) {
    let longest = visit.below(&"a".repeat(254 - visit.repository.len()));
    let blob = visit.push_to(&longest, "content");
    visit.head(format!("/v2/{longest}/{}", blob.path())).expect(200);
    is_invalid(visit, &format!("{longest}a"));
}

fn is_invalid(visit: &Visit, name: &str) {
    visit.get(format!("/v2/{name}/manifests/latest")).refused(400, "NAME_INVALID");
    visit.get(format!("/v2/{name}/tags/list")).refused(400, "NAME_INVALID");
    visit.get(format!("/v2/{name}/blobs/{NOWHERE}")).refused(400, "NAME_INVALID");
    visit.get(format!("/v2/{name}/referrers/{NOWHERE}")).refused(400, "NAME_INVALID");
    visit.post(format!("/v2/{name}/blobs/uploads/")).refused(400, "NAME_INVALID");
}

fn a_name_with_upper_case_is_name_invalid(visit: &Visit) {
    is_invalid(visit, &visit.below("Upper"));
}

fn a_name_that_begins_with_a_separator_is_name_invalid(visit: &Visit) {
    for part in ["-a", ".a", "_a"] {
        is_invalid(visit, &visit.below(part));
    }
}

fn a_name_that_ends_with_a_separator_is_name_invalid(visit: &Visit) {
    for part in ["a-", "a.", "a_"] {
        is_invalid(visit, &visit.below(part));
    }
}

fn a_name_with_a_wrong_run_of_separators_is_name_invalid(visit: &Visit) {
    for part in ["a..b", "a___b", "a._b", "a.-b", "a-_b"] {
        is_invalid(visit, &visit.below(part));
    }
}

fn a_name_with_an_empty_component_is_name_invalid(visit: &Visit) {
    is_invalid(visit, &visit.below("a//b"));
    is_invalid(visit, &visit.below("a/"));
}

fn a_name_with_a_component_of_dots_is_name_invalid(visit: &Visit) {
    is_invalid(visit, &visit.below("../b"));
    is_invalid(visit, &visit.below("./b"));
}

fn a_name_with_an_escape_is_400(visit: &Visit) {
    for part in ["a%2fb", "%61"] {
        let answer = visit.get(format!("/v2/{}/tags/list", visit.below(part))).expect(400);
        // The proxy refuses escapes in any path, and tells so.
        let code = if answer.json().to_string().contains("UNSUPPORTED") { "UNSUPPORTED" } else { "NAME_INVALID" };
        answer.with_error(code);
    }
}

fn every_form_of_tag_in_the_grammar_is_taken(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    for tag in ["latest", "V2", "0", "_", "_x", "1.0-rc.1_a", "a..b", "a--", &"t".repeat(128)] {
        visit.put_manifest(tag, &image).expect(201);
        assert_eq!(visit.tagged(tag), image.digest);
    }
}

fn a_tag_that_begins_with_a_dot_or_a_dash_is_400(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    for tag in [".a", "-a", "...", "a+b", "a~b"] {
        visit.put_manifest(tag, &image).refused(400, "TAG_INVALID");
        visit.read_manifest("GET", tag).send().with_status(&[400, 404]).with_error("TAG_INVALID");
    }
}

fn a_tag_of_129_bytes_is_400(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    visit.put_manifest(&"t".repeat(129), &image).refused(400, "TAG_INVALID");
}

fn a_reference_with_a_colon_that_is_no_digest_is_digest_invalid(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    for reference in ["sha256:baddigeststring", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", "a:b"] {
        visit.put_manifest(reference, &image).refused(400, "DIGEST_INVALID");
        visit.read_manifest("GET", reference).refused(400, "DIGEST_INVALID");
    }
}

fn a_refusal_is_json_with_a_code_and_a_message(visit: &Visit) {
    visit.push("content");
    visit.get(format!("blobs/{NOWHERE}")).refused(404, "BLOB_UNKNOWN");
    visit.get("manifests/none").refused(404, "MANIFEST_UNKNOWN");
    visit.get(format!("/v2/{}/tags/list", visit.below("none"))).refused(404, "NAME_UNKNOWN");
    visit.patch("blobs/uploads/9b1f8c5e-3d0a-4c52-8f0e-0d4b1c2a3e4f").body("x").refused(404, "BLOB_UPLOAD_UNKNOWN");
    visit.put("manifests/bad").header("Content-Type", IMAGE).body("{").refused(400, "MANIFEST_INVALID");
    visit.post(format!("blobs/uploads/?digest={NOWHERE}")).body("other").refused(400, "DIGEST_INVALID");
}

fn a_refusal_of_a_head_has_no_body(visit: &Visit) {
    // Each on the connection of the one before: a body would be taken for the next answer.
    visit.head(format!("blobs/{NOWHERE}")).expect(404);
    visit.head("manifests/none").expect(404);
    let blob = visit.push("content");
    visit.head(blob.path()).expect(200);
}

fn a_path_that_the_specification_does_not_know_is_refused_in_json(visit: &Visit) {
    for path in ["x", "tags", "tags/", "layers/x", "tags/list/x", "manifests", "/v2/_oci/x", "/v1/", "/"] {
        let answer = visit.get(path).send().with_status(&[400, 404]);
        let code = if answer.status() == 404 { "UNSUPPORTED" } else { "NAME_INVALID" };
        answer.with_error(code);
    }
}

fn the_connection_goes_on_after_a_refusal(visit: &Visit) {
    let refused = visit.patch("blobs/uploads/none").body(vec![0; 200_000]).refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert_ne!(refused.listed("connection"), ["close"]);
    visit.get("/v2/").expect(200);
}

fn methods(visit: &Visit, path: &str, wrong: &[&str], right: &[&str]) {
    for method in wrong {
        let answer = visit.request(method, path).body("").refused(405, "UNSUPPORTED");
        let mut allowed = answer.listed("allow");
        allowed.sort_unstable();
        assert_eq!(allowed, right, "{method}");
    }
}

fn the_base_knows_get_and_head(visit: &Visit) {
    methods(visit, "/v2/", &["POST", "PUT", "PATCH", "DELETE", "OPTIONS"], &["GET", "HEAD"]);
}

fn the_catalog_knows_get_and_head(visit: &Visit) {
    methods(visit, "/v2/_catalog", &["POST", "PUT", "PATCH", "DELETE"], &["GET", "HEAD"]);
}

fn a_list_of_tags_knows_get_and_head(visit: &Visit) {
    methods(visit, "tags/list", &["POST", "PUT", "PATCH", "DELETE"], &["GET", "HEAD"]);
}

fn a_manifest_knows_get_head_put_and_delete(visit: &Visit) {
    methods(visit, "manifests/latest", &["POST", "PATCH"], &["DELETE", "GET", "HEAD", "PUT"]);
}

fn a_blob_knows_get_head_and_delete(visit: &Visit) {
    methods(visit, &format!("blobs/{}", sha256(&b""[..])), &["POST", "PUT", "PATCH"], &["DELETE", "GET", "HEAD"]);
}

fn the_place_of_uploads_knows_post(visit: &Visit) {
    methods(visit, "blobs/uploads/", &["GET", "PUT", "PATCH", "DELETE"], &["POST"]);
}

fn an_upload_knows_get_head_patch_put_and_delete(visit: &Visit) {
    methods(visit, &visit.begin(), &["POST"], &["DELETE", "GET", "HEAD", "PATCH", "PUT"]);
}

fn a_list_of_referrers_knows_get_and_head(visit: &Visit) {
    methods(visit, &format!("referrers/{NOWHERE}"), &["POST", "PUT", "PATCH", "DELETE"], &["GET", "HEAD"]);
}

#[test]
fn a_stranger_is_asked_for_credentials_and_told_so_in_the_registry_s_language() {
    let Entrance::Gates(doors) = entrance(Target::Proxied, Setting::Usual) else { panic!("the proxy has a door") };
    let door = &doors[0];
    for path in ["/v2/", "/v2/_catalog", "/v2/a/tags/list"] {
        let answer = Curl::new(&door.url(path)).trusting(&door.ca).run();
        assert_eq!(answer.oci_error(401).0, "UNAUTHORIZED");
        assert!(answer.head().one("www-authenticate").starts_with("Basic realm="));
    }
}
