use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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

#[tokio::test]
async fn a_push_and_a_pull_that_stand_still_hold_up_nobody_in_their_repository() {
    let registry = TestRegistry::start().await;
    // More than sockets hold: the server waits for who does not read.
    let large = registry.push_blob("a", content(20_000_000)).await;
    let mut pull = TcpStream::connect(registry.address).await.unwrap();
    pull.write_all(format!("GET /v2/a/blobs/{large} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut first = [0; 12];
    pull.read_exact(&mut first).await.unwrap();
    let url = registry.begin("a").await;
    let mut push = TcpStream::connect(registry.address).await.unwrap();
    let head = format!("PATCH {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\nExpect: 100-continue\r\n\r\n");
    push.write_all(head.as_bytes()).await.unwrap();
    push.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100");
    push.write_all(b"the first bytes").await.unwrap();

    let image = registry.push_image("a", "v1", "layer").await;
    registry.call("POST", &format!("/v2/b/blobs/uploads/?mount={large}&from=a")).await.expect(201);
    registry.call("DELETE", &format!("/v2/a/blobs/{large}")).await.expect(202);
    registry.call("DELETE", &format!("/v2/a/manifests/{image}")).await.expect(202);
    // The session is the one thing that is taken.
    registry.call("PATCH", &url).await.expect(409);
    registry.call("PUT", &format!("{url}?digest={}", sha256(b""))).await.expect(409);
    registry.call("DELETE", &url).await.expect(409);
    // And the pull goes on with what was deleted meanwhile.
    drop(push);
    let mut rest = Vec::new();
    pull.take(20_000_000).read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), 20_000_000);
}
