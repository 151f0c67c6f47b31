//! Pushing blobs: at once, by a session in one piece or many, and by mounting.

use crate::answer::Answer;
use crate::images::NOWHERE;
use crate::targets::Target;
use crate::visit::{Visit, closing};
use lockgate_e2e::{Pattern, sha256, sha512};

checks! {
    "Pushing a blob monolithically: POST then PUT" {
        MUST a_session_begins_with_202_and_a_location,
        MUST two_sessions_have_two_locations,
        SHOULD the_location_of_a_session_is_relative,
        MUST a_blob_in_one_put_is_201_with_a_pullable_location,
        MUST a_put_without_a_length_is_taken,
        MUST a_blob_that_is_there_is_pushed_again,
        MUST an_empty_blob_in_one_put_is_taken,
        MUST a_digest_may_be_escaped_in_the_query,
        MUST further_parameters_of_the_location_do_no_harm,
    }
    "Pushing a blob monolithically: Single POST" {
        MAY a_blob_in_one_post_is_201_with_a_pullable_location,
        MAY an_empty_blob_in_one_post_is_taken,
        MUST a_post_of_another_content_is_400_and_nothing_appears,
        SHOULD a_post_with_a_malformed_digest_is_400,
    }
    "Pushing a blob in chunks" {
        MUST a_chunk_is_202_with_location_and_range,
        MUST a_blob_comes_in_chunks_and_an_empty_put,
        MUST the_last_chunk_may_come_with_the_put,
        MUST a_stream_without_range_and_length_is_taken,
        MUST a_stream_of_many_megabytes_is_taken,
        MUST an_empty_stream_is_taken,
        MUST a_first_chunk_that_does_not_begin_at_0_is_416,
        MUST a_chunk_after_a_gap_is_416,
        MUST a_chunk_that_comes_twice_is_416,
        MUST a_put_with_a_chunk_after_a_gap_is_416,
        MUST after_a_416_the_upload_goes_on_from_where_it_stands,
        MUST after_a_refused_put_the_upload_goes_on_from_where_it_stands,
        MUST a_range_in_another_form_is_refused_and_nothing_kept,
        ALSO a_chunk_of_another_length_than_its_range_is_size_invalid,
    }
    "Pushing a blob in chunks: GET, DELETE" {
        MUST the_range_of_an_upload_without_data_is_0_0,
        MUST an_upload_says_where_it_stands,
        SHOULD an_upload_is_cancelled_with_204,
        MUST a_cancelled_upload_is_gone,
        MUST a_finished_upload_is_gone,
        MUST an_unknown_upload_is_404,
        MUST an_upload_of_another_repository_is_404,
    }
    "Pushing blobs: digests" {
        SHOULD a_put_of_another_content_is_400_and_nothing_appears,
        SHOULD chunks_of_another_content_are_400_and_nothing_appears,
        SHOULD a_stream_of_another_content_is_400_and_nothing_appears,
        SHOULD a_last_chunk_of_another_content_is_400_and_nothing_appears,
        SHOULD a_put_without_a_digest_is_400,
        SHOULD a_put_with_a_malformed_digest_is_400,
        SHOULD a_put_with_an_unknown_algorithm_is_400,
        ALSO content_is_not_seen_before_it_is_whole,
    }
    "Pushing blobs: digest-algorithm" {
        MUST a_blob_in_one_put_by_sha512,
        MUST a_blob_in_one_post_by_sha512,
        MUST a_blob_in_chunks_by_sha512_without_a_hint,
        MUST a_blob_in_chunks_by_sha512_with_a_hint,
        MUST a_stream_by_sha512_with_a_hint,
        MUST an_empty_blob_by_sha512,
        MUST the_last_request_decides_and_not_the_hint,
        SHOULD a_hint_of_an_unknown_algorithm_is_400,
        SHOULD another_content_than_by_sha512_is_400_and_nothing_appears,
        ALSO one_content_has_a_digest_in_each_algorithm,
    }
    "Mounting a blob from another repository" {
        MUST a_mounted_blob_is_201_with_a_pullable_location,
        MUST a_blob_is_mounted_by_sha512,
        SHOULD a_blob_that_is_not_there_is_answered_with_a_session,
        SHOULD a_blob_of_a_third_repository_is_not_mounted,
        SHOULD a_mount_from_an_unknown_repository_is_answered_with_a_session,
        MAY a_mount_without_a_source_is_a_mount_or_a_session,
        SHOULD a_mount_by_a_malformed_digest_is_400,
        ALSO both_parameters_may_be_escaped,
        ALSO a_blob_is_mounted_where_it_is,
    }
}

