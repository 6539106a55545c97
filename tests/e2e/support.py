"""What every end-to-end suite needs: a clean environment, a store, processes that never outlive
their test.

A suite is a file tests/e2e/test_NAME.py that ends in `support.main()`; CMake finds it by its name.
The cases are sentences:

    from support import Case, main, on_every_store

    @on_every_store
    class PoolRun(Case):
        def test_the_code_of_the_command_comes_back(self):
            done = self.cachify("pool", "run", "-k", "jobs", "-n", "4", "--", "sh", "-c", "exit 7")
            self.assertEqual(done.returncode, 7, done.stderr)

    if __name__ == "__main__":
        main()

Run by hand: CACHIFY_BIN=$PWD/build/dev/cachify python3 tests/e2e/test_NAME.py [CLASS[.CASE]]
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from redis_server import RedisStore

CACHIFY = os.environ.get("CACHIFY_BIN", "")
PROBE = os.environ.get("CACHIFY_PROBE", "")
JOB = os.environ.get("CACHIFY_JOB", "")  # tests/tools/job.cpp
# Times and memory of a sanitized cachify say nothing, and ptrace doesn't go with its leak checker.
SANITIZED = os.environ.get("CACHIFY_BUILD") == "sanitized"

# Marks each process of a test, so that cleaning up finds also those that left its session.
MARK = "TEST_CASE_DIR"
# What a test's processes keep of our own environment.
KEPT = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")


# --- stores -------------------------------------------------------------------------------------


class FileStore:
    """A fresh directory for each test; no server."""

    name = "file"

    @staticmethod
    def unavailable():
        """Why the cases have to be skipped on this store; None when it can be used."""
        return None

    def __init__(self, directory):
        self.directory = Path(directory) / "store"
        self.url = f"file:{self.directory}"
        self.environment = {"CACHIFY_STORE": self.url}

    @staticmethod
    def is_waiting(pid):
        """Whether this cachify, a caller of a full key, is queued."""
        return is_waiting(pid)

    def stop(self):
        """Ends what the constructor started."""


# Every store there is. A new one adds a class like FileStore and its row here; each suite under
# @on_every_store is then run on it too.
STORES = [FileStore, RedisStore]


def on_every_store(case):
    """Class decorator: the same cases over every store, as CLASS (the first one) and CLASS_NAME."""
    module = sys.modules[case.__module__]
    made = []
    for store in STORES:
        title = f"{case.__name__}[{store.name}]"
        made.append(
            type(
                title,
                (case,),
                {"store_class": store, "__module__": case.__module__, "__qualname__": title},
            )
        )
    for store, one in list(zip(STORES, made))[1:]:
        setattr(module, f"{case.__name__}_{store.name}", one)
    return made[0]


# --- evidence -----------------------------------------------------------------------------------


def wait_until(predicate, what, timeout=30):
    """Polls until predicate() gives something true, and returns that. `what` names it in the failure."""
    end = time.monotonic() + timeout
    pause = 0.0005
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def until_in_time(act):
    """What act() gives, once it has not given None: for what is only so when server, command and
    machine were in time, as act() can tell from what it saw; not for what may fail otherwise."""
    for _ in range(50):
        result = act()
        if result is not None:
            return result
    raise AssertionError("somebody was late 50 times: the machine is too busy for this test")


def kept_waiting(trace):
    """Whether a time ran out in what strace(1) saw of a caller: that is a path of its own."""
    timer = re.search(r"timerfd_create\(.*= (\d+)", trace)
    return bool(re.search(r"POLLIN.*\(Timeout\)", trace) or
                (timer and f"{{fd={timer[1]}, revents=" in trace))


def alive(pid):
    """Runs, sleeps or is stopped; a zombie has ended."""
    state = process_state(pid)
    return state is not None and state not in "ZX"


def process_state(pid):
    """The letter of proc(5), such as R, S, T or Z; None when there is no such process."""
    fields = process_stat(pid)
    return fields[0] if fields else None


def process_stat(pid):
    """The fields of /proc/PID/stat behind the name: state, ppid, pgrp, session, tty_nr, tpgid, ..."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


