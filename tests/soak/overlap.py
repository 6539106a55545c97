"""The independent checker of overlap: from what commands wrote about themselves, were there ever
too many at once? It knows nothing of cachify but the contract."""

from dataclasses import dataclass
from typing import Optional


@dataclass
class Run:
    """One command, between two instants (ns) at which it surely ran."""

    label: str
    start: int
    end: int
    weight: int = 1
    shared: bool = False
    slot: Optional[int] = None
    fence: Optional[int] = None


def read_log(text):
    """The records that tests/tools/job.cpp writes: a list of (what, time, pid, label, slot, fence)."""
    records = []
    for line in text.splitlines():
        what, time, pid, label, slot, fence = line.split(" ")[:6]
        number = [int(item) if item != "-" else None for item in (slot, fence)]
        records.append((what, int(time), int(pid), label, *number))
    return records


def _events(runs):
    """(time, 0 for an end and 1 for a start, run), so that what only touches doesn't overlap."""
    events = [(run.start, 1, run) for run in runs] + [(run.end, 0, run) for run in runs]
    return sorted(events, key=lambda event: event[:2])


def check_pool(runs, slots):
    """What is wrong with the runs of one pool, a line each."""
    wrong = _check_fences(runs)
    live = {}
    used = 0
    for time, is_start, run in _events([run for run in runs if run.end > run.start]):
        if not is_start:
            used -= run.weight
            live.pop(id(run))
            continue
        used += run.weight
        if used > slots:
            names = ", ".join(other.label for other in [*live.values(), run])
            wrong.append(f"{used} slots of {slots} in use at {time}: {names}")
        for other in live.values():
            if run.slot is not None and run.slot == other.slot:
                wrong.append(f"slot {run.slot} given twice at {time}: {other.label}, {run.label}")
        live[id(run)] = run
    for run in runs:
        if run.slot is not None and not 0 <= run.slot <= slots - run.weight:
            wrong.append(f"{run.label} had slot {run.slot} of {slots} with weight {run.weight}")
    return wrong


def check_lock(runs):
    """What is wrong with the runs of one lock, readers and writers, a line each."""
    wrong = _check_fences(runs)
    live = {}
    for time, is_start, run in _events([run for run in runs if run.end > run.start]):
        if not is_start:
            live.pop(id(run))
            continue
        for other in live.values():
            if not (run.shared and other.shared):
                wrong.append(f"the lock was held twice at {time}: {other.label}, {run.label}")
        live[id(run)] = run
    # With nobody beside them, writers start in the order of their admission.
    alone = sorted((run for run in runs if not run.shared), key=lambda run: run.start)
    for before, after in zip(alone, alone[1:]):
        if before.fence is not None and after.fence is not None and before.fence >= after.fence:
            wrong.append(f"the fence fell: {before.label} {before.fence}, {after.label} {after.fence}")
    return wrong


def _check_fences(runs):
    wrong = []
    seen = {}
    for run in runs:
        if run.fence is None:
            continue
        if run.fence in seen:
            wrong.append(f"fence {run.fence} given twice: {seen[run.fence]}, {run.label}")
        seen[run.fence] = run.label
    return wrong
