//! What refers to a manifest.

use crate::answer::Answer;
use crate::images::{CONFIG, EMPTY, IMAGE, INDEX, Manifest, NOWHERE, descriptor, index_of, referrer_of};
use crate::visit::Visit;
use lockgate_e2e::sha512;
use serde_json::{Value, json};

checks! {
    "Listing Referrers" {
        MUST a_manifest_without_referrers_has_an_empty_index,
        MUST a_manifest_that_is_unknown_has_an_empty_index,
        MUST a_repository_that_is_unknown_is_not_404,
        MUST a_list_of_referrers_by_a_malformed_digest_is_400,
        MUST an_image_with_a_subject_is_listed,
        MUST an_index_with_a_subject_is_listed,
        MUST every_referrer_is_listed_once,
        MUST a_referrer_s_annotations_are_listed,
        MUST the_type_of_an_artifact_is_its_own,
        MUST the_type_of_an_image_is_that_of_its_config,
        MUST an_index_without_a_type_is_listed_without,
        MUST an_index_with_a_type_is_listed_with_it,
        MUST referrers_pushed_before_their_subject_are_listed,
        MUST referrers_of_another_repository_are_not_listed,
        MUST a_referrer_by_tag_is_listed,
        MUST referrers_of_a_sha512_digest_are_listed,
        MUST a_referrer_pushed_by_sha512_is_listed_by_it,
        MUST a_deleted_referrer_is_not_listed,
        ALSO a_deleted_subject_keeps_its_referrers,
        MUST who_follows_the_links_sees_every_referrer,
        ALSO referrers_come_in_pages_as_tags_do,
    }
    "Listing Referrers: artifactType" {
        SHOULD a_filter_is_applied_and_said_to_be,
        SHOULD a_filter_by_the_type_of_a_config_is_applied,
        SHOULD a_filter_that_nothing_passes_gives_an_empty_index,
        SHOULD a_filter_may_be_escaped,
        MUST without_a_filter_none_is_said_to_be_applied,
    }
    "Enabling the Referrers API" {
        MUST referrers_listed_under_the_fallback_tag_are_listed,
        MUST what_is_listed_under_the_fallback_tag_too_is_listed_once,
        MUST the_fallback_tag_of_a_sha512_digest_is_cut,
        ALSO a_fallback_tag_with_something_else_does_no_harm,
    }
}

const SBOM: &str = "application/vnd.example.sbom+json";
const SIGNATURE: &str = "application/vnd.example.signature";

fn list(visit: &Visit, digest: &str) -> Answer {
    let answer = visit.get(format!("referrers/{digest}")).expect(200).with("content-type", INDEX);
    let json = answer.json();
    assert_eq!((&json["schemaVersion"], &json["mediaType"]), (&json!(2), &json!(INDEX)));
    answer
}

fn listed(visit: &Visit, digest: &str) -> Vec<Value> {
    let json = list(visit, digest).json();
    json["manifests"].as_array().unwrap_or_else(|| panic!("no manifests: {json}")).clone()
}

fn digests(list: &[Value]) -> Vec<&str> {
    let mut digests: Vec<&str> = list.iter().filter_map(|descriptor| descriptor["digest"].as_str()).collect();
    digests.sort_unstable();
    digests
}

