"""resource run and its kin: who gets which one, what is made and destroyed, and what a crash leaves."""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

from redis_server import RedisStore
from pages import RECIPES, block
from support import Case, alive, children_of, main, on_every_store, wait_until

# Notes what it does in $LOG, and prints its handle.
MAKE = 'echo "made db$CACHIFY_SERIAL" >>"$LOG"; echo "db$CACHIFY_SERIAL"'
DESTROY = 'sh -c \'echo "destroyed $1" >>"$LOG"\' sh'
SHOW = ("sh", "-c", 'echo "$CACHIFY_RESOURCE"')


class ResourceCase(Case):
    def setUp(self):
        super().setUp()
        # So that what a killed cachify held is free again soon.
        if self.store_class.name == "redis":
            self.env["CACHIFY_STORE"] += "?lease=1s"
        self.log = self.path("log")
        self.log.touch()
        self.env["LOG"] = str(self.log)

    def run_with(self, *options, command=SHOW, key="r", **others):
        return self.cachify("resource", "run", "-k", key, *options, "--", *command, **others)

    def got(self, *options, **others):
        """What COMMAND was lent."""
        done = self.run_with(*options, **others)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split("\n")[:-1]

    def hold_with(self, *options, key="r", **others):
        return self.hold("resource", "run", "-k", key, *options, **others)

    def status(self, key="r"):
        done = self.cachify("resource", "status", "-k", key, "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def listed(self, key="r"):
        return [one["name"] for one in self.status(key)["resources"]]

    def logged(self, what):
        return [line.split()[1] for line in self.log.read_text().splitlines() if line.startswith(what)]

    def assert_refused(self, done, code, *parts):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assert_one_message(done, *parts)


@on_every_store
class Lending(ResourceCase):
    def test_each_caller_gets_one_of_its_own(self):
        first = self.hold_with("--from", "a,b")
        second = self.hold_with("--from", "a,b")
        lent = [one.environment["CACHIFY_RESOURCE"] for one in (first, second)]
        self.assertEqual(sorted(lent), ["a", "b"])
        done = self.run_with("--from", "a,b")
        self.assert_refused(done, 75, "r is full (max=2)")
        self.assertEqual(first.finish(7), 7)
        self.assertEqual(self.got("--from", "a,b"), lent[:1])
        self.assertEqual(second.finish(), 0)

    def test_who_waits_gets_the_one_that_comes_back(self):
        holder = self.hold_with("--from", "a")
        waiter = self.hold_with("--from", "a", "--wait", wait_for_start=False)
        self.wait_for_queued(waiter)
        done = self.run_with("--from", "a", "-t", "50ms")
        self.assert_refused(done, 124, "no resource became free within 50ms")
        holder.finish()
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.environment["CACHIFY_RESOURCE"], "a")
        self.assertEqual(waiter.finish(), 0)

    def test_several_come_one_to_a_line_all_or_none(self):
        self.assertEqual(self.got("--from", "a,b,c", "--count", "2"), ["a", "b"])
        holder = self.hold_with("--from", "a,b,c", "--count", "2")
        self.assertEqual(self.run_with("--from", "a,b,c", "--count", "2").returncode, 75)
        self.assertEqual(self.got("--from", "a,b,c"), ["c"])
        holder.finish()
        done = self.run_with("--from", "a,b,c", "--count", "4")
        self.assert_refused(done, 64, "--count 4 is more than the 3")

    def test_the_usual_variables_are_there_too(self):
        done = self.run_with("--from", "x y", command=("env",))
        env = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        self.assertEqual((env["CACHIFY_RESOURCE"], env["CACHIFY_KEY"]), ("x y", "r"))
        self.assertEqual((env["CACHIFY_MAX"], env["CACHIFY_SLOT"]), ("1", "0"))
        self.assertTrue(env["CACHIFY_ID"] and env["CACHIFY_FENCE"] and env["CACHIFY_WAITED"])

    def test_on_full_runs_in_place_of_the_refusal(self):
        holder = self.hold_with("--from", "a")
        done = self.run_with("--from", "a", "--on-full", "echo full:", command=("x", "y"))
        self.assertEqual((done.returncode, done.stdout), (0, "full: x y\n"))
        holder.finish()

    def test_pools_locks_and_resources_of_one_key_are_strangers(self):
        holder = self.hold_with("--from", "a")
        self.assertEqual(self.cachify("pool", "size", "-k", "r").stdout, "0\n")
        self.assertEqual(self.cachify("lock", "is-locked", "-k", "r").returncode, 1)
        holder.finish()

    def test_a_command_that_cannot_be_run_gives_back(self):
        done = self.run_with("--from", "a", command=("/nonexistent",))
        self.assertEqual(done.returncode, 127)
        self.assertEqual(self.got("--from", "a"), ["a"])

    def test_what_does_not_go_together_is_wrong_use(self):
        for options, part in (
            ((), "give --from or --create"),
            (("--from", "a,a"), "different names"),
            (("--from", "a", "--max", "2"), "--max does not go with --from"),
            (("--from", "a", "--create", "true"), "--create does not go with --from"),
            (("--check", "true"), "--check needs --from or --create"),
            (("--create", "true", "--min", "3", "--max", "2"), "--min must be at most --max, 2"),
            (("--create", " "), "a shell command"),
            (("--from", "a", "--count", "0"), "--count must be"),
            (("--create", "true", "--max-life", "0"), "more than 0"),
        ):
            with self.subTest(options=options):
                self.assert_refused(self.run_with(*options), 64, part)

    def test_callers_that_define_it_otherwise_are_told(self):
        holder = self.hold_with("--from", "a,b")
        done = self.run_with("--from", "a,c")
        self.assert_refused(done, 64, "--from 'a,c' here, --from 'a,b' there")
        done = self.run_with("--create", "echo x")
        self.assert_refused(done, 64, "no --from here")
        self.assertEqual(self.got("--from", "b,a"), ["b"])
        self.assertEqual(self.got(), ["b"])  # whatever the others said
        holder.finish()
        # Nobody uses it any more: the newest word counts.
        self.assertEqual(self.got("--from", "c,a"), ["c"])
        self.assertEqual(self.listed(), ["c", "a"])

    def test_the_definition_can_stand_in_the_file(self):
        self.write_config(
            '[resource.phones]\nfrom = ["p1", "p2"]\n\n'
            f"[resource.db]\ncreate = '''{MAKE}'''\nmin = 2\nmax = 3\nmax-life = \"1h\"\n"
        )
        self.assertEqual(self.got(key="phones"), ["p1"])
        self.assertEqual(self.got("--count", "2", key="phones"), ["p1", "p2"])
        self.assertEqual(self.got(key="db"), ["db1"])
        now = self.status("db")
        self.assertEqual((now["min"], now["max"], now["size"]), (2, 3, 2))
        done = self.run_with("--count", "4", key="db")
        self.assert_refused(done, 64, "more than the 3")

    def test_a_bad_definition_in_the_file_is_bad_configuration(self):
        for entry, part in (
            ("from = []", "from must be a list"),
            ('from = ["a"]\nmax = 2', "--max does not go with --from"),
            ("max = 2", "needs --from or --create"),
            ('create = ""', "create must be a shell command"),
            ('crate = "x"', "no setting named 'crate'"),
        ):
            with self.subTest(entry=entry):
                self.write_config(f"[resource.r]\n{entry}\n")
                self.assert_refused(self.run_with(), 78, "config.toml:", part)


