"""What RECIPES.md invites people to copy has to work."""

import collections
import configparser
import os
import re
import shlex
import shutil
import time
import unittest
from pathlib import Path

import support
from pages import RECIPES, block, blocks, code, rows
from redis_server import Server, missing
from support import Case, main, wait_until

try:
    import yaml
except ImportError:
    yaml = None

# In place of what the recipes call: says how it was called.
SAYS = '#!/bin/sh\necho "${0##*/} $*"\n'


class Recipes(Case):
    def setUp(self):
        super().setUp()
        self.work = self.dir / "work"
        self.work.mkdir()

    def environ(self, changes=None):
        env = super().environ(changes)
        env["PATH"] = f"{self.work}/bin:{Path(support.CACHIFY).parent}:{env.get('PATH', os.defpath)}"
        return env

    def program(self, name, text=SAYS):
        return self.write(f"work/{name}", text, 0o755)

    def shell(self, script, shell=("sh", "-eu"), **options):
        return self.run_program([*shell, "-c", script], cwd=self.work, **options)

    def said(self, script, **options):
        done = self.shell(script, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def needs(self, *tools):
        for tool in tools:
            if not shutil.which(tool):
                self.skipTest(f"{tool} is not installed")

    def server(self, *options):
        if missing():
            self.skipTest(missing())
        server = Server(*options)
        self.addCleanup(server.stop)
        return server

    def test_every_recipe_is_run_here(self):
        """Whoever adds a block adds a case, and counts it."""
        languages = re.findall(r"^```(\w+)$", RECIPES.read_text(), re.M)
        self.assertEqual(
            collections.Counter(languages),
            {"crontab": 1, "make": 1, "ninja": 1, "yaml": 3, "groovy": 1, "ini": 2, "toml": 3, "bash": 7},
        )

    # -- cron and builds

    def test_cron(self):
        for name in ("sync", "backup", "report", "cleanup"):
            self.program(f"{name}.sh", f"#!/bin/sh\necho {name}\n")
        (path, *lines) = [line for line in block(RECIPES, "crontab").splitlines() if not line.startswith("#")]
        self.assertEqual(len(lines), 4)
        # What cron gives, and the test's own store.
        given = ["env", "-i", "LOGNAME=ann", f"HOME={self.work}", "SHELL=/bin/sh",
                 path.replace("/usr/local/bin", str(Path(support.CACHIFY).parent)),
                 f"CACHIFY_STORE={self.store.url}", "/bin/sh"]  # fmt: skip
        commands = []
        for line in lines:
            *times, command = line.split(None, 5)
            self.assertRegex(" ".join(times), r"^[0-9*/]+ [0-9*/]+( \*){3}$")
            self.assertNotIn("%", command)  # a newline to cron
            name = re.search(r"\./(\w+)\.sh", command)[1]
            self.assertEqual(self.said(command, shell=given), f"{name}\n")
            commands.append(command)
        holder = self.hold("lock", "run", "-k", "sync")
        self.assertEqual(self.said(commands[0], shell=given), "")
        done = self.shell(commands[1].replace("30m", "0.1"), given)
        self.assertEqual((done.returncode, done.stdout), (124, ""))
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertEqual(holder.finish(), 0)

    def write_source(self):
        self.write("work/main.c", "int main(void) { return 0; }\n")
        self.write("work/main.cpp", "int main() {}\n")

    def test_make(self):
        self.needs("make", "cc")
        self.write_source()
        self.write("work/Makefile", block(RECIPES, "make"))
        self.assertIn("cachify pool run -k link -n 2 -w -- ", self.said("make program && ./program"))

    def test_ninja(self):
        self.needs("ninja", "cc")
        self.write_source()
        self.write("work/build.ninja", block(RECIPES, "ninja"))
        self.assertIn("cachify pool run -k link -n 2 -w -- ", self.said("ninja -v && ./program"))

    def test_cmake(self):
        self.needs("cmake", "ninja", "c++")
        self.write_source()
        self.write(
            "work/CMakeLists.txt",
            "cmake_minimum_required(VERSION 3.21)\nproject(p CXX)\nadd_executable(p main.cpp)\n",
        )
        said = self.said(block(RECIPES, "bash", "cmake -G Ninja") + "touch main.cpp; ninja -v -C build; build/p")
        self.assertIn("cachify pool run -k link -n 2 -w -- ", said)

    # -- CI

    def assert_tests_run(self, lines, variables):
        """The lines of a CI job, with its variables, run `make test` in a slot."""
        self.needs("make")
        self.write("work/Makefile", "test:\n\t@echo tested in a slot of $$CACHIFY_KEY\n")
        self.assertEqual(variables, {"CACHIFY_STORE": "redis://ci-redis"})
        server = self.server()
        done = self.shell("\n".join(lines), ("bash", "-eo", "pipefail"), env={"CACHIFY_STORE": server.url})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "tested in a slot of licences\n", ""))
        self.assertTrue(server("KEYS", "cachify:*licences*"))

    @unittest.skipUnless(yaml, "python3-yaml is not installed")
    def test_gitlab(self):
        [job] = yaml.safe_load(block(RECIPES, "yaml", ".gitlab-ci.yml")).values()
        self.assert_tests_run(job["script"], job["variables"])

    @unittest.skipUnless(yaml, "python3-yaml is not installed")
    def test_github_actions(self):
        workflow = yaml.safe_load(block(RECIPES, "yaml", ".github/workflows"))
        [job] = workflow["jobs"].values()
        self.assert_tests_run([step["run"] for step in job["steps"] if "run" in step], job["env"])

    def test_jenkins(self):
        text = block(RECIPES, "groovy")
        self.assertEqual(text.count("{"), text.count("}"))
        variables = dict(re.findall(r"(\w+) = '([^']*)'", text))
        self.assert_tests_run(re.findall(r"^\s*sh '([^']*)'$", text, re.M), variables)

    def test_the_newest_deploy_wins(self):
        self.program(
            "deploy",
            "#!/bin/sh\ntrap 'echo cleaned up; exit 1' TERM\necho deploying $1\n"
            "test -e second || { >first; while :; do sleep 0.05; done; }\n",
        )
        recipe = block(RECIPES, "bash", "--arg env=prod")
        first = self.spawn(["sh", "-c", recipe], cwd=self.work)
        wait_until((self.work / "first").exists, "the first deploy runs")
        self.write("work/second", "")
        self.assertEqual(self.said(recipe), "deploying prod\n")
        said, errors = first.communicate(timeout=30)
        self.assertEqual((first.returncode, said), (76, "deploying prod\ncleaned up\n"), errors)

    # -- services

    def units(self):
        """The unit files, by their names, with programs that are here."""
        self.program("index")
        found = {}
        for text in blocks(RECIPES, "ini"):
            name = re.match(r"# /etc/systemd/system/(\S+)\n", text)[1]
            text = text.replace("/usr/local/bin/cachify", support.CACHIFY)
            found[name] = text.replace("/usr/local/bin/index", str(self.work / "index"))
        self.assertEqual(set(found), {"index.service", "index.timer"})
        return found

    def test_systemd_starts_the_command(self):
        unit = configparser.ConfigParser()
        unit.optionxform = str
        unit.read_string(self.units()["index.service"])
        service = unit["Service"]
        start = shlex.split(service["ExecStart"])
        done = self.run_program(start)
        self.assertEqual((done.returncode, done.stdout), (0, "index \n"), done.stderr)
        holder = self.hold("lock", "run", "-k", "index")
        for limit in ("0", "0.1"):
            done = self.run_program([limit if word == "1h" else word for word in start])
            self.assertIn(str(done.returncode), service["SuccessExitStatus"].split())
        self.assertEqual(holder.finish(), 0)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_systemd_understands_the_units(self):
        paths = [self.write(f"units/{name}", text) for name, text in self.units().items()]
        done = self.run_program(["systemd-analyze", "--man=no", "verify", *paths])
        about_ours = [line for line in done.stderr.splitlines() if "units/index" in line or "index." in line]
        self.assertEqual((done.returncode, about_ours), (0, []), done.stderr)

    @unittest.skipUnless(yaml, "python3-yaml is not installed")
    def test_kubernetes(self):
        self.program("import", '#!/bin/sh\necho "import of $CACHIFY_KEY in one of $CACHIFY_MAX"\n')
        job = yaml.safe_load(block(RECIPES, "yaml", "kind: Job"))
        self.assertEqual((job["apiVersion"], job["spec"]["completionMode"]), ("batch/v1", "Indexed"))
        pod = job["spec"]["template"]["spec"]
        self.assertIn(pod["restartPolicy"], ("OnFailure", "Never"))  # what a Job can have
        [container] = pod["containers"]
        variables = {one["name"]: one.get("value") or one["valueFrom"] for one in container["env"]}
        self.assertEqual(set(variables), {"CACHIFY_STORE", "CACHIFY_REDIS_PASSWORD"})
        self.assertEqual(set(variables["CACHIFY_REDIS_PASSWORD"]["secretKeyRef"]), {"name", "key"})
        server = self.server("--requirepass", "hush")
        place = f"127.0.0.1:{server.port}"
        done = self.run_program(
            container["command"] + container["args"],
            cwd=self.work,
            env={
                "CACHIFY_STORE": variables["CACHIFY_STORE"].replace("redis:6379", place),
                "CACHIFY_REDIS_PASSWORD": "hush",
            },
        )
        self.assertEqual((done.returncode, done.stdout), (0, "import of import in one of 4\n"), done.stderr)

    # -- slots and resources

    def test_each_client_has_an_account(self):
        self.program("client")
        self.write("work/tokens", "one\ntwo\nthree\nfour\n")
        holder = self.hold("pool", "run", "-k", "api", "-n", "4")
        self.assertEqual(self.said(block(RECIPES, "bash", "tokens")), "client --token two\n")
        self.assertEqual(holder.finish(), 0)

    def test_the_rate_is_kept(self):
        self.program("client")
        start = time.monotonic()
        said = self.said(block(RECIPES, "bash", "api-rate"))
        # Seven calls, three in a second: three rounds of at least a second.
        self.assertGreaterEqual(time.monotonic() - start, 3)
        self.assertEqual(sorted(said.splitlines()), [f"client --item {n}" for n in range(1, 8)])
        self.program("client", "#!/bin/sh\nexit 3\n")
        self.assertEqual(self.shell(block(RECIPES, "bash", "api-rate")).returncode, 123)

    def test_gpus_ports_and_licences(self):
        self.program("train", '#!/bin/sh\necho "train on $CUDA_VISIBLE_DEVICES"\n')
        self.program("server")
        self.program("render")
        self.assertEqual(
            self.said(block(RECIPES, "bash", "CUDA_VISIBLE_DEVICES")),
            "train on 0\ntrain on 0,1\nserver --port 9000\nrender \n",
        )

    def test_gpus_of_the_configuration(self):
        self.program("bin/nvidia-smi", '#!/bin/sh\necho "$*" >>asked\ntest "$2" != 0\n')
        self.write_config(block(RECIPES, "toml", "resource.gpu"))
        done = self.shell("cachify resource run -k gpu -w -- sh -c 'echo $CACHIFY_RESOURCE'")
        self.assertEqual((done.returncode, done.stdout), (0, "1\n"), done.stderr)
        self.assertEqual((self.work / "asked").read_text(), "-i 0\n-i 1\n")

    def test_phones(self):
        self.program("phone-answers", "#!/bin/sh\ntest $1 != pixel-7\n")
        self.program("ui-tests", "#!/bin/sh\necho tested on $CACHIFY_RESOURCE\n")
        self.write_config(block(RECIPES, "toml", "resource.phones"))
        done = self.shell(block(RECIPES, "bash", "phones"))
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, r"(?s)\Atested on pixel-8\n.*galaxy-s23")

    def test_a_part_of_a_script(self):
        self.said(block(RECIPES, "bash", "lock acquire"))
        self.assertTrue((self.work / "report.txt").stat().st_size)
        self.assertEqual(self.said("cachify lock list"), "")

    # -- the tables

    ITEMS = "b,a\nd,c\n"

    def equivalents(self):
        """(what one has, what one writes) as lines for a shell, where it is a command."""
        for had, written, *_ in rows(RECIPES, "you have"):
            yield code(had), code(written)

    def runnable(self, line, server=None):
        """With something to run in place of the words that stand for it."""
        line = line.replace("/tmp/l", f"{self.work}/l").replace("'A; B'", "'echo A; echo B'")
        line = re.sub(r"\bCMD\b", "./cmd", line)
        return line.replace("redis://HOST", server.url) if server else line

    def outcome(self, line):
        items = self.ITEMS.replace("\n", "\0") if re.search(r" -0 ", line) else self.ITEMS
        done = self.shell(line, ("bash", "-eo", "pipefail"), input=items)
        return done.returncode, sorted(done.stdout.splitlines())

    def test_what_is_equivalent_does_the_same(self):
        self.program("cmd", '#!/bin/sh\necho "called: $*"\n')
        compared = set()
        for had, written in self.equivalents():
            tool = had.split()[0]
            if not shutil.which(tool) or not written.startswith(("cachify", "printf")):
                continue
            if tool in ("lslocks", "consul", "concurrency:"):
                continue  # the next case
            with self.subTest(had):
                for log in self.work.glob("L*"):
                    log.unlink()
                old = self.outcome(self.runnable(had))
                for log in self.work.glob("L*"):
                    log.unlink()
                new = self.outcome(self.runnable(written))
                if "pool wait" in written:
                    new = (new[0], [])
                self.assertEqual(new, old)
                compared.add(tool)
        self.assertLessEqual({"flock", "xargs"}, compared)

    def test_what_stands_for_tools_that_are_not_here_works(self):
        server = self.server()
        self.program("cmd", '#!/bin/sh\necho "called"\n')
        seen = 0
        for had, written in self.equivalents():
            if had.startswith(("consul", "concurrency")):
                with self.subTest(had):
                    self.assertEqual(self.outcome(self.runnable(written, server)), (0, ["called"]))
                    seen += 1
        self.assertEqual(seen, 4)

    def test_the_codes_of_a_lock_that_is_held(self):
        holder = self.hold("lock", "run", "-k", "l")
        self.write("work/l", "")
        other = self.spawn(
            ["flock", self.work / "l", "sh", "-c", "echo held; sleep 1000"], cwd=self.work
        )
        self.assertEqual(other.stdout.readline(), "held\n")
        codes = {"flock -n": (1, 75), "flock -w": (1, 124)}
        if shutil.which("setlock"):
            codes["setlock -nx"] = (0, 0)
        for had, written in self.equivalents():
            expected = codes.pop(" ".join(had.split()[:2]), None)
            if not expected:
                continue
            with self.subTest(had):
                had, written = (self.runnable(line).replace(" 10 ", " 0.1 ") for line in (had, written))
                self.assertEqual((self.outcome(had)[0], self.outcome(written)[0]), expected)
                if " -E " not in written:
                    written = written.replace(" -- ", " -E 1 -- ")
                self.assertEqual(self.outcome(written)[0], self.outcome(had)[0])
        self.assertEqual(codes, {})
        self.assertEqual(holder.finish(), 0)

    def troubles(self):
        """What the messages of the table begin with, and their codes."""
        found = {}
        for number, such_as, _ in rows(RECIPES, "code"):
            if re.fullmatch(r"`[^`]+`", such_as):
                found[such_as.strip("`")] = int(number)
        return found

    def test_the_troubles_are_told_as_shown(self):
        self.write("c.toml", "foo = 1\n")
        run = ("pool", "run", "-k", "jobs", "-n", "1")
        calls = [
            (*run, "true"),
            ("lock", "release", "-k", "jobs"),
            ("--store", "file:/nonexistent/x", *run, "--", "true"),
            ("--store", "redis://127.0.0.1:1", *run, "--", "true"),
            (*run, "--", support.CACHIFY, *run, "--", "true"),
            (*run, "--", support.CACHIFY, *run, "-t", "100ms", "--", "true"),
            ("--config", "c.toml", *run, "--", "true"),
            (*run, "--", "/etc/passwd"),
            (*run, "--", "nonesuch"),
            ("lock", "run", "-k", "jobs", "--", support.CACHIFY, "lock", "run", "-k", "jobs", "--", "true"),
        ]
        seen = {}
        for call in calls:
            done = self.cachify(*call)
            seen[done.stderr.removeprefix("cachify: ").rstrip("\n")] = done.returncode
        self.cachify("pool", "close", "-k", "jobs")
        done = self.cachify(*run, "--", "true")
        seen[done.stderr.removeprefix("cachify: ").rstrip("\n")] = done.returncode
        self.cachify("pool", "open", "-k", "jobs")

        holder = self.hold("lock", "run", "-k", "jobs")
        self.assertEqual(self.cachify("lock", "run", "-k", "jobs", "--replace", "both", "--", "true").returncode, 0)
        code_of_holder = holder.process.wait(30)
        seen[holder.process.stderr.read().removeprefix("cachify: ").rstrip("\n")] = code_of_holder

        troubles = self.troubles()
        if missing():
            del troubles["jobs: the lease was lost; ending the command"]
        else:
            server = self.server()
            holder = self.hold("--store", f"{server.url}?lease=1s", *run, "--on-lost", "term")
            server.kill()
            code_of_holder = holder.process.wait(30)
            for line in holder.process.stderr.read().splitlines():
                seen[line.removeprefix("cachify: ")] = code_of_holder
        told = {shown: code for shown in troubles for message, code in seen.items() if message.startswith(shown)}
        self.assertEqual(told, troubles)

    def test_the_program_of_an_image_needs_no_library(self):
        self.needs("ldd")
        if support.SANITIZED:
            self.skipTest("a sanitized cachify is not static")
        done = self.run_program(["ldd", support.CACHIFY])
        self.assertIn("not a dynamic executable", done.stdout + done.stderr)

    def test_no_option_is_shown_that_does_not_exist(self):
        known = set(re.findall(r"--[a-z][a-z-]+", "".join(
            self.cachify("help", *command).stdout
            for command in (("lock", "run"), ("pool", "run"), ("pool", "map"), ("pool", "wait"), ("resource", "run"),
                            ("resource", "remove"), ("lock", "release"), ("lock", "acquire"))
        )))  # fmt: skip
        text = re.sub(r"`(flock|sem|parallel|xargs|setlock|consul)[^`]*`", "", RECIPES.read_text())
        said = set()
        for line in re.findall(r"cachify [^\n`]*", text):
            said |= set(re.findall(r"(?<= )--[a-z][a-z-]+", line.split(" -- ")[0]))
        self.assertEqual(said - known, set())
        self.assertIn("--replace", said)


if __name__ == "__main__":
    main()