#[track_caller]
fn lists(visit: &Visit, subject: &str, referrers: &[&Manifest]) {
    let mut expected: Vec<&str> = referrers.iter().map(|referrer| referrer.digest.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(digests(&listed(visit, subject)), expected);
}

fn a_manifest_without_referrers_has_an_empty_index(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    assert!(listed(visit, &image.digest).is_empty());
}

fn a_manifest_that_is_unknown_has_an_empty_index(visit: &Visit) {
    visit.push_image("v1", "layer");
    assert!(listed(visit, NOWHERE).is_empty());
    assert!(listed(visit, &sha512(&b"x"[..])).is_empty());
}

fn a_repository_that_is_unknown_is_not_404(visit: &Visit) {
    assert!(listed(visit, NOWHERE).is_empty());
}

fn a_list_of_referrers_by_a_malformed_digest_is_400(visit: &Visit) {
    visit.push_image("v1", "layer");
    for digest in ["sha256:abc", "sha256:", "x", "v1", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        visit.get(format!("referrers/{digest}")).refused(400, "DIGEST_INVALID");
    }
}

fn an_image_with_a_subject_is_listed(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let referrer = visit.push_referrer(&image.descriptor(), SBOM);
    let list = listed(visit, &image.digest);
    let expected =
        json!({ "mediaType": IMAGE, "digest": referrer.digest, "size": referrer.bytes.len(), "artifactType": SBOM });
    assert_eq!(list, [expected]);
}

fn push_index(visit: &Visit, subject: &Manifest, artifact_type: Option<&str>) -> Manifest {
    let mut index = index_of(&[subject]);
    index["subject"] = subject.descriptor();
    if let Some(artifact_type) = artifact_type {
        index["artifactType"] = json!(artifact_type);
    }
    let index = Manifest::of(&index);
    visit.put_manifest(&index.digest, &index).expect(201);
    index
}

fn an_index_with_a_subject_is_listed(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let index = push_index(visit, &image, None);
    let list = listed(visit, &image.digest);
    assert_eq!(digests(&list), [&index.digest]);
    assert_eq!((&list[0]["mediaType"], &list[0]["size"]), (&json!(INDEX), &json!(index.bytes.len())));
}

fn every_referrer_is_listed_once(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let sbom = visit.push_referrer(&image.descriptor(), SBOM);
    let signature = visit.push_referrer(&image.descriptor(), SIGNATURE);
    visit.put_manifest(&sbom.digest, &sbom).expect(201);
    visit.put_manifest("tagged-as-well", &sbom).expect(201);
    lists(visit, &image.digest, &[&sbom, &signature]);
}

fn a_referrer_s_annotations_are_listed(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let mut referrer = referrer_of(&image.descriptor(), SBOM);
    let annotations = json!({ "org.opencontainers.image.created": "2026-11-21T00:00:00Z", "empty": "", "é": "ü\n" });
    referrer["annotations"] = annotations.clone();
    let referrer = Manifest::of(&referrer);
    visit.put_manifest(&referrer.digest, &referrer).expect(201);
    assert_eq!(listed(visit, &image.digest)[0]["annotations"], annotations);
}

fn the_type_of_an_artifact_is_its_own(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let mut referrer = referrer_of(&image.descriptor(), SBOM);
    referrer["config"]["mediaType"] = json!(CONFIG);
    let referrer = Manifest::of(&referrer);
    visit.put_manifest(&referrer.digest, &referrer).expect(201);
    assert_eq!(listed(visit, &image.digest)[0]["artifactType"], SBOM);
}

/// An image that refers to another without saying what it is.
fn untyped(subject: &Manifest, config_type: &str) -> Manifest {
    let mut referrer = referrer_of(&subject.descriptor(), SBOM);
    referrer.as_object_mut().expect("it is one").remove("artifactType");
    referrer["config"]["mediaType"] = json!(config_type);
    Manifest::of(&referrer)
}

fn the_type_of_an_image_is_that_of_its_config(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let referrer = untyped(&image, SIGNATURE);
    visit.put_manifest(&referrer.digest, &referrer).expect(201);
    assert_eq!(listed(visit, &image.digest)[0]["artifactType"], SIGNATURE);
}

fn an_index_without_a_type_is_listed_without(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    push_index(visit, &image, None);
    assert_eq!(listed(visit, &image.digest)[0].get("artifactType"), None);
}

fn an_index_with_a_type_is_listed_with_it(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    push_index(visit, &image, Some(SBOM));
    assert_eq!(listed(visit, &image.digest)[0]["artifactType"], SBOM);
}

fn referrers_pushed_before_their_subject_are_listed(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let referrer = visit.push_referrer(&image.descriptor(), SBOM);
    lists(visit, &image.digest, &[&referrer]);
    visit.put_manifest("v1", &image).expect(201);
    lists(visit, &image.digest, &[&referrer]);
}

fn referrers_of_another_repository_are_not_listed(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.push_referrer(&image.descriptor(), SBOM);
    let elsewhere = visit.get(format!("/v2/{}/referrers/{}", visit.below("other"), image.digest)).expect(200);
    assert_eq!(elsewhere.json()["manifests"], json!([]));
    assert_eq!(listed(visit, &image.digest).len(), 1);
}

fn a_referrer_by_tag_is_listed(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let referrer = Manifest::of(&referrer_of(&image.descriptor(), SBOM));
    visit.put_manifest("sbom", &referrer).expect(201);
    lists(visit, &image.digest, &[&referrer]);
}

fn referrers_of_a_sha512_digest_are_listed(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    visit.put_manifest(&image.sha512(), &image).expect(201);
    let mut subject = image.descriptor();
    subject["digest"] = json!(image.sha512());
    let referrer = visit.push_referrer(&subject, SBOM);
    lists(visit, &image.sha512(), &[&referrer]);
}

fn a_referrer_pushed_by_sha512_is_listed_by_it(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let referrer = Manifest::of(&referrer_of(&image.descriptor(), SBOM));
    visit.put_manifest(&referrer.sha512(), &referrer).expect(201).with("oci-subject", &image.digest);
    assert_eq!(digests(&listed(visit, &image.digest)), [referrer.sha512()]);
}

fn a_deleted_referrer_is_not_listed(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let (sbom, signature) =
        (visit.push_referrer(&image.descriptor(), SBOM), visit.push_referrer(&image.descriptor(), SIGNATURE));
    visit.delete(format!("manifests/{}", sbom.digest)).expect(202);
    lists(visit, &image.digest, &[&signature]);
}

fn a_deleted_subject_keeps_its_referrers(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let referrer = visit.push_referrer(&image.descriptor(), SBOM);
    visit.delete(format!("manifests/{}", image.digest)).expect(202);
    lists(visit, &image.digest, &[&referrer]);
    visit.pulls(&referrer.digest, &referrer);
}

fn who_follows_the_links_sees_every_referrer(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.push("{}");
    for i in 0..40 {
        let referrer = Manifest::of(&referrer_of(&image.descriptor(), &format!("{SBOM}.{i}")));
        visit.put_manifest(&referrer.digest, &referrer).expect(201);
    }
    let mut seen = pages(visit, format!("referrers/{}", image.digest)).concat();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 40);
}

