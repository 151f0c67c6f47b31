//! Pulling: blobs, parts of blobs, manifests, and what is asked for by HEAD or under a condition.

use crate::images::{DOCKER_IMAGE, DOCKER_INDEX, INDEX, Manifest, NOWHERE, index_of};
use crate::visit::{Blob, Visit, closing};
use lockgate_e2e::{Pattern, sha512};
use serde_json::json;

checks! {
    "Pulling blobs" {
        MUST a_blob_comes_with_its_exact_bytes_and_digest,
        MUST a_blob_that_is_unknown_is_404,
        MUST a_blob_of_another_repository_is_404,
        MUST a_blob_of_an_unknown_repository_is_404,
        MUST an_empty_blob_is_a_blob,
        MUST a_blob_pushed_by_sha512_is_pulled_by_it,
        ALSO a_blob_by_a_malformed_digest_is_digest_invalid,
        ALSO a_blob_by_an_unknown_algorithm_is_digest_invalid,
        ALSO a_blob_is_an_octet_stream,
        ALSO a_blob_may_be_cached_for_long,
    }
    "Pulling blobs: Range (RFC 9110, 14)" {
        SHOULD a_range_with_two_ends_is_206,
        SHOULD a_range_with_an_open_end_is_206,
        SHOULD a_range_from_the_end_is_206,
        SHOULD a_range_beyond_the_end_is_cut_to_it,
        ALSO a_range_beyond_every_number_is_cut_to_the_end,
        SHOULD a_range_of_one_byte_has_one_byte,
        SHOULD a_range_after_the_end_is_416_and_the_connection_goes_on,
        SHOULD a_range_that_runs_backwards_is_416,
        SHOULD a_range_of_no_bytes_from_the_end_is_416,
        SHOULD a_range_of_an_empty_blob_is_416,
        SHOULD a_range_in_another_unit_is_ignored,
        SHOULD several_ranges_are_answered_by_all_of_the_blob_or_by_parts,
        SHOULD ranges_are_offered_by_get_and_head,
        SHOULD a_head_has_no_range,
    }
    "Checking if content exists in the registry" {
        MUST a_head_of_a_blob_has_its_size_and_digest_and_no_body,
        MUST a_head_of_an_unknown_blob_is_404,
        MUST a_head_of_a_manifest_has_its_size_and_digest_and_no_body,
        MUST a_head_of_an_unknown_manifest_is_404,
    }
    "Pulling manifests" {
        MUST a_manifest_by_tag_comes_with_its_exact_bytes_and_digest,
        MUST a_manifest_by_digest_comes_with_its_exact_bytes_and_digest,
        MUST a_manifest_pushed_by_sha512_is_pulled_by_it,
        MUST a_manifest_by_an_unknown_tag_is_404,
        MUST a_manifest_by_an_unknown_digest_is_404,
        MUST a_manifest_of_an_unknown_repository_is_404,
        MUST a_manifest_of_another_repository_is_404,
        SHOULD an_index_has_the_type_it_was_pushed_with,
        SHOULD a_docker_image_has_the_type_it_was_pushed_with,
        SHOULD a_docker_list_has_the_type_it_was_pushed_with,
        SHOULD the_type_of_a_manifest_has_no_parameters,
        ALSO a_manifest_is_given_to_who_names_no_type,
        ALSO an_index_is_given_as_it_is_to_who_names_no_type,
    }
    "RFC 9110, 13: Conditional Requests" {
        ALSO the_entity_tag_of_a_blob_is_its_quoted_digest,
        ALSO the_entity_tag_of_a_manifest_is_its_quoted_digest,
        ALSO a_blob_that_the_client_has_is_304,
        ALSO a_manifest_that_the_client_has_is_304,
        ALSO a_condition_without_quotes_is_understood,
        ALSO a_manifest_that_changed_under_its_tag_is_200,
        ALSO the_condition_goes_before_the_range,
        ALSO a_range_if_the_blob_is_still_the_same_is_206,
        ALSO a_range_if_the_blob_is_another_is_all_of_it,
    }
}

