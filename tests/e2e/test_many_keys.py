"""Files of keys that nobody uses any more do not pile up, and never at the cost of a live one."""

import os
import shutil
import subprocess
import unittest

from support import CACHIFY, Case, main, wait_until


def can_unshare_mounts():
    return os.geteuid() == 0 and shutil.which("unshare") is not None and subprocess.run(
        ["unshare", "-m", "true"], capture_output=True).returncode == 0


class ManyKeys(Case):
    def files(self):
        return {name for name in os.listdir(os.path.join(self.dir, "store")) if "~" not in name}

    def test_keys_of_yesterday_are_deleted_as_new_ones_come(self):
        for i in range(20):
            self.cachify("lock", "run", "-k", f"old{i}", "--", "true")
        held = self.start("pool", "run", "-k", "held", "-n", "2", "--", "sleep", "60")
        wait_until(lambda: self.cachify("pool", "size", "-k", "held").stdout == "1\n", "a holder")
        for name in self.files():
            path = os.path.join(self.dir, "store", name)
            os.utime(path, (1_000_000_000, 1_000_000_000))
        old = {name for name in self.files() if ".cachify%3Aold" in name}
        self.assertEqual(len(old), 20)
        for i in range(400):
            self.cachify("lock", "run", "-k", f"new{i}", "--", "true")
            if not old & self.files():
                break
        self.assertFalse(old & self.files())
        self.assertIn("pool.cachify%3Aheld", self.files())
        self.assertEqual(self.cachify("pool", "size", "-k", "held").stdout, "1\n")
        held.terminate()
        held.wait()

    @unittest.skipUnless(can_unshare_mounts(), "needs root and mount namespaces for a small tmpfs")
    def test_a_small_file_system_holds_any_number_of_keys_in_turn(self):
        os.mkdir(os.path.join(self.dir, "store"))
        script = f"""
            mount -t tmpfs -o size=256k none "$1" || exit 3
            for i in $(seq 200); do {CACHIFY} lock run -k "key$i" -- true || exit 4; done
        """
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", os.path.join(self.dir, "store")],
            env=dict(os.environ, CACHIFY_STORE=f"file:{self.dir}/store"), capture_output=True,
            text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))



    @unittest.skipUnless(can_unshare_mounts(), "needs root and mount namespaces for a small tmpfs")
    def test_a_full_disk_is_named_as_such(self):
        os.mkdir(os.path.join(self.dir, "store"))
        script = f'''
            mount -t tmpfs -o size=64k none "$1" || exit 3
            dd if=/dev/zero of="$1/fill" bs=1k count=100 2>/dev/null
            exec {CACHIFY} lock run -k d -- echo ran
        '''
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", os.path.join(self.dir, "store")],
            env=dict(os.environ, CACHIFY_STORE=f"file:{self.dir}/store"), capture_output=True,
            text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (69, ""))
        self.assertIn("No space left on device", done.stderr)


if __name__ == "__main__":
    main()
