"""What README invites people to paste has to work."""

import os
import re
import subprocess
import xml.etree.ElementTree
from pathlib import Path

import support
from pages import README, RECIPES, ROOT, anchors, blocks, links, rows
from redis_server import Server, missing
from standin import PYTHON, STANDIN, no_redis_for_python
from support import Case, main


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
        examples, resources = blocks(README, "sh")
        self.assertEqual(
            self.run_shell(examples),
            "backing up\nbuilding in slot 0\nreading\nwriting\nserved\n0\n"
            + "".join(f"item {n}\n" for n in range(1, 7))
            + "rendering\nmoving\n",
        )
        self.assertRegex(self.run_shell(resources), r"\Atraining on GPU 0\nresource gpu: 4 available")

    def test_the_first_command_prints_what_is_shown(self):
        [shown] = re.findall(r"^\$ (cachify pool run .*)\n(.*)\n", blocks(README, "console")[0], re.M)
        self.assertEqual(self.run_shell(shown[0]), shown[1] + "\n")

    def test_the_scripts_of_the_first_screen_are_there(self):
        scripts = re.findall(r"^\$ (scripts/\S+)", blocks(README, "console")[0], re.M)
        self.assertEqual(scripts, ["scripts/install", "scripts/test"])
        for script in scripts:
            done = self.run_program([ROOT / script, "--help"])
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertTrue(done.stdout.startswith(f"usage: {script}"), done.stdout)

    def test_the_configuration_is_accepted(self):
        [configuration] = blocks(README, "toml")
        self.write_config(configuration)
        self.run_shell("cachify lock run --key a -- true")
        self.write_config(configuration.replace("/var/lib", str(self.dir)))
        self.run_shell(
            "unset CACHIFY_STORE; cachify --profile ci pool run --key a --max 1 -- true"
        )
        self.assertTrue((self.dir / "ci-slots").is_dir())

    def test_the_full_pool_of_the_examples_is_shed(self):
        holders = [self.hold("pool", "run", "-k", "api", "-n", "8") for _ in range(6)]
        shed = next(line for line in blocks(README, "sh")[0].splitlines() if "--shed-at" in line)
        self.assertEqual(self.run_shell(shed), "busy, later: echo served\n")
        for holder in holders:
            self.assertEqual(holder.finish(), 0)

    def test_no_command_is_shown_that_does_not_exist(self):
        for page in (README, RECIPES):
            commands = set(re.findall(r"\bcachify ((?:pool|lock|resource) [a-z-]+)", page.read_text()))
            self.assertTrue(commands)
            for command in sorted(commands):
                with self.subTest(command):
                    done = self.cachify("help", *command.split())
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_link_leads_somewhere(self):
        for page in sorted(ROOT.glob("*.md")):
            for name, anchor in links(page):
                with self.subTest(page=page.name, link=f"{name}#{anchor}"):
                    target = ROOT / name if name else page
                    self.assertTrue(target.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(target))

    def test_every_code_is_explained(self):
        """Those of src/exit_codes.h, in README and among the troubles."""
        header = (ROOT / "src" / "exit_codes.h").read_text()
        codes = {int(code) for code in re.findall(r"= (\d+),", header)} - {0, 128}
        self.assertGreater(len(codes), 8)
        for page in (README, RECIPES):
            told = {int(code) for cells in rows(page, "code") for code in re.findall(r"\d+", cells[0])}
            self.assertEqual(codes - told, set(), page.name)

    def test_both_sides_of_the_example_share_their_pools(self):
        for reason in (missing(), no_redis_for_python()):
            if reason:
                self.skipTest(reason)
        server = Server()
        self.addCleanup(server.stop)
        python, shell = (
            blocks(README, language)[0].replace("redis://localhost:6379/0", server.url)
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


def text_of(picture):
    """What can be read in it, without what changes from run to run: its lines, in order of the alphabet."""
    root = xml.etree.ElementTree.parse(picture).getroot()
    lines = ["".join(line.itertext()) for line in root.iter("{http://www.w3.org/2000/svg}text")]
    for changes, instead in ((r"\b[0-9a-f]{13}\b", "ID"), (r"#[#.]+", "##"), (r"\d[\d.]*m?s?", "N"), (r" +", " ")):
        lines = [re.sub(changes, instead, line) for line in lines]
    return sorted(lines)


class Pictures(Case):
    PICTURES = ROOT / "man" / "pictures"

    def setUp(self):
        probe = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/run/lock"]
        try:
            if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
                self.skipTest("there can be no user namespace here")
        except FileNotFoundError:
            self.skipTest("unshare is not installed")
        super().setUp()

    def test_they_show_what_cachify_shows_today(self):
        done = self.run_program(
            [ROOT / "tests" / "tools" / "pictures", self.dir], env={"CACHIFY_BIN": support.CACHIFY}, timeout=120
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        drawn = sorted(path.name for path in self.dir.glob("*.svg"))
        self.assertEqual(drawn, sorted(path.name for path in self.PICTURES.iterdir()))
        for name in drawn:
            with self.subTest(name):
                self.assertIn(f"man/pictures/{name}", README.read_text())
                self.assertEqual(text_of(self.PICTURES / name), text_of(self.dir / name))


if __name__ == "__main__":
    main()