/// The digests on each page that a client sees which follows the links.
fn pages(visit: &Visit, first: String) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(first));
    while let Some(path) = next {
        let answer = visit.get(path).expect(200).with("content-type", INDEX);
        let list = answer.json()["manifests"].as_array().expect("an index has manifests").clone();
        pages.push(digests(&list).into_iter().map(str::to_owned).collect());
        next = answer.next();
    }
    pages
}

fn referrers_come_in_pages_as_tags_do(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let mut expected: Vec<String> = Vec::new();
    for i in 0..5 {
        let artifact_type = [SBOM, SIGNATURE][i % 2];
        let mut referrer = referrer_of(&image.descriptor(), artifact_type);
        referrer["annotations"] = json!({ "i": i.to_string() });
        let referrer = Manifest::of(&referrer);
        visit.put_manifest(&referrer.digest, &referrer).expect(201);
        expected.push(referrer.digest);
    }
    expected.sort_unstable();
    let shown = pages(visit, format!("referrers/{}?n=2", image.digest));
    assert_eq!(shown, [&expected[..2], &expected[2..4], &expected[4..]]);
    let sboms = pages(visit, format!("referrers/{}?n=2&artifactType={}", image.digest, SBOM.replace('+', "%2B")));
    assert_eq!(sboms.concat().len(), 3);
    assert_eq!(sboms[0].len(), 2);
}

