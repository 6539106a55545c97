"""The programs that tests/bench measures cachify beside, as far as they are installed.

Each is a way to run a command under a lock: a list of words to put in front of it. Some of them poll, or
take a hundred times as long as a lock does: those are `slow`, and measured fewer times.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

from redis_server import free_port  # noqa: E402 (the path has to be set first)
from support import wait_until  # noqa: E402


class Peers:
    """Starts what a peer needs (etcd), in `directory`; stop() ends it."""

    def __init__(self, directory, floor=None):
        self.file = str(Path(directory) / "peers-file")
        self.floor = floor
        self.directory = Path(directory)
        self.etcd = None
        self.endpoint = None
        # To be added to the environment of who is measured. tsp's server is started by its first call
        # and holds jobs of one environment: they are short here, and it is stopped in the end.
        self.environment = {"TS_SOCKET": str(self.directory / "tsp"), "TS_MAXFINISHED": "1"}
        self.tsp = shutil.which("tsp")

    def exclusive(self):
        """{name: words} of the fast ones; flock is always there."""
        ways = {"flock": [shutil.which("flock"), self.file]}
        for name, words in (("setlock", []), ("chpst", ["-l"])):
            found = shutil.which(name)
            if found:
                ways[name] = [found, *words, self.file]
        if self.floor:
            ways["floor"] = [self.floor, self.file]
        return ways

    def slow(self, slots=1):
        """{name: words} of the slow ones, with so many slots. etcdctl has locks only."""
        ways = {}
        if shutil.which("sem"):
            ways["sem"] = [shutil.which("sem"), "--will-cite", "--fg", "--id", "bench", f"-j{slots}"]
        if self.tsp:
            environment = {**os.environ, **self.environment}
            subprocess.run([self.tsp, "-S", str(slots)], env=environment, check=True)
            ways["tsp"] = [self.tsp, "-n", "-f"]
        if slots == 1 and self.start_etcd():
            ways["etcdctl lock"] = [shutil.which("etcdctl"), "--endpoints", self.endpoint,
                                   "lock", "--", "bench"]  # fmt: skip
        return ways

    def start_etcd(self):
        program = shutil.which("etcd")
        if not program or not shutil.which("etcdctl"):
            return False
        if self.etcd:
            return True
        self.endpoint = f"http://127.0.0.1:{free_port()}"
        peer = f"http://127.0.0.1:{free_port()}"
        self.etcd = subprocess.Popen(
            [program, "--data-dir", self.directory / "etcd", "--log-level", "error",
             "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
             "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
             "--initial-cluster", f"default={peer}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

        def healthy():
            words = ["etcdctl", "--endpoints", self.endpoint, "endpoint", "health"]
            return subprocess.run(words, capture_output=True, check=False).returncode == 0

        wait_until(healthy, "etcd answers", 60)
        return True

    def stop(self):
        if self.etcd:
            self.etcd.terminate()
            self.etcd.wait()
            self.etcd = None
        if Path(self.environment["TS_SOCKET"]).exists():
            environment = {**os.environ, **self.environment}
            subprocess.run([self.tsp, "-K"], env=environment, check=False)


def versions():
    """What was measured: {name: version}, without a word about this machine."""
    asked = {
        "flock": ["flock", "--version"],
        "sem": ["sem", "--version"],
        "tsp": ["tsp", "-V"],
        "etcdctl lock": ["etcdctl", "version"],
        "redis": ["redis-server", "--version"],
    }
    found = {}
    for name, words in asked.items():
        if shutil.which(words[0]):
            text = subprocess.run(words, capture_output=True, text=True, check=False).stdout
            number = re.search(r"\d+(\.\d+)+|\b20\d{6}\b", text)
            found[name] = number.group(0) if number else "?"
    return found