fn a_blob_comes_with_its_exact_bytes_and_digest(visit: &Visit) {
    let blob = visit.push(Pattern::new(1, 300_000).bytes());
    visit.get(blob.path()).expect(200).with_content(&blob.digest, &blob.content);
}

fn a_blob_that_is_unknown_is_404(visit: &Visit) {
    visit.push("content");
    visit.get(format!("blobs/{NOWHERE}")).refused(404, "BLOB_UNKNOWN");
}

fn a_blob_of_another_repository_is_404(visit: &Visit) {
    let blob = visit.push_to(&visit.below("other"), "not for everybody");
    visit.push("content");
    visit.get(blob.path()).refused(404, "BLOB_UNKNOWN");
    visit.head(blob.path()).expect(404);
}

fn a_blob_of_an_unknown_repository_is_404(visit: &Visit) {
    let answer = visit.get(format!("/v2/{}/blobs/{NOWHERE}", visit.below("none"))).expect(404);
    let code = if answer.json().to_string().contains("NAME_UNKNOWN") { "NAME_UNKNOWN" } else { "BLOB_UNKNOWN" };
    answer.with_error(code);
}

fn an_empty_blob_is_a_blob(visit: &Visit) {
    let blob = visit.push("");
    visit.get(blob.path()).expect(200).with_content(&blob.digest, "");
    visit.head(blob.path()).expect(200).with("content-length", "0");
}

fn a_blob_pushed_by_sha512_is_pulled_by_it(visit: &Visit) {
    let digest = sha512(&b"content"[..]);
    visit.put(closing(&visit.begin(), &digest)).body("content").expect(201);
    visit.get(format!("blobs/{digest}")).expect(200).with_content(&digest, "content");
    visit.head(format!("blobs/{digest}")).expect(200).with("docker-content-digest", &digest);
}

fn a_blob_by_a_malformed_digest_is_digest_invalid(visit: &Visit) {
    let hex = "a".repeat(64);
    let upper = hex.to_uppercase();
    for digest in [&format!("sha256:{upper}"), "sha256:abc", "sha256:", &hex, "x", &format!("sha512:{hex}")] {
        visit.get(format!("blobs/{digest}")).refused(400, "DIGEST_INVALID");
        visit.head(format!("blobs/{digest}")).expect(400);
    }
}

fn a_blob_by_an_unknown_algorithm_is_digest_invalid(visit: &Visit) {
    visit.get("blobs/md5:d41d8cd98f00b204e9800998ecf8427e").refused(400, "DIGEST_INVALID");
    visit.get(format!("blobs/sha384:{}", "a".repeat(96))).refused(400, "DIGEST_INVALID");
}

fn a_blob_is_an_octet_stream(visit: &Visit) {
    let blob = visit.push("{\"like\": \"json\"}");
    visit.get(blob.path()).expect(200).with("content-type", "application/octet-stream");
}

fn a_blob_may_be_cached_for_long(visit: &Visit) {
    let blob = visit.push("content");
    visit.get(blob.path()).expect(200).with("cache-control", "max-age=31536000");
}

/// A blob to take parts of.
fn ranged(visit: &Visit) -> Blob {
    visit.push(Pattern::new(2, 2048).bytes())
}

fn part(visit: &Visit, range: &str, first: usize, last: usize) {
    let blob = ranged(visit);
    let part = visit.get(blob.path()).header("Range", format!("bytes={range}")).expect(206);
    let part = part.with("content-range", format!("bytes {first}-{last}/2048"));
    let part = part.with("content-length", (last + 1 - first).to_string()).with_body(&blob.content[first..=last]);
    part.with("docker-content-digest", &blob.digest);
}

fn a_range_with_two_ends_is_206(visit: &Visit) {
    part(visit, "500-1499", 500, 1499);
    part(visit, "0-0", 0, 0);
}

fn a_range_with_an_open_end_is_206(visit: &Visit) {
    part(visit, "500-", 500, 2047);
    part(visit, "0-", 0, 2047);
}

