"""Steering over a Redis server, where it is that store's own: marks, listening, watching."""

import json
import signal
import time

from redis_server import Connection, documented_rights, knows_channel_rights
from support import main, process_state, wait_until
from test_redis_failures import LOCK, POOL, RedisCase, ServerStore


class LongLease(ServerStore):
    """No renewal falls into a test: what is noticed soon was heard."""

    lease = "60s"


class Steering(RedisCase):
    store_class = LongLease

    def wait_until_listening(self, holders=1):
        wait_until(lambda: len(self.server("PUBSUB", "CHANNELS")) == holders, "the holder listens")

    def steer(self, *args, expected=0, **options):
        noun, verb, *rest = args
        done = self.cachify(noun, verb, "-k", "jobs", *rest, **options)
        self.assertEqual(done.returncode, expected, done.stderr)
        return done

    def assert_taken(self, holder, within=1.0):
        started = time.monotonic()
        self.assertEqual(holder.process.wait(20), 76)
        self.assertLess(time.monotonic() - started, within)


class Ending(Steering):
    def test_a_long_command_hears_at_once_that_it_has_to_end(self):
        holder = self.hold(*POOL, "1")
        self.wait_until_listening()
        started = time.monotonic()
        self.steer("pool", "release", "--all", "--terminate")
        self.assert_taken(holder)
        self.assertLess(time.monotonic() - started, 1)
        self.assertEqual(self.size(), 0)

    def test_one_that_has_only_begun_hears_it_soon(self):
        holder = self.hold(*POOL, "1")
        started = time.monotonic()
        self.steer("pool", "release", "--all", "--terminate")
        self.assert_taken(holder)
        self.assertLess(time.monotonic() - started, 1)

    def test_after_a_restart_without_its_data_it_is_heard_again(self):
        holder = self.hold(*POOL, "1")
        self.wait_until_listening()
        self.server.restart()
        self.wait_until_listening()
        self.steer("pool", "release", "--all", "--terminate")
        self.assert_taken(holder)

    def test_after_its_connection_was_killed_it_is_heard_again(self):
        holder = self.hold(*POOL, "1")
        self.wait_until_listening()
        self.server("CLIENT", "KILL", "TYPE", "pubsub")
        wait_until(lambda: not self.server("PUBSUB", "CHANNELS"), "the connection is gone")
        self.wait_until_listening()
        self.steer("pool", "release", "--all", "--terminate")
        self.assert_taken(holder)

    def test_who_could_not_hear_finds_the_mark_though_scripts_were_forgotten(self):
        holder = self.hold(*POOL, "1")
        self.wait_until_listening()
        holder.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: process_state(holder.process.pid) == "T", "it has stopped")
        waiting = self.start("pool", "release", "-k", "jobs", "--all", "--terminate")
        wait_until(lambda: self.marks(), "the mark is there")
        self.server("SCRIPT", "FLUSH")
        self.server("CLIENT", "KILL", "TYPE", "pubsub")
        holder.process.send_signal(signal.SIGCONT)
        self.assert_taken(holder)
        self.assertEqual(waiting.wait(10), 0)
        self.assertEqual(self.marks(), [])

    def test_who_is_out_of_reach_of_two_decisions_learns_of_both(self):
        holder = self.hold(*POOL, "1")
        self.wait_until_listening()
        holder.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: process_state(holder.process.pid) == "T", "it has stopped")
        waiting = self.start("pool", "release", "-k", "jobs", "--all", "--terminate")
        wait_until(self.marks, "the mark is there")
        self.steer("pool", "release", "--all")
        self.assertEqual(waiting.wait(10), 0)
        holder.process.send_signal(signal.SIGCONT)
        self.assert_taken(holder)

    def test_a_server_that_is_out_of_memory_lets_holders_go(self):
        holder = self.hold(*POOL, "1")
        other = self.hold(*LOCK)
        self.wait_until_listening(2)
        self.server("CONFIG", "SET", "maxmemory", "1")
        self.steer("pool", "release", "--all", "--terminate")
        self.assert_taken(holder)
        self.steer("lock", "release")
        self.assertEqual(other.finish(4), 4)

    def marks(self):
        return self.server("KEYS", "*:e:*")

    def test_without_rights_to_channels_it_is_noticed_all_the_same(self):
        if not knows_channel_rights():
            self.skipTest("this server has no rights to channels")
        rights = [right for right in documented_rights() if not right.startswith("&")]
        self.server("ACL", "SETUSER", "ann", "on", ">hush-hush", *rights)
        url = f"redis+unix://ann:hush-hush@{self.server.socket}?lease=60s"
        holder = self.hold(*POOL, "1", env={"CACHIFY_STORE": url})
        wait_until(lambda: self.server("ACL", "LOG"), "it has tried to listen")
        self.steer("pool", "release", "--all", "--terminate")
        self.assert_taken(holder, within=4)

    def test_a_release_after_listening_needs_no_other_connection(self):
        holder = self.hold(*POOL, "1")
        self.wait_until_listening()
        keep = self.server.connect()
        self.addCleanup(keep.close)

        def count(field):
            return int(keep("INFO", "stats").split(field + ":")[1].split()[0])

        before = count("total_connections_received")
        self.assertEqual(holder.finish(3), 3)
        self.assertEqual(count("total_connections_received"), before)
        self.assertEqual(self.size(), 0)


