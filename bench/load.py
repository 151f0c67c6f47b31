"""The clients: curl for much, wrk for many."""

import base64
import json
import re
import subprocess
import threading

from servers import MIB

# Seconds after which no client goes on.
PATIENCE = 600
USER, PASSWORD = "alice", "correct-horse"
AUTHORIZATION = "Authorization: Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

# wrk itself prints no percentile above 99.
WRK_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nREPORT {"requests": %d, "us": %d, "bytes": %d, "p50": %d, ' ..
    '"p99": %d, "p99.9": %d, "failed": %d}\\n', summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
WRK_METHOD = 'wrk.method = "{method}"\n'


class Refused(RuntimeError):
    """Not every request was answered as it should be, so that there is nothing to compare."""


def wrk(place, url, seconds, connections, method="GET", close=False, headers=(), authorization=AUTHORIZATION):
    """Many small requests. The figures of all of them."""
    script = place / f"wrk-{threading.get_ident()}.lua"
    script.write_text(WRK_METHOD.format(method=method) + WRK_REPORT)
    headers = [authorization, *(["Connection: close"] if close else []), *headers]
    headers = [word for header in headers for word in ("--header", header)]
    done = subprocess.run(
        ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "30s",
         "--script", str(script), *headers, url], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    report = json.loads(re.search(r"REPORT (.*)", done).group(1))
    if report["failed"] or not report["bytes"]:
        raise Refused(f"{method} {url}: {done}")
    return {
        "requests": report["requests"],
        "requests per s": report["requests"] / report["us"] * 1e6,
        "MiB per s": report["bytes"] / report["us"] * 1e6 / MIB,
        **{f"p{percent} ms": report[f"p{percent}"] / 1000 for percent in (50, 99, 99.9)},
    }


def hey(_place, url, seconds, connections, method="GET", close=False, count=None):
    """As `wrk` does, by Go's HTTP client, which is docker's, too. With `count` so many requests however long they
    take, each of which must succeed: hey's list leaves out those without an answer."""
    amount = ["-n", str(count)] if count else ["-z", f"{seconds}s"]
    rows = subprocess.run(
        ["hey", *amount, "-c", str(connections), "-m", method, "-H", AUTHORIZATION, "-t", "30", "-o", "csv",
         # Else it sends the port as part of SNI, which is an error.
         "-host", "localhost",
         *(["-disable-keepalive"] if close else []), url],
        check=True, capture_output=True, text=True, timeout=PATIENCE)
    answers = [row.split(",") for row in rows.stdout.splitlines()[1:]]
    statuses = {answer[6] for answer in answers}
    if statuses != {"200"} or len(answers) != (count or len(answers)):
        raise Refused(f"{method} {url}: {len(answers)} answers, {statuses}, {rows.stderr}")
    times = sorted(float(answer[0]) * 1000 for answer in answers)
    last = max(float(answer[7]) + float(answer[0]) for answer in answers)
    return {
        "requests": len(times),
        "requests per s": len(times) / last,
        **{f"p{percent} ms": times[int(len(times) * percent / 100)] for percent in (50, 99, 99.9)},
    }


def curl(urls, expected, *options, shown="%{http_code}"):
    """One transfer by each of as many curls, all at once; where several URLs are together, one curl transfers them.
    `expected` is what curl must say of each when it is asked for `shown`."""
    command = ["curl", "--silent", "--show-error", "--insecure", "--http1.1", "--user", f"{USER}:{PASSWORD}",
               "--max-time", str(PATIENCE), "--write-out", f"{shown}\\n", *map(str, options)]
    running = []
    for of_one in urls:
        of_one = [of_one] if isinstance(of_one, str) else of_one
        outputs = [word for url in of_one for word in ("--output", "/dev/null", url)]
        running.append((len(of_one), subprocess.Popen([*command, *outputs], stdout=subprocess.PIPE,
                                                      stderr=subprocess.PIPE, text=True)))
    for count, process in running:
        said, problem = process.communicate()
        if said.splitlines() != count * [str(expected)] or process.returncode:
            raise Refused(f"{' '.join(process.args)}: {said}, {problem}")


class MemoryWatch:
    """Looks again and again at how much memory a server has; `peak` is the most bytes that were seen."""

    def __init__(self, server):
        self._server, self._over = server, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.peak = server.memory()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.05):
            self.peak = max(self.peak, self._server.memory())
