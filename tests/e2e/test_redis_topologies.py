"""TLS, sentinels and a cluster, all on 127.0.0.1."""

import json
import os
import re
import shutil
import subprocess
import time

from redis_server import Server, free_port, missing, waiting_pids
from support import CACHIFY, Case, FileStore, main, wait_until

POOL = ("pool", "run", "-k", "jobs", "-n")
LOCK = ("lock", "run", "-k", "jobs")
OPENSSL = shutil.which("openssl")
TLS_PROGRAM = os.path.join(os.path.dirname(CACHIFY), "cachify-tls")


class Several(Case):
    """Cases that start several servers of their own."""

    store_class = FileStore

    def setUp(self):
        reason = self.reason_to_skip()
        if reason:
            self.skipTest(reason)
        super().setUp()
        self.servers = []
        self.addCleanup(self.stop_servers)

    def reason_to_skip(self):
        return missing()

    def server(self, *options, **keywords):
        server = Server(*options, **keywords)
        self.servers.append(server)
        return server

    def stop_servers(self):
        for server in self.servers:
            server.stop()


class MapCase(Several):
    def check_map(self, meanwhile=lambda: None):
        """A map of 200 items that goes on while something happens, and is seen in status."""
        gate = self.path("go")
        process = self.start("pool", "map", "-k", "--key", "map", "-n", "3", "--joblog", "log", "--", "sh", "-c",
                             f'[ "$1" -lt 100 ] || while [ ! -e {gate} ]; do sleep 0.05; done; echo "$1"', "sh",
                             stdin=subprocess.PIPE)  # fmt: skip
        process.stdin.write("".join(f"{n}\n" for n in range(1, 201)))
        process.stdin.close()

        def figures():
            done = self.cachify("pool", "status", "--key", "map", "--json")
            if done.returncode != 0:
                return None
            return [(one["pid"], one["running"], one["done"]) for one in json.loads(done.stdout)["maps"]]

        wait_until(lambda: figures() == [(process.pid, 3, 99)], "the map is shown")
        meanwhile()
        wait_until(lambda: figures() == [(process.pid, 3, 99)], "the map is shown afterwards")
        self.write("go", "")
        self.assertEqual(process.wait(60), 0, process.stderr.read())
        self.assertEqual(process.stdout.read(), "".join(f"{n}\n" for n in range(1, 201)))
        self.assertEqual(self.path("log").read_text().count("\n"), 201)
        self.assertEqual(figures(), [])
        self.assertEqual(self.cachify("pool", "size", "-k", "map").stdout, "0\n")


