//! Pushing manifests: by tag, by digest, with a subject; what is refused, and what is not.

use crate::answer::Answer;
use crate::images::{
    DOCKER_IMAGE, DOCKER_INDEX, EMPTY, IMAGE, INDEX, LAYER, Manifest, NOWHERE, descriptor, index_of, referrer_of,
};
use crate::targets::Setting;
use crate::visit::{Request, Visit, closing};
use lockgate_e2e::{sha256, sha512};
use serde_json::{Value, json};

checks! {
    "Pushing Manifests" {
        MUST a_manifest_by_tag_is_201_with_a_pullable_location_and_its_digest,
        MUST a_manifest_by_digest_is_201_and_has_no_tag,
        MUST a_manifest_is_kept_byte_for_byte,
        MUST a_manifest_by_another_digest_is_400_and_not_kept,
        MUST a_manifest_by_sha512_is_201_with_that_digest,
        MUST a_tag_that_is_pushed_again_moves,
        MUST a_manifest_that_is_there_is_pushed_again,
        SHOULD parameters_of_the_content_type_are_ignored,
        SHOULD a_manifest_of_4_mebibytes_is_taken,
        SHOULD a_manifest_of_more_than_4_mebibytes_is_413,
        SHOULD a_stream_of_more_than_4_mebibytes_is_413,
        MUST an_image_without_layers_is_taken,
        MUST an_artifact_with_an_empty_config_is_taken,
        MUST a_config_and_layers_of_any_type_are_taken,
        MUST fields_that_nobody_knows_are_taken,
        MUST an_image_without_its_media_type_is_taken,
        MUST an_empty_index_is_taken,
        MUST an_index_of_an_index_is_taken,
        MUST an_artifact_index_is_taken,
        MUST layers_by_sha512_are_taken,
        MUST a_layer_that_is_not_distributed_need_not_be_pushed,
        MUST a_docker_layer_that_is_not_distributed_need_not_be_pushed,
    }
    "Pushing Manifests: tag parameters" {
        MAY a_manifest_by_digest_takes_a_tag_along,
        SHOULD a_manifest_by_digest_takes_ten_tags_along,
        ALSO a_manifest_by_digest_takes_fifty_tags_of_any_length_and_no_more,
        MAY a_manifest_by_sha512_takes_a_tag_along,
        MAY a_tag_along_moves_the_tag,
        ALSO a_wrong_tag_along_is_400_and_nothing_is_kept,
        MUST a_manifest_by_tag_says_its_tag_or_none,
    }
    "Pushing Manifests with Subject" {
        MUST a_subject_that_is_unknown_is_taken,
        MUST an_image_with_a_subject_is_answered_with_it,
        MUST an_index_with_a_subject_is_answered_with_it,
        MUST a_subject_by_sha512_is_answered_with_it,
        MUST a_manifest_without_a_subject_is_answered_without,
    }
    "Push: references" {
        MUST an_image_without_its_layer_is_manifest_blob_unknown,
        MUST an_image_without_its_config_is_manifest_blob_unknown,
        MUST an_image_whose_layer_is_in_another_repository_is_manifest_blob_unknown,
        MUST an_index_without_its_manifest_is_manifest_blob_unknown,
        ALSO a_refused_manifest_is_not_kept,
        MAY a_sparse_index_is_taken_where_it_is_allowed,
        MAY a_sparse_image_is_taken_where_it_is_allowed,
    }
    "Error Codes: MANIFEST_INVALID" {
        MUST what_is_no_json_is_manifest_invalid,
        MUST what_is_empty_is_manifest_invalid,
        MUST another_type_than_the_content_says_is_manifest_invalid,
        ALSO an_image_that_is_an_index_too_is_manifest_invalid,
        ALSO a_malformed_digest_within_is_manifest_invalid,
        ALSO schema_1_is_refused_with_a_reason,
    }
}

fn a_manifest_by_tag_is_201_with_a_pullable_location_and_its_digest(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let put = visit.put_manifest("v1", &image).expect(201).with("docker-content-digest", &image.digest);
    let get = visit.get(put.location()).header("Accept", IMAGE).expect(200);
    get.with_content(&image.digest, &image.bytes);
}