@on_every_store
class Making(ResourceCase):
    def test_made_on_demand_up_to_max_and_used_again(self):
        options = ("--create", MAKE, "--max", "2")
        holders = [self.hold_with(*options) for _ in range(2)]
        lent = [holder.environment["CACHIFY_RESOURCE"] for holder in holders]
        self.assertEqual(sorted(lent), ["db1", "db2"])
        self.assert_refused(self.run_with(*options), 75, "r is full (max=2)")
        for holder in holders:
            holder.finish()
        self.assertIn(self.got(*options)[0], lent)
        self.assertEqual(sorted(self.logged("made")), ["db1", "db2"])

    def test_one_that_is_missing_is_made_by_one_of_many(self):
        options = ("--create", MAKE, "--max", "2", "--wait")
        callers = [
            self.start("resource", "run", "-k", "r", *options, "--", "true") for _ in range(8)
        ]
        for caller in callers:
            self.assertEqual(caller.wait(60), 0)
        self.assertLessEqual(len(self.logged("made")), 2)
        self.assertEqual(sorted(self.logged("made")), sorted(self.listed()))

    def test_the_minimum_is_made_beside_the_command(self):
        options = ("--create", MAKE, "--min", "3", "--max", "4")
        holder = self.hold_with(*options)
        wait_until(lambda: self.status()["size"] == 3, "the spares are there")
        now = self.status()
        self.assertEqual((now["available"], now["in_use"]), (2, 1))
        holder.finish()
        self.assertEqual(self.status()["available"], 3)
        # Also by one whose command ends at once.
        self.assertEqual(self.got(*options, key="short"), ["db1"])
        self.assertEqual(self.status("short")["size"], 3)

    def test_the_next_caller_does_not_wait_for_a_spare_in_vain(self):
        os.mkfifo(self.path("gate"))
        slow = f'[ "$CACHIFY_SERIAL" = 1 ] || read -r x <"{self.path("gate")}"; {MAKE}'
        options = ("--create", slow, "--min", "2", "--max", "2")
        holder = self.hold_with(*options)
        wait_until(lambda: len(self.status()["resources"]) == 2, "the spare is being made")
        second = self.hold_with(*options, wait_for_start=False)
        with open(self.path("gate"), "w", encoding="ascii") as gate:
            gate.write("go\n")
        self.wait_for_holder(second)
        self.assertEqual(second.environment["CACHIFY_RESOURCE"], "db2")
        self.assertEqual((holder.finish(), second.finish()), (0, 0))
        self.assertEqual(sorted(self.logged("made")), ["db1", "db2"])

    def test_a_create_that_fails_is_an_error_of_its_caller_only(self):
        for create, part in (
            ("exit 3", "--create failed with exit code 3"),
            ("kill -15 $$", "--create failed with exit code 143"),
            ("true", "did not print a handle"),
            ("echo", "did not print a handle"),
            ("echo a; echo b", "did not print a handle"),
            ("no-such-command 2>/dev/null", "--create failed with exit code 127"),
        ):
            with self.subTest(create=create):
                done = self.run_with("--create", create)
                # The shell may have had its say about a signal.
                done.stderr = done.stderr.removeprefix("Terminated\n")
                self.assert_refused(done, 69, part)
                self.assertEqual(self.status()["resources"], [])
        self.assertEqual(self.got("--create", MAKE)[0][:2], "db")

    def test_a_create_that_hangs_is_ended_with_all_it_has_started(self):
        pid = self.path("pid")
        create = f"sleep 1000 & echo $! >{pid}; wait"
        done = self.run_with("--create", create, "--create-timeout", "300ms")
        self.assert_refused(done, 69, "--create took longer than 300ms")
        wait_until(lambda: not alive(int(pid.read_text())), "its child has ended")
        self.assertEqual(self.status()["resources"], [])

    def test_a_signal_after_the_command_ends_the_spares_and_keeps_its_code(self):
        started = self.path("started")
        spare = f"{MAKE}; exit"
        slow = f'[ "$CACHIFY_SERIAL" = 1 ] && {{ {spare}; }}; touch {started}; sleep 1000'
        holder = self.hold_with("--create", slow, "--min", "2", "--max", "2")
        wait_until(started.exists, "the spare is being made")
        command = holder.command_pid
        os.kill(command, signal.SIGKILL)
        wait_until(lambda: self.status()["in_use"] == 0, "the slot was given back")
        self.assertIsNone(holder.process.poll())
        holder.process.send_signal(signal.SIGTERM)
        self.assertEqual(holder.process.wait(30), 128 + signal.SIGKILL)
        self.assertEqual(self.listed(), ["db1"])

    def test_what_a_failing_create_has_printed_is_destroyed(self):
        done = self.run_with("--create", MAKE + "; exit 1", "--destroy", DESTROY)
        self.assertEqual(done.returncode, 69)
        self.assertEqual(self.logged("destroyed"), self.logged("made"))
        self.assertEqual(self.status()["resources"], [])

    def test_a_handle_that_is_there_already_is_refused(self):
        holder = self.hold_with("--create", "echo same", "--max", "2")
        done = self.run_with("--create", "echo same", "--max", "2")
        self.assert_refused(done, 69, "--create printed 'same', which is there already")
        holder.finish()
        self.assertEqual(self.listed(), ["same"])

    def test_a_create_neither_eats_the_input_nor_adds_to_the_output(self):
        done = self.run_with("--create", "cat; echo db", command=("cat",), input="all of it\n")
        self.assertEqual((done.returncode, done.stdout), (0, "all of it\n"))

    def test_a_signal_during_create_ends_it_and_gives_back(self):
        started = self.path("started")
        create = f"trap 'exit 1' TERM; echo $$ >{started}.new; mv {started}.new {started}; sleep 1000 & wait"
        for number in (signal.SIGTERM, signal.SIGINT):
            caller = self.start("resource", "run", "-k", "r", "--create", create, "--", "true")
            wait_until(started.exists, "the create runs")
            caller.send_signal(number)
            self.assertEqual(caller.wait(30), -number)
            pid = int(started.read_text())
            wait_until(lambda pid=pid: not alive(pid), "the create has ended")
            started.unlink()
            self.assertEqual(self.status()["resources"], [])
        self.assertEqual(len(self.got("--create", MAKE)), 1)

    def test_unhealthy_ones_are_destroyed_until_three_in_a_row(self):
        healthy = self.path("healthy")
        check = f"sh -c 'echo \"checked $1\" >>\"$LOG\"; test -e {healthy}' sh"
        options = ("--create", MAKE, "--check", check, "--destroy", DESTROY, "--max", "4")
        done = self.run_with(*options)
        self.assertEqual(done.returncode, 69)
        self.assertIn("3 resources in a row", done.stderr)
        self.assertEqual(self.logged("made"), self.logged("checked"))
        self.assertEqual(self.logged("made"), self.logged("destroyed"))
        self.assertEqual(len(self.logged("made")), 3)
        healthy.touch()
        self.assertEqual(self.got(*options), ["db4"])
        self.assertEqual(self.got(*options), ["db4"])  # checked again
        self.assertEqual(self.logged("checked")[-2:], ["db4", "db4"])
        self.assertEqual(self.status()["resources"][0]["health"], "good")

    def test_an_unhealthy_name_is_passed_over_and_tried_last(self):
        options = ("--from", "a,b", "--check", "test b =")
        done = self.run_with(*options)
        self.assertEqual((done.returncode, done.stdout), (0, "b\n"))
        self.assertIn("--check of 'a' failed", done.stderr)
        self.assertEqual(self.got(*options), ["b"])
        health = {one["name"]: one["health"] for one in self.status()["resources"]}
        self.assertEqual(health, {"a": "failed", "b": "good"})
        self.assertEqual(self.got("--from", "a,b", "--check", "true", "--count", "2"), ["b", "a"])

    def test_one_that_has_lived_long_enough_is_made_anew(self):
        options = ("--create", MAKE, "--destroy", DESTROY, "--max-life", "200ms")
        self.assertEqual(self.got(*options), ["db1"])
        wait_until(lambda: self.status()["resources"][0]["age"] > 0.2, "it is old")
        self.assertEqual(self.got(*options), ["db2"])
        self.assertEqual(self.logged("destroyed"), ["db1"])
        now = self.status()
        self.assertEqual((now["made"], now["destroyed"]), (2, 1))

    def test_a_destroy_that_fails_is_told_and_stays_in_the_list(self):
        options = ("--create", MAKE, "--destroy", "false", "--max", "1")
        self.assertEqual(self.got(*options), ["db1"])
        done = self.cachify("resource", "remove", "-k", "r", "--name", "db1")
        self.assert_refused(done, 69, "--destroy of 'db1' failed with exit code 1")
        self.assertEqual(self.status()["resources"][0]["state"], "not destroyed")
        self.assertEqual(self.got(*options), ["db2"])
        # With a better --destroy it can go.
        better = ("--create", MAKE, "--destroy", DESTROY, "--max", "1")
        self.assertEqual(self.got(*better), ["db2"])
        self.assertEqual(self.cachify("resource", "stop", "-k", "r").returncode, 0)
        self.assertEqual(sorted(self.logged("destroyed")), ["db1", "db2"])
        self.assertEqual(self.status()["resources"], [])

    def test_what_was_made_is_not_taken_for_what_another_create_would_make(self):
        self.got("--create", MAKE)
        done = self.run_with("--create", "echo else")
        self.assert_refused(done, 64, "were made otherwise", "cachify resource stop")
        self.assertEqual(self.cachify("resource", "stop", "-k", "r").returncode, 0)
        self.assertEqual(self.got("--create", "echo else"), ["else"])


