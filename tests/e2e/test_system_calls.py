"""The system calls between a start and its command, and between the command's end and ours.

They are what a start costs. Each has its reason here; one that is added fails the test until it has
one, too (or was found to be needless).
"""

import os
import re
import shutil
import subprocess
import unittest

from redis_server import RedisStore
from support import CACHIFY, SANITIZED, Case, kept_waiting, main, until_in_time

QUICK = os.environ.get("CACHIFY_QUICK_OBJECTS", "")
FULL = os.environ.get("CACHIFY_FULL", "")

# How a static C library begins, before main(); in no order, as that is not ours to say.
LIBRARY = {"execve", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64",
           "readlink", "readlinkat", "getrandom", "mprotect", "futex"}  # fmt: skip
# malloc() asks for memory when it will.
MEMORY = re.compile(r"brk\(|mmap\(.*MAP_ANONYMOUS|munmap\(.*\b(135168|266240)\)")
# The same call under the names that C libraries and architectures have for it.
NAMES = {"newfstatat": "stat", "fstat": "stat", "statx": "stat", "clone3": "clone", "vfork": "clone",
         "access": "faccessat", "faccessat2": "faccessat"}  # fmt: skip

# (call, a pattern for its arguments, reason)
CONFIG = [
    ("faccessat", r"\.config/cachify/config\.toml.*ENOENT", "no file of the user's changes a default"),
    ("faccessat", r"/etc/cachify/config\.toml.*ENOENT", "nor one of the machine's"),
]
RELEASE = [
    ("flock", "LOCK_EX", "R1: the mutex"),
    ("stat", "", "R1: the file may have been cut"),
    ("pread64", "1024", "R2: is the entry still ours? all that a release reads"),
]
GIVE_BACK = [
    ("pwrite64", "320", "R2: header and entry in one write"),
    ("flock", "LOCK_UN", "R3"),
    ("fcntl", "F_UNLCK", "R4: a daemon may have the hold description, too"),
]
RING = [
    ("mmap", "MAP_SHARED", "D1: the page with the bell"),
    ("set_robust_list", "", "D1: the kernel rings it when we are killed"),
]


def quick(bell):
    return [
        *CONFIG,
        ("openat", "O_DIRECTORY", "the store"),
        ("openat", "O_NOFOLLOW", "A1: the state file, for M, W and L"),
        ("flock", "LOCK_EX", "A1: the mutex"),
        ("stat", "", "A2: is it still linked? is it a file?"),
        ("pread64", "1024", "A3: header and first entries"),
        ("clock_gettime", "REALTIME", "A3: the ticket; without the C library there is no vDSO"),
        ("clock_gettime", "REALTIME", "the fence"),
        ("openat", "O_NOFOLLOW", "D2: a description of its own for H, which COMMAND inherits"),
        ("stat", "", "D2: is that the same file?"),
        *(RING if bell else []),
        ("rt_sigprocmask", "SIG_BLOCK", "no signal between a decision and its deed"),
        ("fcntl", "F_WRLCK", "D2: L"),
        ("fcntl", "F_WRLCK", "D2: H"),
        ("getpid", "", "who holds, for status and for pokes"),
        ("geteuid", "", "the same"),
        ("stat", "/proc/self/ns/pid", "a pid says nothing without its namespace"),
        ("clock_gettime", "REALTIME", "since when"),
        ("uname", "", "on which host"),
        ("pwrite64", "256", "who holds"),
        ("pwrite64", "320", "D3: header and entry in one write"),
        ("flock", "LOCK_UN", "D4"),
        ("rt_sigaction", "SIGCHLD", "a caller that ignores it would let us miss the end"),
        ("rt_sigpending", "", "after a signal nothing is started"),
        ("signalfd4", "", "signals while COMMAND runs; before it, as that may fail"),
        ("clone", "CLONE_VFORK", "the child"),
        ("child fcntl", "F_DUPFD", "COMMAND keeps the slot, out of the way of a script's descriptors"),
        ("child rt_sigprocmask", "", "COMMAND's mask is the one that we were given"),
        ("child execve", "", "COMMAND"),
        ("poll", "", "sleep until it ends or a signal comes"),
        ("waitid", "WNOWAIT", "how did it end?"),
        ("rt_sigpending", "", "was it only that, or a signal for it as well?"),
        *RELEASE,
        ("wait4", "", "reaped, with the mutex in hand: only then is the slot given back"),
        *GIVE_BACK,
        ("exit_group", "", ""),
    ]


