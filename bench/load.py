"""The clients: curl for much, wrk for many."""

import base64
import json
import re
import subprocess
import threading
from contextlib import contextmanager

USER, PASSWORD = "alice", "correct-horse"
AUTHORIZATION = "Authorization: Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

# wrk itself prints no percentile above 99.
WRK_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nREPORT {"requests": %d, "us": %d, "p50": %d, "p99": %d, "p99.9": %d, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
WRK_METHOD = 'wrk.method = "{method}"\n'


class Refused(RuntimeError):
    """Not every request was answered as it should be, so that there is nothing to compare."""


def wrk(place, url, seconds, connections, method="GET", close=False):
    """Many small requests. The figures of all of them."""
    script = place / "wrk.lua"
    script.write_text(WRK_METHOD.format(method=method) + WRK_REPORT)
    headers = ["--header", AUTHORIZATION, *(["--header", "Connection: close"] if close else [])]
    done = subprocess.run(
        ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "30s",
         "--script", str(script), *headers, url], check=True, capture_output=True, text=True).stdout
    report = json.loads(re.search(r"REPORT (.*)", done).group(1))
    if report["failed"] or not report["requests"]:
        raise Refused(f"{method} {url}: {done}")
    return {
        "requests": report["requests"],
        "requests per s": report["requests"] / report["us"] * 1e6,
        **{f"{name} ms": report[name] / 1000 for name in ("p50", "p99", "p99.9")},
    }


def curl(urls, expected, *options):
    """One transfer by each of as many curls, all at once."""
    command = ["curl", "--silent", "--show-error", "--insecure", "--http1.1", "--user", f"{USER}:{PASSWORD}",
               "--output", "/dev/null", "--write-out", "%{http_code}", *options]
    running = [subprocess.Popen([*command, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for url in urls]
    for process in running:
        status, problem = process.communicate()
        if status != str(expected) or process.returncode:
            raise Refused(f"{' '.join(process.args)}: {status}, {problem}")


@contextmanager
def watched_memory(server):
    """A list that ends with the most bytes that were seen resident at once."""
    over, peak = threading.Event(), [server.memory()]

    def watch():
        while not over.wait(0.05):
            peak.append(max(peak.pop(), server.memory()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()