@on_every_store
class Steering(ResourceCase):
    def steer(self, verb, *options, key="r"):
        return self.cachify("resource", verb, "-k", key, *options)

    def test_status_tells_who_has_what(self):
        holder = self.hold_with("--from", "a,b")
        now = self.status()
        for name, value in (("available", 1), ("in_use", 1), ("size", 2), ("min", 2), ("max", 2)):
            self.assertEqual(now[name], value, name)
        a, b = now["resources"]
        self.assertEqual((a["name"], a["state"], a["health"]), ("a", "in use", "unknown"))
        self.assertEqual(a["holder"]["pid"], holder.process.pid)
        self.assertEqual(a["holder"]["id"], holder.environment["CACHIFY_ID"])
        self.assertEqual((b["state"], b["holder"]), ("free", None))
        self.assertGreaterEqual(a["age"], 0)
        table = self.steer("status").stdout
        self.assertIn("1 available, 1 in use, size 2, min 2, max 2", table)
        self.assertRegex(table, rf"(?m)^a +in use .* {holder.process.pid} ")
        holder.finish()

    def test_status_of_what_never_was_shows_nothing_and_makes_nothing(self):
        now = self.status("never")
        self.assertEqual((now["size"], now["resources"]), (0, []))
        table = self.cachify("resource", "status", "-k", "never").stdout
        self.assertEqual(len(table.splitlines()), 1, table)
        self.write_config('[resource.never]\nfrom = ["a"]\n')
        self.assertEqual(self.status("never")["available"], 1)

    def test_add_lets_who_waits_in(self):
        holder = self.hold_with("--from", "a")
        waiter = self.hold_with("--from", "a", "--wait", wait_for_start=False)
        self.wait_for_queued(waiter)
        self.assertEqual(self.steer("add", "--name", "b").returncode, 0)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.environment["CACHIFY_RESOURCE"], "b")
        self.assertEqual((holder.finish(), waiter.finish()), (0, 0))
        # The list that callers name is still the one they agreed on.
        self.assertEqual(self.got("--from", "a", "--count", "2"), ["a", "b"])

    def test_a_list_can_be_begun_by_add(self):
        self.assertEqual(self.steer("add", "--name", "x").returncode, 0)
        self.assertEqual(self.steer("add", "--name", "x").returncode, 0)
        self.assertEqual(self.got(), ["x"])

    def test_one_removed_in_use_goes_when_it_comes_back(self):
        holder = self.hold_with("--from", "a,b")
        done = self.steer("remove", "--name", "a")
        self.assertEqual(done.returncode, 0)
        self.assert_one_message(done, "'a' is in use, and goes when it comes back")
        self.assertEqual(self.status()["resources"][0]["state"], "in use, going")
        other = self.hold_with("--from", "a,b")
        self.assertEqual(other.environment["CACHIFY_RESOURCE"], "b")
        self.assertEqual(self.run_with("--from", "a,b").returncode, 75)
        holder.finish()
        self.assertEqual(self.listed(), ["b"])
        self.assert_refused(self.run_with("--from", "a,b"), 75, "(max=1)")
        other.finish()
        done = self.steer("remove", "--name", "a")
        self.assert_refused(done, 1, "r has no resource 'a'")
        self.assertEqual(self.steer("remove", "--name", "b").returncode, 0)
        done = self.cachify("resource", "run", "-k", "r", "--", "true")
        self.assert_refused(done, 64, "r has no resources any more; give it one with cachify resource add")

    def test_a_made_one_is_destroyed_by_remove(self):
        options = ("--create", MAKE, "--destroy", DESTROY, "--max", "2")
        holder = self.hold_with(*options)
        self.assertEqual(self.got(*options), ["db2"])
        self.assertEqual(self.steer("remove", "--name", "db2").returncode, 0)
        self.assertEqual(self.logged("destroyed"), ["db2"])
        self.assertEqual(self.steer("remove", "--name", "db1").returncode, 0)
        self.assertEqual(self.logged("destroyed"), ["db2"])
        holder.finish()
        self.assertEqual(self.logged("destroyed"), ["db2", "db1"])

    def test_stop_destroys_all_and_refuses_until_the_last_has_come_back(self):
        options = ("--create", MAKE, "--destroy", DESTROY, "--min", "2", "--max", "2")
        holder = self.hold_with(*options)
        wait_until(lambda: self.status()["size"] == 2, "the spare is there")
        other = self.hold_with(*options)
        waiter = self.hold_with(*options, "--wait", wait_for_start=False)
        self.wait_for_queued(waiter)
        other.finish()
        self.wait_for_holder(waiter)
        queued = self.hold_with(*options, "--wait", wait_for_start=False)
        self.wait_for_queued(queued)
        done = self.steer("stop")
        self.assertEqual(done.returncode, 0)
        self.assertIn("2 still in use", done.stderr)
        self.assertEqual(queued.process.wait(30), 75)
        self.assert_refused(self.run_with(*options), 75, "r is closed")
        self.assertEqual((holder.finish(), waiter.finish()), (0, 0))
        self.assertEqual(sorted(self.logged("destroyed")), ["db1", "db2"])
        self.assertEqual(self.status()["resources"], [])
        self.assertEqual(len(self.got(*options)), 1)
        self.assertEqual(self.steer("stop", key="never").returncode, 0)

    def test_a_name_is_needed(self):
        for verb in ("add", "remove"):
            self.assert_refused(self.steer(verb), 64, "--name")