def by_main(bell):
    return [
        ("poll", "fd=2", "are 0, 1 and 2 open?"),
        ("openat", r"\.config/cachify/config\.toml.*ENOENT", "the user's defaults"),
        ("openat", r"/etc/cachify/config\.toml.*ENOENT", "the machine's"),
        ("getpid", "", "who asks"),
        ("geteuid", "", "the same"),
        ("uname", "", "on which host"),
        ("openat", "O_DIRECTORY", "the store"),
        ("rt_sigprocmask", "SIG_BLOCK", "no signal between a decision and its deed"),
        ("rt_sigaction", "SIGCHLD", "a caller that ignores it would let us miss the end"),
        ("stat", "/proc/self/ns/pid", "a pid says nothing without its namespace"),
        ("openat", "O_NOFOLLOW", "A1: the state file, for M, W and L"),
        ("flock", "LOCK_EX", "A1: the mutex"),
        ("stat", "", "A2: is it still linked? is it a file?"),
        ("pread64", "1024", "A3: header and first entries"),
        ("rt_sigpending", "", "after a signal nothing is admitted"),
        *(RING if bell else []),
        ("fcntl", "F_WRLCK", "D2: L"),
        ("openat", "O_NOFOLLOW", "D2: a description of its own for H, which COMMAND inherits"),
        ("stat", "", "D2: is that the same file"),
        ("stat", "", "as this shard?"),
        ("fcntl", "F_WRLCK", "D2: H"),
        ("getpid", "", "who holds"),
        ("pwrite64", "256", "who holds"),
        ("pwrite64", "320", "D3: header and entry in one write"),
        ("flock", "LOCK_UN", "D4"),
        ("signalfd4", "", "signals while COMMAND runs; before it, as that may fail"),
        ("rt_sigpending", "", "after a signal nothing is started"),
        ("clone", "CLONE_VFORK", "the child"),
        ("child fcntl", "F_DUPFD", "COMMAND keeps the slot, out of the way of a script's descriptors"),
        ("child rt_sigprocmask", "", "COMMAND's mask is the one that we were given"),
        ("child execve", "", "COMMAND"),
        ("ppoll", "", "sleep until it ends or a signal comes"),
        ("read", "", "which it is"),
        ("waitid", "", "reap it: only then is the slot given back"),
        ("close", "", "the signals'"),
        *RELEASE,
        *GIVE_BACK,
        ("close", "", "the hold description"),
        *([("munmap", "4096", "the bell's page")] if bell else []),
        ("close", "", "the control description"),
        ("rt_sigtimedwait", "", "a signal that came too late for COMMAND is not ours to die of"),
        ("rt_sigprocmask", "SIG_UNBLOCK", "signals as they were"),
        ("close", "", "the store"),
        ("exit_group", "", ""),
    ]


