"""Work in other processes ends with the process that asked for it."""

import sys

import tiny

ONE_AT_WORK = """
import os, sys, threading

from ontogeny.work.local import side_by_side

def work():
    print(os.getpid(), flush=True)
    threading.Event().wait()

if __name__ == "__main__":
    side_by_side(work, [()], 1)
"""


def test_a_worker_whose_parent_is_killed_ends(tmp_path):
    script = tmp_path / "one_at_work.py"
    script.write_text(ONE_AT_WORK)
    assert tiny.ends_with_its_parent(sys.executable, str(script))
