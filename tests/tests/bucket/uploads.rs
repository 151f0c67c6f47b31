//! An upload belongs to no node.

use lockgate_e2e::{Backend, Bucket, Pattern, PlainApi, digest_of};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

const PART: usize = 5 << 20;

/// Nodes over one bucket, which cut blobs into the smallest parts.
fn nodes<const N: usize>(bucket: &Bucket) -> [Backend; N] {
    [(); N].map(|()| Backend::configured_on(bucket, "s3.part_size = '5MiB'"))
}

fn pattern(seed: u64, length: usize) -> Vec<u8> {
    Pattern::new(seed, length as u64).bytes()
}

fn is_there(node: &Backend, content: &[u8]) {
    let path = format!("/v2/team/app/blobs/{}", digest_of(content));
    let blob = PlainApi::at(node.url()).call("GET", &path).expect("it answers").expect(200);
    assert!(blob.body == content, "other bytes, {} of {}", blob.body.len(), content.len());
}

#[test]
fn an_upload_begun_at_one_node_goes_on_at_a_second_and_ends_at_a_third() {
    let bucket = Bucket::fresh();
    let nodes: [Backend; 3] = nodes(&bucket);
    let [mut first, mut second, mut third] = nodes.each_ref().map(|node| PlainApi::at(node.url()));
    for length in [0, 1, 1000, 70_000, PART - 1, PART, PART + 1, 2 * PART + 70_000] {
        let content = pattern(length as u64, length);
        let begun = first.begin("team/app").unwrap().expect(202);
        let half = length / 2;
        let first_half = second.append(begun.head.one("location"), &content[..half]).unwrap().expect(202);
        let location = first_half.head.one("location");
        third.commit(location, &digest_of(&content), &content[half..]).unwrap().expect(201);
        nodes.iter().for_each(|node| is_there(node, &content));
    }
}

#[test]
fn a_put_that_is_repeated_is_201_at_every_node() {
    let bucket = Bucket::fresh();
    let nodes: [Backend; 3] = nodes(&bucket);
    for length in [1000, 2 * PART + 1000] {
        let content = pattern(length as u64, length);
        let mut first = PlainApi::at(nodes[0].url());
        let begun = first.begin("team/app").unwrap().expect(202);
        let appended = first.append(begun.head.one("location"), &content).unwrap().expect(202);
        for node in &nodes {
            let mut api = PlainApi::at(node.url());
            let put = api.commit(appended.head.one("location"), &digest_of(&content), b"").unwrap().expect(201);
            assert_eq!(put.head.one("docker-content-digest"), digest_of(&content));
        }
        is_there(&nodes[2], &content);
    }
}

#[test]
fn chunks_of_any_size_add_up_whichever_node_takes_them() {
    let bucket = Bucket::fresh();
    let nodes: [Backend; 3] = nodes(&bucket);
    let mut apis = nodes.each_ref().map(|node| PlainApi::at(node.url()));
    let bytes = [1].repeat(100);
    let large = [PART - 1, PART, PART + 1, 1, PART - 1, 70_000, PART + 1, 2 * PART];
    let lengths = [&bytes[..], &[70_000].repeat(100), &bytes, &large, &bytes].concat();
    let content = pattern(7, lengths.iter().sum());
    let mut location = apis[0].begin("team/app").unwrap().expect(202).head.one("location").to_owned();
    let mut at = 0;
    for (turn, length) in lengths.into_iter().enumerate() {
        let api = &mut apis[turn % 3];
        let appended = api.append(&location, &content[at..at + length]).unwrap().expect(202);
        at += length;
        assert_eq!(appended.head.one("range"), format!("0-{}", at - 1));
        location = appended.head.one("location").to_owned();
    }
    apis[1].commit(&location, &digest_of(&content), b"").unwrap().expect(201);
    nodes.iter().for_each(|node| is_there(node, &content));
}

#[test]
fn a_node_that_is_killed_in_the_middle_of_a_patch_leaves_the_session_as_it_was() {
    let bucket = Bucket::fresh();
    let nodes: [Backend; 3] = nodes(&bucket);
    let [victim, second, third] = nodes;
    let content = pattern(9, 6 * PART);
    let begun_with = PART + 70_000;
    let mut api = PlainApi::at(second.url());
    let begun = api.begin("team/app").unwrap().expect(202);
    let appended = api.append(begun.head.one("location"), &content[..begun_with]).unwrap().expect(202);
    let location = appended.head.one("location").to_owned();

    // More than the sockets hold on the way: that it was taken tells that some parts were sent to the bucket.
    let lost = pattern(10, 8 * PART);
    let mut cut = TcpStream::connect(victim.url().trim_start_matches("http://")).unwrap();
    let path = location.strip_prefix(second.url()).unwrap_or(&location);
    let head = format!("PATCH {path} HTTP/1.1\r\nHost: registry\r\nContent-Length: {}\r\n\r\n", lost.len() + 1);
    cut.write_all(head.as_bytes()).unwrap();
    cut.write_all(&lost).unwrap();
    drop(victim);
    assert!(!matches!(cut.read(&mut [0]), Ok(1..)), "a body of which a byte is missing has an answer");

    for node in [&second, &third] {
        let standing = PlainApi::at(node.url()).call("GET", &location).unwrap().expect(204);
        assert_eq!(standing.head.one("range"), format!("0-{}", begun_with - 1));
    }
    let mut api = PlainApi::at(third.url());
    let appended = api.append(&location, &content[begun_with..4 * PART]).unwrap().expect(202);
    let mut api = PlainApi::at(second.url());
    api.commit(appended.head.one("location"), &digest_of(&content), &content[4 * PART..]).unwrap().expect(201);
    is_there(&third, &content);
}
