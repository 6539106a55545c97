"""Each claim of SECURITY.md that is not proven elsewhere (it names where)."""

import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
import unittest
from pathlib import Path

from redis_server import RedisStore, Server, missing
from support import (
    CACHIFY,
    PROBE,
    SANITIZED,
    Case,
    alive,
    children_of,
    is_waiting,
    main,
    on_every_store,
    wait_until,
)

SECRET = "geheim-4711"
VICTIM = 54321  # nobody's uid
ATTACKER = 65534
INFO = 1024  # where the state file says who has the first entry; store/file/layout.h


def why_not_as_others():
    """Why nothing can be run as somebody else; None when it can."""
    if os.geteuid() != 0:
        return "only root can run programs as somebody else"
    if not shutil.which("setpriv"):
        return "setpriv is not installed"
    done = subprocess.run(as_user(VICTIM, "true"), capture_output=True, check=False)
    return None if done.returncode == 0 else f"no other user can be had: {done.stderr.decode()[:80]}"


def as_user(uid, *argv):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", *map(str, argv)]


NOT_AS_OTHERS = why_not_as_others()


@unittest.skipIf(NOT_AS_OTHERS, NOT_AS_OTHERS)
class SameMachine(Case):
    """Two users: the one who calls cachify, and the one who would like to interfere."""

    def setUp(self):
        super().setUp()
        self.dir.chmod(0o755)
        self.program = self.path("cachify")
        shutil.copy(CACHIFY, self.program)  # the build's folder may not be open to everyone
        self.program.chmod(0o755)
        self.default = Path(f"/run/lock/cachify-{VICTIM}")
        if not os.path.isdir("/run/lock"):
            self.default = Path(f"/tmp/cachify-{VICTIM}")
        self.addCleanup(self.forget_default)
        self.forget_default()

    def forget_default(self):
        if self.default.is_symlink() or self.default.is_file():
            self.default.unlink()
        elif self.default.exists():
            shutil.rmtree(self.default)

    def victim(self, *args, **options):
        return self.run_program(as_user(VICTIM, self.program, *args), **options)

    def attack(self, *argv, **options):
        return self.run_program(as_user(ATTACKER, *argv), **options)

    def lock(self, *more, store="file:", command=("true",)):
        return self.victim("--store", store, "lock", "run", "-k", "k", *more, "--", *command)

    def test_a_default_directory_that_somebody_else_made_first_is_refused(self):
        for trap in (["mkdir", "-m", "777", self.default], ["ln", "-s", self.dir, self.default],
                     ["touch", self.default]):  # fmt: skip
            self.assertEqual(self.attack(*trap).returncode, 0)
            done = self.lock()
            self.assertEqual(done.returncode, 78, trap)
            self.assert_one_message(done, str(self.default))
            self.forget_default()

    def test_nobody_else_can_look_into_the_default_directory_or_lock_a_file_in_it(self):
        self.assertEqual(self.lock().returncode, 0)
        self.assertEqual(stat.S_IMODE(self.default.stat().st_mode), 0o700)
        for file in self.default.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
            self.assertNotEqual(self.attack("cat", file).returncode, 0)
        self.assertNotEqual(self.attack("ls", self.default).returncode, 0)
        self.assertNotEqual(self.attack("touch", self.default / "x").returncode, 0)
        self.assertNotEqual(self.attack("mv", self.default, "/run/lock/elsewhere").returncode, 0)
        done = self.attack(self.program, "--store", f"file:{self.default}", "lock", "run", "-k", "k", "--", "true")
        self.assertEqual(done.returncode, 69)

    def shared(self, mode):
        """A directory of the victim's that others can see, with the key in use once."""
        store = self.path("shared")
        store.mkdir()
        os.chown(store, VICTIM, VICTIM)
        store.chmod(mode)
        self.assertEqual(self.lock(store=f"file:{store}").returncode, 0)
        return store, store / "lock.cachify%3Ak"

    def test_users_of_one_directory_take_turns_and_end_only_their_own_commands(self):
        store = self.path("common")
        store.mkdir()
        store.chmod(0o777)
        place = ("--store", f"file:{store}")
        run = (self.program, *place, "lock", "run", "-k", "k")
        command = ("--", "sh", "-c", "echo started; exec sleep 60")
        holder = self.spawn(as_user(VICTIM, *run, *command), umask=0)
        self.assertEqual(holder.stdout.readline(), "started\n")
        for verb in (("release", "-k", "k", "--terminate"),
                     ("run", "-k", "k", "--replace", "running", "--", "true")):  # fmt: skip
            done = self.attack(self.program, *place, "lock", *verb)
            self.assertEqual(done.returncode, 69, done.stderr)
            self.assert_one_message(done, "cannot end the holder", f"user {VICTIM}", "as root")
            self.assertIsNone(holder.poll())
            done = self.attack(self.program, *place, "lock", "is-locked", "-k", "k")
            self.assertEqual(done.returncode, 0, done.stderr)
        waiter = self.spawn(as_user(ATTACKER, *run, "--wait", "--", "echo", "mine now"))
        wait_until(lambda: is_waiting(waiter.pid), "the other user waits")
        holder.terminate()
        self.assertEqual(waiter.communicate(timeout=30)[0], "mine now\n")
        # What needs no signal to somebody else's process needs no right to it either.
        holder = self.spawn(as_user(VICTIM, *run, *command))
        self.assertEqual(holder.stdout.readline(), "started\n")
        done = self.attack(self.program, *place, "lock", "release", "-k", "k")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.attack(*run, "--", "echo", "beside").stdout, "beside\n")
        self.assertIsNone(holder.poll())

    def test_planted_files_are_refused_and_what_they_lead_to_stays_as_it_is(self):
        store, file = self.shared(0o777)
        precious = self.path("precious")
        precious.write_bytes(bytes(8192))  # as an empty state file would look
        os.chown(precious, VICTIM, VICTIM)
        other = self.path("other")
        shutil.copy(file, other)  # a sound one, elsewhere
        os.chown(other, VICTIM, VICTIM)
        before = (precious.read_bytes(), other.read_bytes())
        traps = {
            "symbolic link": lambda: file.symlink_to(precious),
            "dangling link": lambda: file.symlink_to(self.path("made")),
            "hard link": lambda: os.link(precious, file),
            "hard link to a state file": lambda: os.link(other, file),
            "FIFO": lambda: os.mkfifo(file, 0o666),
            "directory": file.mkdir,
        }
        for name, plant in traps.items():
            for options in ([], ["-q"]):  # by the quick start, and by main()
                with self.subTest(name, options=options):
                    file.unlink()
                    plant()
                    done = self.lock(*options, store=f"file:{store}")
                    self.assertEqual(done.returncode, 69)
                    self.assert_one_message(done, file.name)
                    self.assertEqual((precious.read_bytes(), other.read_bytes()), before)
                    self.assertFalse(self.path("made").exists())
                    if file.is_dir() and not file.is_symlink():
                        file.rmdir()
                        file.touch()

    def test_who_can_only_read_a_store_can_stop_it_but_not_change_an_answer(self):
        store, file = self.shared(0o755)
        locked = self.path("locked")
        script = f"exec 9<{file} && flock 9 && : >{locked} && read -r _"
        self.path(".").chmod(0o777)  # for `locked`
        attacker = self.spawn(as_user(ATTACKER, "sh", "-c", script), stdin=subprocess.PIPE)
        wait_until(locked.exists, "the attacker has the mutex")
        done = self.lock(store=f"file:{store}")
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done, "has been locked for 10 s")
        attacker.communicate("\n")
        self.assertEqual(self.lock(store=f"file:{store}").returncode, 0)

    def test_read_locks_of_others_are_not_taken_for_holders(self):
        store, file = self.shared(0o755)
        ready = self.path("ready")
        self.path(".").chmod(0o777)
        everything = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        script = ("import fcntl, sys; f = open(sys.argv[1], 'rb'); "
                  f"fcntl.fcntl(f, 37, {everything!r}); open(sys.argv[2], 'w').close(); sys.stdin.read()")  # fmt: skip
        attacker = self.spawn(as_user(ATTACKER, shutil.which("python3"), "-c", script, file, ready),
                              stdin=subprocess.PIPE)  # fmt: skip
        wait_until(lambda: ready.exists() or attacker.poll() is not None, "the attacker has locked all")
        self.assertTrue(ready.exists(), attacker.poll() and attacker.stderr.read())
        size = self.victim("--store", f"file:{store}", "lock", "is-locked", "-k", "k")
        self.assertEqual(size.returncode, 1, size.stderr)
        done = self.lock(store=f"file:{store}")
        self.assertEqual(done.returncode, 69, done.stderr)  # it cannot lock; it never guesses
        attacker.communicate("")
        self.assertEqual(self.lock(store=f"file:{store}").returncode, 0)

    def test_a_state_file_cannot_name_whom_to_end(self):
        """Who can write it can end its holders (as anyone who may steer), and no other process."""
        store, file = self.shared(0o777)
        ready = self.path("ready")
        self.path(".").chmod(0o777)
        holder = self.spawn(as_user(VICTIM, self.program, "--store", f"file:{store}", "lock", "run", "-k", "k",
                                    "--", "sh", "-c", f": >{ready}; read -r _; exit 3"),
                            stdin=subprocess.PIPE)  # fmt: skip
        wait_until(ready.exists, "the command")
        bystander = self.spawn(as_user(VICTIM, "sleep", "1000"))
        with open(file, "r+b") as state:
            state.seek(INFO)
            self.assertIn(struct.unpack("<I", state.read(4))[0], [holder.pid])
            state.seek(INFO)
            state.write(struct.pack("<I", bystander.pid))
        self.victim("--store", f"file:{store}", "lock", "release", "-k", "k", "--terminate")
        os.kill(holder.pid, signal.SIGKILL)  # now an orphan: its processes are signalled themselves
        holder.wait()
        self.victim("--store", f"file:{store}", "lock", "release", "-k", "k", "--terminate")
        wait_until(lambda: self.victim("--store", f"file:{store}", "lock", "is-locked", "-k", "k").returncode == 1,
                   "the orphan has ended")  # fmt: skip
        self.assertTrue(alive(bystander.pid))


