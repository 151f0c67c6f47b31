use std::sync::Arc;

use crate::harness::{TestRegistry, content, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_clients_push_the_same_blob_and_the_same_tag() {
    let registry = Arc::new(TestRegistry::start().await);
    let clients: Vec<_> = (0..32)
        .map(|client| {
            let registry = Arc::clone(&registry);
            tokio::spawn(async move {
                registry.push_blob("a", content(300_000)).await;
                registry.push_image("a", "v1", &format!("layer of {client}")).await
            })
        })
        .collect();
    let mut digests = Vec::new();
    for client in clients {
        digests.push(client.await.unwrap());
    }
    let answer = registry.get(&format!("/v2/a/blobs/{}", sha256(&content(300_000)))).await.expect(200);
    assert!(answer.body == content(300_000));
    let tagged = registry.get("/v2/a/manifests/v1").await.expect(200).header("docker-content-digest").to_owned();
    assert!(digests.contains(&tagged));
    for digest in digests {
        registry.get(&format!("/v2/a/manifests/{digest}")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_during_deletes_see_all_of_a_blob_or_none() {
    let registry = Arc::new(TestRegistry::start().await);
    let bytes = content(400_000);
    let path = format!("/v2/a/blobs/{}", sha256(&bytes));
    let pulls: Vec<_> = (0..4)
        .map(|_| {
            let (registry, path, bytes) = (Arc::clone(&registry), path.clone(), bytes.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    let answer = registry.get(&path).await;
                    match answer.status.as_u16() {
                        200 => assert!(answer.body == bytes),
                        _ => drop(answer.expect_error(404, "BLOB_UNKNOWN")),
                    }
                }
            })
        })
        .collect();
    for _ in 0..20 {
        registry.push_blob("a", bytes.clone()).await;
        registry.call("DELETE", &path).await.expect(202);
    }
    for pull in pulls {
        pull.await.unwrap();
    }
    registry.get(&path).await.expect(404);
}
