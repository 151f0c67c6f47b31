//! The guide's installation serves, from inside its sandbox.

use crate::installation::Installation;
use lockgate_e2e::{Api, Authority, Curl, PATIENCE, eventually, fresh_dir, no_privilege_in};

const SERVICES: [&str; 2] = ["lockgate", "lockgate-backend"];

#[test]
#[ignore = "needs a Docker engine"]
fn who_follows_the_guide_has_a_registry() {
    let installed = Installation::from_source();
    for unit in ["lockgate.service", "lockgate.socket", "lockgate-backend.service"] {
        let states = ["ActiveState", "UnitFileState"].map(|name| installed.property(unit, name));
        assert_eq!(states, ["active", "enabled"], "{unit}");
    }
    Curl::new(&installed.door().url("/v2/")).trusting(&installed.door().ca).run().expect(401);
    let digest = Api::at(installed.door()).push_blob("team/app", b"there and back");
    assert_eq!(Api::at(installed.door()).blob("team/app", &digest).expect(200).body, b"there and back");
    let complaints = installed.machine().run("journalctl --output=cat --priority=warning _PID=1").stdout;
    assert!(!complaints.contains("lockgate"), "systemd complains: {complaints}");
}

#[test]
#[ignore = "needs a Docker engine"]
fn both_services_run_without_privilege_in_their_sandbox() {
    let installed = Installation::from_source();
    let machine = installed.machine();
    for service in SERVICES {
        let process = installed.property(service, "MainPID");
        let owner = no_privilege_in(service, &machine.told(&format!("cat /proc/{process}/status")));
        assert_eq!(owner.user.to_string(), machine.told(&format!("id -u {service}")), "{service}");

        let root = machine.told(&format!("awk '$5 == \"/\" {{ print $6 }}' /proc/{process}/mountinfo"));
        assert!(root.split(',').any(|option| option == "ro"), "{service} may write: {root}");
        let is_apart = |namespace: &str| {
            let [its, everyones] =
                [process.as_str(), "1"].map(|pid| machine.told(&format!("readlink /proc/{pid}/ns/{namespace}")));
            its != everyones
        };
        assert!(is_apart("mnt") && is_apart("user"), "{service}");
        assert_eq!(is_apart("net"), service == "lockgate-backend", "{service}");
    }
}

#[test]
#[ignore = "needs a Docker engine"]
fn what_is_renewed_is_read_from_inside_the_sandbox() {
    let installed = Installation::from_source();
    let machine = installed.machine();
    machine.run_with_input("lockgate htpasswd --stdin /etc/lockgate/htpasswd bob", "wonder land\n").success();
    let dir = fresh_dir();
    let renewed = Authority::new(dir.path());
    installed.put_certificate(&renewed);
    machine.run("install -m 0644 fullchain.pem /etc/lockgate/domain.crt").success();
    machine.run("install -m 0640 -g lockgate privkey.pem /etc/lockgate/domain.key").success();
    eventually(PATIENCE, "the new user and the new certificate", || {
        let request = Curl::new(&installed.door().url("/v2/")).trusting(&renewed.certificate).user("bob:wonder land");
        let answer = request.run();
        (answer.exit == 0 && answer.status() == 200).then_some(())
    });
}