fn a_manifest_by_digest_is_201_and_has_no_tag(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let put = visit.put_manifest(&image.digest, &image).expect(201).with("docker-content-digest", &image.digest);
    visit.get(put.location()).header("Accept", IMAGE).expect(200).with_body(&image.bytes);
    let list = visit.get("tags/list").send().with_status(&[200, 404]);
    assert!(list.status() == 404 || list.texts("tags").is_empty(), "{list:?}");
}

fn a_manifest_is_kept_byte_for_byte(visit: &Visit) {
    let image = visit.image("layer").to_string();
    for bytes in [format!("\n\t {image} \r\n"), image.replace("\":", "\" :  "), image.replace('/', "\\/")] {
        let manifest = Manifest { bytes: bytes.clone().into_bytes(), ..Manifest::of(&json!({})) };
        let put = visit.put_manifest("v1", &manifest).expect(201);
        let digest = sha256(bytes.as_bytes());
        visit.pulls("v1", &manifest).with_content(put.header("docker-content-digest"), &bytes);
        visit.pulls(&digest, &manifest);
    }
}

fn a_manifest_by_another_digest_is_400_and_not_kept(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    for digest in [NOWHERE.to_owned(), sha512(&b"other"[..])] {
        visit.put_manifest(&digest, &image).refused(400, "DIGEST_INVALID");
        visit.read_manifest("GET", &digest).expect(404);
    }
    visit.read_manifest("GET", &image.digest).expect(404);
}

fn a_manifest_by_sha512_is_201_with_that_digest(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let put = visit.put_manifest(&image.sha512(), &image).expect(201).with("docker-content-digest", image.sha512());
    visit.get(put.location()).header("Accept", IMAGE).expect(200).with_content(&image.sha512(), &image.bytes);
}

fn a_tag_that_is_pushed_again_moves(visit: &Visit) {
    let (one, other) = (visit.push_image("v1", "one"), visit.push_image("v1", "other"));
    assert_eq!(visit.tagged("v1"), other.digest);
    visit.pulls(&one.digest, &one);
    visit.put_manifest("v1", &one).expect(201);
    assert_eq!(visit.tagged("v1"), one.digest);
}

fn a_manifest_that_is_there_is_pushed_again(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.put_manifest("v1", &image).expect(201).with("docker-content-digest", &image.digest);
    visit.put_manifest(&image.digest, &image).expect(201);
    visit.pulls("v1", &image);
}

fn parameters_of_the_content_type_are_ignored(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    for parameters in ["; charset=utf-8", ";charset=UTF-8", " ; x=y"] {
        let put = visit.put("manifests/v1").header("Content-Type", format!("{IMAGE}{parameters}"));
        put.body(&image.bytes).expect(201).with("docker-content-digest", &image.digest);
    }
}

const LIMIT: usize = 4 * 1024 * 1024;

/// An image of exactly so many bytes.
fn image_of_size(visit: &Visit, size: usize) -> Manifest {
    let mut image = visit.image("layer");
    image["annotations"] = json!({ "padding": "" });
    let padding = size - Manifest::of(&image).bytes.len();
    image["annotations"]["padding"] = "x".repeat(padding).into();
    let manifest = Manifest::of(&image);
    assert_eq!(manifest.bytes.len(), size);
    manifest
}

fn a_manifest_of_4_mebibytes_is_taken(visit: &Visit) {
    let image = image_of_size(visit, LIMIT);
    visit.put_manifest("v1", &image).expect(201);
    visit.pulls("v1", &image);
}

fn a_manifest_of_more_than_4_mebibytes_is_413(visit: &Visit) {
    let image = image_of_size(visit, LIMIT + 1);
    visit.put_manifest("v1", &image).refused(413, "SIZE_INVALID");
    visit.read_manifest("GET", "v1").expect(404);
}

fn a_stream_of_more_than_4_mebibytes_is_413(visit: &Visit) {
    let image = image_of_size(visit, LIMIT + 1);
    visit.put("manifests/v1").header("Content-Type", IMAGE).streamed(&image.bytes).refused(413, "SIZE_INVALID");
    visit.read_manifest("GET", "v1").expect(404);
}

/// It is pushed and pulled.
fn taken(visit: &Visit, manifest: &Value) {
    let manifest = Manifest::of(manifest);
    visit.put_manifest("v1", &manifest).expect(201).with("docker-content-digest", &manifest.digest);
    visit.pulls("v1", &manifest).with_content(&manifest.digest, &manifest.bytes);
}

