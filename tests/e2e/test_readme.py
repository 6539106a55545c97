"""What README invites people to paste has to work."""

import os
import re
import shutil
from pathlib import Path

import support
from redis_server import Server, missing
from standin import PYTHON, STANDIN, no_redis_for_python
from support import Case, main

README = Path(__file__).resolve().parents[2] / "README.md"


def blocks(language):
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.M | re.S)


class Readme(Case):
    def environ(self, changes=None):
        env = super().environ(changes)
        env["PATH"] = f"{Path(support.CACHIFY).parent}:{env.get('PATH', os.defpath)}"
        return env

    def run_shell(self, script):
        done = self.run_program(["sh", "-eu", "-c", script])
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def test_the_examples_work(self):
        examples = blocks("sh")
        self.assertEqual(len(examples), 1)
        self.assertEqual(
            self.run_shell(examples[0]),
            "backing up\nbuilding in slot 0\nreading\nwriting\nserved\n0\n"
            + "".join(f"item {n}\n" for n in range(1, 7))
            + "rendering\nmoving\n",
        )

    def test_the_first_command_prints_what_is_shown(self):
        [shown] = re.findall(r"^\$ (cachify pool run .*)\n(.*)\n", blocks("console")[0], re.M)
        self.assertEqual(self.run_shell(shown[0]), shown[1] + "\n")

    def test_the_configuration_is_accepted(self):
        self.write_config(blocks("toml")[0])
        self.run_shell("cachify lock run --key a -- true")
        self.write_config(blocks("toml")[0].replace("/var/lib/ci", str(self.dir)))
        self.run_shell(
            "unset CACHIFY_STORE; cachify --profile ci pool run --key a --max 1 -- true"
        )
        self.assertTrue((self.dir / "slots").is_dir())

    def test_the_full_pool_of_the_examples_is_shed(self):
        holders = [self.hold("pool", "run", "-k", "api", "-n", "8") for _ in range(6)]
        shed = next(line for line in blocks("sh")[0].splitlines() if "--shed-at" in line)
        self.assertEqual(self.run_shell(shed), "busy, later: echo served\n")
        for holder in holders:
            self.assertEqual(holder.finish(), 0)

    def test_the_recipes_for_the_shell_work(self):
        self.write("deploy", "#!/bin/sh\necho deployed $1\n", 0o755)
        self.write("test", "#!/bin/sh\necho $*\n", 0o755)
        said = "".join(self.run_shell(recipe) for recipe in blocks("bash")[1:])
        self.assertEqual(said, "deployed prod\n--port 9000\n")
        self.assertTrue((self.dir / "report.txt").stat().st_size)
        self.assertEqual(self.run_shell("cachify lock list"), "")

    def test_the_recipe_for_cron_works(self):
        self.write("sync.sh", "#!/bin/sh\necho >>synced\n", 0o755)
        line = blocks("crontab")[0].split(None, 5)[5]
        self.run_shell(line)
        holder = self.hold("lock", "run", "-k", "sync")
        self.run_shell(line)
        self.assertEqual(holder.finish(), 0)
        self.assertEqual((self.dir / "synced").read_text(), "\n")

    def test_the_recipes_for_builds_work(self):
        for tool in ("make", "cmake", "ninja", "cc"):
            if not shutil.which(tool):
                self.skipTest(f"{tool} is not installed")
        self.write("main.c", "int main(void) { return 0; }\n")
        self.write("main.cpp", "int main() {}\n")
        self.write("Makefile", blocks("make")[0])
        self.assertIn("cachify pool run -k link", self.run_shell("make program && ./program"))
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.21)\nproject(p CXX)\nadd_executable(p main.cpp)\n")
        [configure] = re.findall(r"`(cmake -G Ninja [^`]*)`", README.read_text())
        said = self.run_shell(f"mkdir build; cd build; {configure}; ninja -v && ./p")
        self.assertIn("cachify pool run -k link -n 2 -w -- ", said)

    def test_no_command_is_shown_that_does_not_exist(self):
        commands = set(re.findall(r"\bcachify ((?:pool|lock|resource) [a-z-]+)", README.read_text()))
        for command in sorted(commands):
            with self.subTest(command):
                done = self.cachify("help", *command.split())
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_both_sides_of_the_example_share_their_pools(self):
        for reason in (missing(), no_redis_for_python()):
            if reason:
                self.skipTest(reason)
        server = Server()
        self.addCleanup(server.stop)
        python, shell = (
            blocks(language)[0].replace("redis://localhost:6379/0", server.url)
            for language in ("python", "bash")
        )
        done = self.run_program(
            [PYTHON, "-c", python], env={"PYTHONPATH": STANDIN, "PYTHONDONTWRITEBYTECODE": "1"}
        )
        self.assertEqual(
            (done.stdout, done.stderr),
            ("a service has one of 4 slots\na report for ann\na service migrates\n", ""),
        )
        self.assertEqual(server("STRLEN", "PYC-report-ann-pool-state"), 77)
        holder = self.hold("--store", f"py-cachify+{server.url}", "pool", "run", "-k", "jobs", "-n", "4")
        self.assertEqual(
            self.run_shell(shell),
            "a command has one of the same 4 slots\none more report\na command migrates\n1\n",
        )
        self.assertEqual(holder.finish(), 0)
        keys = sorted(server("KEYS", "*"))
        self.assertEqual(keys, ["PYC-jobs-state", "PYC-report-ann-pool-state"])


if __name__ == "__main__":
    main()
