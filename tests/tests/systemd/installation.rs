//! Both programs on a machine, installed as the guide says, word by word.

use crate::guide::blocks;
use crate::machine::Machine;
use lockgate_e2e::{Authority, Curl, Door, fresh_dir, program};
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
    /// Boots a machine and installs on it from source, as the guide says.
    pub(crate) fn from_source() -> Self {
        let installation = Self::on_a_machine();
        installation.follow("## From source");
        installation.set_up();
        installation
    }

    /// Boots a machine with what the guide's reader has: the clone, what was built in it, and a certificate.
    pub(crate) fn on_a_machine() -> Self {
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
        installation
    }

    /// Does what comes after the programs are there, whichever way they came.
    pub(crate) fn set_up(&self) {
        self.follow("## A certificate, a user, and the start");
        self.curl("/v2/").run().expect(200);
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

    /// Changes a setting, `section.key = value`, as the guide says it.
    pub(crate) fn change(&self, setting: &str) {
        self.edit(&format!("1i {setting}"), &format!("^{setting}$"));
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

    /// What the guide's reader has in his clone, the programs and their package built.
    fn put_clone(&self) {
        self.machine.run("mkdir -p target/dist").success();
        for built in [program("lockgate").get_program(), program("lockgate-backend").get_program()] {
            self.machine.put(Path::new(built), "/src/target/dist/");
        }
        self.machine.put(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf"), "/src/conf");
    }

    /// Does what the guide says under a heading, but for what a test has to do otherwise: what is built is built, and nobody
    /// sits at a terminal to be asked for the password.
    pub(crate) fn follow(&self, heading: &str) {
        let is_built = |line: &&str| ["cargo build ", "make "].iter().any(|building| line.starts_with(building));
        for block in blocks(heading) {
            let commands: Vec<String> = block
                .lines()
                .filter(|line| !is_built(line))
                .map(|line| line.replace("lockgate htpasswd ", "lockgate htpasswd --stdin "))
                .collect();
            self.machine.run_with_input(&commands.join("\n"), &format!("{PASSWORD}\n")).success();
        }
    }

    /// Edits the configuration with sed; afterwards it has a line that `wanted` matches.
    fn edit(&self, command: &str, wanted: &str) {
        self.machine.run(&format!("sed -i '{command}' {CONFIGURATION}\ngrep -q '{wanted}' {CONFIGURATION}")).success();
    }
}
