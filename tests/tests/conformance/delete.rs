//! Deleting tags, manifests and blobs, and where that is switched off.

use crate::images::{Manifest, NOWHERE, index_of};
use crate::targets::Setting;
use crate::visit::{Visit, closing};
use lockgate_e2e::sha512;

checks! {
    "Deleting tags" {
        MUST a_deleted_tag_is_202_and_gone,
        MUST a_deleted_tag_leaves_the_manifest_and_other_tags,
        MUST a_tag_that_is_unknown_cannot_be_deleted,
        MUST a_tag_is_pushed_again_after_it_was_deleted,
        ALSO a_deleted_tag_is_not_listed,
    }
    "Deleting Manifests" {
        MUST a_deleted_manifest_is_202_and_gone,
        MUST a_deleted_manifest_takes_its_tags_along,
        ALSO the_tags_of_a_deleted_manifest_are_not_listed,
        MUST a_deleted_manifest_leaves_other_manifests_and_their_tags,
        MUST a_manifest_that_is_unknown_cannot_be_deleted,
        MUST a_manifest_of_an_unknown_repository_cannot_be_deleted,
        MUST a_manifest_is_pushed_again_after_it_was_deleted,
        MUST a_manifest_by_sha512_is_deleted,
        ALSO a_deleted_manifest_stays_in_other_repositories,
        ALSO a_deleted_manifest_leaves_its_blobs,
        ALSO a_manifest_that_an_index_lists_can_be_deleted,
        ALSO a_manifest_by_a_malformed_digest_cannot_be_deleted,
    }
    "Deleting Blobs" {
        MUST a_deleted_blob_is_202_and_gone,
        MUST a_blob_that_is_unknown_cannot_be_deleted,
        MUST a_blob_of_an_unknown_repository_cannot_be_deleted,
        MUST a_blob_is_pushed_again_after_it_was_deleted,
        MUST a_blob_by_sha512_is_deleted,
        ALSO a_deleted_blob_stays_in_other_repositories,
        ALSO a_deleted_blob_is_not_mounted,
        ALSO a_blob_by_a_malformed_digest_cannot_be_deleted,
    }
    "Content Management: disabled" {
        MUST where_deleting_is_off_a_tag_is_405_and_stays,
        MUST where_deleting_is_off_a_manifest_is_405_and_stays,
        MUST where_deleting_is_off_a_blob_is_405_and_stays,
        ALSO where_deleting_is_off_an_upload_can_be_cancelled,
    }
}

fn a_deleted_tag_is_202_and_gone(visit: &Visit) {
    visit.push_image("v1", "layer");
    visit.delete("manifests/v1").expect(202);
    visit.read_manifest("HEAD", "v1").expect(404);
    visit.read_manifest("GET", "v1").refused(404, "MANIFEST_UNKNOWN");
}

fn a_deleted_tag_leaves_the_manifest_and_other_tags(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.put_manifest("v2", &image).expect(201);
    visit.delete("manifests/v1").expect(202);
    visit.pulls(&image.digest, &image);
    visit.pulls("v2", &image);
}

fn a_tag_that_is_unknown_cannot_be_deleted(visit: &Visit) {
    visit.push_image("v1", "layer");
    visit.delete("manifests/v2").refused(404, "MANIFEST_UNKNOWN");
    visit.delete("manifests/v1").expect(202);
    visit.delete("manifests/v1").refused(404, "MANIFEST_UNKNOWN");
}

fn a_tag_is_pushed_again_after_it_was_deleted(visit: &Visit) {
    visit.push_image("v1", "layer");
    visit.delete("manifests/v1").expect(202);
    let image = visit.push_image("v1", "another layer");
    visit.pulls("v1", &image);
}

fn a_deleted_tag_is_not_listed(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.put_manifest("v2", &image).expect(201);
    visit.delete("manifests/v1").expect(202);
    assert_eq!(visit.get("tags/list").expect(200).texts("tags"), ["v2"]);
}

fn a_deleted_manifest_is_202_and_gone(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.delete(format!("manifests/{}", image.digest)).expect(202);
    visit.read_manifest("HEAD", &image.digest).expect(404);
    visit.read_manifest("GET", &image.digest).refused(404, "MANIFEST_UNKNOWN");
}

