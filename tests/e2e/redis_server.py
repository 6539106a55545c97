"""Real Redis servers for the tests: on a unix socket and a free port of 127.0.0.1, stopped by pid."""

import atexit
import ctypes
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

# Another server (an older Redis, Valkey) to run the suites on.
SERVER = shutil.which(os.environ.get("CACHIFY_TEST_REDIS_SERVER", "redis-server"))


def missing():
    """Why there can be no server; None when there can."""
    return None if SERVER else "redis-server is not installed"


def free_port():
    """A port of 127.0.0.1 that nobody uses, and whose number + 10000 (a cluster's bus) is one, too."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 55000:
            return port
    raise RuntimeError("no free port below 55000")


def _die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class ServerError(Exception):
    """An error that a server answered."""


class Connection:
    """RESP by hand: the tests need nothing but the standard library."""

    def __init__(self, address, timeout=10):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")

    def __call__(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.socket.sendall(b"".join(parts))
        return self.read()

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ServerError(rest.decode())
        if kind == b":":
            return int(rest)
        count = int(rest)
        if count < 0:
            return None
        if kind == b"$":
            return self.file.read(count + 2)[:-2].decode("utf-8", "surrogateescape")
        return [self.read() for _ in range(count)]

    def close(self):
        self.file.close()
        self.socket.close()


class Server:
    """One redis-server in a folder of its own. `options` as on its command line."""

    def __init__(self, *options, directory=None, tcp=True, port=None, program=SERVER, config=None,
                 before=()):
        self.own_directory = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix="cachify-redis-"))
        self.directory.mkdir(exist_ok=True)
        self.socket = str(self.directory / "redis.sock")
        self.port = port or (free_port() if tcp else 0)
        self.argv = [*before, program]
        if config:
            self.argv.append(str(config))
        self.argv += ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.socket]
        self.argv += ["--dir", str(self.directory), "--daemonize", "no"]
        if "sentinel" not in program and "--sentinel" not in options:
            self.argv += ["--save", "", "--appendonly", "no"]
        self.argv += list(options)
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self):
        return f"redis+unix://{self.socket}"

    @property
    def pid(self):
        return self.process.pid

    def start(self, wait=True):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_us,
                start_new_session=True,
            )
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, timeout=20):
        end = time.monotonic() + timeout
        while True:
            try:
                connection = self.connect()
                try:
                    connection("PING")
                    return
                except ServerError as error:
                    if "NOAUTH" in str(error) or "NOPERM" in str(error):
                        return
                finally:
                    connection.close()
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.directory / "log").read_text())
            time.sleep(0.01)

    def connect(self):
        return Connection(self.socket)

    def __call__(self, *words):
        """One command on a connection of its own."""
        connection = self.connect()
        try:
            return connection(*words)
        finally:
            connection.close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.kill()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)


def version():
    """Of the server's program, as (7, 0)."""
    done = subprocess.run([SERVER, "--version"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in re.search(r" v=(\d+)\.(\d+)", done.stdout).groups())


def knows_channel_rights():
    return version() >= (6, 2)


def documented_rights():
    """The rights of the user in the store's README, from "on" on but for the password."""
    readme = Path(__file__).resolve().parents[2] / "src" / "store" / "redis" / "README.md"
    words = readme.read_text().split("ACL SETUSER cachify", 1)[1].split("\n\n", 1)[0].split()
    left_out = ["on", ">PASSWORD"]
    if not knows_channel_rights():
        left_out += ["resetchannels", "&cachify:*"]
    return [word for word in words if word not in left_out]


_shared = None
_numbers = itertools.count(1)


def shared_server():
    """One server for all cases of a suite; each has its own prefix there."""
    global _shared  # pylint: disable=global-statement
    if _shared is None:
        _shared = Server(tcp=False)
        atexit.register(_shared.stop)
    return _shared


class RedisStore:
    """For support.STORES: a prefix of its own on the shared server."""

    name = "redis"

    @staticmethod
    def unavailable():
        return missing()

    def __init__(self, _directory):
        self.server = shared_server()
        self.url = self.server.unix_url
        self.prefix = f"test-{os.getpid()}-{next(_numbers)}:"
        self.environment = {"CACHIFY_STORE": self.url, "CACHIFY_PREFIX": self.prefix}

    def is_waiting(self, pid):
        """Whether the books say that this cachify is queued."""
        return pid in self.waiting_pids()

    def waiting_pids(self):
        return waiting_pids(self.server, self.prefix)

    def stop(self):
        pass


def waiting_pids(server, prefix="cachify:"):
    """The pids of all who are queued, by the records in the books."""
    connection = server.connect()
    try:
        pids = set()
        for name in connection("KEYS", prefix + "*:i"):
            values = connection("HGETALL", name) or []
            for record in values[1::2]:
                fields = record.split(" ")
                if fields[3].startswith("-"):
                    pids.add(int(fields[8]))
        return pids
    finally:
        connection.close()
