//! The gate with the registry within, one of several over a bucket.

use lockgate_e2e::{Bucket, Door, Gate, GateBuilder, ImageLayout, Skopeo, fresh_dir, sha256};
use std::fs::File;

fn login(skopeo: &Skopeo, door: &Door) {
    let user = ["--username", &door.user, "--password", &door.password];
    skopeo.run(&[&["login", "--cert-dir", "CERTS"][..], &user, &["DOOR"]].concat()).success();
}

#[test]
fn what_skopeo_pushes_at_one_gate_it_pulls_at_another() {
    let bucket = Bucket::fresh();
    let gates = [(); 2].map(|()| Gate::on(&bucket).start());
    let [first, second] = gates.each_ref().map(Gate::door);
    let dir = fresh_dir();
    let image = ImageLayout::new(dir.path(), 1, 20_000_000);
    let skopeo = Skopeo::at(first);
    login(&skopeo, first);
    let (source, pulled) = (image.transport(), dir.path().join("pulled"));
    skopeo.run(&["copy", "--dest-cert-dir", "CERTS", &source, "docker://DOOR/team/app:v1"]).success();
    let skopeo = Skopeo::at(second);
    login(&skopeo, second);
    let destination = format!("oci:{}:latest", pulled.display());
    skopeo.run(&["copy", "--src-cert-dir", "CERTS", "docker://DOOR/team/app:v1", &destination]).success();
    let layer = pulled.join("blobs/sha256").join(image.layer.trim_start_matches("sha256:"));
    assert_eq!(sha256(File::open(layer).unwrap()), image.layer);
}

#[test]
fn a_token_of_one_gate_is_good_at_another_with_the_same_key_and_users() {
    let bucket = Bucket::fresh();
    let grants = "[[grant]]\nrepositories = ['team/**']\nto = ['user:alice']\nallow = ['push']\n";
    let first = Gate::on(&bucket).access(grants).start();
    let of_first = |name: &str| first.dir().join(name).display().to_string();
    let with_its_users = || Gate::on(&bucket).set("auth.htpasswd", of_first("htpasswd"));
    let with_its_key = |gate: GateBuilder| {
        gate.set("auth.access", of_first("access.toml")).set("auth.token_key", of_first("token.key"))
    };
    let second = with_its_key(with_its_users()).start();
    let with_another_key = with_its_users().access(grants).start();
    // A token ends with the password that it was had for, and its hash is another there.
    let with_another_hash = with_its_key(Gate::on(&bucket)).start();
    let token = first.token(Some(&first.door().credentials()), "repository:team/app:pull,push");
    let begins = |gate: &Gate| gate.bearer(&token, "POST", "/v2/team/app/blobs/uploads/").body("").run();
    begins(&second).expect(202);
    begins(&with_another_key).expect(401);
    begins(&with_another_hash).expect(401);
}