@on_every_store
class Crashes(ResourceCase):
    def killed(self, process):
        process.kill()
        process.wait()

    def create_on_command(self):
        """A create that says where it is, and goes on when it is told to: (text, stages)."""
        for name in ("before", "after"):
            os.mkfifo(self.path(name))
        create = (
            f'echo $$ >"{self.path("pid")}"; read -r x <"{self.path("before")}"; {MAKE}; '
            f'touch "{self.path("printed")}"; read -r x <"{self.path("after")}"'
        )
        return ("--create", create, "--max", "1")

    def go(self, stage):
        with open(self.path(stage), "w", encoding="ascii") as gate:
            gate.write("go\n")

    def test_killed_before_the_handle_was_printed(self):
        options = self.create_on_command()
        caller = self.start("resource", "run", "-k", "r", *options, "--", "true")
        wait_until(self.path("pid").exists, "the create runs")
        self.killed(caller)
        self.go("before")
        self.go("after")
        # The create has gone on, and what it made is there for the next one, once.
        wait_until(lambda: self.status()["size"] == 1, "the handle was adopted")
        self.assertEqual(self.got(*options, "--wait"), ["db1"])
        self.assertEqual(self.logged("made"), ["db1"])

    def test_killed_after_the_handle_was_printed(self):
        options = self.create_on_command()
        caller = self.start("resource", "run", "-k", "r", *options, "--", "true")
        self.go("before")
        wait_until(self.path("printed").exists, "the handle was printed")
        self.killed(caller)
        next_one = self.hold_with(*options, "--wait", wait_for_start=False)
        self.go("after")
        self.wait_for_holder(next_one)
        self.assertEqual(next_one.environment["CACHIFY_RESOURCE"], "db1")
        next_one.finish()
        self.assertEqual(self.logged("made"), ["db1"])

    def test_killed_together_with_its_create(self):
        for stage, handles in (("before", []), ("after", ["db1"])):
            with self.subTest(stage=stage):
                for name in ("before", "after", "pid", "printed"):
                    self.path(name).unlink(missing_ok=True)
                options = self.create_on_command()
                caller = self.start("resource", "run", "-k", stage, *options, "--", "true")
                wait_until(self.path("pid").exists, "the create runs")
                if stage == "after":
                    self.go("before")
                    wait_until(self.path("printed").exists, "the handle was printed")
                helpers = children_of(caller.pid)
                self.killed(caller)
                for pid in helpers + [int(self.path("pid").read_text())]:
                    os.kill(pid, signal.SIGKILL)
                wait_until(
                    lambda stage=stage: all(
                        one["state"] != "being made" for one in self.status(stage)["resources"]
                    ),
                    "what is left was looked at",
                )
                self.assertEqual(self.listed(stage), handles)
                self.assertEqual(self.cachify("resource", "stop", "-k", stage).returncode, 0)

    def test_killed_while_it_destroys_leaves_that_to_the_next_one(self):
        os.mkfifo(self.path("gate"))
        destroy = (
            f'sh -c \'echo $$ >"{self.path("pid")}"; read -r x <"{self.path("gate")}"; '
            'echo "destroyed $1" >>"$LOG"\' sh'
        )
        options = ("--create", MAKE, "--destroy", destroy, "--max", "2")
        self.got(*options)
        remover = self.start("resource", "remove", "-k", "r", "--name", "db1")
        wait_until(lambda: self.path("pid").exists() and self.path("pid").read_text(), "the destroy runs")
        self.killed(remover)
        # Not the next one's reader at the gate.
        os.kill(int(self.path("pid").read_text()), signal.SIGKILL)
        self.path("pid").unlink()
        self.assertEqual(self.status()["resources"][0]["state"], "being destroyed")
        holder = self.hold_with(*options)
        self.assertEqual(holder.environment["CACHIFY_RESOURCE"], "db2")
        wait_until(self.path("pid").exists, "the destroy runs again, beside the command")
        self.go("gate")
        holder.finish()
        self.assertIn("db1", self.logged("destroyed"))
        self.assertEqual(self.listed(), ["db2"])

    def test_killed_while_its_command_runs(self):
        holder = self.hold_with("--from", "a", "--no-inherit")
        command = holder.command_pid
        self.killed(holder.process)
        checked = ("--check", 'sh -c \'echo "checked $1" >>"$LOG"\' sh')
        os.kill(command, signal.SIGKILL)
        # Free again, at the latest when the lease has ended; and nobody uses it, so that --check
        # can be brought in.
        wait_until(lambda: self.status()["in_use"] == 0, "the slot is free")
        self.assertEqual(self.got("--from", "a", *checked, "--wait"), ["a"])
        self.assertEqual(self.logged("checked"), ["a"])

    def test_an_orphaned_command_keeps_what_it_was_lent(self):
        if self.store_class.name == "redis":
            self.skipTest("a slot of this store ends with its cachify")
        holder = self.hold_with("--from", "a,b")
        self.killed(holder.process)
        now = self.status()["resources"][0]
        self.assertEqual((now["state"], now["holder"]["orphan"]), ("in use", True))
        self.assertEqual(self.got("--from", "a,b"), ["b"])
        os.kill(holder.command_pid, signal.SIGKILL)
        wait_until(lambda: self.status()["in_use"] == 0, "it is free")

    def test_a_storm_with_kills_lends_each_to_one_at_a_time_and_loses_none(self):
        use = (
            f'flock -n -E 99 "{self.dir}/use.$CACHIFY_RESOURCE" sleep 0.01; '
            f'[ $? = 99 ] && echo "conflict $CACHIFY_RESOURCE" >>"$LOG"; true'
        )
        options = ("--create", MAKE, "--destroy", DESTROY, "--check", "test -n", "--max", "3")
        options += ("--min", "2", "--max-life", "400ms", "--wait")
        dice = random.Random(7)
        running = []
        end = time.monotonic() + 5
        started = ended = 0
        while time.monotonic() < end:
            while len(running) < 8:
                running.append(
                    self.start("resource", "run", "-k", "r", *options, "--", "sh", "-c", use)
                )
                started += 1
            if dice.random() < 0.3:
                dice.choice(running).kill()
            for process in [one for one in running if one.poll() is not None]:
                running.remove(process)
                ended += 1
                self.assertIn(process.returncode, (0, -signal.SIGKILL), process.stderr.read())
            time.sleep(dice.random() * 0.02)
        for process in running:
            self.assertIn(process.wait(60), (0, -signal.SIGKILL))
        self.assertGreater(ended, 50)
        self.assertEqual(self.logged("conflict"), [])
        # One more caller finds what the last killed ones have left.
        self.got("--create", MAKE, "--destroy", DESTROY, "--check", "test -n", "--max", "3",
                 "--min", "2", "--max-life", "400ms", "--wait")  # fmt: skip
        wait_until(
            lambda: all(one["state"] == "free" for one in self.status()["resources"]),
            "nothing is under way",
        )
        there = set(self.logged("made")) - set(self.logged("destroyed"))
        self.assertEqual(sorted(there), sorted(self.listed()))
        if self.store_class.name == "file":
            left = [name for name in os.listdir(self.store.directory) if name.startswith("work.")]
            self.assertLessEqual(len(left), started // 10)


class Leases(ResourceCase):
    """What only a store with leases can do to a holder."""

    store_class = RedisStore

    def test_a_lease_is_kept_while_a_long_create_runs(self):
        gate = self.path("gate")
        os.mkfifo(gate)
        holder = self.hold_with(
            "--create", f'read -r x <"{gate}"; {MAKE}', "--max", "1", wait_for_start=False
        )

        def old():
            resources = self.status()["resources"]
            return resources and resources[0]["age"] > 2.5  # leases

        wait_until(old, "the lease would have ended")
        with open(gate, "w", encoding="ascii") as pipe:
            pipe.write("go\n")
        self.wait_for_holder(holder)
        self.assertEqual(holder.finish(3), 3)

    def test_a_lease_is_kept_while_very_many_are_taken(self):
        names = ",".join(f"n{i}" for i in range(700))
        done = self.cachify(
            "resource", "run", "-k", "r", "--from", names, "--count", "700", "--",
            "sh", "-c", 'echo "$CACHIFY_RESOURCE" | wc -l',
            env={"CACHIFY_STORE": f"{self.store.server.unix_url}?lease=1s"},
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "700\n", ""))

    def test_who_slept_past_his_lease_does_not_use_it_beside_the_next_one(self):
        holder = self.hold_with("--from", "a,b")
        self.assertEqual(holder.environment["CACHIFY_RESOURCE"], "a")
        holder.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self.status()["in_use"] == 0, "the lease has ended")
        other = self.hold_with("--from", "a,b")
        self.assertEqual(other.environment["CACHIFY_RESOURCE"], "a")
        # There is a free slot, but what belonged to the old one is another's.
        holder.process.send_signal(signal.SIGCONT)
        self.assertEqual(holder.process.wait(30), 76)
        self.assertEqual(other.finish(), 0)

    def lose_everything(self):
        connection = self.store.server.connect()
        try:
            connection("DEL", *connection("KEYS", self.store.prefix + "*"))
        finally:
            connection.close()

    def test_what_is_in_use_is_not_lent_again_when_the_server_has_lost_its_data(self):
        holder = self.hold_with("--create", MAKE, "--max", "2")
        self.lose_everything()
        wait_until(
            lambda: self.store.server("KEYS", self.store.prefix + "*:h"), "the holder is back"
        )
        done = self.run_with("--create", MAKE, "--max", "2", "--wait")
        self.assertEqual(done.returncode, 69)
        self.assertIn("the store has lost the list of the resources of r", done.stderr)
        self.assertEqual(holder.finish(), 0)
        self.assertEqual(self.listed(), ["db1"])
        self.assertEqual(self.got("--create", MAKE, "--max", "2"), ["db1"])


