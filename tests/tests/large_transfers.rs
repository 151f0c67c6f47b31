//! Promise: 5 GiB go through, both ways, and the proxy stays as small as it was.

use lockgate_e2e::{Api, Gate, Pattern, PatternCheck, Up, Upstream, fresh_dir};

const GIB: u64 = 1 << 30;
const SIZE: u64 = 5 * GIB;
/// The proxy's whole memory at its peak, program and all.
const MOST_MEMORY: u64 = 64 << 20;

#[track_caller]
fn assert_small(gate: &Gate) {
    let peak = gate.process().peak_memory();
    assert!(peak < MOST_MEMORY, "the proxy held {} MiB", peak >> 20);
}

#[test]
fn a_push_of_5_gib_in_chunks_arrives_whole_in_flat_memory() {
    let upstream = Upstream::scripted(|connection| {
        while let Some(head) = connection.request()? {
            let mut check = PatternCheck::new(1);
            connection.body(&head, &mut check)?;
            let length = check.length();
            connection.send(
                format!("HTTP/1.1 202 Accepted\r\nRange: 0-{}\r\nContent-Length: 0\r\n\r\n", length - 1).as_bytes(),
            )?;
        }
        Ok(())
    });
    let gate = Gate::before(upstream.url()).start();
    let patch = gate.curl("/v2/big/blobs/uploads/u").method("PATCH").header("Expect:");
    let answer = patch.run_sending(Pattern::new(1, SIZE)).expect(202);
    assert_eq!(answer.head().one("range"), format!("0-{}", SIZE - 1));
    assert_small(&gate);
}

#[test]
fn a_pull_of_5_gib_arrives_whole_in_flat_memory() {
    let upstream = Upstream::scripted(|connection| {
        connection.request()?;
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())?;
        connection.send_all_of(&mut Pattern::new(2, SIZE)).map(drop)
    });
    let gate = Gate::before(upstream.url()).start();
    let mut check = PatternCheck::new(2);
    gate.curl(&format!("/v2/big/blobs/sha256:{:064}", 0)).run_receiving(&mut check).expect(200);
    assert_eq!(check.length(), SIZE);
    assert_small(&gate);
}

#[test]
fn a_gigabyte_into_lockgate_up_and_out_of_it_is_whole() {
    let dir = fresh_dir();
    let up = Up::in_fresh(dir.path());
    let content = Pattern::new(3, GIB);
    let digest = content.digest();
    let api = Api::at(up.door());
    let location = api.start_upload("big");
    let patched = api.request("PATCH", &location).header("Expect:").run_sending(content).expect(202);
    assert_eq!(patched.head().one("range"), format!("0-{}", GIB - 1));
    api.end_of_upload(patched.head().one("location"), &digest).body("").run().expect(201);
    let mut check = PatternCheck::new(3);
    api.request("GET", &format!("/v2/big/blobs/{digest}")).run_receiving(&mut check).expect(200);
    assert_eq!(check.length(), GIB);
    let peak = up.process().peak_memory();
    assert!(peak < MOST_MEMORY, "proxy and backend together held {} MiB", peak >> 20);
}