class Passwords(Case):
    """They are given in all the ways there are, and looked for wherever somebody else might look."""

    def setUp(self):
        super().setUp()
        reason = missing()
        if reason:
            self.skipTest(reason)
        self.server = Server("--requirepass", SECRET)
        self.addCleanup(self.server.stop)
        del self.env["CACHIFY_STORE"]
        self.in_url = f"redis://:{SECRET}@127.0.0.1:{self.server.port}"
        self.without = f"redis://127.0.0.1:{self.server.port}"

    def words_of(self, pid):
        return Path(f"/proc/{pid}/cmdline").read_bytes()

    def ways(self):
        """Each way to give the password: options, and the environment."""
        config = self.write("c.toml", f'store = "{self.without}"\nredis-password = "{SECRET}"\n', 0o600)
        by_url = self.write("u.toml", f'store = "{self.in_url}"\n', 0o600)
        return {
            "option": (["--store", self.in_url], {}),
            "one word": ([f"--store={self.in_url}"], {}),
            "file": (["--config", config], {}),
            "URL in the file": (["--config", by_url], {}),
            "variable": (["--store", self.without], {"CACHIFY_REDIS_PASSWORD": SECRET}),
            "URL in a variable": ([], {"CACHIFY_STORE": self.in_url}),
        }

    def test_neither_ps_nor_the_command_nor_status_shows_them(self):
        for name, (options, env) in self.ways().items():
            with self.subTest(name):
                holder = self.hold(*options, "lock", "run", "-k", "k", env=env)
                waiter = self.start(*options, "lock", "run", "-k", "k", "-w", "--", "true", env=env)
                looks = [self.cachify(*options, *look, env=env) for look in (
                    ["lock", "status", "-k", "k"], ["lock", "status", "-k", "k", "--json"], ["lock", "list"],
                    ["doctor"], ["-v", "lock", "run", "-k", "k", "--", "true"])]  # fmt: skip
                for look in looks:
                    self.assertNotIn(SECRET, look.stdout + look.stderr)
                wait_until(lambda: b"***" in self.words_of(waiter.pid) or not options[0].endswith(self.in_url)
                           if options else True, "the waiter has its store open")
                for pid in (holder.process.pid, holder.command_pid, waiter.pid):
                    wait_until(lambda pid=pid: SECRET.encode() not in self.words_of(pid), "ps shows nothing")
                given = {SECRET in value for value in env.values()}
                inherited = {key for key, value in holder.environment.items() if SECRET in value}
                # What the caller put into the environment himself goes on to COMMAND, which may
                # call cachify as well. Nothing is added to it.
                self.assertEqual(inherited, set(env) if True in given else set())
                self.assertEqual(holder.finish(), 0)
                self.assertEqual(waiter.wait(30), 0)
                self.assertNotIn(SECRET, waiter.stderr.read())

    def test_a_lock_that_is_kept_without_a_command_shows_none(self):
        script = f'"$1" --store {self.in_url} lock acquire -k k && read -r _'
        shell = self.spawn(["sh", "-c", script, "sh", CACHIFY], stdin=subprocess.PIPE)
        self.assertRegex(shell.stdout.readline(), r"\S")
        listing = Path("/proc")

        def one():  # the one who has printed the id ends
            keepers = [pid for pid in listing.iterdir() if pid.name.isdigit() and self.is_keeper(pid)]
            return keepers if len(keepers) == 1 else None

        keepers = wait_until(one, "only the keeper is left")
        self.assertNotIn(SECRET.encode(), (keepers[0] / "cmdline").read_bytes())
        for look in (["--json"], []):
            done = self.cachify("--store", self.in_url, "lock", "status", "-k", "k", *look)
            self.assertIn("lock acquire", done.stdout)  # the owner's command line
            self.assertNotIn(SECRET, done.stdout)
        shell.communicate("\n", 30)

    def is_keeper(self, process):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            mine = os.fsencode(str(self.dir)) in (process / "environ").read_bytes()
        except OSError:
            return False
        return mine and words[0] == os.fsencode(CACHIFY) and b"acquire" in words

    def test_a_command_line_with_a_url_is_recorded_without_its_password(self):
        url = f"postgres://joe:{SECRET}@db/x"
        for store in ("file:" + str(self.path("store")), self.in_url):
            for _ in range(2):  # the second one is the quick start's, were it not for the URL
                holder = self.start("--store", store, "lock", "run", "-k", "k", "--", "sh", "-c",
                                    f': "{url}"; echo ready; read -r _', stdin=subprocess.PIPE)  # fmt: skip
                self.assertEqual(holder.stdout.readline(), "ready\n")
                done = self.cachify("--store", store, "lock", "status", "-k", "k")
                self.assertIn("postgres://joe:***@db/x", done.stdout)
                self.assertNotIn(SECRET, done.stdout)
                self.assertIn(SECRET.encode(), self.words_of(children_of(holder.pid)[0]))  # COMMAND's argv is its own
                holder.communicate("\n")

    def test_no_message_shows_them(self):
        wrong = self.in_url.replace("127.0.0.1", "127.0.0.1:1")
        for args in (["--store", wrong, "lock", "run", "-k", "k", "--", "true"],
                     ["--store", self.in_url + "/x", "lock", "list"],
                     ["--store", self.in_url.replace("redis:", "radish:"), "lock", "list"],
                     ["--store", f"redis://:{SECRET}/@127.0.0.1", "lock", "list"],
                     ["--store", self.in_url + "?lease=never", "lock", "list"],
                     [self.in_url, "lock", "list"], ["lock", "list", self.in_url],
                     ["lock", self.in_url], ["lock", "list", "--stroe", self.in_url],
                     ["lock", "list", f"--prefix-of={self.in_url}"],
                     ["lock", "run", "-k", "k", "--store"],
                     ["--config", self.in_url, "lock", "list"], ["--profile", self.in_url, "lock", "list"],
                     ["lock", "run", "-k", "k", "-t", self.in_url, "--", "true"],
                     ["lock", "run", "-k", "k", "-a", self.in_url, "--", "true"]):  # fmt: skip
            with self.subTest(args):
                done = self.cachify(*args)
                self.assertIn(done.returncode, (64, 69, 78))
                self.assert_one_message(done)
                self.assertNotIn(SECRET, done.stderr)

    def crash(self, *args, env=None):
        """Whether a core was left by a cachify that waits and then crashes."""
        holder = self.hold(*args, "lock", "run", "-k", "crash", env=env)
        environment = self.environ(env)
        pid = os.fork()
        if pid == 0:
            try:
                resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
                os.chdir(self.dir)
                os.execve(CACHIFY, [CACHIFY, *map(str, args), "lock", "run", "-k", "crash", "-w", "--", "true"],
                          environment)  # fmt: skip
            finally:
                os._exit(99)
        try:
            key = lambda: self.cachify(*args, "lock", "status", "-k", "crash", "--json", env=env).stdout
            wait_until(lambda: json.loads(key())["waiters"], "it waits")
            os.kill(pid, signal.SIGSEGV)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        _, status = os.waitpid(pid, 0)
        self.assertTrue(os.WIFSIGNALED(status), status)
        self.assertEqual(os.WTERMSIG(status), signal.SIGSEGV)
        holder.finish()
        return os.WCOREDUMP(status)

    @unittest.skipIf(SANITIZED, "the sanitizer catches the signal")
    @unittest.skipIf(resource.getrlimit(resource.RLIMIT_CORE)[1] == 0, "core files are not allowed here")
    def test_a_core_file_holds_none(self):
        if not self.crash("--store", f"file:{self.path('store')}"):
            self.skipTest("no crash leaves a core file here")
        for options, env in self.ways().values():
            self.assertFalse(self.crash(*options, env=env))

    @unittest.skipIf(NOT_AS_OTHERS, NOT_AS_OTHERS)
    def test_other_processes_of_the_user_cannot_read_them_from_its_memory(self):
        self.dir.chmod(0o755)
        program = self.path("cachify")
        shutil.copy(CACHIFY, program)
        program.chmod(0o755)
        ready = self.path("ready")
        self.dir.chmod(0o777)
        config = self.write("victim.toml", f'store = "{self.in_url}"\n', 0o644)
        holder = self.spawn(as_user(VICTIM, program, "--config", config, "lock", "run", "-k", "m", "--", "sh", "-c",
                                    f": >{ready}; read -r _"), stdin=subprocess.PIPE)  # fmt: skip
        wait_until(ready.exists, "the command")
        done = self.run_program(as_user(VICTIM, "cat", f"/proc/{holder.pid}/environ"))
        self.assertNotEqual(done.returncode, 0)
        # The command is a process like any other again.
        child = children_of(holder.pid)[0]
        done = self.run_program(as_user(VICTIM, "cat", f"/proc/{child}/environ"))
        self.assertEqual(done.returncode, 0)
        holder.communicate("\n")