class Tls(MapCase):
    def reason_to_skip(self):
        if not OPENSSL:
            return "openssl is not installed"
        if not os.access(TLS_PROGRAM, os.X_OK):
            return "cachify-tls was not built: OpenSSL's headers are missing"
        return missing()

    def openssl(self, *words):
        subprocess.run([OPENSSL, *map(str, words)], check=True, capture_output=True, cwd=self.dir)

    def certificate(self, name, alternative):
        """NAME.key and NAME.crt, signed by the CA of this test."""
        extensions = self.write(f"{name}.ext", f"subjectAltName={alternative}\n")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out",
                     f"{name}.csr", "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                     "-CAcreateserial", "-days", "2", "-out", f"{name}.crt", "-extfile", extensions)

    def setUp(self):
        super().setUp()
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out",
                     "ca.crt", "-days", "2", "-subj", "/CN=test ca")
        self.certificate("server", "IP:127.0.0.1")
        self.certificate("client", "DNS:client")
        self.tls_port = free_port()
        self.redis = self.server(
            "--tls-port", str(self.tls_port), "--tls-cert-file", str(self.path("server.crt")),
            "--tls-key-file", str(self.path("server.key")), "--tls-ca-cert-file",
            str(self.path("ca.crt")), "--tls-auth-clients", "optional")
        self.env["CACHIFY_STORE"] = self.url()

    def url(self, host="127.0.0.1", **options):
        options.setdefault("cacert", self.path("ca.crt"))
        text = "&".join(f"{name}={value}" for name, value in options.items() if value)
        return f"rediss://{host}:{self.tls_port}?{text}"

    def test_a_run_over_tls_with_everything_passed_on(self):
        done = self.cachify(*POOL, "1", "--", "sh", "-c", 'cat; printf "<%s>" "$@"; exit 7', "sh",
                            "", "a b", "--", input="text")
        self.assertEqual((done.returncode, done.stdout), (7, "text<><a b><-->"), done.stderr)
        self.assertEqual(self.cachify("pool", "size", "-k", "jobs").stdout, "0\n")

    def test_waiting_renewing_and_releasing_over_tls(self):
        env = {"CACHIFY_STORE": self.url(lease="1s")}
        holder = self.hold(*LOCK, env=env)
        waiter = self.hold(*LOCK, "--wait", wait_for_start=False, env=env)
        wait_until(lambda: waiting_pids(self.redis), "the waiter is queued")
        time.sleep(1.5)
        self.assertFalse(waiter.running())
        self.assertEqual(holder.finish(0), 0)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(5), 5)
        self.assertEqual(waiter.process.stderr.read(), "")

    def test_a_map_over_tls(self):
        self.check_map()

    def test_acquiring_over_tls(self):
        owner = self.spawn(["sleep", "60"])
        acquire = ("lock", "acquire", "-k", "jobs", "--owner-pid", str(owner.pid))
        first = self.cachify(*acquire)
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        second = self.cachify(*acquire)
        self.assertEqual(second.returncode, 75)
        self.assert_one_message(second, "jobs is already locked!")
        release = ("lock", "release", "-k", "jobs", "--id", first.stdout.strip())
        self.assertEqual(self.cachify(*release).returncode, 0)
        self.assertEqual(self.cachify("lock", "is-locked", "-k", "jobs").returncode, 1)
        self.assertEqual(self.cachify(*acquire).returncode, 0)
        owner.kill()
        locked = ("lock", "is-locked", "-k", "jobs")
        wait_until(lambda: self.cachify(*locked).returncode == 1, "it has ended with its owner")
        done = self.cachify(*acquire[:-2], env={"CACHIFY_STORE": "rediss://127.0.0.1:1"})
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done, "Connection refused")

    def test_steering_over_tls(self):
        holder = self.hold(*POOL, "1")
        wait_until(lambda: self.redis("PUBSUB", "CHANNELS"), "the holder listens")
        done = self.cachify("pool", "release", "-k", "jobs", "--all", "--terminate", timeout=5)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(holder.process.wait(1), 76)

    def test_an_unknown_ca_is_refused_at_once(self):
        for url in (self.url(cacert=None), self.url(cacert=self.path("client.crt"))):
            done = self.cachify(*POOL, "1", "--", "echo", "ran", env={"CACHIFY_STORE": url})
            self.assertEqual(done.returncode, 69)
            self.assert_one_message(done, "certificate")

    def test_another_name_is_refused(self):
        done = self.cachify(*POOL, "1", "--", "echo", "ran",
                            env={"CACHIFY_STORE": self.url("localhost")})
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done, "certificate", "mismatch")

    def test_a_client_certificate_where_the_server_asks_for_one(self):
        self.redis("CONFIG", "SET", "tls-auth-clients", "yes")
        done = self.cachify(*POOL, "1", "--", "echo", "ran")
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done)
        url = self.url(cert=self.path("client.crt"), key=self.path("client.key"))
        done = self.cachify(*POOL, "1", "--", "echo", "ran", env={"CACHIFY_STORE": url})
        self.assertEqual((done.returncode, done.stdout), (0, "ran\n"), done.stderr)

    def test_a_server_without_tls_is_told(self):
        url = f"rediss://127.0.0.1:{self.redis.port}?cacert={self.path('ca.crt')}"
        done = self.cachify(*POOL, "1", "--", "echo", "ran", env={"CACHIFY_STORE": url})
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done)

    def test_files_that_cannot_be_used(self):
        url = self.url(cacert="/does/not/exist")
        done = self.cachify(*POOL, "1", "--", "echo", "ran", env={"CACHIFY_STORE": url})
        self.assertEqual(done.returncode, 78)
        self.assert_one_message(done, "cacert")

    def test_without_the_tls_program_it_says_what_is_missing(self):
        alone = self.dir / "bin" / "cachify"
        alone.parent.mkdir()
        shutil.copy(CACHIFY, alone)
        done = self.run_program([alone, *POOL, "1", "--", "echo", "ran"])
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done, "cachify-tls")
        installed = self.dir / "libexec" / "cachify" / "cachify-tls"
        installed.parent.mkdir(parents=True)
        shutil.copy(TLS_PROGRAM, installed)
        done = self.run_program([alone, *POOL, "1", "--", "echo", "ran"])
        self.assertEqual((done.returncode, done.stdout), (0, "ran\n"), done.stderr)

    def libraries(self):
        """What the TLS program loads of OpenSSL."""
        said = subprocess.run(["ldd", TLS_PROGRAM], check=True, capture_output=True, text=True).stdout
        return re.findall(r"=> (/\S*/libssl\S+)", said)

    def without(self, *files):
        """cachify where these files are empty: the end of an argv for run_program."""
        binds = "".join(f"mount --bind {self.write('empty', '')} {file} && " for file in files)
        return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{binds}exec "$0" "$@"', CACHIFY]

    def test_without_openssl_it_says_what_is_missing(self):
        if self.run_program([*self.without("/etc/ld.so.cache"), "--version"]).returncode != 0:
            self.skipTest("there can be no user namespace here, or no loader's cache")
        call = (*POOL, "1", "--", "echo", "ran")
        # The loader finds it elsewhere.
        done = self.run_program([*self.without("/etc/ld.so.cache"), *call])
        self.assertEqual((done.returncode, done.stdout), (0, "ran\n"), done.stderr)
        [library] = self.libraries()
        bare = self.without("/etc/ld.so.cache", library)
        done = self.run_program([*bare, *call])
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done, "OpenSSL")
        self.assertIn("TLS: none", self.run_program([*bare, "--version"]).stdout)