const CONTENT: &[u8] = b"first, second, third";

fn digest() -> String {
    sha256(CONTENT)
}

/// The blob is in the repository, whole.
fn arrived(visit: &Visit, digest: &str, content: &[u8]) {
    visit.get(format!("blobs/{digest}")).expect(200).with_content(digest, content);
}

/// A PATCH of `content[first..end]` with its `Content-Range`; where the upload goes on.
fn chunk(visit: &Visit, location: &str, first: usize, end: usize) -> String {
    let patch = visit.patch(location).header("Content-Range", format!("{first}-{}", end - 1));
    let answer = patch.body(&CONTENT[first..end]).expect(202).with("range", format!("0-{}", end - 1));
    answer.location()
}

fn finish(visit: &Visit, location: &str, digest: &str) {
    visit.put(closing(location, digest)).expect(201).with("docker-content-digest", digest);
}

fn a_session_begins_with_202_and_a_location(visit: &Visit) {
    let answer = visit.post("blobs/uploads/").expect(202);
    let last = answer.location();
    let id = last.rsplit('/').next().and_then(|last| last.split('?').next());
    assert_eq!(id.map(str::len), Some(36), "a UUID: {last}");
    visit.get(&last).expect(204);
}

fn two_sessions_have_two_locations(visit: &Visit) {
    let (one, other) = (visit.begin(), visit.begin());
    assert_ne!(one, other);
    visit.put(closing(&one, &sha256(&b"one"[..]))).body("one").expect(201);
    visit.put(closing(&other, &sha256(&b"other"[..]))).body("other").expect(201);
}

fn the_location_of_a_session_is_relative(visit: &Visit) {
    let answer = visit.post("blobs/uploads/").expect(202);
    assert!(answer.header("location").starts_with("/v2/"), "{answer:?}");
}

fn a_blob_in_one_put_is_201_with_a_pullable_location(visit: &Visit) {
    let put = visit.put(closing(&visit.begin(), &digest())).body(CONTENT).expect(201);
    let put = put.with("docker-content-digest", digest());
    visit.get(put.location()).expect(200).with_content(&digest(), CONTENT);
}

fn a_put_without_a_length_is_taken(visit: &Visit) {
    visit.put(closing(&visit.begin(), &digest())).streamed(CONTENT).expect(201);
    arrived(visit, &digest(), CONTENT);
}

fn a_blob_that_is_there_is_pushed_again(visit: &Visit) {
    for _ in 0..2 {
        visit.put(closing(&visit.begin(), &digest())).body(CONTENT).expect(201);
    }
    arrived(visit, &digest(), CONTENT);
}

fn an_empty_blob_in_one_put_is_taken(visit: &Visit) {
    let digest = sha256(&b""[..]);
    finish(visit, &visit.begin(), &digest);
    arrived(visit, &digest, b"");
}

fn a_digest_may_be_escaped_in_the_query(visit: &Visit) {
    visit.put(closing(&visit.begin(), &digest().replace(':', "%3A"))).body(CONTENT).expect(201);
    arrived(visit, &digest(), CONTENT);
}

fn further_parameters_of_the_location_do_no_harm(visit: &Visit) {
    let location = visit.begin();
    let separator = if location.contains('?') { '&' } else { '?' };
    let location = format!("{location}{separator}ns=example.org");
    visit.put(closing(&location, &digest())).body(CONTENT).expect(201);
    arrived(visit, &digest(), CONTENT);
}

fn a_blob_in_one_post_is_201_with_a_pullable_location(visit: &Visit) {
    let post = visit.post(format!("blobs/uploads/?digest={}", digest())).body(CONTENT).expect(201);
    let post = post.with("docker-content-digest", digest());
    visit.get(post.location()).expect(200).with_content(&digest(), CONTENT);
}

fn an_empty_blob_in_one_post_is_taken(visit: &Visit) {
    let digest = sha256(&b""[..]);
    visit.post(format!("blobs/uploads/?digest={digest}")).expect(201);
    arrived(visit, &digest, b"");
}

fn nothing_appeared(visit: &Visit, asked: &str, sent: &[u8]) {
    for digest in [asked, &sha256(sent), &sha512(sent)] {
        assert!(!visit.holds(digest), "{digest} appeared");
    }
}

