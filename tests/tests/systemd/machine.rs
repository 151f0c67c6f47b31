//! A machine that systemd runs, in a container.

use lockgate_e2e::{Finished, PATIENCE, Process, eventually, finish, finish_with_input, no_secret_in, tool};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

/// What systemd and the units need beyond docker's defaults: mounts, and user namespaces for others.
const CAPABILITIES: [&str; 2] = ["--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE"];

/// A booted machine. It is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Of its container.
    name: String,
}

impl Machine {
    /// Builds the image, which the engine keeps, and boots a container of it.
    pub(crate) fn boot() -> Self {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let name = format!("lockgate-e2e-systemd-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd");
        let built =
            finish(tool("docker").args(["build", "--quiet", "--tag=lockgate-e2e-systemd"]).arg(image)).success();
        // From here on it is removed, whatever happens.
        let machine = Self { name };
        let mut run = tool("docker");
        run.args(["run", "--detach", "--name", &machine.name]).args(CAPABILITIES);
        // AppArmor's profile, where there is one, forbids to mount. The ports below 1024, which docker opens to everyone,
        // are root's as on a machine.
        run.args(["--cgroupns=private", "--security-opt=apparmor=unconfined"]);
        run.args(["--sysctl=net.ipv4.ip_unprivileged_port_start=1024", built.stdout.trim()]);
        finish(&mut run).success();
        eventually(PATIENCE, "a booted machine", || {
            let state = machine.run("systemctl is-system-running --wait").stdout;
            // Degraded: something that has nothing to do with us does not work in a container.
            ["running", "degraded"].contains(&state.trim()).then_some(())
        });
        machine
    }

    /// Its address in docker's network.
    pub(crate) fn address(&self) -> IpAddr {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let inspected = finish(tool("docker").args(["inspect", "--format", format, &self.name])).success();
        inspected.stdout.trim().parse().expect("a container has an address")
    }

    /// Runs a script as root in the clone's directory; the first command that fails ends it.
    pub(crate) fn run(&self, script: &str) -> Finished {
        finish(&mut self.command(script))
    }

    /// The same, with input.
    pub(crate) fn run_with_input(&self, script: &str, input: &str) -> Finished {
        finish_with_input(&mut self.command(script), input.as_bytes())
    }

    /// Starts a script and leaves it running.
    pub(crate) fn spawn(&self, script: &str) -> Process {
        Process::start(&mut self.command(script))
    }

    /// What a script prints, when it succeeds.
    #[track_caller]
    pub(crate) fn told(&self, script: &str) -> String {
        self.run(script).success().stdout.trim().to_owned()
    }

    /// Copies a file or a directory into the machine.
    pub(crate) fn put(&self, from: &Path, to: &str) {
        finish(tool("docker").arg("cp").arg(from).arg(format!("{}:{to}", self.name))).success();
    }

    fn command(&self, script: &str) -> Command {
        let mut docker = tool("docker");
        docker.args(["exec", "--interactive", &self.name, "sh", "-ec", script]);
        docker
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let journal = self.run("journalctl --no-pager --output=short-monotonic").output();
        finish(tool("docker").args(["rm", "--force", "--volumes", &self.name]));
        if std::thread::panicking() {
            let lines: Vec<&str> = journal.lines().filter(|line| !line.contains(" INFO access: ")).collect();
            eprintln!("--- the journal ---\n{}", lines[lines.len().saturating_sub(150)..].join("\n"));
        } else {
            no_secret_in("a machine", &journal);
        }
    }
}
