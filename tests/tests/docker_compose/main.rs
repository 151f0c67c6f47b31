//! `docker compose up` on a fresh clone is a whole private registry; `compose.registry2.yaml` is the same gate in front
//! of the registry people already run, and `compose.cluster.yaml` two of them before three backends over one bucket.

mod cluster;
mod deployment;
mod images;

use deployment::{Deployment, docker, printed};
use images::registry2_image;
use lockgate_e2e::{
    Authority, Curl, Docker, Owner, PATIENCE, Pattern, Process, Scheme, eventually, htpasswd_line, no_privilege_in,
};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// `stop_grace_period`, after which docker kills.
const STOP_PATIENCE: Duration = Duration::from_secs(40);

#[test]
#[ignore = "needs a Docker engine"]
fn a_fresh_clone_comes_up_with_one_command_for_the_user_its_log_names() {
    let deployment = Deployment::up("compose.yaml", &[]);
    let door = deployment.first_door();
    Curl::new(&door.url("/v2/")).trusting(&door.ca).run().expect(401);
    Curl::new(&door.url("/v2/")).trusting(&door.ca).user(&door.credentials()).run().expect(200);

    let docker = Docker::at(&door);
    let refused = docker.login("not the password").failure();
    assert!(refused.output().contains("401 Unauthorized"), "{refused}");
    goes_there_and_back(&docker.logged_in());
}

#[test]
#[ignore = "needs a Docker engine"]
fn what_was_made_and_pushed_outlives_the_containers() {
    let deployment = Deployment::up("compose.yaml", &[]);
    let door = deployment.first_door();
    let docker = Docker::at(&door).logged_in();
    let image = docker.import("team/kept:1", b"kept", &[]);
    docker.run(&["push", &image]).success();
    let id = docker.image_id(&image);
    docker.remove_images();

    deployment.compose(&["down"]).success();
    deployment.start();
    let log = deployment.init_log();
    assert_eq!(printed(&log, "password"), None, "a password is printed once: {log}");
    // The old authority, the old password, the old image.
    Curl::new(&door.url("/v2/")).trusting(&door.ca).user(&door.credentials()).run().expect(200);
    docker.run(&["pull", &image]).success();
    assert_eq!(docker.image_id(&image), id);
}

#[test]
#[ignore = "needs a Docker engine"]
fn another_user_is_added_with_one_command() {
    let deployment = Deployment::up("compose.yaml", &[]);
    let door = deployment.first_door();
    let add = ["run", "--rm", "--no-TTY", "init", "lockgate", "htpasswd", "--stdin", "conf/htpasswd", "alice"];
    let mut adding = Process::start(&mut deployment.command(&add));
    std::io::Write::write_all(&mut adding.take_stdin(), b"wonder land").unwrap();
    assert!(adding.wait(PATIENCE).success());
    eventually(PATIENCE, "the new user to be let in", || {
        let answer = Curl::new(&door.url("/v2/")).trusting(&door.ca).user("alice:wonder land").run();
        (answer.status() == 200).then_some(())
    });
    Curl::new(&door.url("/v2/")).trusting(&door.ca).user(&door.credentials()).run().expect(200);
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_certificate_and_an_htpasswd_file_that_are_there_already_are_used_as_they_are() {
    let files = TempDir::new().unwrap();
    fs::create_dir(files.path().join("certs")).unwrap();
    fs::create_dir(files.path().join("conf")).unwrap();
    let authority = Authority::new(&files.path().join("certs"));
    authority.issue("domain", &["127.0.0.1"]);
    let line = htpasswd_line(Scheme::Apr1, "bob", "builder");
    fs::write(files.path().join("conf/htpasswd"), format!("{line}\n")).unwrap();
    let before = contents(files.path());

    let owner = fs::metadata(files.path()).unwrap();
    let user = format!("{}:{}", owner.uid(), owner.gid());
    let dir = files.path().to_str().unwrap();
    let deployment = Deployment::up("compose.yaml", &[("LOCKGATE_DIR", dir), ("LOCKGATE_USER", &user)]);
    let url = format!("https://{}/v2/", deployment.address);
    Curl::new(&url).trusting(&authority.certificate).user("bob:builder").run().expect(200);
    let is_new = |(path, _): &(PathBuf, Vec<u8>)| path.ends_with("conf/token.key");
    let (made, kept): (Vec<_>, Vec<_>) = contents(files.path()).into_iter().partition(is_new);
    assert_eq!((made.len(), kept), (1, before), "what is missing is made, and nothing is touched");
    assert_eq!(printed(&deployment.init_log(), "password"), None);
}

#[test]
#[ignore = "needs a Docker engine"]
fn the_backend_is_reached_through_the_proxy_alone() {
    let deployment = Deployment::up("compose.yaml", &[]);
    let (inside, outside) = (deployment.network("inside"), deployment.network("outside"));
    assert_eq!(deployment.inspect("backend", "{{json .HostConfig.PortBindings}}"), "{}");
    assert_eq!(deployment.inspect("backend", "{{len .NetworkSettings.Networks}}"), "1");
    let internal = ["network", "inspect", "--format", "{{.Internal}}", &inside];
    assert_eq!(docker(&internal).success().stdout.trim(), "true");

    let backend = deployment.backend_ip();
    let connects_from = |network: &str| {
        let probe = format!("timeout 5 bash -c 'exec 3<>/dev/tcp/{backend}/5000'");
        docker(&["run", "--rm", "--network", network, &deployment.name, "bash", "-c", &probe]).status.success()
    };
    assert!(connects_from(&inside), "the probe itself works");
    assert!(!connects_from(&outside));
    assert!(!connects_from("bridge"));
}

#[test]
#[ignore = "needs a Docker engine"]
fn the_containers_can_write_nothing_but_their_volumes_and_have_no_privilege() {
    let deployment = Deployment::up("compose.yaml", &[]);
    for (service, forbidden) in
        [("proxy", "certs/domain.key"), ("proxy", "/x"), ("proxy", "/tmp/x"), ("backend", "/x"), ("backend", "/tmp/x")]
    {
        let refused = deployment.compose(&["exec", "-T", service, "touch", forbidden]).failure();
        assert!(refused.output().contains("Read-only file system"), "{refused}");
    }
    for service in ["proxy", "backend"] {
        let status = deployment.compose(&["exec", "-T", service, "cat", "/proc/1/status"]).success().stdout;
        // The filter is docker's default profile, where compose.yaml names no other.
        assert_eq!(no_privilege_in(service, &status), Owner { user: 10001, group: 10001 });
        assert_eq!(deployment.inspect(service, "{{.HostConfig.SecurityOpt}}"), "[no-new-privileges:true]");
    }
    let init = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.Config.User}} {{.HostConfig.NetworkMode}}";
    assert_eq!(deployment.inspect("init", init), "true [ALL] 10001:10001 none");
}