class WhileEnding(Steering):
    store_class = ServerStore

    def test_the_slot_is_kept_until_a_slow_command_has_ended(self):
        script = "trap 'sleep 4; exit 0' TERM; echo started; while :; do sleep 0.1; done"
        holder = self.start(*POOL, "1", "--kill-after", "30s", "--", "sh", "-c", script)
        self.assertEqual(holder.stdout.readline(), "started\n")
        self.wait_until_listening()
        waiting = self.start("pool", "release", "-k", "jobs", "--all", "--terminate")
        end = time.monotonic() + 3  # more than the lease
        while time.monotonic() < end:
            self.assertEqual(self.size(), 1)
            time.sleep(0.1)
        self.assertEqual(holder.wait(10), 76)
        self.assertEqual(waiting.wait(10), 0)

    def test_a_slot_given_back_is_not_taken_again_by_a_holder_that_was_stopped(self):
        holder = self.hold(*POOL, "1")
        self.wait_until_listening()
        holder.process.send_signal(signal.SIGSTOP)
        self.steer("pool", "release", "--all")
        self.assertEqual(self.size(), 0)
        self.server("CLIENT", "KILL", "TYPE", "pubsub")
        holder.process.send_signal(signal.SIGCONT)
        end = time.monotonic() + 2.5  # some renewals
        while time.monotonic() < end:
            self.assertEqual(self.size(), 0)
            time.sleep(0.1)
        self.assertEqual(holder.finish(4), 4)
        stderr = holder.process.stderr.read()
        self.assertNotIn("lost", stderr)