NASTY_KEYS = ["../../../../tmp/x", "/etc/passwd", ".", "..", "a/../b", "-k", "--", "%2e%2e", "a\nb", "\x1b]0;x\x07",
              "$(touch made)", "`touch made`", ";touch made", "*", "?", "[a]", "a}:m", "}", "a}{b", "%7B", "~h",
              "k~1", "k~h00", "\u009b31m", "\u202eabc", "x" * 512, "\u00e4" * 256, "' or 1=1", "k\r\n*1\r\n"]  # fmt: skip


def as_format(key):
    return key.replace("{", "{{").replace("}", "}}")


@on_every_store
class KeyNames(Case):
    """Whoever chooses a key chooses a key, and nothing else."""

    def test_each_key_is_a_key_of_its_own(self):
        before = set(self.dir.rglob("*"))
        holders = {key: self.hold("lock", "run", f"--key={as_format(key)}") for key in NASTY_KEYS}
        for key, holder in holders.items():
            self.assertEqual(holder.environment["CACHIFY_KEY"], key)
        listed = json.loads(self.cachify("lock", "list", "--json").stdout)
        self.assertEqual(len(listed["keys"] if isinstance(listed, dict) else listed), len(NASTY_KEYS))
        made = {path for path in set(self.dir.rglob("*")) - before if not path.name.startswith("holder-")}
        self.assertLessEqual({path.parent for path in made}, {self.dir, self.dir / "store"})
        self.assertLessEqual({path.name for path in made if path.parent == self.dir}, {"store"})
        for key in NASTY_KEYS[:8]:
            done = self.cachify("lock", "release", f"--key={as_format(key)}")
            self.assertEqual(done.returncode, 0, done.stderr)
            held = self.cachify("lock", "is-locked", f"--key={as_format(key)}")
            self.assertEqual(held.returncode, 1)
        for key in NASTY_KEYS[8:]:
            held = self.cachify("lock", "is-locked", f"--key={as_format(key)}")
            self.assertEqual(held.returncode, 0, key)

    def test_what_is_printed_of_it_does_nothing_to_a_terminal(self):
        for key in NASTY_KEYS:
            holder = self.hold("pool", "run", f"--key={as_format(key)}", "-n", "1")
            done = self.cachify("-v", "pool", "run", f"--key={as_format(key)}", "-n", "1", "--", "true")
            self.assertEqual(done.returncode, 75)
            looks = [self.cachify("pool", verb, *more).stdout for verb in ("status", "list")
                     for more in ([f"--key={as_format(key)}"] if verb == "status" else [],)]
            for text in [done.stderr, *looks]:
                for line in text.splitlines():
                    self.assertFalse([c for c in line if ord(c) < 32 and c != "\t" or 127 <= ord(c) < 160],
                                     repr(line))
            self.assertEqual(holder.finish(), 0)

    def test_what_fills_a_field_is_not_looked_at_again(self):
        done = self.cachify("lock", "run", "-k", "{a}{1}", "-a", "a={0}$(touch made)", "--", PROBE, "{a}`touch made`")
        self.assertEqual(done.returncode, 0, done.stderr)
        environment = json.loads(done.stdout)["environment"]
        self.assertIn("CACHIFY_KEY={0}$(touch made){a}`touch made`", environment)
        self.assertFalse(self.path("made").exists())

    def test_no_key_reaches_a_shell(self):
        for key in ("$(touch made)", "`touch made`", "x;touch made", "x\ntouch made"):
            holder = self.hold("lock", "run", f"--key={key}")
            done = self.cachify("lock", "run", f"--key={key}", "--on-full", "printf %s", "--", key)
            self.assertEqual((done.returncode, done.stdout), (0, key))
            self.assertEqual(holder.finish(), 0)
        self.assertFalse(self.path("made").exists())

    def test_limits_are_enforced(self):
        for key in ("", "x" * 513, "{0}" * 4):
            done = self.cachify("lock", "run", f"--key={key}", "--", "x" * 200 if "{" in key else "true")
            self.assertEqual(done.returncode, 64)
            self.assert_one_message(done)


