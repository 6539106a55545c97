"""Environment variables and the configuration file."""

import os

from support import Case, main

RUN = ("pool", "run", "-k", "x", "-n", "1")


class ConfigCase(Case):
    def bad_configuration(self, *parts, args=("pool", "size", "-k", "x"), **options):
        done = self.cachify(*args, timeout=20, **options)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assert_one_message(done, *parts)
        return done


class Order(ConfigCase):
    """Command line over environment over profile over top level over built-in."""

    def code(self, *args, **env):
        """The code of a call that finds the lock held: shows which default was taken."""
        names = {f"CACHIFY_{name.upper()}": value for name, value in env.items()}
        return self.cachify("lock", "run", "-k", "x", *args, "--", "true", env=names).returncode

    def test_every_source_outranks_the_next(self):
        self.hold("lock", "run", "-k", "x")
        self.assertEqual(self.code(), 75)
        self.write_config("conflict-exit-code = 11\n[profile.p]\nconflict-exit-code = 12\n")
        self.assertEqual(self.code(), 11)
        self.assertEqual(self.code("--profile", "p"), 12)
        self.assertEqual(self.code(profile="p"), 12)
        self.assertEqual(self.code("--profile", "p", conflict_exit_code="13"), 13)
        self.assertEqual(self.code("--profile", "p", "-E", "14", conflict_exit_code="13"), 14)

    def test_a_profile_has_its_own_store(self):
        self.write_config(
            f'default-profile = "a"\n[profile.a]\nstore = "file:{self.dir}/a"\n'
            f'[profile.b]\nstore = "file:{self.dir}/b"\n'
        )
        no_store = {"CACHIFY_STORE": None}
        self.hold("lock", "run", "-k", "x", env=no_store)
        held = ("lock", "is-locked", "-k", "x")
        self.assertEqual(self.cachify(*held, env=no_store).returncode, 0)
        self.assertEqual(self.cachify(*held, "--profile", "b", env=no_store).returncode, 1)
        self.assertTrue(self.path("a").is_dir())

    def test_a_time_out_of_the_environment_makes_calls_wait(self):
        self.hold(*RUN)
        done = self.cachify(*RUN, "--", "true", env={"CACHIFY_TIMEOUT": "50ms"})
        self.assertEqual(done.returncode, 124, done.stderr)
        done = self.cachify(*RUN, "-t0", "--", "true", env={"CACHIFY_TIMEOUT": "none"})
        self.assertEqual(done.returncode, 75, done.stderr)

    def test_quiet_and_verbose_come_from_everywhere(self):
        self.hold(*RUN)

        def lines(*args, **env):
            return len(self.cachify(*args, *RUN, "--", "true", env=env).stderr.splitlines())

        self.assertEqual(lines(), 1)
        self.assertEqual(lines(CACHIFY_QUIET="1"), 0)
        self.assertGreater(lines(CACHIFY_VERBOSE="yes"), 1)
        self.assertGreater(lines("-v", CACHIFY_QUIET="true"), 1)
        for switch in ("true", "1", '"yes"'):
            self.write_config(f"quiet = {switch}\n")
            self.assertEqual(lines(), 0, switch)
        self.assertEqual(lines(CACHIFY_QUIET="no"), 1)

    def test_what_the_command_is_told_is_no_default_for_a_cachify_below_it(self):
        done = self.cachify(*RUN, "--", os.environ["CACHIFY_BIN"], "pool", "run", "--", "true")
        self.assertEqual(done.returncode, 64, done.stderr)