class Sentinels(MapCase):
    def reason_to_skip(self):
        return missing()

    def setUp(self):
        super().setUp()
        self.master = self.server()
        self.replica = self.server("--replicaof", "127.0.0.1", str(self.master.port))
        wait_until(lambda: "master_link_status:up" in self.replica("INFO", "replication"),
                   "the replica follows")
        self.sentinels = []
        for number in range(3):
            config = self.write(
                f"sentinel-{number}.conf",
                f"sentinel monitor main 127.0.0.1 {self.master.port} 2\n"
                "sentinel down-after-milliseconds main 1000\n"
                "sentinel failover-timeout main 4000\n")
            self.sentinels.append(self.server("--sentinel", config=config))
        ports = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.env["CACHIFY_STORE"] = f"redis+sentinel://{ports}/main?lease=8s"
        for sentinel in self.sentinels:
            wait_until(lambda s=sentinel: self.knows_all(s), "the sentinels know each other")

    @staticmethod
    def knows_all(sentinel):
        state = sentinel("SENTINEL", "MASTER", "main")
        facts = dict(zip(state[::2], state[1::2]))
        return (facts["num-other-sentinels"], facts["num-slaves"]) == ("2", "1")

    @staticmethod
    def wait_for_role(server, role):
        def has_role():
            try:
                return f"role:{role}" in server("INFO", "replication")
            except ConnectionError:
                return False  # sentinels end all of a server's connections as its role changes

        wait_until(has_role, f"the role of a {role}", 30)

    def test_a_failover_while_one_holds_and_one_waits(self):
        holder = self.hold(*LOCK)
        waiter = self.hold(*LOCK, "--wait", wait_for_start=False)
        wait_until(lambda: waiting_pids(self.master), "the waiter is queued")
        self.master("WAIT", 1, 1000)
        self.master.kill()
        self.wait_for_role(self.replica, "master")
        wait_until(lambda: waiting_pids(self.replica), "the waiter waits at the new master", 20)
        # Beyond the lease that the old master gave.
        end = time.monotonic() + 9
        while time.monotonic() < end:
            self.assertFalse(waiter.running())
            time.sleep(0.1)
        self.assertEqual(holder.finish(3), 3)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(4), 4)
        self.assertEqual(self.cachify("lock", "is-locked", "-k", "jobs").returncode, 1)

    def test_a_failover_by_command_moves_everyone(self):
        holder = self.hold(*LOCK)
        waiter = self.hold(*LOCK, "--wait", wait_for_start=False)
        wait_until(lambda: waiting_pids(self.master), "the waiter is queued")
        self.sentinels[0]("SENTINEL", "FAILOVER", "main")
        self.wait_for_role(self.replica, "master")
        self.wait_for_role(self.master, "slave")
        self.assertEqual(holder.finish(3), 3)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(4), 4)

    def test_a_map_through_a_failover(self):
        def failover():
            # The server, and the record of the map with it, may be away for a while.
            self.sentinels[0]("SENTINEL", "FAILOVER", "main")
            self.wait_for_role(self.replica, "master")
            self.wait_for_role(self.master, "slave")

        self.check_map(failover)

    def test_where_none_of_the_named_listens_it_is_69_at_once(self):
        for url in ("redis+sentinel://127.0.0.1:1,127.0.0.1:2/m", "redis+cluster://127.0.0.1:1"):
            began = time.monotonic()
            done = self.cachify("pool", "size", "-k", "jobs", env={"CACHIFY_STORE": url})
            self.assertEqual(done.returncode, 69)
            self.assert_one_message(done, "Connection refused")
            self.assertLess(time.monotonic() - began, 4)  # connect-timeout is 5 s

    def test_some_sentinels_are_enough_and_none_is_not(self):
        self.sentinels[0].kill()
        self.assertEqual(self.cachify(*LOCK, "--", "true").returncode, 0)
        done = self.cachify(*LOCK, "--", "echo", "ran", env={
            "CACHIFY_STORE": self.env["CACHIFY_STORE"].replace("/main", "/other")})
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done, "'other'")
        for sentinel in self.sentinels[1:]:
            sentinel.kill()
        done = self.cachify(*LOCK, "--", "echo", "ran")
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done)