fn a_range_from_the_end_is_206(visit: &Visit) {
    part(visit, "-500", 1548, 2047);
    part(visit, "-5000", 0, 2047);
}

fn a_range_beyond_the_end_is_cut_to_it(visit: &Visit) {
    part(visit, "2000-5000", 2000, 2047);
}

fn a_range_beyond_every_number_is_cut_to_the_end(visit: &Visit) {
    part(visit, "2000-99999999999999999999", 2000, 2047);
    part(visit, "-99999999999999999999", 0, 2047);
}

fn a_range_of_one_byte_has_one_byte(visit: &Visit) {
    part(visit, "2047-2047", 2047, 2047);
    part(visit, "2047-", 2047, 2047);
    part(visit, "-1", 2047, 2047);
}

fn unsatisfiable(visit: &Visit, blob: &Blob, range: &str) {
    let answer = visit.get(blob.path()).header("Range", format!("bytes={range}")).refused(416, "RANGE_INVALID");
    answer.with("content-range", format!("bytes */{}", blob.content.len()));
    // On the same connection: the length of the refusal was its own, not the blob's.
    visit.get(blob.path()).expect(200).with_body(&blob.content);
}

fn a_range_after_the_end_is_416_and_the_connection_goes_on(visit: &Visit) {
    let blob = ranged(visit);
    for range in ["5000-10000", "2048-", "99999999999999999999-"] {
        unsatisfiable(visit, &blob, range);
    }
}

fn a_range_that_runs_backwards_is_416(visit: &Visit) {
    unsatisfiable(visit, &ranged(visit), "500-0");
}

fn a_range_of_no_bytes_from_the_end_is_416(visit: &Visit) {
    unsatisfiable(visit, &ranged(visit), "-0");
}

fn a_range_of_an_empty_blob_is_416(visit: &Visit) {
    unsatisfiable(visit, &visit.push(""), "0-");
}

fn a_range_in_another_unit_is_ignored(visit: &Visit) {
    let blob = ranged(visit);
    for range in ["lines=0-1", "0-1", "bytes"] {
        visit.get(blob.path()).header("Range", range).expect(200).with_body(&blob.content);
    }
}

fn several_ranges_are_answered_by_all_of_the_blob_or_by_parts(visit: &Visit) {
    let blob = ranged(visit);
    let answer = visit.get(blob.path()).header("Range", "bytes=0-1,4-5").send().with_status(&[200, 206]);
    if answer.status() == 206 {
        assert!(answer.header("content-type").starts_with("multipart/byteranges"));
    } else {
        answer.with_body(&blob.content);
    }
}

fn ranges_are_offered_by_get_and_head(visit: &Visit) {
    let blob = ranged(visit);
    visit.get(blob.path()).expect(200).with("accept-ranges", "bytes");
    visit.head(blob.path()).expect(200).with("accept-ranges", "bytes");
}

fn a_head_has_no_range(visit: &Visit) {
    let blob = ranged(visit);
    visit.head(blob.path()).header("Range", "bytes=0-1").expect(200).with("content-length", "2048");
}

fn a_head_of_a_blob_has_its_size_and_digest_and_no_body(visit: &Visit) {
    let blob = visit.push(Pattern::new(3, 70_000).bytes());
    let head = visit.head(blob.path()).expect(200);
    head.with("docker-content-digest", &blob.digest).with("content-length", "70000");
    visit.get("/v2/").expect(200);
}

fn a_head_of_an_unknown_blob_is_404(visit: &Visit) {
    let blob = visit.push("content");
    visit.head(format!("blobs/{NOWHERE}")).expect(404);
    visit.head(blob.path()).expect(200);
}

fn a_head_of_a_manifest_has_its_size_and_digest_and_no_body(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    for reference in ["v1", &image.digest] {
        let head = visit.read_manifest("HEAD", reference).expect(200).with("content-type", &image.media_type);
        head.with("docker-content-digest", &image.digest).with("content-length", image.bytes.len().to_string());
    }
    visit.get("/v2/").expect(200);
}

