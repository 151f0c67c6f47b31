//! The units as systemd's own tools judge them.

use lockgate_e2e::{Finished, finish, fresh_dir, program, tool};
use std::fs;
use std::path::{Path, PathBuf};

/// What `systemd-analyze security` may say at most, in tenths: 0 is no exposure, 100 all there is.
const EXPOSURE: u32 = 20;

const UNITS: [&str; 4] = ["lockgate.service", "lockgate.socket", "lockgate.target", "lockgate-backend.service"];

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/systemd")
}

fn analyze(arguments: &[&str], units: &[PathBuf]) -> Finished {
    finish(tool("systemd-analyze").args(arguments).args(units))
}

fn is_within_bounds(unit: &Path) -> bool {
    let threshold = format!("--threshold={EXPOSURE}");
    let judged = analyze(&["security", "--offline=true", "--no-pager", &threshold], &[unit.to_owned()]);
    assert!(judged.output().contains("Overall exposure level"), "{judged}");
    judged.status.success()
}

#[test]
fn the_services_leave_next_to_no_exposure() {
    for service in ["lockgate.service", "lockgate-backend.service"] {
        assert!(is_within_bounds(&shipped().join(service)), "{service}");
    }
    // What the check is worth: without its sandbox a service does not pass.
    let dir = fresh_dir();
    let open = dir.path().join("open.service");
    fs::write(&open, "[Service]\nExecStart=/bin/true\n").unwrap();
    assert!(!is_within_bounds(&open));
}

#[test]
fn the_units_are_in_order() {
    let dir = fresh_dir();
    let units = UNITS.map(|name| {
        // Where the programs are installed is a matter of the machine.
        let mut text = fs::read_to_string(shipped().join(name)).unwrap();
        for built in ["lockgate-backend", "lockgate"] {
            let path = program(built).get_program().to_string_lossy().into_owned();
            text = text.replace(&format!("ExecStart={built} "), &format!("ExecStart={path} "));
        }
        let unit = dir.path().join(name);
        fs::write(&unit, text).unwrap();
        unit
    });
    let verified = analyze(&["verify", "--man=no"], &units).success();
    assert_eq!(verified.output(), "", "{verified}");
}
