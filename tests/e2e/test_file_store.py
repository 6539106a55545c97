"""The file store with the real binary: order, caps, expiry, damage, limits, places and neighbours."""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

from support import CACHIFY, Case, alive, is_waiting, main, process_stat, wait_until

KILLAT = os.environ.get("CACHIFY_KILLAT", "")
# More of everything: CACHIFY_TEST_LONG=1.
LONG = bool(os.environ.get("CACHIFY_TEST_LONG"))
PROMPT = 5.0  # "at once", on a machine that is busy with other tests

# The fence tells the order of admission, also of commands that run side by side.
NOTE = 'echo "$CACHIFY_FENCE $1" >>"$2"'


def has_namespaces(*flags):
    if os.geteuid() != 0:
        return "needs root"
    done = subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else f"no namespaces here: {done.stderr.decode().strip()}"


class FileCase(Case):
    def pool(self, key, most, *options):
        return ("pool", "run", "-k", key, "-n", str(most), *options)

    def lock(self, key, *options):
        return ("lock", "run", "-k", key, *options)

    def noter(self, label, *args, **options):
        """A caller whose command writes its label into one log."""
        options.setdefault("stdout", subprocess.DEVNULL)
        return self.start(*args, "--", "sh", "-c", NOTE, "sh", label, self.path("log"), **options)

    def noted(self):
        """The labels in the log, in order of admission."""
        try:
            lines = self.path("log").read_text().splitlines()
            return [label for _, label in sorted(line.split() for line in lines)]
        except FileNotFoundError:
            return []

    def size(self, key="k", **options):
        done = self.cachify("pool", "size", "-k", key, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout)

    def state_file(self, key="k", kind="pool"):
        return self.store.directory / f"{kind}.cachify%3A{key}"

    def all_end(self, processes, code=0, timeout=60):
        for process in processes:
            self.assertEqual(process.wait(timeout), code, process.stderr and process.stderr.read())