REDIS_QUICK = [
    ("faccessat", r"\.config/cachify/config\.toml.*ENOENT", "the user's defaults"),
    ("faccessat", r"/etc/cachify/config\.toml.*ENOENT", "the machine's"),
    ("getrandom", "", "the id"),
    ("getpid", "", "who holds, for status"),
    ("geteuid", "", "the same"),
    ("stat", "/proc/self/ns/pid", "a pid says nothing without its namespace"),
    ("uname", "", "on which host"),
    ("socket", "", "the server"),
    ("connect", "", "the server"),
    ("rt_sigprocmask", "SIG_BLOCK", "no signal between a decision and its deed"),
    ("clock_gettime", "BOOTTIME", "since when"),
    ("sendto", "EVALSHA", "take"),
    ("rt_sigaction", "SIGCHLD", "a caller that ignores it would let us miss the end"),
    ("poll", "POLLIN", "the answer"),
    ("recvfrom", "OK", "the answer"),
    ("rt_sigpending", "", "after a signal nothing is started"),
    ("signalfd4", "", "signals while COMMAND runs; before it, as that may fail"),
    ("getpid", "", "for the child to see that its parent died before it asked for the signal"),
    ("clone", "CLONE_VFORK", "the child"),
    ("child prctl", "PDEATHSIG", "--on-lost: COMMAND ends when we are killed"),
    ("child getppid", "", "or were, just before"),
    ("child rt_sigprocmask", "", "COMMAND's mask is the one that we were given"),
    ("child execve", "", "COMMAND"),
    ("poll", "", "sleep until it ends or a signal comes, or it is time to listen"),
    ("waitid", "WNOWAIT", "how did it end?"),
    ("rt_sigpending", "", "was it only that, or a signal for it as well?"),
    ("sendto", "EVALSHA", "free"),
    ("poll", "POLLIN", "the answer"),
    ("recvfrom", "FREED", "the answer"),
    ("wait4", "", "reaped"),
    ("exit_group", "", ""),
]
# The Redis store asks twice; how often it looks before the answer is there is the server's doing.
REDIS = [
    ("poll", "fd=2", "are 0, 1 and 2 open?"),
    ("openat", r"\.config/cachify/config\.toml.*ENOENT", "the user's defaults"),
    ("openat", r"/etc/cachify/config\.toml.*ENOENT", "the machine's"),
    ("getpid", "", "who asks"),
    ("geteuid", "", "the same"),
    ("uname", "", "on which host"),
    ("rt_sigprocmask", "SIG_BLOCK", "no signal between a decision and its deed"),
    ("rt_sigaction", "SIGCHLD", "a caller that ignores it would let us miss the end"),
    ("getrandom", "", "the id"),
    ("stat", "/proc/self/ns/pid", "a pid says nothing without its namespace"),
    ("socket", "", "the server"),
    ("connect", "", "the server"),
    ("sendto", "EVALSHA", "take"),
    ("rt_sigpending", "", "after a signal nothing is admitted"),
    ("signalfd4", "", "signals while COMMAND runs; before it, as that may fail"),
    ("timerfd_create", "BOOTTIME", "when the lease is renewed"),
    ("rt_sigpending", "", "after a signal nothing is started"),
    ("getpid", "", "for the child to see that its parent died before it asked for the signal"),
    ("clone", "CLONE_VFORK", "the child"),
    ("child prctl", "PDEATHSIG", "--on-lost: COMMAND ends when we are killed"),
    ("child getppid", "", "or were, just before"),
    ("child rt_sigprocmask", "", "COMMAND's mask is the one that we were given"),
    ("child execve", "", "COMMAND"),
    ("timerfd_settime", "", "when the lease is renewed"),
    ("read", "", "COMMAND has ended"),
    ("waitid", "", "reap it: only then is the slot given back"),
    ("close", "", "the timer"),
    ("close", "", "the signals'"),
    ("sendto", "EVALSHA", "free"),
    ("close", "", "the server"),
    ("rt_sigtimedwait", "", "a signal that came too late for COMMAND is not ours to die of"),
    ("rt_sigprocmask", "SIG_UNBLOCK", "signals as they were"),
    ("exit_group", "", ""),
]
ANSWERS = re.compile(r"recvfrom\(|ppoll\(|rt_sigpending\(")


def why_not():
    """Why nothing can be traced; None when it can."""
    if SANITIZED:
        return "a sanitizer makes calls of its own"
    if os.uname().machine != "x86_64" or not FULL:
        return "the lists are those of the static x86-64 build"
    if not shutil.which("strace"):
        return "strace is not installed"
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else f"ptrace is not allowed: {probe.stderr.decode()[:80]}"


WHY_NOT = why_not()


def name_of(text):
    name = text[: text.index("(")]
    return NAMES.get(name, name)


class Calls(Case):
    """The command is `true`, whose own calls are left out."""

    def trace(self, program, *call):
        """The calls as text, those of the child up to its exec beginning with "child "."""
        return until_in_time(lambda: self.trace_once(program, *call))

    def trace_once(self, program, *call):
        log = self.path("trace")
        done = self.run_program(["strace", "-f", "-s", "80", "-e", "signal=none", "-o", log, program, *call,
                                 "--", "true"])  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        calls, us, executed = [], None, set()
        text = log.read_text(errors="replace")
        if kept_waiting(text):
            return None
        for line in text.splitlines():
            pid, text = line.split(None, 1)
            us = us or pid
            if text.startswith(("<...", "+++")) or (pid != us and pid in executed):
                continue
            if pid == us:
                calls.append(text)
                continue
            # `true` is looked for along PATH: the last of these is the one that counts.
            if text.startswith("execve(") and "ENOENT" in text:
                continue
            if text.startswith("execve("):
                executed.add(pid)
            calls.append("child " + text)
        # What others see of us depends on who is first: parent and child are each in order.
        clone = next(i for i, text in enumerate(calls) if name_of(text) == "clone")
        before, rest = calls[: clone + 1], calls[clone + 1 :]
        rest.sort(key=lambda text: not text.startswith("child "))
        return before + rest

    def compare(self, calls, expected):
        calls = [text for text in calls if not MEMORY.match(text)]
        problems = []
        rows = list(expected)
        names = [name_of(text) for text in calls]
        i = 0
        for name, arguments, reason in rows:
            if i < len(calls) and names[i] == name and re.search(arguments, calls[i]):
                i += 1
                continue
            problems.append(f"at call {i + 1}: expected {name} {arguments!r} ({reason}), "
                            f"found {calls[i] if i < len(calls) else 'the end'}")  # fmt: skip
            break
        if not problems and i < len(calls):
            problems.append(f"more calls than expected: {calls[i:]}")
        self.assertFalse(problems, "\n".join([*problems, "", "all calls:", *calls]))

    def behind_the_library(self, calls):
        """What main() and its callees call; the library's start is checked on the way."""
        first = next(i for i, text in enumerate(calls) if text.startswith("poll([{fd=0"))
        strange = {name_of(text) for text in calls[:first]} - LIBRARY
        self.assertFalse(strange, f"before main(): {strange}")
        return calls[first:]


