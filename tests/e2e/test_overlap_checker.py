"""The checker of the storm has to see what it is there to see."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "soak"))

from overlap import Run, check_lock, check_pool, read_log  # noqa: E402

from support import main


class Checker(unittest.TestCase):
    def test_runs_that_touch_do_not_overlap(self):
        runs = [Run("a", 0, 10, slot=0, fence=1), Run("b", 10, 20, slot=0, fence=2)]
        self.assertEqual(check_pool(runs, 1), [])
        self.assertEqual(check_lock(runs), [])

    def test_one_too_many_is_seen(self):
        runs = [Run("a", 0, 10), Run("b", 5, 15), Run("c", 9, 12)]
        self.assertEqual(check_pool(runs, 3), [])
        self.assertEqual(len(check_pool(runs, 2)), 1)

    def test_weights_add_up(self):
        runs = [Run("a", 0, 10, weight=2), Run("b", 5, 15, weight=2)]
        self.assertEqual(check_pool(runs, 4), [])
        self.assertIn("4 slots of 3", check_pool(runs, 3)[0])

    def test_a_slot_given_twice_is_seen(self):
        runs = [Run("a", 0, 10, slot=1), Run("b", 5, 15, slot=1)]
        self.assertIn("slot 1 given twice", check_pool(runs, 3)[0])

    def test_a_slot_outside_the_pool_is_seen(self):
        self.assertTrue(check_pool([Run("a", 0, 1, slot=3)], 3))
        self.assertTrue(check_pool([Run("a", 0, 1, slot=2, weight=2)], 3))

    def test_readers_share_and_writers_do_not(self):
        readers = [Run("a", 0, 10, shared=True), Run("b", 5, 15, shared=True)]
        self.assertEqual(check_lock(readers), [])
        self.assertTrue(check_lock([*readers, Run("c", 14, 16)]))
        self.assertTrue(check_lock([Run("a", 0, 10), Run("b", 9, 11)]))

    def test_fences_grow_and_never_repeat(self):
        self.assertTrue(check_lock([Run("a", 0, 1, fence=5), Run("b", 2, 3, fence=4)]))
        self.assertTrue(check_pool([Run("a", 0, 1, fence=5), Run("b", 2, 3, fence=5)], 2))

    def test_records_are_read_as_they_were_written(self):
        self.assertEqual(
            read_log("start 12 3 a 0 7\nend 15 3 a - -\n"),
            [("start", 12, 3, "a", 0, 7), ("end", 15, 3, "a", None, None)],
        )


if __name__ == "__main__":
    main()