class Order(FileCase):
    def queue(self, count, args, hold):
        callers = []
        for i in range(count):
            callers.append(self.noter(str(i), *args))
            self.wait_for_queued(callers[-1])
        hold.finish()
        self.all_end(callers)
        return [int(label) for label in self.noted()]

    def test_fifty_waiters_for_a_lock_are_served_in_order_of_arrival(self):
        hold = self.hold(*self.lock("k"))
        self.assertEqual(self.queue(50, self.lock("k", "--wait"), hold), list(range(50)))

    def test_sixty_waiters_for_a_pool_are_admitted_in_order_of_arrival(self):
        holds = [self.hold(*self.pool("k", 4)) for _ in range(4)]
        waiters = []
        for i in range(60):
            waiters.append(self.hold(*self.pool("k", 4, "--wait"), wait_for_start=False))
            self.wait_for_queued(waiters[-1])
        live = holds
        for i, waiter in enumerate(waiters):
            self.assertEqual(live.pop(0).finish(), 0)
            self.wait_for_holder(waiter)
            self.assertFalse(any(later.running() for later in waiters[i + 1 :]))
            live.append(waiter)
        fences = [int(waiter.environment["CACHIFY_FENCE"]) for waiter in live]
        self.assertEqual(fences, sorted(fences))
        slots = {holder.environment["CACHIFY_SLOT"] for holder in live}
        self.assertEqual(slots, {"0", "1", "2", "3"})
        for holder in live:
            self.assertEqual(holder.finish(), 0)
        self.assertEqual(self.size(), 0)

    def test_higher_priorities_are_served_first_and_equal_ones_in_order(self):
        hold = self.hold(*self.lock("k"))
        given = [0, 5, -5, 0, 100, 5, -100, 0]
        callers = []
        for i, priority in enumerate(given):
            callers.append(self.noter(str(i), *self.lock("k", "--wait", f"--priority={priority}")))
            self.wait_for_queued(callers[-1])
        hold.finish()
        self.all_end(callers)
        self.assertEqual(
            [int(i) for i in self.noted()], sorted(range(len(given)), key=lambda i: -given[i])
        )

    def test_a_newcomer_never_overtakes_a_waiter_whatever_their_caps(self):
        holds = [self.hold(*self.pool("k", 4)) for _ in range(2)]
        small = self.noter("small", *self.pool("k", 2, "--wait"))
        self.wait_for_queued(small)
        # There is room for four, but somebody waits already.
        self.assertEqual(self.cachify(*self.pool("k", 4), "--", "true").returncode, 75)
        large = self.noter("large", *self.pool("k", 4, "--wait"))
        self.wait_for_queued(large)
        first = self.noter("first", *self.pool("k", 4, "--wait", "--priority=1"))
        self.assertEqual(first.wait(PROMPT), 0)  # before all waiters, and it fits
        holds[0].finish()
        self.all_end([small, large])
        self.assertEqual(self.noted(), ["first", "small", "large"])
        holds[1].finish()

    def test_weights_wait_for_enough_slots_and_are_not_overtaken(self):
        holds = [self.hold(*self.pool("k", 4)) for _ in range(4)]
        heavy = self.hold(*self.pool("k", 4, "--weight", "2", "--wait"), wait_for_start=False)
        self.wait_for_queued(heavy)
        light = self.noter("light", *self.pool("k", 4, "--wait"))
        self.wait_for_queued(light)
        holds[1].finish()
        wait_until(lambda: self.size() == 3, "one slot is free")
        self.assertFalse(heavy.running())
        holds[3].finish()
        self.wait_for_holder(heavy)
        self.assertEqual(heavy.environment["CACHIFY_SLOT"], "1")
        self.assertEqual(self.size(), 4)
        heavy.finish()
        self.all_end([light])
        for hold in (holds[0], holds[2]):
            hold.finish()
        self.assertEqual(self.size(), 0)

    def test_readers_share_a_lock_and_never_overtake_a_writer(self):
        readers = [self.hold(*self.lock("k", "--shared")) for _ in range(3)]
        writer = self.hold(*self.lock("k", "--wait"), wait_for_start=False)
        self.wait_for_queued(writer)
        late = [self.hold(*self.lock("k", "-s", "--wait"), wait_for_start=False) for _ in range(2)]
        self.wait_for_queued(*late)
        self.assertEqual(self.cachify(*self.lock("k", "-s"), "--", "true").returncode, 75)
        for reader in readers:
            self.assertFalse(writer.running())
            reader.finish()
        self.wait_for_holder(writer)
        self.assertFalse(any(reader.running() for reader in late))
        writer.finish()
        for reader in late:
            self.wait_for_holder(reader)
        for reader in late:
            reader.finish()
        self.assertEqual(self.cachify("lock", "is-locked", "-k", "k").returncode, 1)

    def test_who_gives_up_is_skipped(self):
        hold = self.hold(*self.lock("k"))
        hasty = self.start(*self.lock("k", "-t", "0.3"), "--", "true")
        self.wait_for_queued(hasty)
        last = self.noter("last", *self.lock("k", "--wait"))
        self.wait_for_queued(last)
        self.assertEqual(hasty.wait(PROMPT), 124)
        self.assertEqual(self.noted(), [])
        hold.finish()
        self.all_end([last])

    def test_a_queue_and_an_occupancy_can_be_limited(self):
        hold = self.hold(*self.pool("k", 2))
        for limit, code in (("1", 75), ("50%", 75), ("2", 0), ("100%", 0)):
            done = self.cachify(*self.pool("k", 2, "--shed-at", limit, "--wait"), "--", "true")
            self.assertEqual(done.returncode, code, limit)
        other = self.hold(*self.pool("k", 2))
        waiting = self.start(*self.pool("k", 2, "--wait", "--queue-max", "1"), "--", "true")
        self.wait_for_queued(waiting)
        done = self.cachify(*self.pool("k", 2, "--wait", "--queue-max", "1"), "--", "true")
        self.assertEqual(done.returncode, 75)
        os.kill(waiting.pid, signal.SIGKILL)
        waiting.wait()
        late = self.start(*self.pool("k", 2, "--wait", "--queue-max", "1"), "--", "true")
        self.wait_for_queued(late)  # the dead one does not count
        hold.finish()
        self.all_end([late])
        other.finish()


class Expiry(FileCase):
    def test_an_expired_slot_goes_to_the_next_and_its_release_takes_nothing_away(self):
        old = self.hold(*self.pool("k", 1, "--slot-exp", "0.2"))
        new = self.hold(*self.pool("k", 1, "--wait"), wait_for_start=False)
        self.wait_for_holder(new, PROMPT)
        self.assertTrue(alive(old.command_pid))
        self.assertGreater(
            int(new.environment["CACHIFY_FENCE"]), int(old.environment["CACHIFY_FENCE"])
        )
        self.assertEqual(old.finish(3), 3)
        self.assertEqual(self.size(), 1)
        self.assertEqual(self.cachify(*self.pool("k", 1), "--", "true").returncode, 75)
        new.finish()
        self.assertEqual(self.size(), 0)

    def test_a_lock_expires_too_and_several_slots_one_by_one(self):
        old = self.hold(*self.lock("k", "--exp", "0.2"))
        self.assertEqual(self.start(*self.lock("k", "-w"), "--", "true").wait(PROMPT), 0)
        old.finish()
        holds = [self.hold(*self.pool("k", 3, "--slot-exp", f"{t}ms")) for t in (300, 200, 100)]
        waiters = [self.start(*self.pool("k", 3, "-w"), "--", "true") for _ in range(6)]
        self.all_end(waiters, timeout=PROMPT)
        for hold in holds:
            hold.finish()
        self.assertEqual(self.size(), 0)


