//! Promise: SIGHUP, as certbot's and logrotate's hooks send it, has the files read again at once, and ends nothing.

use lockgate_e2e::{
    Gate, PATIENCE, Scheme, Signal, Up, Upstream, finish, fresh_dir, htpasswd_line, ok, program, rename_over, tool,
};
use std::time::Duration;

const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n";

#[test]
fn users_are_read_again_and_a_transfer_in_flight_goes_on() {
    let upstream = Upstream::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let mut gate = Gate::before(upstream.url()).start();
    let mut push = gate.wire();
    push.send(format!("PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\n{ALICE}Content-Length: 11\r\n\r\nfirst"));
    upstream.await_received("the first half", |request| request.body == b"first");
    let both = [("alice", "correct-horse"), ("bob", "b")].map(|(user, word)| htpasswd_line(Scheme::Bcrypt, user, word));
    rename_over(&gate.htpasswd, both.join("\n"));
    gate.signal(Signal::Hangup);
    gate.log().await_line(PATIENCE, "a line about the signal", |line| line.contains("SIGHUP"));
    gate.log().await_line(PATIENCE, "a line about the users", |line| line.contains("the users are those"));
    push.send("second");
    assert_eq!(push.response().head.status(), 202);
    assert!(gate.is_running());
    gate.stranger("/v2/").user("bob:b").run().expect(202);
}

#[test]
fn what_was_refused_before_is_told_again_to_whoever_asks_by_the_signal() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    rename_over(&gate.htpasswd, "no colon\n");
    let complaint = |line: &str| line.contains("line 1: there is no colon");
    gate.log().await_line(PATIENCE, "the first complaint", complaint);
    gate.signal(Signal::Hangup);
    let again = || (gate.log().text().lines().filter(|line| complaint(line)).count() > 1).then_some(());
    lockgate_e2e::eventually(PATIENCE, "the second complaint", again);
    gate.curl("/v2/").run().expect(200);
}

/// Who closes the terminal in which `lockgate up` runs does not want a server that nobody sees.
#[test]
fn a_terminal_that_is_closed_ends_what_ran_in_it_wherever_its_output_went() {
    let script = "\
import os, pty, sys, time
log = os.open(sys.argv[2] + '/log', os.O_RDWR | os.O_CREAT)
child, terminal = pty.fork()
if child == 0:
    for output in sys.argv[3:]:
        os.dup2(log, int(output))
    os.execv(sys.argv[1], [sys.argv[1], 'up', '--listen', '127.0.0.1:0', '--dir', sys.argv[2]])
said = b''
while b'docker push' not in said:
    if '1' in sys.argv[3:]:
        time.sleep(0.01)
        said = os.pread(log, 65536, 0)
    else:
        said += os.read(terminal, 4096)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))";
    for redirected in [&[][..], &["2"], &["1", "2"], &["0", "1"], &["0", "2"]] {
        let (dir, lockgate) = (fresh_dir(), program("lockgate"));
        let mut python = tool("python3");
        let ended = finish(python.args(["-c", script]).arg(lockgate.get_program()).arg(dir.path()).args(redirected));
        assert_eq!(ended.success().stdout.trim(), "0", "{redirected:?}");
    }
}

/// A shell that is left lets what it runs in the background go on. Long after, a hook sends SIGHUP.
#[test]
fn what_went_on_without_its_terminal_is_not_ended_by_a_later_signal() {
    let dir = fresh_dir();
    let script = "\
import os, pty, signal, subprocess, sys, time
log = sys.argv[2] + '/log'
def told(text):
    until = time.monotonic() + 20
    while text not in open(log).read():
        assert time.monotonic() < until, text
        time.sleep(0.01)
child, terminal = pty.fork()
if child == 0:
    arguments = [sys.argv[1], 'up', '--listen', '127.0.0.1:0', '--dir', sys.argv[2]]
    print(subprocess.Popen(arguments, stderr=open(log, 'w'), process_group=0).pid, flush=True)
    signal.pause()
lockgate = int(os.read(terminal, 4096).split()[0])
try:
    told('listening')
    os.close(terminal)
    told('goes on without')
    os.kill(lockgate, signal.SIGHUP)
    told('read again')
finally:
    os.kill(lockgate, signal.SIGKILL)";
    let lockgate = program("lockgate");
    finish(tool("python3").args(["-c", script]).arg(lockgate.get_program()).arg(dir.path())).success();
}

#[test]
fn without_a_terminal_the_whole_registry_stays_up() {
    let dir = fresh_dir();
    let mut up = Up::in_fresh(dir.path());
    up.signal(Signal::Hangup);
    up.process().stderr().await_line(PATIENCE, "a line about the signal", |line| line.contains("SIGHUP"));
    up.curl("/v2/").run().expect(200);
    up.signal(Signal::Terminate);
    assert!(up.wait(Duration::from_secs(10)).success());
}