fn an_image_without_layers_is_taken(visit: &Visit) {
    let mut image = visit.image("layer");
    image["layers"] = json!([]);
    taken(visit, &image);
}

fn an_artifact_with_an_empty_config_is_taken(visit: &Visit) {
    visit.push("{}");
    let mut empty = descriptor(EMPTY, b"{}");
    empty["data"] = json!("e30=");
    let artifact_type = "application/vnd.example.sbom.v1";
    let artifact = json!({ "schemaVersion": 2, "mediaType": IMAGE, "artifactType": artifact_type, "config": empty,
        "layers": [empty], "annotations": { "org.example.key": "value" } });
    taken(visit, &artifact);
}

fn a_config_and_layers_of_any_type_are_taken(visit: &Visit) {
    let mut image = visit.image("layer");
    image["config"]["mediaType"] = json!("application/vnd.example.config+json");
    image["layers"][0]["mediaType"] = json!("video/mp4");
    taken(visit, &image);
}

fn fields_that_nobody_knows_are_taken(visit: &Visit) {
    let mut image = visit.image("layer");
    image["org.example.custom"] = json!({ "deep": [1, 2.5, null, { "er": true }] });
    image["config"]["org.example.custom"] = json!("x");
    image["layers"][0]["data"] = json!("bGF5ZXI=");
    taken(visit, &image);
}

fn an_image_without_its_media_type_is_taken(visit: &Visit) {
    let mut image = visit.image("layer");
    image.as_object_mut().expect("it is one").remove("mediaType");
    taken(visit, &image);
}

fn an_empty_index_is_taken(visit: &Visit) {
    taken(visit, &index_of(&[]));
}

fn an_index_of_an_index_is_taken(visit: &Visit) {
    let inner = Manifest::of(&index_of(&[&visit.push_image("one", "layer"), &visit.push_image("two", "other")]));
    visit.put_manifest(&inner.digest, &inner).expect(201);
    taken(visit, &index_of(&[&inner]));
}

fn an_artifact_index_is_taken(visit: &Visit) {
    let mut index = index_of(&[&visit.push_image("one", "layer")]);
    index["artifactType"] = json!("application/vnd.example.set");
    index["annotations"] = json!({ "a": "b" });
    taken(visit, &index);
}

fn layers_by_sha512_are_taken(visit: &Visit) {
    let mut image = visit.image("layer");
    let digest = sha512(&b"by the other"[..]);
    visit.put(closing(&visit.begin(), &digest)).body("by the other").expect(201);
    image["layers"] = json!([{ "mediaType": LAYER, "digest": digest, "size": 12 }]);
    taken(visit, &image);
}

fn with_a_foreign_layer(visit: &Visit, media_type: &str) -> Value {
    let mut image = visit.image("layer");
    let mut foreign = descriptor(media_type, b"somewhere else");
    foreign["urls"] = json!(["https://example.org/layer"]);
    image["layers"].as_array_mut().expect("it is one").push(foreign);
    image
}

fn a_layer_that_is_not_distributed_need_not_be_pushed(visit: &Visit) {
    for suffix in ["", "+gzip", "+zstd"] {
        let media_type = format!("application/vnd.oci.image.layer.nondistributable.v1.tar{suffix}");
        taken(visit, &with_a_foreign_layer(visit, &media_type));
    }
}

fn a_docker_layer_that_is_not_distributed_need_not_be_pushed(visit: &Visit) {
    let mut image = with_a_foreign_layer(visit, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    image["mediaType"] = json!(DOCKER_IMAGE);
    image["config"]["mediaType"] = json!("application/vnd.docker.container.image.v1+json");
    taken(visit, &image);
}

fn put_with_tags<'a>(visit: &'a Visit, digest: &str, image: &Manifest, tags: &[&str]) -> Request<'a> {
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let put = visit.put(format!("manifests/{digest}?{}", query.join("&")));
    put.header("Content-Type", &image.media_type).body(&image.bytes)
}