fn a_head_of_an_unknown_manifest_is_404(visit: &Visit) {
    visit.push_image("v1", "layer");
    visit.read_manifest("HEAD", "v2").expect(404);
    visit.read_manifest("HEAD", NOWHERE).expect(404);
    visit.read_manifest("HEAD", "v1").expect(200);
}

fn a_manifest_by_tag_comes_with_its_exact_bytes_and_digest(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.pulls("v1", &image).with_content(&image.digest, &image.bytes);
}

fn a_manifest_by_digest_comes_with_its_exact_bytes_and_digest(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.pulls(&image.digest, &image).with_content(&image.digest, &image.bytes);
}

fn a_manifest_pushed_by_sha512_is_pulled_by_it(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let digest = image.sha512();
    visit.put_manifest(&digest, &image).expect(201).with("docker-content-digest", &digest);
    visit.pulls(&digest, &image).with_content(&digest, &image.bytes);
    visit.read_manifest("HEAD", &digest).expect(200).with("docker-content-digest", &digest);
}

fn a_manifest_by_an_unknown_tag_is_404(visit: &Visit) {
    visit.push_image("v1", "layer");
    visit.read_manifest("GET", "v2").refused(404, "MANIFEST_UNKNOWN");
}

fn a_manifest_by_an_unknown_digest_is_404(visit: &Visit) {
    visit.push_image("v1", "layer");
    visit.read_manifest("GET", NOWHERE).refused(404, "MANIFEST_UNKNOWN");
}

fn a_manifest_of_an_unknown_repository_is_404(visit: &Visit) {
    let answer = visit.get(format!("/v2/{}/manifests/v1", visit.below("none"))).expect(404);
    let code = if answer.json().to_string().contains("NAME_UNKNOWN") { "NAME_UNKNOWN" } else { "MANIFEST_UNKNOWN" };
    answer.with_error(code);
}

fn a_manifest_of_another_repository_is_404(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let other = visit.below("other");
    visit.push_to(&other, "layer");
    visit.get(format!("/v2/{other}/manifests/{}", image.digest)).refused(404, "MANIFEST_UNKNOWN");
}

fn an_index_has_the_type_it_was_pushed_with(visit: &Visit) {
    let index = Manifest::of(&index_of(&[&visit.push_image("v1", "layer")]));
    visit.put_manifest("multi", &index).expect(201);
    visit.pulls("multi", &index).with("docker-content-digest", &index.digest);
}

fn docker_image(visit: &Visit) -> Manifest {
    let mut image = visit.image("layer");
    image["mediaType"] = json!(DOCKER_IMAGE);
    image["config"]["mediaType"] = json!("application/vnd.docker.container.image.v1+json");
    image["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.diff.tar.gzip");
    Manifest::of(&image)
}

fn a_docker_image_has_the_type_it_was_pushed_with(visit: &Visit) {
    let image = docker_image(visit);
    visit.put_manifest("v1", &image).expect(201);
    visit.pulls("v1", &image).with_content(&image.digest, &image.bytes);
}