class Mutex(ResourceCase):
    """What happens to COMMAND while its cachify waits for the mutex is not missed."""

    def in_the_mutex(self):
        """A holder whose spare was made, and who waits to write that down: (holder, the lock)."""
        gate = self.path("gate")
        os.mkfifo(gate)
        create = f'[ "$CACHIFY_SERIAL" = 1 ] || read -r x <"{gate}"; {MAKE}'
        holder = self.hold_with("--create", create, "--min", "2", "--max", "2")
        wait_until(lambda: len(self.status()["resources"]) == 2, "the spare is being made")
        (file,) = (one for one in self.store.directory.glob("resource.*") if "~" not in one.name)
        lock = open(file, "rb")  # pylint: disable=consider-using-with
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(gate, "w", encoding="ascii") as pipe:
            pipe.write("go\n")
        flock = {"x86_64": "73", "aarch64": "32"}[os.uname().machine]
        syscall = Path(f"/proc/{holder.process.pid}/syscall")
        wait_until(lambda: syscall.read_text().split()[0] == flock, "it waits for the mutex")
        return holder, lock

    def test_its_end(self):
        holder, lock = self.in_the_mutex()
        os.kill(holder.command_pid, signal.SIGKILL)
        wait_until(lambda: not alive(holder.command_pid), "the command has ended")
        fcntl.flock(lock, fcntl.LOCK_UN)
        self.assertEqual(holder.process.wait(30), 128 + signal.SIGKILL)
        self.assertEqual(self.status()["available"], 2)

    def test_a_signal_for_it(self):
        holder, lock = self.in_the_mutex()
        holder.process.send_signal(signal.SIGTERM)
        fcntl.flock(lock, fcntl.LOCK_UN)
        self.assertEqual(holder.process.wait(30), -signal.SIGTERM)
        self.assertEqual(self.status()["available"], 2)