class Nested(FileCase):
    def nested(self, *before, options=("--wait",)):
        inner = [*before, CACHIFY, *self.lock("k", *options), "--", "true"]
        return self.cachify(*self.lock("k"), "--", *inner, timeout=20)

    def test_a_lock_that_an_ancestor_holds_is_refused_at_once(self):
        store = f"CACHIFY_STORE={self.store.url}"
        for before in ([], ["sh", "-c", '"$@"; exit $?', "sh"], ["env", "-i", store]):
            with self.subTest(before=before):
                done = self.nested(*before)
                self.assertEqual(done.returncode, 75, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_an_ancestor_s_lock_that_expires_or_is_shared_can_be_had(self):
        inner = [CACHIFY, *self.lock("k", "-w"), "--", "true"]
        self.assertEqual(self.cachify(*self.lock("k", "--exp", "0.2"), "--", *inner).returncode, 0)
        inner = [CACHIFY, *self.lock("k", "-s"), "--", "true"]
        self.assertEqual(self.cachify(*self.lock("k", "-s"), "--", *inner).returncode, 0)

    def test_another_lock_and_a_pool_of_the_same_key_have_nothing_to_do_with_it(self):
        inner = [CACHIFY, *self.pool("k", 1), "--", CACHIFY, *self.lock("kk"), "--", "true"]
        self.assertEqual(self.cachify(*self.lock("k"), "--", *inner).returncode, 0)

    def test_a_daemon_that_outlived_its_holder_may_wait_for_the_lock(self):
        go = self.path("go")
        os.mkfifo(go)
        daemon = 'read -r x <"$1"; shift; exec "$@"'
        inner = [CACHIFY, *self.lock("k", "--wait"), "--", "sh", "-c", NOTE, "sh", "daemon",
                 self.path("log")]
        left = self.cachify(
            *self.lock("k"), "--", "sh", "-c", 'setsid "$@" >/dev/null 2>"$0" </dev/null &',
            self.path("errors"), "sh", "-c", daemon, "sh", go, *inner,
        )
        self.assertEqual(left.returncode, 0, left.stderr)
        hold = self.hold(*self.lock("k"))  # the daemon does not keep the lock
        with open(go, "w", encoding="ascii") as pipe:
            pipe.write("go\n")
        last = self.start(*self.lock("k", "-t", "0.5"), "--", "true")
        self.assertEqual(last.wait(PROMPT), 124)
        hold.finish()
        wait_until(
            lambda: self.noted() == ["daemon"] or self.path("errors").read_text(), "it ends", PROMPT
        )
        self.assertEqual((self.noted(), self.path("errors").read_text()), (["daemon"], ""))


class Keys(FileCase):
    def test_keys_that_look_alike_are_different(self):
        keys = ["job", "jobs", "Job", "a/b", "a_b", "a%2Fb", "a%252Fb", "a.b", ".", "..", "-", "~1"]
        keys += ["job~1", "ä", "a b", "a\nb", "*", "'", "k" * 512, "k" * 511 + "l", "%" * 512]
        keys += ["%2F" * 170, "/" * 170, "/" * 512, "pool.k", "lock.k"]
        holds = {}
        for key in keys:
            holds[key] = self.hold("lock", "run", f"--key={key}")
        for key in keys:
            with self.subTest(key=key):
                done = self.cachify("lock", "run", f"--key={key}", "--", "true")
                self.assertEqual(done.returncode, 75, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for key, hold in holds.items():
            hold.finish()
            self.assertEqual(self.cachify("lock", "is-locked", f"--key={key}").returncode, 1)

    def test_prefixes_are_apart(self):
        hold = self.hold(*self.lock("k", "--prefix", "a:"))
        done = self.cachify(*self.lock("k", "--prefix", "b:"), "--", "true")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.cachify(*self.lock("k", "--prefix", "a:"), "--", "true").returncode, 75)
        hold.finish()


class Damage(FileCase):
    """Whatever a state file holds: one clear line and 69, or nothing was lost; never a wrong admission."""

    def setUp(self):
        super().setUp()
        self.assertEqual(self.cachify(*self.pool("k", 2), "--", "true").returncode, 0)
        self.file = self.state_file()

    def attempt(self, what, may_run):
        ran = self.path("ran")
        done = self.cachify(
            *self.pool("k", 2, "-t", "5"), "--", "touch", ran, timeout=20, env={"LC_ALL": "C"}
        )
        if done.returncode == 0:
            self.assertTrue(may_run, f"{what}: let in although the slots are taken")
            ran.unlink()
        else:
            self.assertFalse(ran.exists())
            self.assertEqual(done.returncode, 69, f"{what}: {done.stderr}")
            self.assert_one_message(done)
        looked = self.cachify("pool", "size", "-k", "k", timeout=20)
        self.assertIn(looked.returncode, (0, 69), f"{what}: {looked.stderr}")
        if not may_run and looked.returncode == 0:
            self.assertEqual(looked.stdout, "2\n", what)
        return done.returncode

    def damages(self, good, holders):
        chance = random.Random(2)
        yield "empty", b""
        yield "zeros", bytes(len(good))
        yield "zeros after the magic", good[:8] + bytes(len(good) - 8)
        yield "text", b"hello, world\n" * 400
        for length in (1, 7, 8, 9, 100, 255, 256, 300, 1000, 1024, 4095, 4096, 8191):
            yield f"truncated to {length}", good[:length]
            yield f"zeroed from {length}", good[:length] + bytes(len(good) - length)
        for _ in range(6):
            yield "random bytes", chance.randbytes(len(good))
        for _ in range(6):
            yield "random bytes after the magic", good[:8] + chance.randbytes(len(good) - 8)
        step = 1 if LONG or not holders else 3
        for place in range(0, 256 + 64 * (3 if holders else 1), step):
            # The counters and what is reserved: a few places stand for all.
            if not LONG and 56 <= place < 248 and place % 16:
                continue
            bit = 1 << chance.randrange(8)
            yield (
                f"bit {bit} flipped in byte {place}",
                good[:place] + bytes([good[place] ^ bit]) + good[place + 1 :],
            )
        for entry in range(2):
            at = 256 + 64 * entry
            yield f"entry {entry} wiped out", good[:at] + bytes(64) + good[at + 64 :]

    def test_with_nobody_there(self):
        self.assertEqual(self.cachify("pool", "resize", "-k", "k", "-n", "2").returncode, 0)
        good = self.file.read_bytes()
        refused = 0
        for what, bytes_ in self.damages(good, holders=False):
            if bytes_ == good:
                continue
            with self.subTest(what):
                self.file.write_bytes(bytes_)
                # A file begins as an empty one; and behind the header is nothing here.
                begun = not any(bytes_)
                harmless = bytes_[:256] == good[:256]
                code = self.attempt(what, may_run=begun or harmless)
                self.assertEqual(code, 0 if begun or harmless else 69, what)
                if code == 69:
                    refused += 1
                    self.assertEqual(self.file.read_bytes(), bytes_, f"{what}: left as it was")
                elif harmless:
                    self.assertEqual(self.cachify(*self.pool("k", 9), "--", "sh", "-c",
                                                  'test "$CACHIFY_MAX" = 2').returncode, 0, what)
        self.assertGreater(refused, 50)

    def test_what_a_power_cut_has_left_is_begun_anew(self):
        self.file.write_bytes(self.file.read_bytes()[:100])
        self.assertEqual(self.attempt("written in this boot", may_run=False), 69)
        with open("/proc/uptime", encoding="ascii") as uptime:
            booted = time.time() - float(uptime.read().split()[0])
        os.utime(self.file, (booted - 60, booted - 60))
        self.assertEqual(self.size(), 0)
        self.assertEqual(self.attempt("written before it", may_run=True), 0)
        self.assertEqual(self.attempt("and from then on", may_run=True), 0)

    def test_with_both_slots_taken(self):
        holds = [self.hold(*self.pool("k", 2)) for _ in range(2)]
        good = self.file.read_bytes()
        flat = os.open(self.file, os.O_RDWR)  # the same inode throughout
        self.addCleanup(os.close, flat)
        for what, bytes_ in self.damages(good, holders=True):
            if bytes_ == good:
                continue
            with self.subTest(what):
                os.ftruncate(flat, 0)
                os.pwrite(flat, bytes_, 0)
                self.attempt_while_full(what)
        for hold in holds:
            self.assertEqual(hold.finish(4), 4)  # the command's code stands
        os.ftruncate(flat, 0)
        self.assertEqual(self.attempt("after all have ended", may_run=True), 0)
        self.assertEqual(self.size(), 0)

    def attempt_while_full(self, what):
        # No waiting: damage that goes unnoticed would only wait.
        done = self.cachify(*self.pool("k", 2), "--", "true", timeout=20)
        self.assertIn(done.returncode, (69, 75), f"{what}: {done.stderr}")
        self.assert_one_message(done)
        looked = self.cachify("pool", "size", "-k", "k", timeout=20)
        self.assertIn((looked.returncode, looked.stdout), ((0, "2\n"), (69, "")), what)

    def test_a_waiter_survives_damage_or_says_so(self):
        for damage in (b"", bytes(8192), b"hello"):
            hold = self.hold(*self.pool("k", 1))
            waiter = self.start(*self.pool("k", 1, "--wait"), "--", "true")
            self.wait_for_queued(waiter)
            good = self.file.read_bytes()
            self.file.write_bytes(damage)
            self.assertEqual(hold.finish(), 0)
            self.assertEqual(waiter.wait(PROMPT), 69)
            self.assertRegex(waiter.stderr.read(), r"\Acachify: [^\n]+\n\Z")
            self.file.write_bytes(good)
            self.assertEqual(self.attempt("healed", may_run=True), 0)

    def test_things_that_are_no_regular_file(self):
        self.file.unlink()
        other = self.path("other")
        other.write_text("untouched")
        for make in (
            lambda: self.file.mkdir(),
            lambda: os.mkfifo(self.file),
            lambda: self.file.symlink_to(other),
            lambda: self.file.symlink_to("/nowhere"),
            lambda: self.file.symlink_to("/dev/null"),
        ):
            make()
            self.assertEqual(self.attempt(make, may_run=True), 69)
            if self.file.is_dir() and not self.file.is_symlink():
                self.file.rmdir()
            else:
                self.file.unlink()
        self.assertEqual(other.read_text(), "untouched")

    def test_a_file_without_rights(self):
        run = self.as_nobody()
        self.file.chmod(0o600)
        done = self.run_program([*run, CACHIFY, *self.pool("k", 2), "--", "true"])
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done, "Permission denied", "man cachify-stores")
        self.assertEqual(
            self.run_program([*run, CACHIFY, *self.pool("new", 2), "--", "true"]).returncode, 69
        )

    def as_nobody(self):
        if os.geteuid() != 0:
            return []
        if not shutil.which("setpriv"):
            self.skipTest("needs setpriv")
        self.dir.chmod(0o755)
        return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Orphans(FileCase):
    """cachify is killed, its command goes on."""

    def orphan(self, *args):
        hold = self.hold(*args)
        os.kill(hold.process.pid, signal.SIGKILL)
        hold.process.wait()
        return hold

    def end(self, hold):
        os.kill(hold.command_pid, signal.SIGKILL)

    def test_its_command_keeps_the_slot_and_gives_it_back_at_its_end(self):
        for most in (1, 2, 3):
            with self.subTest(most=most):
                key = f"k{most}"
                others = [self.hold(*self.pool(key, most)) for _ in range(most - 1)]
                orphan = self.orphan(*self.pool(key, most))
                self.assertEqual(self.size(key), most)
                waiters = [self.start(*self.pool(key, most, "-w"), "--", "true") for _ in range(2)]
                self.wait_for_queued(*waiters)
                self.assertEqual(self.size(key), most)
                self.end(orphan)
                self.all_end(waiters, timeout=PROMPT)
                for other in others:
                    other.finish()
                self.assertEqual(self.size(key), 0)

    def test_a_waiter_that_came_before_cachify_was_killed_notices_too(self):
        holds = [self.hold(*self.pool("k", 2)) for _ in range(2)]
        waiter = self.start(*self.pool("k", 2, "-w"), "--", "true")
        self.wait_for_queued(waiter)
        os.kill(holds[0].process.pid, signal.SIGKILL)
        wait_until(lambda: self.size() == 2 and is_waiting(waiter.pid), "it waits on")
        self.end(holds[0])
        self.assertEqual(waiter.wait(PROMPT), 0)
        holds[1].finish()

    def test_with_no_inherit_the_slot_is_free_at_once(self):
        orphan = self.orphan(*self.pool("k", 1, "--no-inherit"))
        self.assertEqual(self.cachify(*self.pool("k", 1), "--", "true").returncode, 0)
        self.assertTrue(alive(orphan.command_pid))

    def test_a_daemon_left_behind_does_not_keep_the_slot(self):
        done = self.cachify(
            *self.lock("k"), "--", "sh", "-c", "setsid sleep 60 >/dev/null 2>&1 </dev/null & echo $!"
        )
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.cachify(*self.lock("k"), "--", "true").returncode, 0)
        self.assertTrue(alive(int(done.stdout)))


