//! How a server begins and ends.

use std::sync::Arc;

use lockgate_backend::config::Config;
use lockgate_backend::{Listener, ObjectStore, serve};
use lockgate_settings::Endpoint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::harness::{PATIENCE, TestRegistry, content, millis, sha256, until, upload_directory};

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let mut registry =
        TestRegistry::start_with(|config| config.shutdown.grace = (PATIENCE * 100).try_into().unwrap()).await;
    let mut idle = TcpStream::connect(registry.address).await.unwrap();
    idle.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    registry.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    TcpStream::connect(registry.address).await.unwrap_err();
}

#[tokio::test]
async fn a_push_that_runs_comes_to_its_end() {
    let mut registry = TestRegistry::start().await;
    let bytes = content(300_000);
    let url = registry.begin("a").await;
    let mut push = TcpStream::connect(registry.address).await.unwrap();
    let head = format!("PUT {url}?digest={} HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n", sha256(&bytes));
    push.write_all(head.as_bytes()).await.unwrap();
    push.write_all(&bytes[..200_000]).await.unwrap();
    let data = registry.path(&upload_directory(&url)).join("data");
    until(|| std::fs::metadata(&data).is_ok_and(|metadata| metadata.len() > 0)).await;

    let served = registry.begin_stop();
    push.write_all(&bytes[200_000..]).await.unwrap();
    let mut answer = String::new();
    push.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    tokio::time::timeout(PATIENCE, served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_push_that_does_not_end_is_cut_off_after_the_grace_and_keeps_its_bytes() {
    let mut registry = TestRegistry::start_with(|config| config.shutdown.grace = millis(20)).await;
    let url = registry.begin("a").await;
    let mut push = TcpStream::connect(registry.address).await.unwrap();
    let head = format!("PATCH {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
    push.write_all(head.as_bytes()).await.unwrap();
    push.write_all(&content(200_000)).await.unwrap();
    let data = registry.path(&upload_directory(&url)).join("data");
    until(|| std::fs::metadata(&data).is_ok_and(|metadata| metadata.len() > 0)).await;
    registry.restart().await;
    let bytes = content(200_000);
    let kept = std::fs::read(&data).unwrap();
    assert!(!kept.is_empty() && kept == bytes[..kept.len()]);
    let last = format!("{url}?digest={}", sha256(&bytes));
    registry.call_with("PUT", &last, &[], bytes[kept.len()..].to_vec()).await.expect(201);
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let registry = TestRegistry::start_with(|config| config.limits.idle_timeout = millis(20)).await;
    let mut silent = TcpStream::connect(registry.address).await.unwrap();
    let mut nothing = Vec::new();
    tokio::time::timeout(PATIENCE, silent.read_to_end(&mut nothing)).await.unwrap().unwrap();
}

#[tokio::test]
async fn it_serves_on_a_unix_socket_over_any_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backend.sock");
    let listener = Listener::bind(&Endpoint::Unix(path.clone())).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let served = tokio::spawn(serve(listener, Arc::new(ObjectStore::in_memory()), Config::default(), shutdown));
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, served).await.unwrap().unwrap();
    assert!(!path.exists());
}
