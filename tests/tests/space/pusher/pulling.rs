//! What is counted on is there, and whole.

use super::Pusher;
use crate::model::Layer;
use lockgate_e2e::{PATIENCE, PlainApi, digest_of, eventually};

impl Pusher<'_> {
    /// An image that is there, in the midst of all.
    pub(super) fn pull(&mut self, at: usize) {
        let Some(image) = self.image(at) else { return };
        let (world, name) = (self.world, self.repositories[at].name.clone());
        let manifest = format!("/v2/{name}/manifests/{}", image.digest);
        let Some(answer) = self.told(|api| api.call("GET", &manifest)) else { return };
        assert_eq!(digest_of(&answer.expect(200).body), image.digest);
        for layer in &image.layers {
            let Layer { digest, content } = &world.layers[*layer];
            let path = format!("/v2/{name}/blobs/{digest}");
            let Some(answer) = self.told(|api| api.call("GET", &path)) else { return };
            let is_there = answer.head.status() == 200 && answer.body == *content;
            assert!(is_there, "LOST: {path} of {manifest}: {}", answer.head.start_line);
        }
        self.counts.pulled += 1;
    }

    /// When nothing goes away any more: all that it counts on.
    pub(crate) fn everything_is_there(&mut self, api: &mut PlainApi) {
        let world = self.world;
        for repository in &self.repositories {
            let name = &repository.name;
            let mut get = |path: String, digest: &String| {
                let seen = eventually(PATIENCE, "an answer", || {
                    api.call("GET", &path).ok().filter(|answer| answer.head.status() != 503)
                });
                let is_whole = seen.head.status() == 200 && digest_of(&seen.body) == *digest;
                let found = digest_of(&seen.body);
                assert!(is_whole, "LOST: {path}, {digest}, is {found}: {}", seen.head.start_line);
            };
            for image in repository.images.values() {
                get(format!("/v2/{name}/manifests/{}", image.digest), &image.digest);
                for layer in &image.layers {
                    let digest = &world.layers[*layer].digest;
                    get(format!("/v2/{name}/blobs/{digest}"), digest);
                }
            }
            for (tag, digest) in &repository.tags {
                get(format!("/v2/{name}/manifests/{tag}"), digest);
            }
        }
    }
}