#[test]
#[ignore = "needs a Docker engine"]
fn pulls_go_on_when_the_backend_is_created_anew_at_another_address() {
    let deployment = Deployment::up("compose.yaml", &[]);
    let docker_client = Docker::at(&deployment.first_door()).logged_in();
    let image = docker_client.import("team/moved:1", b"moved", &[]);
    docker_client.run(&["push", &image]).success();
    docker_client.remove_images();

    let before = deployment.backend_ip();
    deployment.compose(&["rm", "--stop", "--force", "backend"]).success();
    // Takes the address that is free now, so that the backend must take another.
    let squatter = format!("{}-squatter", deployment.name);
    let network = deployment.network("inside");
    docker(&["run", "--detach", "--rm", "--name", &squatter, "--network", &network, &deployment.name, "sleep", "600"])
        .success();
    deployment.compose(&["up", "--detach", "--wait", "backend"]).success();
    let after = deployment.backend_ip();
    docker(&["rm", "--force", &squatter]).success();
    assert_ne!(before, after);

    docker_client.run(&["pull", &image]).success();
}

#[test]
#[ignore = "needs a Docker engine"]
fn stopping_the_proxy_in_the_middle_of_a_push_is_quick_and_spoils_nothing() {
    let deployment = Deployment::up("compose.yaml", &[]);
    let docker = Docker::at(&deployment.first_door()).logged_in();
    let image = docker.import("team/large:1", &Pattern::new(7, 256 << 20).bytes(), &[]);
    let id = docker.image_id(&image);

    let mut push = docker.spawn(&["push", &image]);
    eventually(PATIENCE, "an upload under way", || {
        let begun = ["exec", "-T", "backend", "find", "/var/lib/registry", "-path", "*/_uploads/*", "-size", "+1M"];
        (!deployment.compose(&begun).stdout.is_empty()).then_some(())
    });
    let stopping = Instant::now();
    deployment.compose(&["stop", "proxy"]).success();
    assert!(stopping.elapsed() < STOP_PATIENCE, "it was killed");
    assert_eq!(deployment.inspect("proxy", "{{.State.ExitCode}}"), "0");
    let log = deployment.compose(&["logs", "--no-log-prefix", "proxy"]).success().stdout;
    let finished = |line: &str| line.contains(r#"method="PATCH""#) && line.contains("status=202");
    assert!(log.lines().any(finished), "the layer in flight was cut: {log}");

    deployment.start();
    // docker tries a while by itself, and says so when it gives up; then the user pushes again.
    if !push.wait(Duration::from_secs(120)).success() {
        docker.run(&["push", &image]).success();
    }
    docker.remove_images();
    docker.run(&["pull", &image]).success();
    assert_eq!(docker.image_id(&image), id);
}

#[test]
#[ignore = "needs a Docker engine"]
fn the_same_gate_stands_in_front_of_an_unmodified_registry() {
    let _registry = registry2_image();
    let deployment = Deployment::up("compose.registry2.yaml", &[]);
    let docker = Docker::at(&deployment.first_door());
    let refused = docker.login("not the password").failure();
    assert!(refused.output().contains("401 Unauthorized"), "{refused}");
    goes_there_and_back(&docker.logged_in());
    let stored = "/var/lib/registry/docker/registry/v2/repositories/team/app/_manifests/tags/1/current/link";
    deployment.compose(&["exec", "-T", "registry", "cat", stored]).success();
}

/// Push, remove, pull and run.
#[track_caller]
fn goes_there_and_back(docker: &Docker) {
    let image = docker.import("team/app:1", b"there and back", &[]);
    let id = docker.image_id(&image);
    assert!(id.is_some());
    docker.run(&["push", &image]).success();
    docker.remove_images();
    docker.run(&["pull", &image]).success();
    assert_eq!(docker.image_id(&image), id);
    let ran = docker.run(&["run", "--rm", &image, "/bin/busybox", "cat", "/content"]).success();
    assert_eq!(ran.stdout, "there and back");
}

/// Every file below a directory, with its content.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("the directory is ours") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let content = fs::read(&path).expect("it can be read");
            found.push((path, content));
        }
    }
    found.sort();
    found
}