fn a_post_of_another_content_is_400_and_nothing_appears(visit: &Visit) {
    visit.post(format!("blobs/uploads/?digest={}", digest())).body("other").refused(400, "DIGEST_INVALID");
    nothing_appeared(visit, &digest(), b"other");
}

fn a_post_with_a_malformed_digest_is_400(visit: &Visit) {
    for digest in ["sha256:abc", "x", "", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        visit.post(format!("blobs/uploads/?digest={digest}")).body(CONTENT).refused(400, "DIGEST_INVALID");
    }
}

fn a_chunk_is_202_with_location_and_range(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 6);
    chunk(visit, &location, 6, 7);
}

fn a_blob_comes_in_chunks_and_an_empty_put(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    let location = chunk(visit, &location, 7, 15);
    let location = chunk(visit, &location, 15, CONTENT.len());
    finish(visit, &location, &digest());
    arrived(visit, &digest(), CONTENT);
}

fn the_last_chunk_may_come_with_the_put(visit: &Visit) {
    for range in [None, Some("7-19")] {
        let location = chunk(visit, &visit.begin(), 0, 7);
        let put = visit.put(closing(&location, &digest())).body(&CONTENT[7..]);
        let put = range.into_iter().fold(put, |put, range| put.header("Content-Range", range));
        visit.get(put.expect(201).location()).expect(200).with_body(CONTENT);
    }
}

fn a_stream_without_range_and_length_is_taken(visit: &Visit) {
    let answer = visit.patch(visit.begin()).streamed(CONTENT).expect(202).with("range", "0-19");
    finish(visit, &answer.location(), &digest());
    arrived(visit, &digest(), CONTENT);
}

fn a_stream_of_many_megabytes_is_taken(visit: &Visit) {
    let content = Pattern::new(4, 5_000_000).bytes();
    let digest = sha256(content.as_slice());
    let location = visit.patch(visit.begin()).streamed(&content[..4_000_001]).expect(202).location();
    let location = visit.patch(&location).body(&content[4_000_001..]).expect(202).with("range", "0-4999999").location();
    finish(visit, &location, &digest);
    arrived(visit, &digest, &content);
}

fn an_empty_stream_is_taken(visit: &Visit) {
    let digest = sha256(&b""[..]);
    let location = visit.patch(visit.begin()).streamed("").expect(202).location();
    finish(visit, &location, &digest);
    arrived(visit, &digest, b"");
}

fn refused_chunk(visit: &Visit, location: &str, first: usize, end: usize) {
    let patch = visit.patch(location).header("Content-Range", format!("{first}-{}", end - 1));
    patch.body(&CONTENT[first..end]).refused(416, "RANGE_INVALID");
}

fn a_first_chunk_that_does_not_begin_at_0_is_416(visit: &Visit) {
    let location = visit.begin();
    refused_chunk(visit, &location, 1, 7);
    assert_eq!(visit.standing(&location), "0-0");
    finish_from(visit, &location, 0);
}

/// Sends what is missing.
fn finish_from(visit: &Visit, location: &str, first: usize) {
    finish(visit, &chunk(visit, location, first, CONTENT.len()), &digest());
    arrived(visit, &digest(), CONTENT);
}

fn a_chunk_after_a_gap_is_416(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    refused_chunk(visit, &location, 8, 15);
    refused_chunk(visit, &location, 19, 20);
    finish_from(visit, &location, 7);
}

fn a_chunk_that_comes_twice_is_416(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    refused_chunk(visit, &location, 0, 7);
    refused_chunk(visit, &location, 6, 15);
    finish_from(visit, &location, 7);
}

fn refused_put(visit: &Visit, location: &str) {
    let put = visit.put(closing(location, &digest())).header("Content-Range", "10-19");
    put.body(&CONTENT[10..]).refused(416, "RANGE_INVALID");
}

fn a_put_with_a_chunk_after_a_gap_is_416(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    refused_put(visit, &location);
    assert!(!visit.holds(&digest()));
}

fn after_a_416_the_upload_goes_on_from_where_it_stands(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    refused_chunk(visit, &location, 10, 20);
    let standing = visit.get(&location).expect(204).with("range", "0-6");
    finish_from(visit, &standing.location(), 7);
}