fn a_docker_list_has_the_type_it_was_pushed_with(visit: &Visit) {
    let image = docker_image(visit);
    visit.put_manifest(&image.digest, &image).expect(201);
    let mut list = index_of(&[&image]);
    list["mediaType"] = json!(DOCKER_INDEX);
    list["manifests"][0]["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let list = Manifest::of(&list);
    visit.put_manifest("multi", &list).expect(201);
    visit.pulls("multi", &list).with_content(&list.digest, &list.bytes);
}

fn the_type_of_a_manifest_has_no_parameters(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let put = visit.put("manifests/v1").header("Content-Type", format!("{}; charset=utf-8", image.media_type));
    put.body(&image.bytes).expect(201);
    visit.pulls("v1", &image);
}

fn a_manifest_is_given_to_who_names_no_type(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    for accept in ["*/*", "application/json", INDEX] {
        visit.get("manifests/v1").header("Accept", accept).expect(200).with_body(&image.bytes);
    }
    visit.get("manifests/v1").expect(200).with("content-type", &image.media_type).with_body(&image.bytes);
}

fn an_index_is_given_as_it_is_to_who_names_no_type(visit: &Visit) {
    let index = Manifest::of(&index_of(&[&visit.push_image("v1", "layer")]));
    visit.put_manifest("multi", &index).expect(201);
    visit.get("manifests/multi").expect(200).with("content-type", INDEX).with_body(&index.bytes);
}

fn the_entity_tag_of_a_blob_is_its_quoted_digest(visit: &Visit) {
    let blob = visit.push("content");
    let tag = format!("\"{}\"", blob.digest);
    visit.get(blob.path()).expect(200).with("etag", &tag);
    visit.head(blob.path()).expect(200).with("etag", &tag);
}

fn the_entity_tag_of_a_manifest_is_its_quoted_digest(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.pulls("v1", &image).with("etag", format!("\"{}\"", image.digest));
}

/// Every way to say that one has it.
fn conditions(digest: &str) -> [String; 4] {
    [format!("\"{digest}\""), format!("W/\"{digest}\""), format!("\"x\", \"{digest}\""), "*".into()]
}

fn a_blob_that_the_client_has_is_304(visit: &Visit) {
    let blob = visit.push("content");
    for condition in conditions(&blob.digest) {
        let answer = visit.get(blob.path()).header("If-None-Match", condition).expect(304);
        answer.with("etag", format!("\"{}\"", blob.digest)).with_body("");
    }
    let other = format!("\"{NOWHERE}\"");
    visit.get(blob.path()).header("If-None-Match", other).expect(200).with_body("content");
}

fn a_manifest_that_the_client_has_is_304(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    for condition in conditions(&image.digest) {
        for reference in ["v1", &image.digest] {
            visit.read_manifest("GET", reference).header("If-None-Match", &condition).expect(304).with_body("");
        }
    }
    visit.read_manifest("HEAD", "v1").header("If-None-Match", format!("\"{}\"", image.digest)).expect(304);
}

fn a_condition_without_quotes_is_understood(visit: &Visit) {
    // As distribution's own clients write it.
    let image = visit.push_image("v1", "layer");
    visit.read_manifest("GET", "v1").header("If-None-Match", &image.digest).expect(304).with_body("");
    visit.read_manifest("GET", "v1").header("If-None-Match", NOWHERE).expect(200).with_body(&image.bytes);
}

fn a_manifest_that_changed_under_its_tag_is_200(visit: &Visit) {
    let before = format!("\"{}\"", visit.push_image("v1", "layer").digest);
    visit.read_manifest("GET", "v1").header("If-None-Match", &before).expect(304);
    let now = visit.push_image("v1", "another layer");
    visit.read_manifest("GET", "v1").header("If-None-Match", &before).expect(200).with_body(&now.bytes);
}

fn the_condition_goes_before_the_range(visit: &Visit) {
    let blob = ranged(visit);
    let request = visit.get(blob.path()).header("Range", "bytes=0-1");
    request.header("If-None-Match", format!("\"{}\"", blob.digest)).expect(304).without("content-range");
}

fn a_range_if_the_blob_is_still_the_same_is_206(visit: &Visit) {
    let blob = ranged(visit);
    let request = visit.get(blob.path()).header("Range", "bytes=2-3");
    let part = request.header("If-Range", format!("\"{}\"", blob.digest)).expect(206);
    part.with_body(&blob.content[2..4]);
}

fn a_range_if_the_blob_is_another_is_all_of_it(visit: &Visit) {
    let blob = ranged(visit);
    for tag in [format!("\"{NOWHERE}\""), format!("W/\"{}\"", blob.digest), "Sat, 21 Nov 2026 00:00:00 GMT".into()] {
        let request = visit.get(blob.path()).header("Range", "bytes=2-3");
        request.header("If-Range", tag).expect(200).with_body(&blob.content);
    }
}