fn a_deleted_manifest_takes_its_tags_along(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.put_manifest("v2", &image).expect(201);
    visit.delete(format!("manifests/{}", image.digest)).expect(202);
    for tag in ["v1", "v2"] {
        visit.read_manifest("GET", tag).refused(404, "MANIFEST_UNKNOWN");
    }
}

fn the_tags_of_a_deleted_manifest_are_not_listed(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.delete(format!("manifests/{}", image.digest)).expect(202);
    assert!(visit.get("tags/list").expect(200).texts("tags").is_empty());
}

fn a_deleted_manifest_leaves_other_manifests_and_their_tags(visit: &Visit) {
    let (gone, stays) = (visit.push_image("v1", "one"), visit.push_image("v2", "other"));
    visit.delete(format!("manifests/{}", gone.digest)).expect(202);
    visit.pulls("v2", &stays);
    visit.pulls(&stays.digest, &stays);
    assert_eq!(visit.get("tags/list").expect(200).texts("tags"), ["v2"]);
}

fn a_manifest_that_is_unknown_cannot_be_deleted(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.delete(format!("manifests/{NOWHERE}")).refused(404, "MANIFEST_UNKNOWN");
    visit.delete(format!("manifests/{}", image.digest)).expect(202);
    visit.delete(format!("manifests/{}", image.digest)).refused(404, "MANIFEST_UNKNOWN");
}

fn a_manifest_of_an_unknown_repository_cannot_be_deleted(visit: &Visit) {
    let answer = visit.delete(format!("manifests/{NOWHERE}")).expect(404);
    let code = if answer.json().to_string().contains("NAME_UNKNOWN") { "NAME_UNKNOWN" } else { "MANIFEST_UNKNOWN" };
    answer.with_error(code);
}

fn a_manifest_is_pushed_again_after_it_was_deleted(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    visit.delete(format!("manifests/{}", image.digest)).expect(202);
    visit.put_manifest("v1", &image).expect(201);
    visit.pulls("v1", &image);
    visit.pulls(&image.digest, &image);
}

fn a_manifest_by_sha512_is_deleted(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    visit.put_manifest(&image.sha512(), &image).expect(201);
    visit.put_manifest("v1", &image).expect(201);
    visit.delete(format!("manifests/{}", image.sha512())).expect(202);
    visit.read_manifest("GET", &image.sha512()).refused(404, "MANIFEST_UNKNOWN");
    // What was pushed by the other algorithm is another entry.
    visit.pulls("v1", &image);
}

fn a_deleted_manifest_stays_in_other_repositories(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let other = visit.below("other");
    visit.push_to(&other, "{}");
    visit.push_to(&other, "layer");
    let path = format!("/v2/{other}/manifests/{}", image.digest);
    visit.put(&path).header("Content-Type", &image.media_type).body(&image.bytes).expect(201);
    visit.delete(format!("manifests/{}", image.digest)).expect(202);
    visit.read_manifest("GET", &image.digest).expect(404);
    visit.get(&path).header("Accept", &image.media_type).expect(200).with_body(&image.bytes);
}

fn a_deleted_manifest_leaves_its_blobs(visit: &Visit) {
    let (image, layer) = (visit.push_image("v1", "layer"), visit.push("layer"));
    visit.delete(format!("manifests/{}", image.digest)).expect(202);
    visit.get(layer.path()).expect(200).with_body("layer");
}

fn a_manifest_that_an_index_lists_can_be_deleted(visit: &Visit) {
    let image = visit.push_image("v1", "layer");
    let index = Manifest::of(&index_of(&[&image]));
    visit.put_manifest("multi", &index).expect(201);
    visit.delete(format!("manifests/{}", image.digest)).expect(202);
    visit.read_manifest("GET", &image.digest).expect(404);
    visit.pulls("multi", &index);
}

fn a_manifest_by_a_malformed_digest_cannot_be_deleted(visit: &Visit) {
    for digest in ["sha256:abc", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        visit.delete(format!("manifests/{digest}")).refused(400, "DIGEST_INVALID");
    }
}

