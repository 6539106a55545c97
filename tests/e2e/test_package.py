"""What cpack and `cmake --install` make of the build under test."""

import os
import re
import shutil
import tarfile
import unittest
from pathlib import Path

from support import CACHIFY, SANITIZED, Case, main

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(CACHIFY).parent
VERSION = re.search(r"project\(cachify VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
HAS_TLS = (BUILD / "cachify-tls").exists()

ANYWHERE = {"bin/cachify", "share/doc/cachify/README.md", "share/doc/cachify/RECIPES.md",
            "share/doc/cachify/SECURITY.md", "share/bash-completion/completions/cachify",
            "share/fish/vendor_completions.d/cachify.fish"}  # fmt: skip
if HAS_TLS:
    ANYWHERE.add("libexec/cachify/cachify-tls")
PAGES = {f"share/man/man{page.suffix[1:]}/{page.name}" for page in (ROOT / "man").glob("*.[1-8]")}


def files_of(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if not path.is_dir()}


@unittest.skipIf(SANITIZED, "nobody installs a sanitized cachify")
class Package(Case):
    def setUp(self):
        if not shutil.which("cmake") or not (BUILD / "CPackConfig.cmake").exists():
            self.skipTest("cmake is not here, or the build is gone")
        super().setUp()

    def tool(self, *argv, timeout=400):
        done = self.run_program(argv, timeout=timeout, env={"DEB_BUILD_OPTIONS": None})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def pack(self, generator):
        out = self.dir / "out"
        self.tool("cpack", "--config", BUILD / "CPackConfig.cmake", "-G", generator, "-B", out)
        packages = [path for path in out.iterdir() if path.is_file()]
        self.assertEqual(len(packages), 1, packages)
        return packages[0]

    def assert_works(self, bin_directory):
        """The installed program runs, finds its TLS part, and is stripped."""
        program = Path(bin_directory) / "cachify"
        done = self.run_program([program, "lock", "run", "-k", "x", "--", "echo", "it runs"])
        self.assertEqual((done.returncode, done.stdout), (0, "it runs\n"), done.stderr)
        version = self.run_program([program, "--version"]).stdout.splitlines()
        self.assertEqual(version[0], f"cachify {VERSION}")
        if HAS_TLS:
            tls = Path(bin_directory).resolve().parent / "libexec" / "cachify" / "cachify-tls"
            self.assertEqual(version[2], f"TLS: {tls}")
            done = self.run_program(
                [program, "--store", "rediss://127.0.0.1:1?connect-timeout=1s", "pool", "size", "-k", "x"]
            )
            self.assertEqual(done.returncode, 69, done.stderr)
            self.assertIn("Connection refused", done.stderr)
        self.assertNotIn(b".debug_info\0", program.read_bytes())
        self.assertNotIn(b".symtab\0", program.read_bytes())

    def test_it_installs_into_a_prefix(self):
        prefix = self.dir / "prefix"
        self.tool("cmake", "--install", BUILD, "--strip", "--prefix", prefix)
        expected = ANYWHERE | PAGES | {
            "share/doc/cachify/CHANGELOG.md", "share/doc/cachify/LICENSE", "share/zsh/site-functions/_cachify"
        }  # fmt: skip
        self.assertEqual(files_of(prefix), expected)
        self.assert_works(prefix / "bin")

    def test_the_tarball_is_one_folder_that_works_anywhere(self):
        tarball = self.pack("TGZ")
        name = f"cachify-{VERSION}-linux-{os.uname().machine}"
        self.assertEqual(tarball.name, f"{name}.tar.gz")
        with tarfile.open(tarball) as archive:
            self.assertEqual({member.name.split("/")[0] for member in archive}, {name})
            archive.extractall(self.dir / "somewhere")  # our own
        self.assert_works(self.dir / "somewhere" / name / "bin")

    @unittest.skipUnless(shutil.which("dpkg-shlibdeps"), "dpkg-dev is not installed")
    def test_the_debian_package(self):
        package = self.pack("DEB")
        fields = dict(
            line.split(": ", 1)
            for line in self.tool("dpkg-deb", "--field", package).splitlines()
            if re.match(r"[\w-]+: ", line)
        )
        self.assertEqual((fields["Package"], fields["Version"]), ("cachify", f"{VERSION}-1"))
        needs = {re.split(r"[ :]", need)[0] for need in fields.get("Depends", "").split(", ") if need}
        self.assertEqual(needs, {"libc6", "libssl3"} if HAS_TLS else set())
        root = self.dir / "root"
        self.tool("dpkg-deb", "--extract", package, root)
        doc = "share/doc/cachify/"
        expected = ANYWHERE | {f"{page}.gz" for page in PAGES} | {
            doc + "changelog.gz", doc + "changelog.Debian.gz", doc + "copyright",
            "share/zsh/vendor-completions/_cachify", "share/lintian/overrides/cachify",
        }  # fmt: skip
        self.assertEqual({file.removeprefix("usr/") for file in files_of(root)}, expected)
        self.assert_works(root / "usr/bin")
        if shutil.which("lintian"):
            done = self.run_program(
                ["lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", package],
                timeout=200,
            )
            self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_the_changelog_has_this_version(self):
        text = (ROOT / "CHANGELOG.md").read_text()
        self.assertRegex(text, rf"(?m)^## {re.escape(VERSION)} - \d{{4}}-\d\d-\d\d$")


if __name__ == "__main__":
    main()
