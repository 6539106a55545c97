"""Every example of the help texts and of the manual pages works as it stands, on the file store.

The programs that they run are stand-ins which do nothing, servers are a directory. An example with --watch
is ended once it has printed something.
"""

import re
import shutil
import signal
from pathlib import Path

from support import CACHIFY, Case, main

PAGES = sorted((Path(__file__).resolve().parents[2] / "man").glob("cachify*.[1-8]"))
# What the examples run, in the working directory and as programs of the system.
SCRIPTS = ("job.sh backup.sh sync.sh build.sh read.sh write.sh move.sh maintenance.sh deploy dump load train serve"
           " answer build upload start-one-more ui-tests phone-answers").split()  # fmt: skip
PROGRAMS = ("convert", "dropdb", "drop", "make")
RESOURCES = """
[resource.phones]
from = ["pixel-7", "pixel-8"]
[resource.licences]
from = ["seat-1"]
"""

# What has to be there before an example makes sense: shell text by a part of the example, whose cachify
# uses the same store. The first that fits counts.
BEFORE = {
    "id=$(": "",
    "pool release --key jobs --id": 'id=$(cachify pool acquire -k jobs -n 1 --owner-pid "$PPID")',
    "lock release --key deploy": 'id=$(cachify lock acquire -k deploy --owner-pid "$PPID")',
    "resource remove --key testdb": "cachify resource run -k testdb --create 'echo test_3' -- true",
    "resource add --key phones": "cachify resource remove -k phones --name pixel-7",
}
# What runs meanwhile.
MEANWHILE = {
    "lock is-locked --key backup": ("lock", "run", "-k", "backup"),
    "lock is-locked --key 'deploy": ("lock", "run", "-k", "deploy-production"),
    "pool release --key jobs --all": ("pool", "run", "-k", "jobs", "-n", "1"),
    "pool close --key jobs --cancel-waiting --terminate": ("pool", "run", "-k", "jobs", "-n", "1"),
}


def of_page(path):
    """The examples of a manual page, each as it is shown."""
    section = path.read_text(encoding="ascii").split(".Sh QUICK EXAMPLES\n")[1].split("\n.Sh ")[0]
    for script in re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", section + "\n", re.M):
        for escape, plain in ((r"\(aq", "'"), (r"\&", ""), (r"\-", "-"), (r"\e", "\\")):
            script = script.replace(escape, plain)
        yield re.sub(r"^(\S+ ){5}(?=cachify)", "", script) if script.startswith("*") else script


class Examples(Case):
    def setUp(self):
        super().setUp()
        (self.dir / "bin").mkdir()
        (self.dir / "bin/cachify").symlink_to(CACHIFY)
        for name in PROGRAMS:
            self.write(f"bin/{name}", "#!/bin/sh\n", 0o755)
        if not shutil.which("jq"):
            self.write("bin/jq", "#!/bin/sh\ncat\n", 0o755)
        for name in SCRIPTS:
            self.write(name, "#!/bin/sh\n", 0o755)
        self.write("make-db", "#!/bin/sh\necho test_$$\n", 0o755)
        self.write("hosts.csv", "host,port\na1,1\nb1,2\n")
        self.write("hosts", "a1\nb1\n")
        self.write("one.png", "")
        self.write("two.png", "")
        self.write("one.log", "")
        self.write_config(RESOURCES)
        self.env["PATH"] = f"{self.dir}/bin:{self.env['PATH']}"
        self.stores = 0

    def works(self, example):
        """Runs it on a store of its own."""
        self.stores += 1
        url = f"file:{self.dir}/store-{self.stores}"
        self.env["CACHIFY_STORE"] = url
        text = re.sub(r"redis://[\w.:]+|file:/srv/\w+", url, example)
        before = next((shell for part, shell in BEFORE.items() if part in text), "")
        meanwhile = next((words for part, words in MEANWHILE.items() if part in text), None)
        if meanwhile:
            self.hold(*meanwhile)
        if "--watch" in text:
            return self.shows(text)
        done = self.run_program(["sh", "-c", f"{before}\n{text}"])
        # doctor is right to warn of a directory in /tmp.
        self.assertIn(done.returncode, (0, 1) if "cachify doctor" in text else (0,), done.stderr)
        self.assertNotRegex(done.stderr, r"not found|No such file|^sh: ")
        return done

    def shows(self, text):
        process = self.spawn(["sh", "-c", f"exec {text}"])
        self.assertTrue(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), -signal.SIGINT)

    def test_those_of_the_help(self):
        listed = re.findall(r"^  (\w+(?: [\w-]+)?)  ", self.cachify("help").stdout, re.M)
        self.assertIn("pool run", listed)
        seen = set()
        for topic in ("", "pool", "lock", "resource", *listed):
            text = self.cachify("help", *topic.split()).stdout
            examples = text.split("\nExamples:\n")[1].splitlines()
            self.assertEqual(len(set(examples)), 2, topic)
            for example in examples:
                if topic in listed and topic != "help":
                    self.assertIn(f"cachify {topic}", example)
                if example not in seen:
                    seen.add(example)
                    with self.subTest(topic=topic, example=example):
                        self.works(example.strip())

    def test_those_of_the_manual_pages(self):
        for page in PAGES:
            if page.name in ("cachify.toml.5", "cachify-guarantees.7"):
                continue
            examples = list(of_page(page))
            self.assertGreater(len(examples), 2, page.name)
            for example in examples:
                with self.subTest(page=page.name, example=example):
                    self.assertLessEqual(max(map(len, example.splitlines())), 67, "80 columns have no room")
                    self.works(example)

    def test_the_configuration_of_its_manual_page(self):
        page = next(page for page in PAGES if page.name == "cachify.toml.5").read_text(encoding="ascii")
        blocks = re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", page, re.M)
        self.assertEqual(len(blocks), 4)
        for text in (*blocks, "\n".join(blocks)):
            self.write_config(text)
            with self.subTest(text=text):
                self.assertEqual(self.cachify("pool", "size", "-k", "x").stdout, "0\n")
        self.assertIn("pixel-8", self.cachify("resource", "status", "-k", "phones").stdout)
        used = self.cachify("resource", "run", "-k", "phones", "--", "printenv", "CACHIFY_RESOURCE")
        self.assertEqual((used.returncode, used.stdout), (0, "pixel-7\n"), used.stderr)


if __name__ == "__main__":
    main()
