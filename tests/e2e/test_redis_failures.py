"""What can go wrong with a Redis server, one case for each row of the table in the store's README."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

from redis_server import Server, documented_rights, missing, waiting_pids
from support import Case, main, process_state, wait_until

POOL = ("pool", "run", "-k", "jobs", "-n")
LOCK = ("lock", "run", "-k", "jobs")


class ServerStore:
    """A server for this test alone, so that it can be broken."""

    name = "redis"
    options = ()
    lease = "2s"

    @staticmethod
    def unavailable():
        return missing()

    def __init__(self, _directory):
        self.server = Server(*self.options)
        self.url = f"{self.server.unix_url}?lease={self.lease}"
        self.environment = {"CACHIFY_STORE": self.url}

    def is_waiting(self, pid):
        return pid in waiting_pids(self.server)

    def stop(self):
        if self.server.process.poll() is None:
            self.server.resume()
        self.server.stop()


class RedisCase(Case):
    store_class = ServerStore

    @property
    def server(self):
        return self.store.server

    def size(self):
        done = self.cachify("pool", "size", "-k", "jobs")
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout)

    def wait_for_size(self, size, timeout=20):
        wait_until(lambda: self.size() == size, f"{size} slots in use", timeout)

    def unavailable(self, *parts, within=8, slots=1, **options):
        """A run that ends with 69, one line, in time, and starts nothing."""
        started = time.monotonic()
        done = self.cachify(*POOL, str(slots), "--", "echo", "started", **options)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assert_one_message(done, *parts)
        self.assertLess(time.monotonic() - started, within)
        return done


class Outages(RedisCase):
    def test_nobody_listens_and_that_is_said_at_once(self):
        self.server.kill()
        self.unavailable("cannot be used", within=1.5)
        done = self.cachify("pool", "size", "-k", "jobs")
        self.assertEqual(done.returncode, 69)
        done = self.cachify("lock", "is-locked", "-k", "jobs")
        self.assertEqual(done.returncode, 69)

    def test_a_stopped_server_does_not_answer_and_keeps_nothing_afterwards(self):
        self.server("PING")
        self.server.pause()
        self.unavailable("no answer in time")
        self.server.resume()
        self.wait_for_size(0, timeout=1)  # not only when the lease has ended

    def test_a_pause_of_the_server_is_slept_through(self):
        self.server("CLIENT", "PAUSE", "700")
        done = self.cachify(*POOL, "1", "--", "echo", "ran")
        self.assertEqual((done.returncode, done.stdout), (0, "ran\n"), done.stderr)

    def test_a_holder_survives_a_restart_without_its_data(self):
        holder = self.hold(*POOL, "1")
        self.server.restart()
        self.wait_for_size(1)
        self.assertEqual(holder.finish(7), 7)
        self.assertIn("lost its data", holder.process.stderr.read())
        self.assertEqual(self.size(), 0)

    def test_a_holder_survives_flushall_and_is_counted_again(self):
        holder = self.hold(*LOCK)
        self.server("FLUSHALL")
        locked = ("lock", "is-locked", "-k", "jobs")
        wait_until(lambda: self.cachify(*locked).returncode == 0, "it is held again")
        self.assertEqual(holder.finish(3), 3)
        self.assertEqual(self.cachify(*locked).returncode, 1)

    def test_fences_grow_also_after_flushall(self):
        fences = []
        for _ in range(3):
            done = self.cachify(*LOCK, "--", "sh", "-c", 'echo "$CACHIFY_FENCE"')
            fences.append(int(done.stdout))
            self.server("FLUSHALL")
        self.assertEqual(fences, sorted(set(fences)))

    def test_a_waiter_rides_out_a_restart_and_is_served(self):
        holder = self.hold(*POOL, "1")
        waiter = self.hold(*POOL, "1", "--wait", wait_for_start=False)
        self.wait_for_queued(waiter)
        self.server.kill()
        time.sleep(0.5)
        self.server.start()
        self.wait_for_size(1)
        wait_until(lambda: waiting_pids(self.server), "the waiter queues again")
        self.assertEqual(holder.finish(0), 0)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(5), 5)

    def test_a_waiter_keeps_its_place_over_a_restart(self):
        self.hold(*POOL, "1")
        waiters = []
        for _ in range(3):
            waiter = self.hold(*POOL, "1", "--wait", wait_for_start=False)
            self.wait_for_queued(waiter)
            waiters.append(waiter.process.pid)
        self.server.restart()
        wait_until(lambda: len(waiting_pids(self.server)) == 3, "all queue again")
        ids = self.server("ZRANGE", "cachify:pool:{jobs}:q", 0, -1)
        records = [self.server("HGET", "cachify:pool:{jobs}:i", item) for item in ids]
        self.assertEqual([int(record.split(" ")[8]) for record in records], waiters)

    def test_a_waiter_whose_server_stays_away_ends_with_69(self):
        self.hold(*POOL, "1")
        waiter = self.start(*POOL, "1", "-t", "2", "--", "echo", "started")
        self.wait_for_queued(waiter)
        self.server.kill()
        stdout, stderr = waiter.communicate(timeout=20)
        self.assertEqual((waiter.returncode, stdout), (69, ""), stderr)
        self.assertEqual(stderr.count("\n"), 1, stderr)

    def test_a_signal_ends_the_wait_for_a_server_that_is_away(self):
        self.hold(*POOL, "1")
        waiter = self.start(*POOL, "1", "--wait", "--", "echo", "started")
        self.wait_for_queued(waiter)
        self.server.kill()
        time.sleep(0.3)
        waiter.send_signal(signal.SIGTERM)
        self.assertEqual(waiter.wait(5), -signal.SIGTERM)

    def test_scripts_that_the_server_forgot_are_sent_again(self):
        holder = self.hold(*POOL, "2")
        self.server("SCRIPT", "FLUSH")
        done = self.cachify(*POOL, "2", "--wait", "--", "sh", "-c", "exit 4")
        self.assertEqual(done.returncode, 4, done.stderr)
        waiter = self.hold(*POOL, "1", "--wait", wait_for_start=False)
        self.wait_for_queued(waiter)
        self.server("SCRIPT", "FLUSH")
        self.assertEqual(holder.finish(0), 0)
        self.wait_for_holder(waiter)
        self.server("SCRIPT", "FLUSH")
        self.assertEqual(waiter.finish(0), 0)
        self.assertEqual(self.size(), 0)

    def test_killed_connections_lose_nothing(self):
        holder = self.hold(*POOL, "1")
        waiter = self.hold(*POOL, "1", "--wait", wait_for_start=False)
        self.wait_for_queued(waiter)
        for _ in range(5):
            self.server("CLIENT", "KILL", "TYPE", "normal")
            time.sleep(0.05)
        self.assertEqual(holder.finish(0), 0)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(6), 6)

    def test_a_release_that_fails_does_not_change_the_code(self):
        holder = self.hold(*POOL, "1")
        self.server.kill()
        self.assertEqual(holder.finish(7), 7)
        self.assertIn("could not be given back", holder.process.stderr.read())

    def test_a_lost_lease_ends_the_command_as_asked(self):
        for option, expected in (("term", 76), ("kill", 76)):
            holder = self.hold(*POOL, "1", "--on-lost", option)
            command = holder.command_pid
            self.server.kill()
            self.assertEqual(holder.process.wait(10), expected)
            self.assertIn(process_state(command), (None, "Z"))
            self.server.start()

    def test_a_lost_lease_only_warns_by_default_and_comes_back(self):
        holder = self.hold(*POOL, "1")
        self.server.kill()
        time.sleep(2.2)
        self.server.start()
        self.wait_for_size(1)
        self.assertEqual(holder.finish(9), 9)
        stderr = holder.process.stderr.read()
        self.assertIn("the lease was lost; the command goes on", stderr)


class Holders(RedisCase):
    def test_a_long_command_keeps_its_slot_far_beyond_one_lease(self):
        holder = self.hold(*POOL, "1")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            self.assertEqual(self.size(), 1)
            time.sleep(0.1)
        self.assertEqual(holder.finish(0), 0)

    def test_the_slot_of_a_killed_cachify_is_free_when_its_lease_ends(self):
        holder = self.hold(*POOL, "1")
        killed = time.monotonic()
        holder.process.kill()
        done = self.cachify(*POOL, "1", "--wait", "--", "true")
        self.assertEqual(done.returncode, 0)
        self.assertLess(time.monotonic() - killed, 2.6)

    def test_a_killed_cachify_takes_the_command_of_a_lock_with_it(self):
        holder = self.hold(*LOCK)
        command = holder.command_pid
        holder.process.kill()
        wait_until(lambda: process_state(command) in (None, "Z"), "the command has ended", 5)

    def test_a_holder_stopped_past_its_lease_loses_a_lock_that_another_had(self):
        holder = self.hold(*LOCK)
        holder.process.send_signal(signal.SIGSTOP)
        done = self.cachify(*LOCK, "--wait", "--", "echo", "had it")
        self.assertEqual(done.stdout, "had it\n")
        holder.process.send_signal(signal.SIGCONT)
        self.assertEqual(holder.process.wait(10), 76)

    def test_a_holder_stopped_past_its_lease_has_it_again_when_nobody_came(self):
        holder = self.hold(*LOCK, "--on-lost", "warn")
        holder.process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        self.assertEqual(self.cachify("lock", "is-locked", "-k", "jobs").returncode, 1)
        holder.process.send_signal(signal.SIGCONT)
        locked = ("lock", "is-locked", "-k", "jobs")
        wait_until(lambda: self.cachify(*locked).returncode == 0, "it is held again", 5)
        self.assertEqual(holder.finish(2), 2)

    def test_an_expired_slot_is_given_on_while_the_command_goes_on(self):
        holder = self.hold(*POOL, "1", "--slot-exp", "300ms")
        done = self.cachify(*POOL, "1", "--wait", "--", "true")
        self.assertEqual(done.returncode, 0)
        self.assertFalse(holder.process.poll())
        other = self.hold(*POOL, "1")
        self.assertEqual(holder.finish(3), 3)  # gives back nothing of others
        self.assertEqual(self.size(), 1)
        self.assertEqual(other.finish(0), 0)
        self.assertEqual(holder.process.stderr.read(), "")


class Waiters(RedisCase):
    def test_the_order_of_arrival_and_of_priority(self):
        first = self.hold(*POOL, "1")
        order = self.path("order")
        waiters = []
        for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", -1), ("e", 5)):
            waiter = self.start(*POOL, "1", "-w", "--priority", str(priority), "--",
                                "sh", "-c", f"echo {name} >>{order}")
            self.wait_for_queued(waiter)
            waiters.append(waiter)
        first.finish(0)
        for waiter in waiters:
            self.assertEqual(waiter.wait(20), 0)
        self.assertEqual(order.read_text().split(), ["b", "e", "a", "c", "d"])

    def test_dead_waiters_at_the_head_cost_no_time(self):
        holder = self.hold(*POOL, "1")
        dead = [self.start(*POOL, "1", "-w", "--", "true") for _ in range(5)]
        self.wait_for_queued(*dead)
        last = self.hold(*POOL, "1", "-w", wait_for_start=False)
        self.wait_for_queued(last)
        for waiter in dead:
            waiter.kill()
            waiter.wait()
        started = time.monotonic()
        holder.finish(0)
        self.wait_for_holder(last)
        self.assertLess(time.monotonic() - started, 1)
        self.assertEqual(last.finish(0), 0)
        self.assertEqual(self.size(), 0)

    def test_who_stands_behind_the_dead_notices_that_nobody_looks(self):
        # A machine that vanishes with the holder and all of the waiters that watch for its end.
        holder = self.hold(*LOCK)
        waiters = []
        for _ in range(6):
            waiters.append(self.hold(*LOCK, "-w", wait_for_start=False))
            self.wait_for_queued(waiters[-1])
        for dead in [*waiters[:5], holder]:
            dead.process.kill()
        wait_until(waiters[5].running, "its turn", timeout=40)

    def test_a_newcomer_finds_what_was_given_to_the_dead(self):
        holder = self.hold(*POOL, "1")
        dead = self.start(*POOL, "1", "-w", "--", "true")
        self.wait_for_queued(dead)
        dead.kill()
        dead.wait()
        self.assertEqual(holder.finish(0), 0)
        self.assertEqual(self.cachify(*POOL, "1", "--", "true").returncode, 0)

    def test_a_dead_waiter_that_would_not_fit_is_skipped_by_a_newcomer(self):
        self.hold(*POOL, "2")
        heavy = self.hold(*POOL, "2", "--weight", "2", "-w", wait_for_start=False)
        self.wait_for_queued(heavy)
        self.assertEqual(self.cachify(*POOL, "2", "--", "true").returncode, 75)
        self.kill_waiter(heavy)
        self.assertEqual(self.cachify(*POOL, "2", "--", "true").returncode, 0)
        self.hold(*LOCK, "--shared")
        writer = self.hold(*LOCK, "-w", wait_for_start=False)
        self.wait_for_queued(writer)
        self.kill_waiter(writer)
        done = self.cachify(*LOCK, "--shared", "--wait", "-t", "1", "--", "true")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_dead_waiter_that_would_not_fit_is_skipped_by_those_behind_it(self):
        self.hold(*LOCK, "--shared")
        writer = self.hold(*LOCK, "-w", wait_for_start=False)
        self.wait_for_queued(writer)
        reader = self.hold(*LOCK, "--shared", "-w", wait_for_start=False)
        self.wait_for_queued(reader)
        self.kill_waiter(writer)
        wait_until(reader.running, "the reader is let in", timeout=10)  # missed after 150 s

    def test_the_dead_do_not_count_for_queue_max(self):
        self.hold(*POOL, "1")
        waiter = self.hold(*POOL, "1", "-w", wait_for_start=False)
        self.wait_for_queued(waiter)
        one_more = (*POOL, "1", "--queue-max", "1", "-t", "0.1", "--", "true")
        self.assertEqual(self.cachify(*one_more).returncode, 75)
        self.kill_waiter(waiter)
        self.assertEqual(self.cachify(*one_more).returncode, 124)

    def kill_waiter(self, waiter):
        waiter.process.kill()
        waiter.process.wait()  # its connection is closed now

    def test_an_interrupted_waiter_leaves_the_queue(self):
        self.hold(*POOL, "1")
        waiter = self.start(*POOL, "1", "-w", "--", "echo", "started")
        self.wait_for_queued(waiter)
        waiter.send_signal(signal.SIGINT)
        self.assertEqual(waiter.wait(5), -signal.SIGINT)
        self.assertEqual(waiting_pids(self.server), set())

    def test_nothing_is_left_behind_for_ever(self):
        self.hold(*POOL, "1")
        waiter = self.start(*POOL, "1", "-w", "--", "true")
        self.wait_for_queued(waiter)
        for name in self.server("KEYS", "*"):
            self.assertGreater(self.server("PTTL", name), 0, name)

    def test_an_idle_waiter_sends_nothing(self):
        self.hold(*POOL, "1", "--store", self.server.unix_url)
        waiters = [self.start(*POOL, "1", "-w", "--", "true") for _ in range(8)]
        self.wait_for_queued(*waiters)

        def commands():
            info = self.server("INFO", "commandstats")
            return sum(int(line.split("calls=")[1].split(",")[0])
                       for line in info.splitlines() if "eval" in line or "blpop" in line)

        before = commands()
        time.sleep(2)
        self.assertLessEqual(commands() - before, 4)


class Refusals(RedisCase):
    def test_out_of_memory_refuses_new_ones_but_keeps_and_frees_the_old(self):
        holder = self.hold(*POOL, "2")
        self.server("CONFIG", "SET", "maxmemory", "1")
        self.unavailable("OOM", slots=2)
        time.sleep(2.5)
        self.assertEqual(self.size(), 1)
        self.assertEqual(holder.finish(4), 4)
        self.assertEqual(holder.process.stderr.read(), "")
        self.server("CONFIG", "SET", "maxmemory", "0")
        self.assertEqual(self.size(), 0)

    def test_too_few_replicas_fail_the_call_and_free_the_slot(self):
        url = self.server.unix_url + "?wait-replicas=1"
        self.unavailable("0 of 1 replicas", env={"CACHIFY_STORE": url})
        self.assertEqual(self.size(), 0)

    def test_noreplicas_fails_the_call(self):
        self.server("CONFIG", "SET", "min-replicas-to-write", "1")
        self.unavailable("NOREPLICAS")

    def test_a_replica_is_not_taken_for_the_master(self):
        self.server("REPLICAOF", "127.0.0.1", "1")
        self.unavailable("READONLY")

    def test_a_missing_right_is_named(self):
        self.server("ACL", "SETUSER", "ann", "on", ">hush-hush", "~cachify:*", "+@all", "-zadd")
        url = f"redis+unix://ann:hush-hush@{self.server.socket}"
        done = self.unavailable("zadd", within=1.5, env={"CACHIFY_STORE": url})
        self.assertNotIn("hush", done.stderr)

    def test_the_rights_of_the_readme_are_enough_for_everything(self):
        self.server("ACL", "SETUSER", "ann", "on", ">p@ss/w:rd", *documented_rights())
        url = f"redis+unix://ann:p%40ss%2Fw:rd@{self.server.socket}?lease=1s"
        env = {"CACHIFY_STORE": url}
        holder = self.hold(*POOL, "1", env=env)
        waiter = self.hold(*POOL, "1", "-w", "-v", wait_for_start=False, env=env)
        dead = self.start(*POOL, "1", "-w", env=env)
        wait_until(lambda: waiting_pids(self.server), "it waits")
        dead.kill()
        time.sleep(1.5)
        self.assertEqual(holder.finish(0), 0)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(0), 0)
        self.assertEqual(self.cachify(*LOCK, "-s", "--", "true", env=env).returncode, 0)
        done = self.cachify("pool", "size", "-k", "jobs", env=env)
        self.assertEqual((done.returncode, done.stdout), (0, "0\n"), done.stderr)
        self.assertNotIn("rd@", holder.process.stderr.read() + waiter.process.stderr.read())

    def test_a_wrong_password_is_final_and_not_shown(self):
        self.server("CONFIG", "SET", "requirepass", "sesame")
        done = self.unavailable("WRONGPASS", within=1.5, env={
            "CACHIFY_STORE": f"redis+unix://:tulip@{self.server.socket}"})
        self.assertNotIn("tulip", done.stderr)
        self.unavailable("NOAUTH", within=1.5)
        done = self.cachify(*POOL, "1", "--", "true", env={"CACHIFY_REDIS_PASSWORD": "sesame"})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_damaged_state_is_one_clear_line(self):
        self.hold(*LOCK)
        for name in self.server("KEYS", "*:i"):
            for item in self.server("HKEYS", name):
                self.server("HSET", name, item, "rubbish")
        done = self.cachify(*LOCK, "--wait", "--", "echo", "started")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assert_one_message(done, "DAMAGED", ":lock:{jobs}:*", "delete")
        done = self.cachify("lock", "status", "-k", "jobs")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assert_one_message(done, "DAMAGED", ":lock:{jobs}:*", "delete")

    def test_another_value_in_place_of_a_book_is_damage(self):
        for book in "hqapim":
            with self.subTest(book):
                self.server("FLUSHALL")
                done = self.cachify(*POOL, "2", "--", "true")
                self.assertEqual(done.returncode, 0, done.stderr)
                (key,) = self.server("KEYS", "*:m")
                self.server("SET", key[:-1] + book, "rubbish")
                done = self.cachify(*POOL, "2", "--wait", "--", "echo", "started")
                self.assertEqual((done.returncode, done.stdout), (69, ""), done.stderr)
                self.assert_one_message(done, "DAMAGED", ":pool:{jobs}:*", "delete")
                self.assertEqual(self.server("GET", key[:-1] + book), "rubbish")

    def test_a_record_of_somebody_strange_is_told_with_its_key(self):
        self.hold(*LOCK)
        for name in self.server("KEYS", "*:i"):
            for item in self.server("HKEYS", name):
                record = self.server("HGET", name, item).split(" ")
                self.server("HSET", name, item, " ".join([*record[:8], "somebody"]))
        for verb in (["run", "-k", "jobs", "-w", "--", "true"], ["status", "-k", "jobs"]):
            done = self.cachify("lock", *verb)
            self.assertEqual(done.returncode, 69, done.stderr)
            self.assert_one_message(done, "DAMAGED", ":lock:{jobs}:*", "delete")

    def test_a_database_of_its_own(self):
        url = self.server.unix_url + "?db=3"
        self.hold(*LOCK, env={"CACHIFY_STORE": url})
        self.assertEqual(self.cachify("lock", "is-locked", "-k", "jobs").returncode, 1)
        self.assertIn("db3", self.server("INFO", "keyspace"))

    def test_tcp_by_number_and_by_name(self):
        for host in ("127.0.0.1", "localhost"):
            url = f"redis://{host}:{self.server.port}"
            done = self.cachify(*POOL, "1", "--", "true", env={"CACHIFY_STORE": url})
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_full_address_book_of_clients_is_said(self):
        keep = self.server.connect()
        self.addCleanup(keep.close)
        keep("CONFIG", "SET", "maxclients", "1")
        self.unavailable("max number of clients")


class Grants(RedisCase):
    """A waiter that reads its grant in time starts at once; all others ask."""

    def heard_while_handing_over(self, after_release):
        """What the server hears from the moment at which the holder ends."""
        holder = self.hold(*LOCK)
        waiter = self.hold(*LOCK, "--wait", wait_for_start=False)
        self.wait_for_queued(waiter)
        monitor = self.server.connect()
        self.addCleanup(monitor.close)
        self.assertEqual(monitor("MONITOR"), "OK")
        after_release(waiter, holder)
        self.assertEqual(waiter.finish(3), 3)
        self.server("ECHO", "the end")
        lines = [monitor.read()]
        while '"the end"' not in lines[-1]:
            lines.append(monitor.read())
        return [line for line in lines if " lua]" not in line and '"EVAL' in line]

    @staticmethod
    def takes(lines):
        return [line for line in lines if line.count('" "') > 20]

    def test_in_time_nothing_is_asked(self):
        lines = self.heard_while_handing_over(lambda _, holder: holder.finish(0))
        self.assertEqual(self.takes(lines), [])
        # free and settle, keep and free; each again in full where the server did not know it.
        self.assertGreaterEqual(len(lines), 4, lines)

    def test_late_it_is_asked_for(self):
        def stop_meanwhile(waiter, holder):
            waiter.process.send_signal(signal.SIGSTOP)
            wait_until(lambda: process_state(waiter.process.pid) == "T", "it is stopped")
            holder.finish(0)
            time.sleep(0.7)  # what makes it late
            waiter.process.send_signal(signal.SIGCONT)

        self.assertEqual(len(self.takes(self.heard_while_handing_over(stop_meanwhile))), 1)

    def test_what_is_taken_back_cannot_be_read_any_more(self):
        folder = Path(__file__).resolve().parents[2] / "src" / "store" / "redis" / "scripts"
        take = "\n".join((folder / f"{name}.lua").read_text() for name in ("common", "take"))
        holder = self.hold(*LOCK)
        base = self.server("KEYS", "*:m")[0][:-1]
        keys = [base + part for part in "hqapimb"]
        answer = self.server("EVAL", take, 7, *keys, "lock", "w", "", "0", "1", "0", "30000000", "0",
                             "1", "0", "1", "0", "-1", "-1", "-1", "", "0", "1 0 0 - here true")
        self.assertEqual(answer[0], "WAIT")
        holder.finish(0)  # grants to w, which does not listen
        self.assertEqual(self.server("EXISTS", base + "n:w"), 0)
        self.assertEqual(self.server("EXISTS", base + "g:w"), 1)
        self.assertEqual(self.server("ZCARD", base + "h"), 0)


class GarbageServer:
    """Answers every connection with the same bytes."""

    def __init__(self, answer, then_close=True):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer = answer
        self.then_close = then_close
        self.open = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        self.open.append(connection)
        try:
            connection.recv(65536)
            for part in self.answer():
                connection.sendall(part)
            if not self.then_close:
                time.sleep(10)
        except OSError:
            pass
        finally:
            connection.close()

    def stop(self):
        self.listener.close()


def endless(part):
    def answer():
        for _ in range(4096):
            yield part
    return answer


class Garbage(RedisCase):
    def test_whatever_it_says_it_ends_with_69_and_bounded_memory(self):
        filler = b"x" * 65536
        answers = {
            "random bytes": lambda: [os.urandom(4096)],
            "HTTP": lambda: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
            "a huge text": lambda: [b"$2147483647\r\n", *endless(filler)()],
            "a huge array": lambda: [b"*2147483647\r\n"],
            "a big array of arrays": lambda: [b"*400000\r\n", *endless(b"*400000\r\n")()],
            "deep nesting": lambda: [b"*1\r\n" * 100000],
            "a negative length": lambda: [b"$-7\r\n"],
            "no end of a line": lambda: [b"+", *endless(filler)()],
            "a cut reply": lambda: [b"*3\r\n$2\r\nOK\r\n*5\r\n:12"],
            "nothing": lambda: [],
            "a wrong shape": lambda: [b"*1\r\n$2\r\nOK\r\n"],
            "an unknown word": lambda: [b"*2\r\n$4\r\nYES!\r\n*0\r\n"],
            "a number": lambda: [b":1\r\n"],
            "nil": lambda: [b"$-1\r\n"],
            "another error": lambda: [b"-ERR \x1b[31mred\r\n"],
            "a status": lambda: [b"+OK\r\n"],
        }
        for name, answer in answers.items():
            with self.subTest(name):
                server = GarbageServer(answer)
                self.addCleanup(server.stop)
                env = {"CACHIFY_STORE": f"redis://127.0.0.1:{server.port}"}
                # 400 MB of address space are plenty; a sanitizer needs terabytes.
                limit = "" if os.environ.get("CACHIFY_BUILD") == "sanitized" else "ulimit -v 400000;"
                done = self.run_program(
                    ["sh", "-c", limit + ' exec "$@"', "sh", os.environ["CACHIFY_BIN"], *POOL, "1",
                     "--", "echo", "started"], env=env)
                self.assertEqual(done.returncode, 69, (name, done.stderr))
                self.assert_one_message(done)

    def test_a_server_that_says_nothing_has_two_seconds(self):
        server = GarbageServer(lambda: [], then_close=False)
        self.addCleanup(server.stop)
        self.unavailable("no answer in time", within=5,
                         env={"CACHIFY_STORE": f"redis://127.0.0.1:{server.port}"})

    def test_a_connection_that_is_never_made_has_its_time_out(self):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self.addCleanup(listener.close)
        fillers = []
        for _ in range(4):  # fill the queue, so that more are not answered
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
            self.addCleanup(filler.close)
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}?connect-timeout=700ms"
        self.unavailable("cannot be used", within=4, env={"CACHIFY_STORE": url})

    def test_a_signal_ends_the_wait_for_a_silent_server(self):
        server = GarbageServer(lambda: [], then_close=False)
        self.addCleanup(server.stop)
        caller = self.start(*POOL, "1", "--", "echo", "started",
                            env={"CACHIFY_STORE": f"redis://127.0.0.1:{server.port}"})
        wait_until(lambda: server.open, "it has connected")
        time.sleep(0.1)
        caller.send_signal(signal.SIGTERM)
        self.assertEqual(caller.wait(2), -signal.SIGTERM)


if __name__ == "__main__":
    main()