fn after_a_refused_put_the_upload_goes_on_from_where_it_stands(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    refused_put(visit, &location);
    let standing = visit.get(&location).expect(204).with("range", "0-6");
    finish_from(visit, &standing.location(), 7);
}

fn a_range_in_another_form_is_refused_and_nothing_kept(visit: &Visit) {
    let location = visit.begin();
    for range in ["bytes 0-6/20", "bytes=0-6", "0-6/20", "0", "-", "a-b", "6-0", "0-99999999999999999999"] {
        let patch = visit.patch(&location).header("Content-Range", range).body(&CONTENT[..7]);
        let answer = patch.send().with_status(&[400, 416]);
        let code = if answer.status() == 416 { "RANGE_INVALID" } else { "SIZE_INVALID" };
        answer.with_error(code);
        assert_eq!(visit.standing(&location), "0-0", "{range}");
    }
    finish_from(visit, &location, 0);
}

fn a_chunk_of_another_length_than_its_range_is_size_invalid(visit: &Visit) {
    let location = visit.begin();
    for range in ["0-5", "0-7"] {
        visit.patch(&location).header("Content-Range", range).body(&CONTENT[..7]).refused(400, "SIZE_INVALID");
        assert_eq!(visit.standing(&location), "0-0", "{range}");
    }
    finish_from(visit, &location, 0);
}

fn the_range_of_an_upload_without_data_is_0_0(visit: &Visit) {
    let answer = visit.post("blobs/uploads/").expect(202).with("range", "0-0");
    visit.get(answer.location()).expect(204).with("range", "0-0").with_body("");
}

fn an_upload_says_where_it_stands(visit: &Visit) {
    let first = visit.patch(visit.begin()).body("x").expect(202).with("range", "0-0");
    let standing = visit.get(first.location()).expect(204).with("range", "0-0");
    let second = visit.patch(standing.location()).body("yz").expect(202).with("range", "0-2");
    let standing = visit.get(second.location()).expect(204).with("range", "0-2");
    finish(visit, &standing.location(), &sha256(&b"xyz"[..]));
}

fn an_upload_is_cancelled_with_204(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    visit.delete(&location).expect(204).with_body("");
    visit.delete(visit.begin()).header("Content-Length", "0").expect(204);
}

fn is_gone(visit: &Visit, location: &str) {
    goes_nowhere(visit, location);
    visit.put(closing(location, &digest())).body(CONTENT).refused(404, "BLOB_UPLOAD_UNKNOWN");
}

fn goes_nowhere(visit: &Visit, location: &str) {
    visit.get(location).refused(404, "BLOB_UPLOAD_UNKNOWN");
    visit.patch(location).body("x").refused(404, "BLOB_UPLOAD_UNKNOWN");
    visit.delete(location).refused(404, "BLOB_UPLOAD_UNKNOWN");
}

fn a_cancelled_upload_is_gone(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    visit.delete(&location).expect(204);
    is_gone(visit, &location);
}

fn a_finished_upload_is_gone(visit: &Visit) {
    let location = visit.begin();
    visit.put(closing(&location, &digest())).body(CONTENT).expect(201);
    goes_nowhere(visit, &location);
    visit.put(closing(&location, &sha256(&b"other"[..]))).body("other").refused(404, "BLOB_UPLOAD_UNKNOWN");
    let again = visit.put(closing(&location, &digest())).body(CONTENT);
    match visit.target {
        // Who lost the answer, as its node was lost, asks another.
        Some(Target::Bucket) => again.expect(201),
        _ => again.refused(404, "BLOB_UPLOAD_UNKNOWN"),
    };
}

fn an_unknown_upload_is_404(visit: &Visit) {
    visit.begin();
    is_gone(visit, "blobs/uploads/9b1f8c5e-3d0a-4c52-8f0e-0d4b1c2a3e4f");
    is_gone(visit, "blobs/uploads/x");
}

fn an_upload_of_another_repository_is_404(visit: &Visit) {
    let location = visit.begin();
    is_gone(visit, &location.replace("/blobs/uploads/", "/other/blobs/uploads/"));
    visit.put(closing(&location, &digest())).body(CONTENT).expect(201);
}

fn a_put_of_another_content_is_400_and_nothing_appears(visit: &Visit) {
    visit.put(closing(&visit.begin(), &digest())).body("other").refused(400, "DIGEST_INVALID");
    nothing_appeared(visit, &digest(), b"other");
}

