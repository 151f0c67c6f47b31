//! The Debian package: it comes, goes on, goes and comes back, and no image is lost on the way.

use crate::installation::Installation;
use crate::machine::Machine;
use lockgate_e2e::{Api, Load, LongUpload, PATIENCE, eventually, finish, fresh_dir, program, tool};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

const SERVICES: [&str; 2] = ["lockgate", "lockgate-backend"];
const PACKAGE: &str = "/src/target/dist/lockgate_0_amd64.deb";
const NEXT: &str = "/src/next.deb";

/// The package of the programs under test, which `make package` makes beside them.
fn package() -> PathBuf {
    let built = Path::new(program("lockgate").get_program()).parent().expect("it is in a directory").to_owned();
    let files = fs::read_dir(&built).expect("the programs are there").flatten().map(|entry| entry.path());
    let mut packages = files.filter(|file| file.extension().is_some_and(|extension| extension == "deb"));
    packages.next().unwrap_or_else(|| panic!("there is no package in {}: make package", built.display()))
}

/// The same under a later version, with a configuration that has changed.
fn next_package(dir: &Path) -> PathBuf {
    let (tree, next) = (dir.join("tree"), dir.join("next.deb"));
    finish(tool("dpkg-deb").arg("--raw-extract").arg(package()).arg(&tree)).success();
    let rewrite = |file: &str, change: &dyn Fn(String) -> String| {
        let path = tree.join(file);
        fs::write(&path, change(fs::read_to_string(&path).expect("it is in the package")))
            .expect("the directory is ours");
    };
    rewrite("DEBIAN/control", &|control| control.replace("\nVersion: ", "\nVersion: 1:"));
    rewrite("etc/lockgate/backend.toml", &|text| text + "# The next version's.\n");
    finish(tool("dpkg-deb").args(["--root-owner-group", "-Zgzip", "--build"]).arg(&tree).arg(&next)).success();
    next
}

fn states(installed: &Installation) -> Vec<String> {
    let of = |unit: &str| {
        format!("{} {}", installed.property(unit, "ActiveState"), installed.property(unit, "UnitFileState"))
    };
    ["lockgate-backend.service", "lockgate.socket", "lockgate.service"].map(of).into()
}

fn apt(machine: &Machine, words: &str) -> String {
    machine.run(&format!("apt-get --yes {words}")).success().output()
}

#[test]
#[ignore = "needs a Docker engine"]
fn no_image_and_no_request_is_lost_from_the_installation_to_the_purge_and_back() {
    let installed = Installation::on_a_machine();
    let machine = installed.machine();
    machine.put(&package(), PACKAGE);
    let dir = fresh_dir();
    machine.put(&next_package(dir.path()), NEXT);

    // Installed, nothing runs, and the check says what is to be filled in.
    installed.follow("## The Debian package");
    assert_eq!(states(&installed), ["inactive disabled"; 3]);
    let check = "runuser -u lockgate -- lockgate check --config /etc/lockgate/lockgate.toml";
    let unready = machine.run(check);
    assert_eq!(unready.status.code(), Some(64), "{unready}");
    for missing in ["domain.crt", "domain.key", "htpasswd"] {
        assert!(unready.stderr.contains(&format!("/etc/lockgate/{missing}")), "{unready}");
    }
    installed.set_up();
    assert_eq!(states(&installed), ["active enabled"; 3]);
    let layers = ["installed", "upgraded", "reinstalled"];
    let push = |layer: &str| Api::at(installed.door()).push_image("team/app", layer, layer.as_bytes());
    let all_there = |digests: &[String]| {
        for (layer, digest) in layers.iter().zip(digests) {
            let manifest = Api::at(installed.door()).manifest("team/app", layer).expect(200);
            assert_eq!(&manifest.head().one("docker-content-digest"), digest, "{layer}");
        }
    };
    let mut digests = vec![push(layers[0])];

    // Upgraded amid requests, with an upload in flight. More than the default: as in `restart.rs`.
    installed.change("shutdown.idle_timeout = \"15s\"");
    let processes = || SERVICES.map(|service| installed.property(service, "MainPID"));
    let before = processes();
    let load = Load::on(installed.door());
    load.await_answers();
    let mut upload = LongUpload::begin(installed.door(), "team/long", 1);
    upload.go_on();
    let mut upgrade = machine.spawn(&format!("apt-get --yes install {NEXT}"));
    eventually(PATIENCE, "a gate that is told to stop", || {
        (installed.property("lockgate", "SubState") == "stop-sigterm").then_some(())
    });
    upload.go_on();
    assert_eq!(installed.property("lockgate-backend", "SubState"), "running", "the gate still needs its registry");
    assert!(upgrade.is_running(), "it did not wait for the upload");
    upload.end();
    assert!(upgrade.wait(PATIENCE).success(), "{}", upgrade.stderr().text());
    load.await_answers();
    load.end();
    assert!(before.iter().zip(&processes()).all(|(before, after)| before != after), "a service was not restarted");
    machine
        .run("grep '^shutdown' /etc/lockgate/lockgate.toml && grep \"next version's\" /etc/lockgate/backend.toml")
        .success();
    all_there(&digests);
    digests.push(push(layers[1]));

    // Removed, it stops, and what was written stays; installed again, it goes on by itself.
    apt(machine, "remove lockgate");
    machine.run("! systemctl is-active --quiet lockgate.socket lockgate.service lockgate-backend.service").success();
    TcpStream::connect(installed.door().address).expect_err("nobody listens");
    machine.run("grep '^shutdown' /etc/lockgate/lockgate.toml").success();
    apt(machine, &format!("install {NEXT}"));
    assert_eq!(states(&installed), ["active enabled"; 3]);
    all_there(&digests);
    digests.push(push(layers[2]));

    // A configuration that does not hold is told of, and fails no upgrade.
    installed.rename_key("htpasswd", "htpaswd");
    let said = apt(machine, &format!("install --reinstall {NEXT}"));
    assert!(said.contains("journalctl -u lockgate"), "{said}");

    // Purged, it leaves what only a person can bring back, and says so.
    let said = apt(machine, "purge lockgate");
    assert!(said.contains("rm -r /var/lib/lockgate-backend"), "{said}");
    assert_eq!(machine.told("ls /etc/lockgate"), "domain.crt\ndomain.key\nhtpasswd");
    assert_eq!(machine.told("find /etc/systemd/system -name 'lockgate*'"), "");
    apt(machine, &format!("install {NEXT}"));
    machine.run("systemctl enable --now lockgate-backend.service lockgate.service").success();
    all_there(&digests);
}

#[test]
fn debian_s_own_judge_finds_no_error_in_the_package() {
    finish(tool("lintian").args(["--fail-on=error", "--allow-root"]).arg(package())).success();
}
