//! What `lockgate check` tells of a bucket that can be served all the same, or not.

use lockgate_e2e::{Bucket, Gate};

#[test]
fn a_versioned_bucket_is_right_and_warned_of() {
    let checked = Gate::on(&Bucket::fresh().versioned()).check().success();
    assert!(checked.stderr.contains("warning: storage.data: the bucket bucket-"), "{checked}");
    assert!(checked.stderr.contains("is versioned"), "{checked}");
}

#[test]
fn a_redirect_to_the_registry_s_own_name_or_below_it_is_refused() {
    let bucket = Bucket::fresh();
    let told = "one below it (localhost), and clients written in Go would show it the registry's password";
    let gate =
        Gate::on(&bucket).set("storage.redirect", "auto").set("storage.redirect_endpoint", "https://s3.localhost");
    let refused = gate.check().failure();
    assert!(refused.stderr.contains("storage.redirect_endpoint: ") && refused.stderr.contains(told), "{refused}");
}