fn chunks_of_another_content_are_400_and_nothing_appears(visit: &Visit) {
    let location = chunk(visit, &chunk(visit, &visit.begin(), 0, 7), 7, 15);
    visit.put(closing(&location, &digest())).refused(400, "DIGEST_INVALID");
    nothing_appeared(visit, &digest(), &CONTENT[..15]);
}

fn a_stream_of_another_content_is_400_and_nothing_appears(visit: &Visit) {
    let location = visit.patch(visit.begin()).streamed("other").expect(202).location();
    visit.put(closing(&location, &digest())).refused(400, "DIGEST_INVALID");
    nothing_appeared(visit, &digest(), b"other");
}

fn a_last_chunk_of_another_content_is_400_and_nothing_appears(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    visit.put(closing(&location, &digest())).body("other").refused(400, "DIGEST_INVALID");
    nothing_appeared(visit, &digest(), b"first, other");
}

fn a_put_without_a_digest_is_400(visit: &Visit) {
    visit.put(visit.begin()).body(CONTENT).refused(400, "DIGEST_INVALID");
    nothing_appeared(visit, &digest(), CONTENT);
}

fn a_put_with_a_malformed_digest_is_400(visit: &Visit) {
    let upper = digest().to_uppercase().replace("SHA", "sha");
    for digest in ["sha256:abc", "x", "", &upper, &digest()[..70]] {
        visit.put(closing(&visit.begin(), digest)).body(CONTENT).refused(400, "DIGEST_INVALID");
    }
    nothing_appeared(visit, &digest(), CONTENT);
}

fn a_put_with_an_unknown_algorithm_is_400(visit: &Visit) {
    for digest in ["md5:d41d8cd98f00b204e9800998ecf8427e", &format!("sha384:{}", "a".repeat(96)), "crc32:00000000"] {
        visit.put(closing(&visit.begin(), digest)).body(CONTENT).refused(400, "DIGEST_INVALID");
    }
}

fn content_is_not_seen_before_it_is_whole(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, CONTENT.len());
    assert!(!visit.holds(&digest()));
    finish(visit, &location, &digest());
    assert!(visit.holds(&digest()));
}

fn by_sha512(visit: &Visit, location: &str, body: &[u8], content: &[u8]) {
    let digest = sha512(content);
    let put = visit.put(closing(location, &digest)).body(body).expect(201).with("docker-content-digest", &digest);
    visit.get(put.location()).expect(200).with_content(&digest, content);
}

fn a_blob_in_one_put_by_sha512(visit: &Visit) {
    by_sha512(visit, &visit.begin(), CONTENT, CONTENT);
}

fn a_blob_in_one_post_by_sha512(visit: &Visit) {
    let digest = sha512(CONTENT);
    let post = visit.post(format!("blobs/uploads/?digest={digest}")).body(CONTENT).expect(201);
    visit.get(post.with("docker-content-digest", &digest).location()).expect(200).with_content(&digest, CONTENT);
}

fn a_blob_in_chunks_by_sha512_without_a_hint(visit: &Visit) {
    let location = chunk(visit, &visit.begin(), 0, 7);
    by_sha512(visit, &chunk(visit, &location, 7, 15), &CONTENT[15..], CONTENT);
}

fn hinted(visit: &Visit, algorithm: &str) -> String {
    visit.post(format!("blobs/uploads/?digest-algorithm={algorithm}")).expect(202).location()
}

fn a_blob_in_chunks_by_sha512_with_a_hint(visit: &Visit) {
    let location = chunk(visit, &hinted(visit, "sha512"), 0, 7);
    by_sha512(visit, &chunk(visit, &location, 7, CONTENT.len()), b"", CONTENT);
}

fn a_stream_by_sha512_with_a_hint(visit: &Visit) {
    let location = visit.patch(hinted(visit, "sha512")).streamed(CONTENT).expect(202).location();
    by_sha512(visit, &location, b"", CONTENT);
}

fn an_empty_blob_by_sha512(visit: &Visit) {
    by_sha512(visit, &visit.begin(), b"", b"");
}

fn the_last_request_decides_and_not_the_hint(visit: &Visit) {
    finish(visit, &chunk(visit, &hinted(visit, "sha512"), 0, CONTENT.len()), &digest());
    arrived(visit, &digest(), CONTENT);
    by_sha512(visit, &chunk(visit, &hinted(visit, "sha256"), 0, CONTENT.len()), b"", CONTENT);
}