def children_of(pid):
    """The pids of its direct children, in order of their start."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]


# The numbers of the calls in which a caller sleeps that queues: fcntl, futex, poll, ppoll,
# epoll_pwait. Not flock: that is a mutex, held by nobody for long.
_WAITING_CALLS = {
    "x86_64": {72, 202, 7, 271, 281},
    "aarch64": {25, 98, 73, 22},
}.get(os.uname().machine, set())


def is_waiting(pid):
    """Sleeps in a call that ends with a turn of its own: for a caller of a full key, it is queued.

    The kernel's own word (/proc/PID/syscall), so a test needn't sleep and hope.
    """
    if process_state(pid) != "S":
        return False
    try:
        call = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return False
    return call.isdigit() and int(call) in _WAITING_CALLS


# --- the case -----------------------------------------------------------------------------------


class Holder:
    """A running `cachify ... run` whose COMMAND goes on until it is told to end."""

    def __init__(self, process, started, fifo):
        self.process = process  # cachify itself: a Popen with stderr in a pipe
        self._started = started
        self._fifo = fifo

    @property
    def command_pid(self):
        return int(self._started.read_text().split()[0])

    @property
    def environment(self):
        """COMMAND's environment, as a dictionary."""
        return environment_of(self.command_pid)

    def running(self):
        """COMMAND has started (it may have ended since)."""
        return self._started.exists()

    def finish(self, code=0, timeout=30):
        """Lets COMMAND exit with this code and returns cachify's."""
        # Not open("w"): that would block for ever were COMMAND dead already.
        opened = wait_until(self._open_fifo, "the holder's command listens", timeout)
        with os.fdopen(opened, "w") as pipe:
            pipe.write(f"{code}\n")
        return self.process.wait(timeout)

    def _open_fifo(self):
        try:
            return os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            if self.process.poll() is not None:
                raise
            return None


