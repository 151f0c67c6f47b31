//! Many at once: what no suite checks. Docker-registry is not asked: there it is a matter of chance, and now and then it
//! breaks off a pull or refuses a push.

use crate::images::Manifest;
use crate::visit::{Visit, closing};
use lockgate_e2e::{Pattern, sha256};
use std::thread;

checks! {
    of ours;

    "Layer Upload De-duplication" {
        MUST many_push_one_blob_at_once_and_each_is_told_201,
        MUST one_content_is_pushed_to_many_repositories_at_once,
    }
    "Pushing at once" {
        MUST many_push_one_tag_at_once_and_it_points_at_one_of_theirs,
        MUST many_push_tags_of_their_own_at_once_and_all_are_listed,
        ALSO a_blob_that_is_deleted_while_it_is_pulled_comes_whole_or_not_at_all,
        ALSO an_image_whose_layer_is_being_deleted_is_refused_or_the_layer_was_there,
    }
}

/// How many there are.
const MANY: usize = 16;

/// Does something on as many connections, at the same time.
fn at_once<T: Send>(visit: &Visit, act: impl Fn(usize, Visit) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let act = &act;
        let visits: Vec<Visit> = (0..MANY).map(|_| visit.another()).collect();
        let running: Vec<_> =
            visits.into_iter().enumerate().map(|(i, visit)| scope.spawn(move || act(i, visit))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn many_push_one_blob_at_once_and_each_is_told_201(visit: &Visit) {
    let content = Pattern::new(9, 200_000).bytes();
    let digest = sha256(content.as_slice());
    at_once(visit, |_, visit| visit.put(closing(&visit.begin(), &digest)).body(&content).expect(201));
    visit.get(format!("blobs/{digest}")).expect(200).with_content(&digest, &content);
}

fn one_content_is_pushed_to_many_repositories_at_once(visit: &Visit) {
    let content = Pattern::new(10, 200_000).bytes();
    let digest = sha256(content.as_slice());
    at_once(visit, |i, visit| {
        let repository = visit.below(&i.to_string());
        visit.push_to(&repository, &content);
        visit.get(format!("/v2/{repository}/blobs/{digest}")).expect(200).with_body(&content);
    });
}

fn many_push_one_tag_at_once_and_it_points_at_one_of_theirs(visit: &Visit) {
    let pushed = at_once(visit, |i, visit| visit.push_image("v1", &format!("layer {i}")).digest);
    assert!(pushed.contains(&visit.tagged("v1")));
    for digest in pushed {
        visit.read_manifest("HEAD", &digest).expect(200);
    }
}

fn many_push_tags_of_their_own_at_once_and_all_are_listed(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    at_once(visit, |i, visit| visit.put_manifest(&format!("v{i:02}"), &image).expect(201));
    let mut tags = visit.get("tags/list").expect(200).texts("tags");
    // Their order is another check's.
    tags.sort_unstable();
    assert_eq!(tags, (0..MANY).map(|i| format!("v{i:02}")).collect::<Vec<_>>());
}

fn a_blob_that_is_deleted_while_it_is_pulled_comes_whole_or_not_at_all(visit: &Visit) {
    let blob = visit.push(Pattern::new(11, 3_000_000).bytes());
    let statuses = at_once(visit, |i, visit| {
        if i == MANY / 2 {
            return visit.delete(blob.path()).expect(202).status();
        }
        let answer = visit.get(blob.path()).send().with_status(&[200, 404]);
        if answer.status() == 200 { answer.with_body(&blob.content).status() } else { answer.status() }
    });
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 1);
    assert!(!visit.holds(&blob.digest));
}

fn an_image_whose_layer_is_being_deleted_is_refused_or_the_layer_was_there(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    let layer = visit.push("layer");
    at_once(visit, |i, visit| {
        if i % 2 == 0 {
            visit.delete(layer.path()).send().with_status(&[202, 404]);
        } else {
            let put = visit.put_manifest(&format!("v{i}"), &image).send().with_status(&[201, 400, 404]);
            assert!(put.status() == 201 || put.json().to_string().contains("MANIFEST_BLOB_UNKNOWN"), "{put:?}");
        }
    });
    assert!(!visit.holds(&layer.digest));
    let answer = visit.put_manifest("late", &image).send().with_status(&[400, 404]);
    answer.with_error("MANIFEST_BLOB_UNKNOWN");
}