class Stopped(FileCase):
    def test_a_stopped_waiter_and_holder_only_cost_time(self):
        hold = self.hold(*self.pool("k", 1))
        first = self.noter("first", *self.pool("k", 1, "--wait"))
        self.wait_for_queued(first)
        os.kill(first.pid, signal.SIGSTOP)
        second = self.start(*self.pool("k", 1, "-t", "0.3"), "--", "true")
        self.assertEqual(second.wait(PROMPT), 124)
        third = self.noter("third", *self.pool("k", 1, "--wait"))
        self.wait_for_queued(third)
        hold.finish()
        os.kill(first.pid, signal.SIGCONT)
        self.all_end([first, third])
        self.assertEqual(self.noted(), ["first", "third"])
        hold = self.hold(*self.pool("k", 1))
        os.kill(hold.process.pid, signal.SIGSTOP)
        self.assertEqual(self.cachify(*self.pool("k", 1), "--", "true").returncode, 75)
        os.kill(hold.process.pid, signal.SIGCONT)
        hold.finish()

    def test_a_caller_stopped_with_the_mutex_blocks_nobody_for_ever(self):
        if not KILLAT:
            self.skipTest("CACHIFY_KILLAT is not set")
        # The second flock of a caller who finds room gives the mutex back.
        stopped = self.spawn(
            [KILLAT, "--call", "flock", "--hold", "2", CACHIFY, *self.pool("k", 1), "--", "true"],
            stdin=subprocess.PIPE,
        )
        stopped.stdout.readline()
        if not stopped.stdout.readline().startswith("at "):
            self.skipTest("no ptrace here")
        began = time.monotonic()
        patient = [self.start(*self.pool("k", 1, *wait), "--", "true") for wait in ((), ("-w",))]
        looker = self.start("pool", "size", "-k", "k")
        hasty = self.start(*self.pool("k", 1, "-t", "0.3"), "--", "true")
        self.assertEqual(hasty.wait(PROMPT), 124)
        told = self.start(*self.pool("k", 1, "-w"), "--", "true")
        wait_until(lambda: process_stat(told.pid)[0] == "S", "it sleeps")
        time.sleep(0.1)  # in flock, which nothing tells from outside more exactly
        os.kill(told.pid, signal.SIGTERM)
        self.assertEqual(told.wait(PROMPT), -signal.SIGTERM)
        for process in [*patient, looker]:
            self.assertEqual(process.wait(30), 69)
            self.assertRegex(process.stderr.read(), r"\Acachify: [^\n]+\n\Z")
        self.assertGreater(time.monotonic() - began, 5)
        stopped.stdin.write("go\n")
        stopped.stdin.close()
        self.assertEqual(stopped.wait(30), 1)
        self.assertEqual(self.size(), 0)