fn filtered(visit: &Visit, digest: &str, artifact_type: &str) -> Vec<Value> {
    let answer = visit.get(format!("referrers/{digest}?artifactType={artifact_type}")).expect(200);
    let answer = answer.with("content-type", INDEX).with("oci-filters-applied", "artifactType");
    answer.json()["manifests"].as_array().expect("an index has manifests").clone()
}

fn a_filter_is_applied_and_said_to_be(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.push_referrer(&image.descriptor(), SBOM);
    let signature = visit.push_referrer(&image.descriptor(), SIGNATURE);
    assert_eq!(digests(&filtered(visit, &image.digest, SIGNATURE)), [&signature.digest]);
}

fn a_filter_by_the_type_of_a_config_is_applied(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let referrer = untyped(&image, SIGNATURE);
    visit.put_manifest(&referrer.digest, &referrer).expect(201);
    let other = untyped(&image, EMPTY);
    visit.put_manifest(&other.digest, &other).expect(201);
    assert_eq!(digests(&filtered(visit, &image.digest, SIGNATURE)), [&referrer.digest]);
}

fn a_filter_that_nothing_passes_gives_an_empty_index(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.push_referrer(&image.descriptor(), SBOM);
    assert!(filtered(visit, &image.digest, "application/vnd.example").is_empty());
}

fn a_filter_may_be_escaped(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let sbom = visit.push_referrer(&image.descriptor(), SBOM);
    visit.push_referrer(&image.descriptor(), SIGNATURE);
    let escaped = SBOM.replace('/', "%2F").replace('+', "%2B");
    assert_eq!(digests(&filtered(visit, &image.digest, &escaped)), [&sbom.digest]);
}

fn without_a_filter_none_is_said_to_be_applied(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.push_referrer(&image.descriptor(), SBOM);
    list(visit, &image.digest).without("oci-filters-applied");
}

/// As a client leaves it that met a registry without referrers: the referrer has no subject that was understood, and is
/// listed in an index under the tag.
fn fall_back(visit: &Visit, tag: &str, listed: &[&Manifest]) {
    let index = Manifest::of(&index_of(listed));
    visit.put_manifest(tag, &index).expect(201);
}

/// A manifest that the registry cannot know as a referrer by itself.
fn unlinked(visit: &Visit) -> Manifest {
    visit.push("{}");
    let empty = descriptor(EMPTY, b"{}");
    let manifest = Manifest::of(&json!({ "schemaVersion": 2, "mediaType": IMAGE, "artifactType": SIGNATURE,
        "config": empty, "layers": [empty] }));
    visit.put_manifest(&manifest.digest, &manifest).expect(201);
    manifest
}

fn referrers_listed_under_the_fallback_tag_are_listed(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let referrer = unlinked(visit);
    fall_back(visit, &image.digest.replace(':', "-"), &[&referrer]);
    lists(visit, &image.digest, &[&referrer]);
    assert_eq!(filtered(visit, &image.digest, SIGNATURE).len(), 1);
    assert_eq!(filtered(visit, &image.digest, SBOM).len(), 0);
}

fn what_is_listed_under_the_fallback_tag_too_is_listed_once(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let sbom = visit.push_referrer(&image.descriptor(), SBOM);
    fall_back(visit, &image.digest.replace(':', "-"), &[&sbom, &unlinked(visit)]);
    lists(visit, &image.digest, &[&sbom, &unlinked(visit)]);
}

fn the_fallback_tag_of_a_sha512_digest_is_cut(visit: &Visit) {
    let digest = sha512(&b"a manifest"[..]);
    let referrer = unlinked(visit);
    fall_back(visit, &digest.replace(':', "-")[.."sha512-".len() + 64], &[&referrer]);
    lists(visit, &digest, &[&referrer]);
}

fn a_fallback_tag_with_something_else_does_no_harm(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.put_manifest(&image.digest.replace(':', "-"), &image).expect(201);
    let referrer = visit.push_referrer(&image.descriptor(), SBOM);
    lists(visit, &image.digest, &[&referrer]);
}