fn a_deleted_blob_is_202_and_gone(visit: &Visit) {
    let blob = visit.push("content");
    visit.delete(blob.path()).expect(202);
    visit.head(blob.path()).expect(404);
    visit.get(blob.path()).refused(404, "BLOB_UNKNOWN");
}

fn a_blob_that_is_unknown_cannot_be_deleted(visit: &Visit) {
    let blob = visit.push("content");
    visit.delete(format!("blobs/{NOWHERE}")).refused(404, "BLOB_UNKNOWN");
    visit.delete(blob.path()).expect(202);
    visit.delete(blob.path()).refused(404, "BLOB_UNKNOWN");
}

fn a_blob_of_an_unknown_repository_cannot_be_deleted(visit: &Visit) {
    let answer = visit.delete(format!("blobs/{NOWHERE}")).expect(404);
    let code = if answer.json().to_string().contains("NAME_UNKNOWN") { "NAME_UNKNOWN" } else { "BLOB_UNKNOWN" };
    answer.with_error(code);
}

fn a_blob_is_pushed_again_after_it_was_deleted(visit: &Visit) {
    let blob = visit.push("content");
    visit.delete(blob.path()).expect(202);
    visit.push("content");
    visit.get(blob.path()).expect(200).with_body("content");
}

fn a_blob_by_sha512_is_deleted(visit: &Visit) {
    let digest = sha512(&b"content"[..]);
    visit.put(closing(&visit.begin(), &digest)).body("content").expect(201);
    visit.delete(format!("blobs/{digest}")).expect(202);
    visit.get(format!("blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
}

fn a_deleted_blob_stays_in_other_repositories(visit: &Visit) {
    let (blob, other) = (visit.push("content"), visit.below("other"));
    let mount = format!("/v2/{other}/blobs/uploads/?mount={}&from={}", blob.digest, visit.repository);
    visit.post(mount).expect(201);
    visit.delete(blob.path()).expect(202);
    assert!(!visit.holds(&blob.digest));
    visit.get(format!("/v2/{other}/{}", blob.path())).expect(200).with_body("content");
    visit.delete(format!("/v2/{other}/{}", blob.path())).expect(202);
    visit.head(format!("/v2/{other}/{}", blob.path())).expect(404);
}

fn a_deleted_blob_is_not_mounted(visit: &Visit) {
    let other = visit.below("other");
    let blob = visit.push_to(&other, "content");
    visit.delete(format!("/v2/{other}/{}", blob.path())).expect(202);
    visit.post(format!("blobs/uploads/?mount={}&from={other}", blob.digest)).expect(202);
    assert!(!visit.holds(&blob.digest));
}

fn a_blob_by_a_malformed_digest_cannot_be_deleted(visit: &Visit) {
    for digest in ["sha256:abc", "x", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        visit.delete(format!("blobs/{digest}")).refused(400, "DIGEST_INVALID");
    }
}

fn where_deleting_is_off_a_tag_is_405_and_stays(visit: &Visit) {
    let visit = visit.set(Setting::NoDelete);
    let image = visit.push_image("v1", "layer");
    visit.delete("manifests/v1").refused(405, "UNSUPPORTED");
    visit.pulls("v1", &image);
}

fn where_deleting_is_off_a_manifest_is_405_and_stays(visit: &Visit) {
    let visit = visit.set(Setting::NoDelete);
    let image = visit.push_image("v1", "layer");
    visit.delete(format!("manifests/{}", image.digest)).refused(405, "UNSUPPORTED");
    visit.pulls(&image.digest, &image);
}

fn where_deleting_is_off_a_blob_is_405_and_stays(visit: &Visit) {
    let visit = visit.set(Setting::NoDelete);
    let blob = visit.push("content");
    let refused = visit.delete(blob.path()).refused(405, "UNSUPPORTED");
    assert!(!refused.listed("allow").contains(&"DELETE"), "{refused:?}");
    visit.get(blob.path()).expect(200).with_body("content");
}

fn where_deleting_is_off_an_upload_can_be_cancelled(visit: &Visit) {
    let visit = visit.set(Setting::NoDelete);
    let location = visit.begin();
    visit.delete(&location).expect(204);
    visit.get(&location).refused(404, "BLOB_UPLOAD_UNKNOWN");
}