class Cluster(MapCase):
    def setUp(self):
        super().setUp()
        self.nodes = [self.server("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
                      for _ in range(3)]
        for number, node in enumerate(self.nodes):
            first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
            node("CLUSTER", "ADDSLOTS", *range(first, last + 1))
            node("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        for node in self.nodes:
            wait_until(lambda n=node: "cluster_state:ok" in n("CLUSTER", "INFO") and
                       "cluster_known_nodes:3" in n("CLUSTER", "INFO"), "the cluster is up")
        self.env["CACHIFY_STORE"] = self.url()

    def url(self, lease="3s"):
        seeds = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{seeds}?lease={lease}"

    def owner(self, slot):
        for node in self.nodes:
            for part in node("CLUSTER", "NODES").splitlines():
                if "myself" in part:
                    for span in part.split()[8:]:
                        if not span.startswith("["):
                            first, _, last = span.partition("-")
                            if int(first) <= slot <= int(last or first):
                                return node
        raise AssertionError(f"nobody has slot {slot}")

    def move(self, slot, source, target):
        """Moves a slot the way redis-cli does."""
        source_id, target_id = source("CLUSTER", "MYID"), target("CLUSTER", "MYID")
        target("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        time.sleep(0.2)  # so that somebody meets it on the move
        while True:
            keys = source("CLUSTER", "GETKEYSINSLOT", slot, 100)
            if not keys:
                break
            source("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source, *self.nodes):
            node("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def test_all_keys_of_a_pool_are_in_one_slot_whatever_its_name(self):
        for key in ("jobs", "a{b}c", "}{", "%{}", "ü {", "{}"):
            holder = self.hold("pool", "run", "-k", "{x}", "-a", f"x={key}", "-n", "2")
            names = [name for node in self.nodes for name in node("KEYS", "*")]
            slots = {self.nodes[0]("CLUSTER", "KEYSLOT", name.encode("utf-8", "surrogateescape"))
                     for name in names}
            self.assertEqual(len(slots), 1, names)
            self.assertEqual(holder.finish(0), 0)
            for node in self.nodes:
                node("FLUSHALL")

    def test_many_pools_over_all_nodes(self):
        for number in range(12):
            done = self.cachify("pool", "run", "-k", f"pool-{number}", "-n", "1", "--wait", "--",
                                "sh", "-c", f"exit {number}")
            self.assertEqual(done.returncode, number, done.stderr)
        self.assertTrue(all(node("DBSIZE") for node in self.nodes))

    def channels(self):
        return [name for node in self.nodes for name in node("PUBSUB", "CHANNELS")]

    def test_steering_in_a_cluster(self):
        self.env["CACHIFY_STORE"] = self.url(lease="60s")
        keys = [f"pool-{number}" for number in range(6)]
        holders = [self.hold("pool", "run", "-k", key, "-n", "1") for key in keys]
        wait_until(lambda: len(self.channels()) == len(keys), "all listen")
        waiter = self.start("pool", "run", "-k", "pool-0", "-n", "1", "--wait", "--", "true")
        wait_until(lambda: any(waiting_pids(node) for node in self.nodes), "it waits")
        done = self.cachify("pool", "list", "--json")
        for key in keys:
            self.assertEqual(done.stdout.count(f'"{key}"'), 1, done)
        done = self.cachify("pool", "resize", "-k", "pool-0", "--max", "2")
        self.assertEqual((done.returncode, waiter.wait(5)), (0, 0), done.stderr)
        for key, holder in zip(keys, holders):
            watcher = self.start("pool", "wait", "-k", key, "--until", "idle")
            done = self.cachify("pool", "release", "-k", key, "--all", "--terminate", timeout=5)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(holder.process.wait(1), 76)
            self.assertEqual(watcher.wait(5), 0, watcher.stderr.read())

    def test_a_holder_whose_slot_has_moved_hears_what_is_said_at_its_new_place(self):
        self.env["CACHIFY_STORE"] = self.url(lease="60s")
        holder = self.hold(*LOCK)
        wait_until(self.channels, "the holder listens")
        slot = self.nodes[0]("CLUSTER", "KEYSLOT", "cachify:lock:{jobs}:h")
        source = self.owner(slot)
        self.move(slot, source, next(node for node in self.nodes if node is not source))
        done = self.cachify("lock", "release", "-k", "jobs", "--terminate", timeout=10)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(holder.process.wait(1), 76)

    def test_a_slot_that_moves_while_one_holds_and_one_waits(self):
        holder = self.hold(*LOCK)
        waiter = self.hold(*LOCK, "--wait", wait_for_start=False)
        slot = self.nodes[0]("CLUSTER", "KEYSLOT", "cachify:lock:{jobs}:h")
        source = self.owner(slot)
        target = next(node for node in self.nodes if node is not source)
        wait_until(lambda: waiting_pids(source), "the waiter is queued")
        self.move(slot, source, target)
        self.assertEqual(waiting_pids(target), {waiter.process.pid})
        end = time.monotonic() + 4  # longer than the lease
        while time.monotonic() < end:
            self.assertFalse(waiter.running())
            self.assertEqual(self.cachify("lock", "is-locked", "-k", "jobs").returncode, 0)
            time.sleep(0.2)
        self.assertEqual(holder.finish(3), 3)
        self.wait_for_holder(waiter)
        self.assertEqual(waiter.finish(4), 4)
        self.assertEqual(holder.process.stderr.read() + waiter.process.stderr.read(), "")

    def test_a_map_whose_slot_moves(self):
        slot = self.nodes[0]("CLUSTER", "KEYSLOT", "cachify:pool:{map}:h")
        source = self.owner(slot)
        self.check_map(lambda: self.move(slot, source, next(node for node in self.nodes if node is not source)))

    def test_a_newcomer_during_a_move_waits_for_its_end(self):
        holder = self.hold(*POOL, "2")
        slot = self.nodes[0]("CLUSTER", "KEYSLOT", "cachify:pool:{jobs}:h")
        source = self.owner(slot)
        target = next(node for node in self.nodes if node is not source)
        callers = [self.start(*POOL, "9", "--wait", "--", "sleep", "0.3") for _ in range(5)]
        self.move(slot, source, target)
        for caller in callers:
            self.assertEqual(caller.wait(20), 0, caller.stderr.read())
        self.assertEqual(holder.finish(0), 0)
        self.assertEqual(self.cachify("pool", "size", "-k", "jobs").stdout, "0\n")

    def test_a_seed_that_is_away_does_not_matter(self):
        gone = free_port()
        seeds = f"127.0.0.1:{gone},127.0.0.1:{self.nodes[1].port}"
        done = self.cachify(*LOCK, "--", "sh", "-c", "exit 5",
                            env={"CACHIFY_STORE": f"redis+cluster://{seeds}"})
        self.assertEqual(done.returncode, 5, done.stderr)

    def test_a_cluster_that_is_down_is_69(self):
        slot = self.nodes[0]("CLUSTER", "KEYSLOT", "cachify:lock:{jobs}:h")
        self.owner(slot).kill()
        done = self.cachify(*LOCK, "--", "echo", "ran",
                            env={"CACHIFY_STORE": self.url() + "&connect-timeout=1s"})
        self.assertEqual(done.returncode, 69)
        self.assert_one_message(done)


if __name__ == "__main__":
    main()