class Waiting(Steering):
    def test_newest_wins_also_when_the_holder_has_only_begun(self):
        for _ in range(3):
            old = self.hold(*LOCK)
            new = self.hold(*LOCK, "--replace", "running")
            self.assertEqual(old.process.wait(5), 76)
            self.assertEqual(new.finish(0), 0)

    def test_who_was_dismissed_while_the_server_was_away_learns_it(self):
        holder = self.hold(*POOL, "1")
        waiter = self.start(*POOL, "1", "--wait", "--", "echo", "started")
        self.wait_for_queued(waiter)
        waiter.send_signal(signal.SIGSTOP)
        wait_until(lambda: process_state(waiter.pid) == "T", "it has stopped")
        self.steer("pool", "close", "--cancel-waiting")
        self.server("CLIENT", "KILL", "TYPE", "normal")
        waiter.send_signal(signal.SIGCONT)
        self.assertEqual(waiter.wait(10), 75)
        self.assertEqual(waiter.stdout.read(), "")
        self.assertEqual(holder.finish(0), 0)

    def test_wait_sleeps_without_asking_and_leaves_nothing_behind(self):
        holder = self.hold(*POOL, "1")
        self.wait_until_listening()
        watcher = self.start("pool", "wait", "-k", "jobs", "--until", "empty")
        wait_until(lambda: self.server("KEYS", "*:w"), "it watches")
        wait_until(lambda: "blocked_clients:1" in self.server("INFO", "clients"), "it sleeps")
        keep = self.server.connect()
        self.addCleanup(keep.close)
        before = self.scripts(keep)
        time.sleep(1)
        self.assertEqual(self.scripts(keep), before)
        started = time.monotonic()
        self.assertEqual(holder.finish(0), 0)
        self.assertEqual(watcher.wait(5), 0, watcher.stderr.read())
        self.assertLess(time.monotonic() - started, 0.5)
        self.assertEqual(self.server("KEYS", "*:w") + self.server("KEYS", "*:g:*"), [])

    @staticmethod
    def scripts(connection):
        return sum(int(line.split("calls=")[1].split(",")[0])
                   for line in connection("INFO", "commandstats").splitlines() if "eval" in line)

    def test_wait_sees_an_end_that_nobody_announces(self):
        self.hold(*POOL, "1", "--slot-exp", "700ms")
        started = time.monotonic()
        self.steer("pool", "wait", "--until", "empty", "-t", "20")
        self.assertLess(time.monotonic() - started, 2)

    def test_wait_does_not_believe_a_server_that_has_lost_its_data(self):
        self.env["CACHIFY_STORE"] = self.server.unix_url + "?lease=3s"
        holder = self.hold(*POOL, "1")
        watcher = self.start("pool", "wait", "-k", "jobs", "--until", "empty")
        wait_until(lambda: self.server("KEYS", "*:w"), "it watches")
        self.server.restart()
        self.wait_until_listening()
        wait_until(lambda: self.server("KEYS", "*:w"), "it watches again")
        time.sleep(2.5)  # longer than the server is not believed
        self.assertEqual(watcher.poll(), None)
        self.assertEqual(holder.finish(0), 0)
        self.assertEqual(watcher.wait(10), 0, watcher.stderr.read())

    def test_a_signal_ends_the_wait(self):
        self.hold(*POOL, "1")
        watcher = self.start("pool", "wait", "-k", "jobs", "--until", "empty")
        wait_until(lambda: self.server("KEYS", "*:w"), "it watches")
        watcher.send_signal(signal.SIGTERM)
        self.assertEqual(watcher.wait(5), -signal.SIGTERM)
        self.assertEqual(self.server("KEYS", "*:w"), [])


class Dead(Steering):
    def test_a_killed_waiter_is_not_shown_and_not_counted_as_dismissed(self):
        self.hold(*POOL, "1")
        waiters = [self.start(*POOL, "1", "--wait", "--", "true") for _ in range(3)]
        self.wait_for_queued(*waiters)
        waiters[1].kill()
        waiters[1].wait()
        done = self.cachify("pool", "status", "-k", "jobs", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        alive = {waiters[0].pid, waiters[2].pid}
        self.assertEqual({one["pid"] for one in json.loads(done.stdout)["waiters"]}, alive)
        self.assertEqual(self.store.server("ZCARD", "cachify:pool:{jobs}:q"), 2)

    def test_a_stopped_waiter_is_not_dead(self):
        self.hold(*POOL, "1")
        waiter = self.start(*POOL, "1", "--wait", "--", "true")
        self.wait_for_queued(waiter)
        waiter.send_signal(signal.SIGSTOP)
        done = self.cachify("pool", "status", "-k", "jobs", "--json")
        self.assertEqual([one["pid"] for one in json.loads(done.stdout)["waiters"]], [waiter.pid])


class Rights(Steering):
    def test_the_user_of_the_readme_can_steer(self):
        self.server("ACL", "SETUSER", "ann", "on", ">hush-hush", *documented_rights())
        self.env["CACHIFY_STORE"] = f"redis+unix://ann:hush-hush@{self.server.socket}?lease=60s"
        holder = self.hold(*POOL, "1")
        waiter = self.start(*POOL, "1", "--wait", "--", "true")
        self.wait_for_queued(waiter)
        watcher = self.start("pool", "wait", "-k", "jobs", "--until", "idle")
        wait_until(lambda: self.server("KEYS", "*:w"), "it watches")
        self.wait_until_listening()
        self.steer("pool", "resize", "--max", "2")
        self.assertEqual(waiter.wait(5), 0)
        self.steer("pool", "resize", "--unset")
        self.steer("pool", "close", "--cancel-waiting")
        self.steer("pool", "release", "--all", "--terminate")
        self.assert_taken(holder)
        self.assertEqual(watcher.wait(5), 0, watcher.stderr.read())
        self.steer("pool", "open")
        old = self.hold(*LOCK)
        new = self.hold(*LOCK, "--replace", "both")
        self.assertEqual(old.process.wait(5), 76)
        self.steer("lock", "release")
        self.assertEqual(new.finish(0), 0)
        for noun in ("pool", "lock"):
            done = self.cachify(noun, "list")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server("ACL", "LOG"), [])