class BadConfiguration(ConfigCase):
    def test_a_bad_variable_is_named(self):
        for name, value in (
            ("CACHIFY_TIMEOUT", "soon"),
            ("CACHIFY_SLOT_EXP", "0"),
            ("CACHIFY_EXP", "1 s"),
            ("CACHIFY_ON_LOST", "TERM"),
            ("CACHIFY_KILL_AFTER", "-1"),
            ("CACHIFY_CONFLICT_EXIT_CODE", "256"),
            ("CACHIFY_QUIET", "on"),
            ("CACHIFY_STORE", "nfs:/x"),
            ("CACHIFY_PREFIX", "p" * 129),
            ("CACHIFY_CONFIG", "/nonexistent/config.toml"),
            ("CACHIFY_PROFILE", "nobody"),
        ):
            with self.subTest(name=name):
                shown = value if name in ("CACHIFY_CONFIG", "CACHIFY_PROFILE") else name
                self.bad_configuration(shown, env={name: value})

    def test_a_bad_line_is_named(self):
        for text in (
            "timeout = 'soon'",
            "timeuot = 1",
            "store = 5",
            "store = 'nfs:/x'",
            "max = 4",
            "key = 'x'",
            "[resource.gpu]\nfrom = 5",
            "profile = 'a'",
            "broken",
            "[profile.a]\nslot-exp = 0",
            "'a\\nb' = 1",
            '"a\\nb\\u001b[2J" = 1',
        ):
            with self.subTest(text=text):
                self.write_config(text + "\n")
                no_store = {"CACHIFY_STORE": None}
                done = self.bad_configuration("config.toml:", env=no_store)
                self.assertRegex(done.stderr, r"config\.toml:[12]: ")

    def test_a_name_that_is_near_is_suggested(self):
        for text, near in (("timeuot = 1", "timeout"), ("slot_exp = 1", "slot-exp"), ("[profile.a]\nprefx = 'x'", "prefix"),
                           ("[resource.r]\nmax_life = 1", "max-life")):  # fmt: skip
            self.write_config(text + "\n")
            self.bad_configuration(f"; did you mean {near}?\n")
        self.write_config("frobnicate = 1\n")
        self.bad_configuration("; see man cachify.toml\n")

    def test_a_bad_value_on_the_command_line_is_wrong_use(self):
        done = self.cachify("--store", "/srv/slots", "pool", "size", "-k", "x")
        self.assert_one_message(done, "a directory is named by file:DIR")
        self.assertNotIn("/srv", done.stderr)
        done = self.cachify("--store", "nfs:/x", "pool", "size", "-k", "x")
        self.assertEqual(done.returncode, 64)

    def test_a_password_is_not_shown(self):
        for text in (
            'redis-password = ["geheim"]',
            'redis-password = "geheim',
            'store = ["geheim"]',
            'store = "nfs://user:geheim@host"',
        ):
            self.write_config(text + "\n")
            done = self.bad_configuration(env={"CACHIFY_STORE": None})
            self.assertNotIn("geheim", done.stderr)

    def test_a_profile_that_is_missing(self):
        self.bad_configuration("'p'", args=("--profile", "p", "pool", "size", "-k", "x"))
        for text, known in (("", "it has none"), ("[profile.q]\n", "it has 'q'"), ("[profile.q]\n[profile.a]\n", "'a, q'")):
            self.write_config(text)
            self.bad_configuration("'p'", known, args=("--profile", "p", "pool", "size", "-k", "x"))


class Files(ConfigCase):
    """Whatever stands in the place of the file: one line, no hang."""

    @property
    def config(self):
        return self.path("home/.config/cachify/config.toml")

    def test_a_directory(self):
        self.config.mkdir(parents=True)
        self.bad_configuration("config.toml")

    def test_a_fifo(self):
        self.config.parent.mkdir()
        os.mkfifo(self.config)
        self.bad_configuration("not a regular file")

    def test_a_device(self):
        self.bad_configuration("/dev/zero", env={"CACHIFY_CONFIG": "/dev/zero"})

    def test_a_huge_file(self):
        self.write_config("")
        os.truncate(self.config, 1 << 30)
        self.bad_configuration("larger than")

    def test_a_loop_of_links(self):
        self.config.parent.mkdir()
        self.config.symlink_to(self.config)
        self.bad_configuration("config.toml")

    def test_a_file_that_may_not_be_read(self):
        if os.geteuid() == 0:
            self.skipTest("root may read everything")
        self.write_config("").chmod(0)
        self.bad_configuration("Permission denied")

    def test_binary_junk_and_deep_nesting(self):
        for content in (bytes(range(256)), b"\xff" * 1000, b"\0" * 1000, b"a=" + b"[" * 100000):
            self.write_config("")
            self.config.write_bytes(content)
            self.bad_configuration("config.toml:")

    def test_an_empty_file_and_no_file(self):
        self.write_config("")
        self.assertEqual(self.cachify("pool", "size", "-k", "x").stdout, "0\n")
        for changes in ({"HOME": None, "XDG_CONFIG_HOME": None}, {"XDG_CONFIG_HOME": "/dev/null"}):
            self.assertEqual(self.cachify("pool", "size", "-k", "x", env=changes).stdout, "0\n")

    def test_no_configuration_at_all_by_dev_null(self):
        self.write_config("broken")
        self.assertEqual(self.cachify("--config", "/dev/null", "pool", "size", "-k", "x").stdout, "0\n")


if __name__ == "__main__":
    main()
