"""Takes part in a lock or pool as a Python service would, told what to do on standard input.

    worker.py SOCKET [PREFIX]
    take pool KEY MAX [EXPIRATION]  -> taken | full
    take lock KEY [EXPIRATION]      -> taken | full
    give                            -> given      what was taken last
    size KEY MAX                    -> NUMBER
    held KEY                        -> yes | no
    load LOG LABEL KEY MAX COUNT    -> done       COUNT turns in a pool, as tests/tools/job.cpp logs them
    guard KEY                       -> guarded    and keeps the guard of a pool
"""

import os
import random
import sys
import time

import redis

from py_cachify import CachifyLockError, CachifyPoolFullError, UNSET, init_cachify, lock, pool

taken = []


def take(kind, key, *numbers):
    numbers = [int(number) for number in numbers]
    if kind == "pool":
        wanted = pool(key, numbers[0], slot_exp=numbers[1] if numbers[1:] else UNSET)
    else:
        wanted = lock(key, exp=numbers[0] if numbers else UNSET)
    try:
        wanted.__enter__()
    except (CachifyLockError, CachifyPoolFullError):
        return "full"
    taken.append(wanted)
    return "taken"


def give():
    taken.pop().__exit__(None, None, None)
    return "given"


def load(log, label, key, max_size, count):
    def record(what):
        line = f"{what} {time.monotonic_ns()} {os.getpid()} {label} - -\n"
        os.write(descriptor, line.encode())

    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    done = 0
    while done < int(count):
        try:
            with pool(key, int(max_size)):
                record("start")
                time.sleep(random.uniform(0, 0.02))
                record("end")
            done += 1
        except CachifyPoolFullError:
            time.sleep(random.uniform(0, 0.02))
    os.close(descriptor)
    return "done"


def guard(key):
    lock(f"{key}-lock").__enter__()
    return "guarded"


ORDERS = {
    "take": take,
    "give": give,
    "size": lambda key, max_size: pool(key, int(max_size)).size(),
    "held": lambda key: "yes" if lock(key).is_locked() else "no",
    "load": load,
    "guard": guard,
}

init_cachify(
    sync_client=redis.Redis(unix_socket_path=sys.argv[1]),
    prefix=sys.argv[2] if len(sys.argv) > 2 else "PYC-",
    lock_poll_interval=0.01,
)
for order in sys.stdin:
    word, *arguments = order.split()
    print(ORDERS[word](*arguments), flush=True)
