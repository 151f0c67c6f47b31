//! `systemctl restart` is what the guide says: nobody is refused, and nothing is cut.

use crate::installation::Installation;
use lockgate_e2e::{Load, LongUpload, PATIENCE, eventually};
use std::collections::BTreeSet;
use std::net::TcpStream;

const RESTARTS: usize = 20;

#[test]
#[ignore = "needs a Docker engine"]
fn twenty_restarts_of_the_shipped_unit_lose_nothing() {
    let installed = Installation::from_source();
    // More than the default: a machine that is busy with other tests can leave a client aside for seconds.
    installed.change("shutdown.idle_timeout = \"15s\"");
    let process = || installed.property("lockgate", "MainPID");
    let mut processes = BTreeSet::from([process()]);
    let load = Load::on(installed.door());
    for number in 0..RESTARTS {
        load.await_answers();
        let mut upload = LongUpload::begin(installed.door(), "long", number as u64);
        upload.go_on();
        let mut restart = installed.machine().spawn("systemctl restart lockgate");
        eventually(PATIENCE, "a process that is told to stop", || {
            (installed.property("lockgate", "SubState") == "stop-sigterm").then_some(())
        });
        // The old process waits for the upload; who comes now waits for the new one.
        upload.go_on();
        let _newcomer = TcpStream::connect(installed.door().address).expect("nobody is refused");
        assert!(restart.is_running(), "it did not wait for the upload");
        upload.end();
        assert!(restart.wait(PATIENCE).success(), "{}", restart.stderr().text());
        assert!(processes.insert(process()), "it is the same process");
    }
    load.await_answers();
    load.end();
    assert_eq!(installed.property("lockgate", "NRestarts"), "0", "a process fell over");
}

/// As many starts within ten seconds make systemd give a unit up and close its socket, by default.
const DEFAULT_START_LIMIT: u32 = 5;

#[test]
#[ignore = "needs a Docker engine"]
fn clients_wait_until_a_mistake_is_corrected() {
    let installed = Installation::from_source();
    installed.rename_key("htpasswd", "htpaswd");
    installed.machine().run("systemctl restart lockgate").failure();
    eventually(PATIENCE, "more starts than the default limit", || {
        let starts: u32 = installed.property("lockgate", "NRestarts").parse().expect("it is a number");
        (starts > DEFAULT_START_LIMIT).then_some(())
    });
    TcpStream::connect(installed.door().address).expect("nobody is refused");
    installed.rename_key("htpaswd", "htpasswd");
    installed.curl("/v2/").run().expect(200);
}
