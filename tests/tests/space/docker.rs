//! With a Docker engine: what was deleted is pulled and run again.

use crate::commands::Site;
use lockgate_e2e::{Docker, Gate, PlainApi};

#[test]
#[ignore = "needs a Docker engine"]
fn an_image_that_was_deleted_by_its_tag_or_by_its_digest_is_restored_pulled_and_run() {
    let site = Site::in_directory("");
    let backend = site.serve();
    let gate = Gate::before(backend.url()).start();
    let docker = Docker::at(gate.door()).logged_in();
    let image =
        docker.import("team/app:v1", b"restored", &["--change", "CMD [\"/bin/busybox\", \"cat\", \"/content\"]"]);
    let pushed = docker.run(&["push", &image]).success().stdout;
    let digest = pushed.split_whitespace().find(|word| word.starts_with("sha256:")).expect("it is said").to_owned();
    let repository = image.strip_suffix(":v1").expect("it is the tag");
    let (by_digest, id) = (format!("{repository}@{digest}"), docker.image_id(&image).expect("it is there"));
    for deleted in ["v1", digest.as_str()] {
        docker.remove_images();
        let path = format!("/v2/team/app/manifests/{deleted}");
        PlainApi::at(backend.url()).call("DELETE", &path).expect("it answers").expect(202);
        docker.run(&["pull", &image]).failure();
        site.says(&["trash", "restore", "team/app:v1"]);
        docker.run(&["pull", &image]).success();
        assert_eq!(docker.image_id(&image).as_ref(), Some(&id), "after {deleted}");
        assert_eq!(docker.run(&["run", "--rm", &image]).success().stdout, "restored", "after {deleted}");
    }
    docker.remove_images();
    docker.run(&["pull", &by_digest]).success();
}