class Doctor(Steering):
    def doctor(self, expected, *parts, **env):
        done = self.cachify("doctor", env=env)
        self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
        for part in parts:
            self.assertIn(part, done.stdout)
        return done.stdout

    def keys(self):
        return self.server("KEYS", "*")

    def test_a_server_that_is_set_up_well_is_all_right_and_nothing_stays_there(self):
        self.server("CONFIG", "SET", "appendonly", "yes")
        self.server("CONFIG", "SET", "appendfsync", "always")
        out = self.doctor(0, "a master", "answers in", "on disk before it answers",
                          "may do all that is needed")
        self.assertRegex(out, r"it is (Redis|Valkey) \d")
        self.assertEqual(self.keys(), [])

    def test_what_can_lose_slots_is_doubtful(self):
        self.server("CONFIG", "SET", "maxmemory", "100mb")
        self.server("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        self.doctor(1, "appendonly yes", "maxmemory-policy volatile-lru")
        self.server("CONFIG", "SET", "appendonly", "yes")
        self.doctor(1, "appendfsync always")

    def test_missing_rights_are_named_as_they_have_to_be_given(self):
        if not knows_channel_rights():
            self.skipTest("this server has no rights to channels")
        self.server("ACL", "SETUSER", "bob", "on", ">hush-hush", *documented_rights(), "-zadd", "-blpop",
                    "-multi", "-scan", "resetchannels")
        url = f"redis+unix://bob:hush-hush@{self.server.socket}"
        out = self.doctor(1, "ACL SETUSER bob", "+zadd", "+blpop", "+multi", "+scan", "&cachify:*",
                          CACHIFY_STORE=url)
        self.assertNotIn("+zrem", out)
        self.assertNotIn("hush", out)
        self.assertEqual(self.keys(), [])

    def test_a_replica_and_too_few_replicas_are_bad(self):
        url = self.server.unix_url + "?wait-replicas=1"
        self.doctor(1, "wait-replicas=1", CACHIFY_STORE=url)
        self.server("CONFIG", "SET", "min-replicas-to-write", "1")
        self.doctor(1, "NOREPLICAS")
        self.server("REPLICAOF", "127.0.0.1", "1")
        self.doctor(1, "it is a replica", "READONLY")

    def test_nobody_listens_and_a_wrong_password_are_findings(self):
        self.doctor(69, "WRONGPASS",
                    CACHIFY_STORE=f"redis+unix://ann:tulip@{self.server.socket}")
        self.server.kill()
        self.doctor(69, "cannot be used")


class Lists(Steering):
    def test_a_prefix_and_keys_with_characters_that_mean_something_to_the_server(self):
        keys = ("a*b", "[x]", "{}", "%7B", "a b", "\\", "ü")
        for prefix in ("p*[a-c]?\\{%}:", "pXa!", ""):
            for key in keys:
                self.hold("pool", "run", "-k", "{k}", "-a", f"k={key}", "-n", "3", "--prefix", prefix)
        for prefix in ("p*[a-c]?\\{%}:", "pXa!", ""):
            done = self.cachify("pool", "list", "--json", "--prefix", prefix)
            self.assertEqual(done.returncode, 0, done.stderr)
            for key in keys:
                self.assertEqual(done.stdout.count(self.quoted(key)), 1, (prefix, key, done.stdout))

    @staticmethod
    def quoted(key):
        return '"key":' + json.dumps(key, ensure_ascii=False)


if __name__ == "__main__":
    main()