@unittest.skipIf(WHY_NOT, WHY_NOT)
class FileStoreCalls(Calls):
    def call(self, noun, *more):
        return [noun, "run", "-k", "k", *(["-n", "2"] if noun == "pool" else []), *more]

    def setUp(self):
        super().setUp()
        for noun in ("pool", "lock"):  # the first call makes the file
            self.assertEqual(self.cachify(*self.call(noun), "--", "true").returncode, 0)

    @unittest.skipUnless(QUICK, "this build has no quick start")
    def test_the_quick_start_calls_what_it_must(self):
        for noun in ("pool", "lock"):
            with self.subTest(noun):
                calls = self.trace(CACHIFY, *self.call(noun))
                self.assertEqual(name_of(calls[0]), "execve")
                self.compare(calls[1:], quick(bell=noun == "pool"))

    @unittest.skipUnless(QUICK, "this build has no quick start")
    def test_a_call_that_the_quick_start_leaves_alone_costs_nothing_before_main(self):
        calls = self.trace(CACHIFY, *self.call("lock", "-q"))
        self.compare(self.behind_the_library(calls), by_main(bell=False))

    def test_main_calls_what_it_must(self):
        for noun in ("pool", "lock"):
            with self.subTest(noun):
                calls = self.trace(FULL, *self.call(noun))
                self.compare(self.behind_the_library(calls), by_main(bell=noun == "pool"))

    def test_options_that_need_no_more_call_no_more(self):
        for more in (["--priority", "3"], ["-w"], ["--queue-max", "4"], ["--kill-after", "2s"], ["-v"]):
            with self.subTest(more):
                calls = self.trace(FULL, *self.call("pool", *more))
                self.compare(self.behind_the_library(calls), by_main(bell=True))

    def test_a_call_too_many_is_noticed(self):
        expected = by_main(bell=False)
        calls = self.behind_the_library(self.trace(FULL, *self.call("lock")))
        for i in (0, 5, len(calls) - 1):
            with self.assertRaises(self.failureException):
                self.compare([*calls[:i], "getcwd(\"/\", 4096) = 2", *calls[i:]], expected)
        with self.assertRaises(self.failureException):
            self.compare([*calls, "getcwd(\"/\", 4096) = 2"], expected)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class RedisCalls(Calls):
    store_class = RedisStore

    def test_two_round_trips_and_no_more(self):
        call = ["--store", self.store.server.unix_url, "lock", "run", "-k", "k"]
        self.assertEqual(self.cachify(*call, "--", "true").returncode, 0)  # brings the scripts there
        calls = self.behind_the_library(self.trace(FULL, *call))
        asked = [text for text in calls if text.startswith("sendto(")]
        self.assertEqual(len(asked), 2, asked)
        waits = [text for text in calls if ANSWERS.match(text)]
        self.assertLess(len(waits), 16, waits)
        rest = [text for text in calls if not ANSWERS.match(text)]
        self.compare(rest, [row for row in REDIS if row[0] != "rt_sigpending"])

    @unittest.skipUnless(QUICK, "this build has no quick start")
    def test_the_quick_start_calls_what_it_must(self):
        del self.env["CACHIFY_PREFIX"]  # a setting: not plain
        call = ["--store", self.store.server.unix_url, "lock", "run", "-k", "k"]
        self.assertEqual(self.cachify(*call, "--", "true").returncode, 0)
        calls = self.trace(CACHIFY, *call)
        self.assertEqual(name_of(calls[0]), "execve")
        self.compare(calls[1:], REDIS_QUICK)


if __name__ == "__main__":
    main()
