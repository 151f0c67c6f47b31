//! What a client of the chaos was told of a repository of its own, and may count on.

use lockgate_e2e::{digest_of, image_of};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A layer of those that all images are made of.
pub(crate) struct Layer {
    pub(crate) digest: String,
    pub(crate) content: Vec<u8>,
}

/// An image: the number of each of its layers, and its manifest.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) layers: Vec<usize>,
    pub(crate) manifest: serde_json::Value,
    pub(crate) digest: String,
}

impl Image {
    /// One that no other is like.
    pub(crate) fn new(all: &[Layer], layers: Vec<usize>, name: &str) -> Self {
        let digests: Vec<String> = layers.iter().map(|layer| all[*layer].digest.clone()).collect();
        let mut manifest = image_of(&digests);
        manifest["annotations"] = serde_json::json!({"name": name});
        let digest = digest_of(manifest.to_string().as_bytes());
        Self { layers, manifest, digest }
    }
}

/// What was deleted and may come back.
pub(crate) struct Deleted {
    pub(crate) image: Image,
    /// The tag that was deleted, and the image not.
    pub(crate) tag: Option<String>,
    /// Before it was asked for: its record is younger.
    asked: Instant,
}

impl Deleted {
    /// Whether it was deleted so lately that it must come back.
    pub(crate) fn is_younger_than(&self, age: Duration) -> bool {
        self.asked.elapsed() < age
    }
}

/// A repository that no other client changes.
#[derive(Default)]
pub(crate) struct Repository {
    pub(crate) name: String,
    /// Acknowledged and not deleted, by their digests.
    pub(crate) images: BTreeMap<String, Image>,
    /// Of these; and nobody knows of other tags what they are.
    pub(crate) tags: BTreeMap<String, String>,
    /// The last stands last.
    pub(crate) deleted: Vec<Deleted>,
    /// Layers of images of which nobody knows whether they are there.
    pub(crate) doubtful: BTreeSet<usize>,
    /// Tags and digests of which something was asked that was not answered. It may be done at any later time.
    lost: BTreeSet<String>,
    /// Whether that is so of restoring something, with tags of which nobody knows.
    pub(crate) is_restored_some_time: bool,
}

impl Repository {
    pub(crate) fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    /// Counts on an image, and on a tag of it, from here on.
    pub(crate) fn is_there(&mut self, image: &Image, tag: Option<&str>) {
        if self.lost.contains(&image.digest) {
            self.doubtful.extend(&image.layers);
            tag.into_iter().for_each(|tag| self.is_doubtful_tag(tag));
            return;
        }
        self.images.insert(image.digest.clone(), image.clone());
        if let Some(tag) = tag.filter(|tag| !self.lost.contains(*tag)) {
            self.tags.insert(tag.to_owned(), image.digest.clone());
        }
    }

    /// A tag may be anything from here on.
    pub(crate) fn is_doubtful_tag(&mut self, tag: &str) {
        self.tags.remove(tag);
        self.lost.insert(tag.to_owned());
    }

    /// An image may be there or not from here on, with its tags.
    pub(crate) fn is_doubtful(&mut self, image: &Image) {
        let digest = &image.digest;
        self.lost.extend(self.tags.iter().filter(|(_, at)| *at == digest).map(|(tag, _)| tag.clone()));
        self.lost.insert(digest.clone());
        self.forget(digest);
        self.doubtful.extend(&image.layers);
    }

    pub(crate) fn is_deleted(&mut self, image: Image, asked: Instant) {
        self.forget(&image.digest);
        self.deleted.push(Deleted { image, tag: None, asked });
    }

    pub(crate) fn is_deleted_tag(&mut self, tag: String, asked: Instant) {
        let digest = self.tags.remove(&tag).expect("it was deleted, and nobody else does");
        let image = self.images[&digest].clone();
        self.deleted.push(Deleted { image, tag: Some(tag), asked });
    }

    fn forget(&mut self, digest: &str) {
        self.images.remove(digest);
        self.tags.retain(|_, at| at != digest);
    }

    /// Whether an image needs a layer that is there, or may be.
    pub(crate) fn needs(&self, layer: usize) -> bool {
        self.doubtful.contains(&layer) || self.images.values().any(|image| image.layers.contains(&layer))
    }
}
