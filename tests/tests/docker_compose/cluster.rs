//! Two gates, three backends, one bucket.

use crate::deployment::{Deployment, docker, free_address};
use crate::images::weed_image;
use lockgate_e2e::{Docker, Door, PATIENCE, Pattern, eventually};
use std::time::Duration;

#[test]
#[ignore = "needs a Docker engine"]
fn what_is_pushed_at_one_gate_while_a_backend_is_killed_is_pulled_at_the_other() {
    let _weed = weed_image();
    let second = free_address();
    let deployment = Deployment::up("compose.cluster.yaml", &[("LOCKGATE_PUBLISH_2", &second.to_string())]);
    let door = deployment.first_door();
    let at_second = Docker::at(&Door { address: second, ..door.clone() }).logged_in();
    let at_first = Docker::at(&door).logged_in();
    let image = at_first.import("team/large:1", &Pattern::new(7, 256 << 20).bytes(), &[]);
    let id = at_first.image_id(&image);

    let mut push = at_first.spawn(&["push", &image]);
    let busy = eventually(PATIENCE, "a backend with an upload under way", || deployment.backend_with(16 << 20));
    docker(&["kill", &busy]).success();
    // docker tries a while by itself, and says so when it gives up; then the user pushes again.
    if !push.wait(Duration::from_secs(300)).success() {
        at_first.run(&["push", &image]).success();
    }
    at_first.remove_images();
    let pulled = image.replace(&door.address.to_string(), &second.to_string());
    at_second.run(&["pull", &pulled]).success();
    assert_eq!(at_second.image_id(&pulled), id);
}