class Damage(ResourceCase):
    def test_a_damaged_list_is_told_and_nothing_is_lost(self):
        self.got("--create", MAKE)
        (file,) = self.store.directory.glob("resource.*~c")
        good = file.read_text()
        file.write_text(good[: len(good) // 2])
        self.assert_refused(self.run_with(), 69, "the list of the resources of r")
        self.assert_refused(self.cachify("resource", "status", "-k", "r"), 69)
        file.write_text(good)
        self.assertEqual(self.got(), ["db1"])

    def test_a_directory_that_is_full_of_keys_keeps_those_with_a_list(self):
        self.got("--create", MAKE)
        (file,) = (one for one in self.store.directory.glob("resource.*") if "~" not in one.name)
        file.unlink()
        self.assertEqual(self.got("--create", MAKE), ["db1"])
        self.assertEqual(self.logged("made"), ["db1"])


def postgresql():
    """The folder of the server's programs; None: not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@unittest.skipUnless(postgresql(), "PostgreSQL's server is not installed")
@unittest.skipUnless(shutil.which("createdb"), "PostgreSQL's createdb is not installed")
class PostgreSQL(ResourceCase):
    """The recipe of RECIPES.md."""

    def setUp(self):
        super().setUp()
        data = self.path("pg")
        programs = postgresql()
        options = {}
        if os.geteuid() == 0:  # which the server refuses to run as
            os.chmod(self.dir, 0o711)
            data.mkdir()
            shutil.chown(data, "postgres")
            options["user"] = "postgres"
        subprocess.run(
            [programs / "initdb", "-D", data, "-A", "trust", "-U", "tests", "-N"],
            check=True,
            capture_output=True,
            cwd="/",
            **options,
        )
        self.server = self.spawn(
            [programs / "postgres", "-D", data, "-k", data, "-c", "listen_addresses=", "-F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **options,
        )
        self.addCleanup(self.end_server)
        self.env.update(PGHOST=str(data), PGUSER="tests", PGDATABASE="postgres")
        wait_until(lambda: self.sql("select 1") == ["1"], "the server answers")

    def end_server(self):
        self.server.send_signal(signal.SIGINT)
        self.server.wait(30)

    def sql(self, text, database="postgres"):
        done = self.run_program(["psql", "-qAt", "-d", database, "-c", text])
        return done.stdout.split()

    def test_each_test_run_has_a_database_of_its_own(self):
        self.write_config(block(RECIPES, "toml", "[resource.testdb]"))
        holders = [self.hold_with(key="testdb") for _ in range(3)]
        lent = [holder.environment["CACHIFY_RESOURCE"] for holder in holders]
        self.assertEqual(len(set(lent)), 3)
        for name in lent:
            self.assertEqual(self.sql("create table t (); select current_database()", name), [name])
        for holder in holders:
            self.assertEqual(holder.finish(), 0)
        listed = self.listed("testdb")
        there = self.sql("select datname from pg_database where datname like 'test\\_%'")
        self.assertEqual(sorted(there), sorted(listed))
        self.assertEqual(self.cachify("resource", "stop", "-k", "testdb").returncode, 0)
        self.assertEqual(self.sql("select datname from pg_database where datname like 'test\\_%'"), [])


if __name__ == "__main__":
    main()