fn a_hint_of_an_unknown_algorithm_is_400(visit: &Visit) {
    visit.post("blobs/uploads/?digest-algorithm=md5").refused(400, "DIGEST_INVALID");
    hinted(visit, "sha256");
}

fn another_content_than_by_sha512_is_400_and_nothing_appears(visit: &Visit) {
    let digest = sha512(CONTENT);
    visit.put(closing(&visit.begin(), &digest)).body("other").refused(400, "DIGEST_INVALID");
    nothing_appeared(visit, &digest, b"other");
}

fn one_content_has_a_digest_in_each_algorithm(visit: &Visit) {
    let blob = visit.push(CONTENT);
    by_sha512(visit, &visit.begin(), CONTENT, CONTENT);
    arrived(visit, &blob.digest, CONTENT);
}

fn mount(visit: &Visit, digest: &str, from: &str) -> Answer {
    visit.post(format!("blobs/uploads/?mount={digest}&from={from}")).send()
}

/// A session in place of a mount, which is used.
fn fell_back(visit: &Visit, answer: Answer) {
    let location = answer.with_status(&[202]).location();
    assert_eq!(visit.standing(&location), "0-0");
    visit.put(closing(&location, &digest())).body(CONTENT).expect(201);
    arrived(visit, &digest(), CONTENT);
}

fn a_mounted_blob_is_201_with_a_pullable_location(visit: &Visit) {
    let blob = visit.push_to(&visit.below("source"), CONTENT);
    assert!(!visit.holds(&blob.digest));
    let answer = mount(visit, &blob.digest, &visit.below("source")).with_status(&[201]);
    let answer = answer.with("docker-content-digest", &blob.digest);
    visit.get(answer.location()).expect(200).with_content(&blob.digest, CONTENT);
    arrived(visit, &blob.digest, CONTENT);
}

fn a_blob_is_mounted_by_sha512(visit: &Visit) {
    let (digest, source) = (sha512(CONTENT), visit.below("source"));
    let location = visit.post(format!("/v2/{source}/blobs/uploads/")).expect(202).location();
    visit.put(closing(&location, &digest)).body(CONTENT).expect(201);
    mount(visit, &digest, &source).with_status(&[201]).with("docker-content-digest", &digest);
    arrived(visit, &digest, CONTENT);
}

fn a_blob_that_is_not_there_is_answered_with_a_session(visit: &Visit) {
    let source = visit.below("source");
    visit.push_to(&source, "something else");
    let answer = mount(visit, NOWHERE, &source);
    assert!(!visit.holds(NOWHERE));
    fell_back(visit, answer);
}

fn a_blob_of_a_third_repository_is_not_mounted(visit: &Visit) {
    visit.push_to(&visit.below("third"), CONTENT);
    let source = visit.below("source");
    visit.push_to(&source, "something else");
    let answer = mount(visit, &digest(), &source);
    assert!(!visit.holds(&digest()));
    fell_back(visit, answer);
}

fn a_mount_from_an_unknown_repository_is_answered_with_a_session(visit: &Visit) {
    let answer = mount(visit, &digest(), &visit.below("none"));
    fell_back(visit, answer);
}

fn a_mount_without_a_source_is_a_mount_or_a_session(visit: &Visit) {
    visit.push_to(&visit.below("source"), CONTENT);
    let answer = visit.post(format!("blobs/uploads/?mount={}", digest())).send();
    match answer.status() {
        201 => arrived(visit, &digest(), CONTENT),
        _ => fell_back(visit, answer),
    }
}

fn a_mount_by_a_malformed_digest_is_400(visit: &Visit) {
    visit.push_to(&visit.below("source"), CONTENT);
    for digest in ["x", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        mount(visit, digest, &visit.below("source")).with_status(&[400]).with_error("DIGEST_INVALID");
    }
}

fn both_parameters_may_be_escaped(visit: &Visit) {
    let source = visit.below("source");
    let blob = visit.push_to(&source, CONTENT);
    mount(visit, &blob.digest.replace(':', "%3A"), &source.replace('/', "%2F")).with_status(&[201]);
    arrived(visit, &blob.digest, CONTENT);
}

fn a_blob_is_mounted_where_it_is(visit: &Visit) {
    let blob = visit.push(CONTENT);
    mount(visit, &blob.digest, &visit.repository).with_status(&[201]);
    arrived(visit, &blob.digest, CONTENT);
}