/// The tags are said to be taken, and are.
fn tags_along(visit: &Visit, digest: &str, image: &Manifest, tags: &[&str]) {
    let put = put_with_tags(visit, digest, image, tags).expect(201).with("docker-content-digest", digest);
    assert_eq!(put.listed("oci-tag"), tags);
    for tag in tags {
        visit.pulls(tag, image).with_content(digest, &image.bytes);
    }
    assert_eq!(visit.get("tags/list").expect(200).texts("tags"), tags);
}

fn a_manifest_by_digest_takes_a_tag_along(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    tags_along(visit, &image.digest, &image, &["v1"]);
}

fn a_manifest_by_digest_takes_ten_tags_along(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    tags_along(visit, &image.digest, &image, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
}

/// More could not be read back by every client.
fn a_manifest_by_digest_takes_fifty_tags_of_any_length_and_no_more(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let tags: Vec<String> = (0..51).map(|i| format!("{i:0>128}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    put_with_tags(visit, &image.digest, &image, &tags).refused(400, "TAG_INVALID");
    visit.read_manifest("GET", &image.digest).expect(404);
    let put = put_with_tags(visit, &image.digest, &image, &tags[..50]).expect(201);
    assert_eq!(put.listed("oci-tag"), tags[..50]);
}

fn a_manifest_by_sha512_takes_a_tag_along(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    tags_along(visit, &image.sha512(), &image, &["v1", "v2"]);
}

fn a_tag_along_moves_the_tag(visit: &Visit) {
    visit.push_image("v1", "before");
    let image = Manifest::of(&visit.image("layer"));
    tags_along(visit, &image.digest, &image, &["v1"]);
}

fn a_wrong_tag_along_is_400_and_nothing_is_kept(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    put_with_tags(visit, &image.digest, &image, &["v1", "-v2"]).refused(400, "TAG_INVALID");
    visit.read_manifest("GET", &image.digest).expect(404);
    visit.read_manifest("GET", "v1").expect(404);
}

fn a_manifest_by_tag_says_its_tag_or_none(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let put = visit.put_manifest("v1", &image).expect(201);
    assert!(put.listed("oci-tag").iter().all(|tag| *tag == "v1"), "{put:?}");
    let put = visit.put_manifest(&image.digest, &image).expect(201);
    put.without("oci-tag");
}

fn subject() -> Value {
    json!({ "mediaType": IMAGE, "digest": NOWHERE, "size": 123 })
}

fn a_subject_that_is_unknown_is_taken(visit: &Visit) {
    visit.push("{}");
    taken(visit, &referrer_of(&subject(), "application/vnd.example"));
}

fn an_image_with_a_subject_is_answered_with_it(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let referrer = Manifest::of(&referrer_of(&image.descriptor(), "application/vnd.example"));
    visit.put_manifest(&referrer.digest, &referrer).expect(201).with("oci-subject", &image.digest);
    visit.put_manifest("by-tag", &referrer).expect(201).with("oci-subject", &image.digest);
}

fn an_index_with_a_subject_is_answered_with_it(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let mut index = index_of(&[&image]);
    index["subject"] = image.descriptor();
    let index = Manifest::of(&index);
    visit.put_manifest(&index.digest, &index).expect(201).with("oci-subject", &image.digest);
}

fn a_subject_by_sha512_is_answered_with_it(visit: &Visit) {
    visit.push("{}");
    let mut subject = subject();
    subject["digest"] = json!(sha512(&b"a manifest"[..]));
    let referrer = Manifest::of(&referrer_of(&subject, "application/vnd.example"));
    visit.put_manifest("v1", &referrer).expect(201).with("oci-subject", sha512(&b"a manifest"[..]));
}

fn a_manifest_without_a_subject_is_answered_without(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let put = visit.put_manifest("v1", &image).expect(201).without("oci-subject");
    put.with("docker-content-digest", &image.digest);
}

/// Its content is not there; by the specification's table 404 goes with the code, distribution gives 400.
fn lacks_something(visit: &Visit, manifest: &Value) {
    let manifest = Manifest::of(manifest);
    for reference in ["v1", &manifest.digest] {
        let answer = visit.put_manifest(reference, &manifest).send().with_status(&[400, 404]);
        answer.with_error("MANIFEST_BLOB_UNKNOWN");
    }
}

fn an_image_without_its_layer_is_manifest_blob_unknown(visit: &Visit) {
    let mut image = visit.image("layer");
    image["layers"][0]["digest"] = json!(NOWHERE);
    lacks_something(visit, &image);
}

fn an_image_without_its_config_is_manifest_blob_unknown(visit: &Visit) {
    let mut image = visit.image("layer");
    image["config"]["digest"] = json!(NOWHERE);
    lacks_something(visit, &image);
}

fn an_image_whose_layer_is_in_another_repository_is_manifest_blob_unknown(visit: &Visit) {
    let mut image = visit.image("layer");
    let elsewhere = visit.push_to(&visit.below("other"), "not for everybody");
    image["layers"][0] = descriptor(LAYER, &elsewhere.content);
    lacks_something(visit, &image);
}

fn an_index_without_its_manifest_is_manifest_blob_unknown(visit: &Visit) {
    let there = visit.push_image("one", "layer");
    lacks_something(visit, &index_of(&[&there, &Manifest::of(&json!({ "not": "pushed" }))]));
}

fn a_refused_manifest_is_not_kept(visit: &Visit) {
    let mut image = visit.image("layer");
    image["layers"][0]["digest"] = json!(NOWHERE);
    let image = Manifest::of(&image);
    visit.put_manifest("v1", &image).send().with_status(&[400, 404]).with_error("MANIFEST_BLOB_UNKNOWN");
    visit.read_manifest("GET", "v1").expect(404);
    visit.read_manifest("GET", &image.digest).expect(404);
}

fn a_sparse_index_is_taken_where_it_is_allowed(visit: &Visit) {
    let visit = visit.set(Setting::Sparse);
    taken(&visit, &index_of(&[&visit.push_image("one", "layer"), &Manifest::of(&json!({ "not": "pushed" }))]));
}

fn a_sparse_image_is_taken_where_it_is_allowed(visit: &Visit) {
    let visit = visit.set(Setting::Sparse);
    let mut image = visit.image("layer");
    image["layers"][0]["digest"] = json!(NOWHERE);
    taken(&visit, &image);
}

fn invalid(visit: &Visit, media_type: &str, content: impl AsRef<[u8]>) -> Answer {
    let put = visit.put("manifests/v1").header("Content-Type", media_type).body(content);
    let answer = put.refused(400, "MANIFEST_INVALID");
    visit.read_manifest("GET", "v1").expect(404);
    answer
}

fn what_is_no_json_is_manifest_invalid(visit: &Visit) {
    visit.push("{}");
    for content in ["{", "no json", "{}x", "[]", "null", "\"text\"", "{\"schemaVersion\":2,\"layers\":{}}"] {
        invalid(visit, IMAGE, content);
    }
}

fn what_is_empty_is_manifest_invalid(visit: &Visit) {
    visit.push("{}");
    for media_type in [IMAGE, INDEX, DOCKER_IMAGE, DOCKER_INDEX] {
        invalid(visit, media_type, "");
    }
}

fn another_type_than_the_content_says_is_manifest_invalid(visit: &Visit) {
    let image = visit.image("layer").to_string();
    for media_type in [INDEX, DOCKER_IMAGE, "application/json"] {
        invalid(visit, media_type, &image);
    }
}

fn an_image_that_is_an_index_too_is_manifest_invalid(visit: &Visit) {
    let mut both = visit.image("layer");
    both["manifests"] = json!([]);
    invalid(visit, IMAGE, both.to_string());
}

fn a_malformed_digest_within_is_manifest_invalid(visit: &Visit) {
    for digest in ["sha256:abc", "x", "", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        let mut image = visit.image("layer");
        image["layers"][0]["digest"] = json!(digest);
        invalid(visit, IMAGE, image.to_string());
    }
}

fn schema_1_is_refused_with_a_reason(visit: &Visit) {
    let schema_1 = json!({ "schemaVersion": 1, "name": visit.repository, "tag": "v1", "architecture": "amd64",
        "fsLayers": [{ "blobSum": NOWHERE }], "history": [{ "v1Compatibility": "{}" }] });
    for media_type in ["application/vnd.docker.distribution.manifest.v1+json", "application/json"] {
        let answer = invalid(visit, media_type, schema_1.to_string());
        assert!(String::from_utf8_lossy(answer.body()).contains("schema 1"), "{answer:?}");
    }
}