class Crowds(FileCase):
    def hold_many(self, key, most, count, besides=0):
        """So many holders at once."""
        gate = self.path(f"gate-{key}")
        os.mkfifo(gate)
        self.gate = os.open(gate, os.O_RDWR)
        self.addCleanup(os.close, self.gate)
        argv = [CACHIFY, *self.pool(key, most), "--", "sh", "-c", 'read -r x <"$0"', gate]
        holders = [
            self.spawn(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(count)
        ]
        wait_until(lambda: self.size(key) == besides + count, f"{count} hold a slot", 60)
        return holders

    def end_all(self, holders):
        os.write(self.gate, b"\n" * len(holders))  # a line each
        self.all_end(holders)

    def test_three_hundred_holders_under_a_limit_of_64_descriptors(self):
        holders = self.hold_many("k", 300, 300)

        def low():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        self.assertEqual(self.size(preexec_fn=low), 300)
        done = self.cachify(*self.pool("k", 300), "--", "true", preexec_fn=low)
        self.assertEqual(done.returncode, 75, done.stderr)
        waiter = self.start(*self.pool("k", 300, "-w"), "--", "true", preexec_fn=low)
        self.wait_for_queued(waiter)
        self.end_all(holders)
        self.all_end([waiter])
        self.assertEqual(self.size(), 0)

    def test_ten_thousand_slots(self):
        done = self.cachify(*self.pool("k", 10000, "--weight", "9700"), "--", "true")
        self.assertEqual(done.returncode, 0)
        bulk = self.hold(*self.pool("k", 10000, "--weight", "9800"))
        holders = self.hold_many("k", 10000, 200, besides=9800)
        self.assertEqual(self.cachify(*self.pool("k", 10000), "--", "true").returncode, 75)
        waiter = self.start(*self.pool("k", 10000, "-w", "--weight", "10000"), "--", "true")
        self.wait_for_queued(waiter)
        bulk.finish()
        self.end_all(holders)
        self.all_end([waiter])
        self.assertEqual(self.size(), 0)

    def test_many_waiters_are_drained(self):
        count = 1000 if LONG else 300
        hold = self.hold(*self.pool("k", 4, "--weight", "4"))
        waiters = [
            self.spawn(
                [CACHIFY, *self.pool("k", 4, "-w"), "--", "true"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(count)
        ]
        wait_until(lambda: all(is_waiting(w.pid) for w in waiters), "all wait", 60)
        began = time.monotonic()
        hold.finish()
        self.all_end(waiters)
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(self.size(), 0)

    def test_waiting_costs_no_processor_time(self):
        holds = [self.hold(*self.pool("k", 2)) for _ in range(2)]
        waiters = [self.start(*self.pool("k", 2, "-w"), "--", "true") for _ in range(50)]
        self.wait_for_queued(*waiters)
        time.sleep(0.5)  # the head's early looks

        def spent():
            return sum(
                int(Path(f"/proc/{w.pid}/schedstat").read_text().split()[0]) for w in waiters
            )

        before = spent()
        time.sleep(2)  # what is measured is this time
        self.assertLess((spent() - before) / 1e6, 20, "milliseconds of 50 waiters in 2 s")
        for hold in holds:
            hold.finish()
        self.all_end(waiters)


class Places(FileCase):
    """Directories and file systems."""

    def in_namespace(self, script, *args, flags=("-m",), env=None):
        reason = has_namespaces(*flags)
        if reason:
            self.skipTest(reason)
        return self.run_program(
            ["unshare", *flags, "sh", "-ec", script, "sh", *args], env=env, timeout=60
        )

    def test_a_directory_is_made_only_when_its_parent_exists(self):
        args = [*self.lock("k"), "--", "true"]
        done = self.cachify("--store", f"file:{self.dir}/new", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.cachify("--store", f"file://{self.dir}/new", *args).returncode, 0)
        done = self.cachify("--store", f"file:{self.dir}/no/where", *args)
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done)
        done = self.cachify("--store", f"file:{self.write('plain', '')}", *args)
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done)

    def test_the_default_directory_is_private(self):
        probe = 'mount -t tmpfs -o mode=1777 none /run/lock; "$1" lock run -k k -- true; stat -c "%a" /run/lock/cachify-0'
        done = self.in_namespace(probe, CACHIFY, env={"CACHIFY_STORE": None})
        self.assertEqual((done.returncode, done.stdout), (0, "700\n"), done.stderr)

    def test_a_default_directory_that_is_not_ours_alone_is_refused(self):
        for what, make in {
            "a symbolic link": "mkdir /run/lock/real; ln -s real /run/lock/cachify-0",
            "belongs to somebody else": "mkdir /run/lock/cachify-0; chown 65534 /run/lock/cachify-0",
            "can be written to": "mkdir /run/lock/cachify-0; chmod 770 /run/lock/cachify-0",
            "not a directory": "touch /run/lock/cachify-0",
        }.items():
            with self.subTest(what):
                script = (
                    "mount -t tmpfs -o mode=1777 none /run/lock; "
                    + make
                    + '; set +e; "$1" lock run -k k -- touch "$2"; echo $?'
                )
                done = self.in_namespace(
                    script, CACHIFY, self.path("ran"), env={"CACHIFY_STORE": None}
                )
                self.assertEqual(done.stdout, "78\n")
                self.assertIn(what, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)
                self.assertFalse(self.path("ran").exists())

    def test_a_directory_that_cannot_be_written_to(self):
        script = """mkdir "$2"; "$1" --store "file:$2" lock run -k old -- true
            mount --bind "$2" "$2"; mount -o remount,bind,ro "$2"; set +e
            for key in old new; do "$1" --store "file:$2" lock run -k $key -- touch "$3"; echo $?; done
            "$1" --store "file:$2" pool size -k new; "$1" --store "file:$2" lock is-locked -k old; echo $?"""
        done = self.in_namespace(script, CACHIFY, self.path("ro"), self.path("ran"))
        self.assertEqual(done.stdout, "69\n69\n0\n1\n", done.stderr)
        self.assertEqual(done.stderr.count("Read-only file system"), 2)
        self.assertFalse(self.path("ran").exists())

    def test_a_full_disk(self):
        # The key that is in use can't be deleted to make room.
        inside = """head -c 100000 /dev/zero >"$2/ballast" 2>/dev/null
            "$1" --store "file:$2" lock run -k new -- touch "$3"; echo $?
            "$1" --store "file:$2" lock run -k new -- touch "$3"; echo $?
            exit 9"""
        script = """mkdir "$2"; mount -t tmpfs -o size=64k none "$2"; set +e
            "$1" --store "file:$2" lock run -k old -- sh -c "$4" sh "$@"; echo $?
            "$1" --store "file:$2" lock run -k old -- true; echo $?
            rm "$2/ballast"; "$1" --store "file:$2" lock run -k new -- true; echo $?"""
        done = self.in_namespace(script, CACHIFY, self.path("disk"), self.path("ran"), inside)
        self.assertEqual(done.stdout, "69\n69\n9\n0\n0\n", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 2, done.stderr)
        self.assertFalse(self.path("ran").exists())

    # Four callers through a pool of two, in order; then an orphan's end.
    EXERCISE = """
        export CACHIFY_STORE="file:$2"; log="$3"
        run() { "$1" pool run -k k -n 2 -w -- sh -c 'echo + >>"$0"; sleep 0.05; echo - >>"$0"' "$log"; }
        for i in 1 2 3 4 5 6 7 8; do run "$1" & done; wait
        "$1" lock run -k k -- "$1" pool run -k k -n 1 -- true
        echo "size $("$1" pool size -k k)"
    """

    def check_exercise(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("size 0\n", done.stdout)
        marks = self.path("log").read_text().split()
        used = most = 0
        for mark in marks:
            used += 1 if mark == "+" else -1
            most = max(most, used)
        self.assertEqual(len(marks), 16)
        self.assertLessEqual(most, 2)

    def test_on_tmpfs(self):
        script = 'mkdir "$2"; mount -t tmpfs none "$2";' + self.EXERCISE
        self.check_exercise(self.in_namespace(script, CACHIFY, self.path("fs"), self.path("log")))

    def test_on_overlayfs(self):
        script = """mkdir "$2" "$2.base"; mount -t tmpfs none "$2.base"
            mkdir "$2.base/l" "$2.base/u" "$2.base/w"
            mount -t overlay -o "lowerdir=$2.base/l,upperdir=$2.base/u,workdir=$2.base/w" none "$2" || exit 77
            """
        done = self.in_namespace(
            script + self.EXERCISE, CACHIFY, self.path("fs"), self.path("log")
        )
        if done.returncode == 77:
            self.skipTest(f"no overlayfs here: {done.stderr}")
        self.check_exercise(done)

    def test_on_ext4(self):
        if not shutil.which("mkfs.ext4"):
            self.skipTest("needs mkfs.ext4")
        script = """mkdir "$2"; truncate -s 16M "$2.img"; mkfs.ext4 -q "$2.img"
            mount -o loop "$2.img" "$2" || exit 77
            """
        done = self.in_namespace(
            script + self.EXERCISE, CACHIFY, self.path("fs"), self.path("log")
        )
        if done.returncode == 77:
            self.skipTest(f"no loop mounts here: {done.stderr}")
        self.check_exercise(done)

    def test_where_nothing_wakes_who_waits_it_looks_again_and_says_so(self):
        if not shutil.which("bindfs"):
            self.skipTest("needs bindfs")
        if not os.path.exists("/dev/fuse"):
            self.skipTest("needs /dev/fuse")
        script = """mkdir "$2" "$2.base"; bindfs --no-allow-other "$2.base" "$2" || exit 77
            (""" + self.EXERCISE + """)
            export CACHIFY_STORE="file:$2"
            "$1" lock run -k v -- sh -c 'echo $$ >"$0"; sleep 0.5' "$2.pid" &
            while [ ! -s "$2.pid" ]; do sleep 0.01; done
            "$1" -v lock run -k v -w -- true
            wait; umount "$2" """
        done = self.in_namespace(script, CACHIFY, self.path("fs"), self.path("log"))
        if done.returncode == 77:
            self.skipTest(f"bindfs does not work here: {done.stderr}")
        self.check_exercise(done)
        self.assertIn("cannot wake who waits", done.stderr)

    def test_pid_namespaces_that_share_the_directory(self):
        flags = ("-pf", "--mount-proc")
        reason = has_namespaces(*flags)
        if reason:
            self.skipTest(reason)
        hold = self.hold(*self.pool("k", 2))
        inside = self.spawn(
            ["unshare", *flags, CACHIFY, *self.pool("k", 2), "--", "sh", "-c",
             'echo "1 $0" >>"$1"; exec sleep 600', "inside", self.path("log")]
        )
        wait_until(lambda: self.noted() == ["inside"], "the one inside holds")
        self.assertEqual(self.size(), 2)
        waiters = [
            self.spawn([*before, CACHIFY, *self.pool("k", 2, "-w"), "--", "true"])
            for before in ((), ("unshare", *flags))
        ]
        self.wait_for_queued(waiters[0])
        wait_until(lambda: self.waiting_locks() == 2, "both wait")
        hold.finish()
        self.all_end(waiters)
        self.assertEqual(self.size(), 1)
        os.killpg(inside.pid, signal.SIGKILL)
        wait_until(lambda: self.size() == 0, "the namespace's end frees the slot", PROMPT)

    def waiting_locks(self):
        """How many lock bytes of waiters there are on the state file."""
        inode = self.state_file().stat().st_ino
        first, last = 1 << 60, 2 << 60
        count = 0
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "OFDLCK" and fields[3] == "WRITE" and fields[5].endswith(f":{inode}"):
                count += first <= int(fields[6]) < last
        return count


if __name__ == "__main__":
    main()