def environment_of(pid):
    """The environment a process was started with; {} when it is gone."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    pairs = (item.partition(b"=") for item in raw.split(b"\0") if b"=" in item)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


class Case(unittest.TestCase):
    """Each test has self.dir (fresh, removed afterwards), self.store and self.env.

    Every process that a test leaves behind is killed, by pid, and waited for.
    """

    store_class = FileStore
    maxDiff = None

    def setUp(self):
        reason = self.store_class.unavailable()
        if reason:
            self.skipTest(reason)
        if not CACHIFY:
            self.fail("CACHIFY_BIN has to name the cachify to test")
        self.dir = Path(tempfile.mkdtemp(prefix="cachify-e2e-")).resolve()
        self.addCleanup(self._remove_dir)
        self._processes = []
        self._holders = 0
        home = self.dir / "home"
        (home / ".config").mkdir(parents=True)
        self.store = self.store_class(self.dir)
        self.addCleanup(self.store.stop)
        self.addCleanup(self._end_processes)
        self.env = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.env.update(
            HOME=str(home),
            XDG_CONFIG_HOME=str(home / ".config"),
            TMPDIR=str(self.dir),
            LC_ALL="C.UTF-8",
        )
        self.env.update(self.store.environment)
        self.env[MARK] = str(self.dir)

    # -- running cachify and others

    def environ(self, changes=None):
        """The tests' environment with changes; a value of None takes a variable away."""
        env = dict(self.env)
        for name, value in (changes or {}).items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = str(value)
        return env

    def start(self, *args, env=None, **options):
        """cachify ARGS in the background: a Popen in a session of its own, with text in pipes.

        Standard input is /dev/null unless given; all options of Popen can be given.
        """
        return self.spawn([CACHIFY, *args], env=env, **options)

    def spawn(self, argv, env=None, **options):
        """Any program, under the same care as start()."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("text", True)
        options.setdefault("start_new_session", True)
        options.setdefault("cwd", self.dir)
        argv = [os.fspath(arg) if isinstance(arg, Path) else arg for arg in argv]
        process = subprocess.Popen(argv, env=self.environ(env), **options)
        self._processes.append(process)
        return process

    def cachify(self, *args, **options):
        """Runs cachify ARGS to its end: a CompletedProcess with text. Options as for run()."""
        return self.run_program([CACHIFY, *args], **options)

    def run_program(self, argv, input=None, timeout=60, **options):  # pylint: disable=redefined-builtin
        """Any program to its end. Fails, with everything killed, when it takes longer."""
        if input is not None:
            options["stdin"] = subprocess.PIPE
        process = self.spawn(argv, **options)
        try:
            stdout, stderr = process.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            self._end_processes()
            self.fail(f"not ended within {timeout} s: {argv}")
        return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)

    def hold(self, *args, wait_for_start=True, **options):
        """Starts `cachify ARGS -- COMMAND`, ARGS being such as "pool", "run", "-k", "jobs", "-n", "4".

        Returns a Holder once COMMAND runs (or at once: wait_for_start=False, for one that queues).
        """
        self._holders += 1
        started = self.dir / f"holder-{self._holders}.started"
        fifo = self.dir / f"holder-{self._holders}.fifo"
        os.mkfifo(fifo)
        # Built-in commands only: COMMAND is one process, with the pid that it writes.
        script = 'echo "$$" >"$1.new" && mv "$1.new" "$1"; read -r code <"$2"; exit "$code"'
        process = self.start(*args, "--", "sh", "-c", script, "sh", started, fifo, **options)
        holder = Holder(process, started, fifo)
        if wait_for_start:
            self.wait_for_holder(holder)
        return holder

    def wait_for_holder(self, holder, timeout=30):
        """Until its COMMAND runs."""

        def started():
            if holder.running():
                return True
            if holder.process.poll() is not None and not holder.running():
                self.fail(f"ended with {holder.process.returncode}: {holder.process.stderr.read()}")
            return False

        wait_until(started, "the holder's command has started", timeout)
        return holder

    def wait_for_queued(self, *processes, timeout=30):
        """Until each of them (Popen or Holder) sleeps in the queue of a full key."""
        for process in processes:
            process = getattr(process, "process", process)

            def queued(process=process):
                if process.poll() is not None:
                    self.fail(f"ended with {process.returncode} instead of waiting")
                return self.store.is_waiting(process.pid)

            wait_until(queued, f"{process.args} waits", timeout)

    # -- files

    def path(self, name):
        return self.dir / name

    def write(self, name, text, mode=None):
        """A file in self.dir (folders made as needed)."""
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if mode is not None:
            path.chmod(mode)
        return path

    def write_config(self, text):
        """The user's configuration file."""
        return self.write("home/.config/cachify/config.toml", text)

    # -- assertions

    def assert_one_message(self, done, *parts):
        """Standard error is one line `cachify: ...` that holds all the parts; nothing else was printed."""
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Acachify: [^\n]+\n\Z")
        for part in parts:
            self.assertIn(part, done.stderr)

    # -- cleaning up

    def _end_processes(self):
        # SIGKILL in rounds: one that forks while it is looked for is found in the next.
        wait_until(self._kill_marked, "all processes of the test have ended")
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        self._processes.clear()

    def _kill_marked(self):
        """Kills each process that has our mark; True when there was none."""
        mark = str(self.dir)
        none = True
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            pid = int(entry)
            try:
                handle = os.pidfd_open(pid)  # first: the pid can't become another's after the check
            except (ProcessLookupError, OSError):
                continue
            try:
                if environment_of(pid).get(MARK) == mark and alive(pid):
                    none = False
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            except ProcessLookupError:
                pass
            finally:
                os.close(handle)
        return none

    def _remove_dir(self):
        for folder, _, _ in os.walk(self.dir):  # a test may have taken rights away
            os.chmod(folder, 0o700)
        shutil.rmtree(self.dir)


def main(seconds=540):
    """Runs the suite. Exit 77 (CTest: skipped) when every case had to be skipped.

    After `seconds`, before CTest's own limit kills us, the case that hangs fails and is cleaned up
    after; what is left of the suite then has a few seconds each.
    """

    def too_long(*_):
        signal.alarm(10)
        raise AssertionError(f"the suite takes longer than {seconds} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    if result.wasSuccessful() and result.testsRun and result.testsRun == len(result.skipped):
        sys.exit(77)
    sys.exit(not result.wasSuccessful())