class LongKeys(Case):
    def test_a_name_with_the_same_hash_is_noticed(self):
        """The file's name of a long key has a hash that was not made against forgery."""
        one, two = "x" * 300 + "1", "x" * 300 + "2"
        for key in (one, two):
            self.assertEqual(self.cachify("lock", "run", "-k", key, "--", "true").returncode, 0)
        first, second = sorted((self.dir / "store").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        shutil.copyfile(first, second)
        done = self.cachify("lock", "run", "-k", two, "--", "true")
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done, "another key")
        self.assertEqual(self.cachify("lock", "run", "-k", one, "--", "true").returncode, 0)


class Network(Case):
    store_class = RedisStore

    def answer_with(self, reply):
        """The URL of a server that says this to everything."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    try:
                        while peer.recv(65536):
                            peer.sendall(reply)
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return f"redis://127.0.0.1:{listener.getsockname()[1]}"

    def test_what_a_server_says_does_nothing_to_a_terminal(self):
        for reply in (b"-ERR \x1b]0;x\x07\x9b31m gone\r\n", b"+\x1b[2J\r\n", b"$5\r\n\x1b[2J\n\r\n"):
            url = self.answer_with(reply)
            for look in (["lock", "run", "-k", "k", "--", "touch", "made"], ["lock", "status", "-k", "k"],
                         ["pool", "size", "-k", "k"]):  # fmt: skip
                done = self.cachify("--store", url, *look)
                self.assertEqual(done.returncode, 69)
                self.assert_one_message(done)
                self.assertFalse([c for c in done.stderr[:-1] if ord(c) < 32 or 127 <= ord(c) < 160], done.stderr)
        self.assertFalse(self.path("made").exists())


if __name__ == "__main__":
    main()
