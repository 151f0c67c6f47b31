//! Both programs on a machine, installed as the guide says, word by word.

use crate::guide::{Setting, Step, steps};
use crate::machine::Machine;
use lockgate_e2e::{Authority, Curl, Door, PATIENCE, eventually, fresh_dir, program};
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

const USER: &str = "alice";
const PASSWORD: &str = "correct-horse";

/// The file that the guide has its reader edit.
const CONFIGURATION: &str = "/etc/lockgate/lockgate.toml";

/// An installation that serves.
#[derive(Debug)]
pub(crate) struct Installation {
    machine: Machine,
    door: Door,
    authority: Authority,
    _dir: TempDir,
}

impl Installation {
    /// Boots a machine and follows the guide on it.
    pub(crate) fn by_the_guide() -> Self {
        let machine = Machine::boot();
        let dir = fresh_dir();
        let authority = Authority::new(dir.path());
        let door = Door {
            address: SocketAddr::from((machine.address(), 443)),
            ca: authority.certificate.clone(),
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
        };
        let installation = Self { machine, door, authority, _dir: dir };
        installation.put_clone();
        installation.put_certificate(&installation.authority);
        for step in steps("## Install") {
            match step {
                Step::Commands(commands) => installation.follow(&commands),
                Step::Setting(setting) => installation.set(&setting),
            }
        }
        // The backend does not say when it listens.
        eventually(PATIENCE, "a registry behind the gate", || {
            (installation.curl("/v2/").run().status() == 200).then_some(())
        });
        installation
    }

    /// The machine that it is on.
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// How to come in.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// A request with curl, with the door's user.
    pub(crate) fn curl(&self, path: &str) -> Curl {
        Curl::new(&self.door.url(path)).trusting(&self.door.ca).user(&self.door.credentials())
    }

    /// Changes a setting as the guide says it.
    pub(crate) fn change(&self, setting: &str) {
        self.set(&Setting::parse(setting).expect("it is a setting"));
        self.machine.run(&format!("sudo -u lockgate lockgate check --config {CONFIGURATION}")).success();
        self.machine.run("systemctl restart lockgate").success();
    }

    /// Writes a key by another name, as a person mistypes it.
    pub(crate) fn rename_key(&self, key: &str, other: &str) {
        self.edit(&format!("s|^{key} = |{other} = |"), &format!("^{other} = "));
    }

    /// Puts a certificate for this machine, and its key, where the guide's reader has them.
    pub(crate) fn put_certificate(&self, authority: &Authority) {
        let pair = authority.issue("machine", &[&self.machine.address().to_string()]);
        self.machine.put(&pair.certificate, "/src/fullchain.pem");
        self.machine.put(&pair.key, "/src/privkey.pem");
    }

    /// A property of a unit, by its name in `systemctl show`.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        self.machine.told(&format!("systemctl show --property={name} --value {unit}"))
    }

    /// What the guide's reader has in his clone, the programs built.
    fn put_clone(&self) {
        self.machine.run("mkdir -p target/dist").success();
        for name in ["lockgate", "lockgate-backend"] {
            self.machine.put(Path::new(program(name).get_program()), "/src/target/dist/");
        }
        self.machine.put(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf"), "/src/conf");
    }

    /// Runs a block of the guide, but for what a test has to do otherwise: the programs are built, and nobody sits at a
    /// terminal to be asked for the password.
    fn follow(&self, commands: &str) {
        let built = |line: &&str| line.starts_with("cargo build ");
        let commands: Vec<String> = commands
            .lines()
            .filter(|line| !built(line))
            .map(|line| line.replace("lockgate htpasswd ", "lockgate htpasswd --stdin "))
            .collect();
        self.machine.run_with_input(&commands.join("\n"), &format!("{PASSWORD}\n")).success();
    }

    /// Writes a setting in place of its default.
    fn set(&self, Setting { section, key, value }: &Setting) {
        let line = format!("{key} = {value}");
        self.edit(&format!(r"/^\[{section}\]/,/^\[/s|^{key} = .*|{line}|"), &format!("^{line}$"));
    }

    /// Edits the configuration with sed; afterwards it has a line that `wanted` matches.
    fn edit(&self, command: &str, wanted: &str) {
        self.machine.run(&format!("sed -i '{command}' {CONFIGURATION}\ngrep -q '{wanted}' {CONFIGURATION}")).success();
    }
}
