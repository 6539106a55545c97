"""A small stand-in for the Python library py-cachify, for the tests: the same layout in Redis and the
same rules as its version 3.1, of which it has the locks and pools and nothing else.

    PYTHONPATH=tests/standin python3 -c 'import py_cachify'
"""

import contextlib
import functools
import inspect
import pickle
import time
import uuid

from py_cachify._backend._pool_state import PoolState

UNSET = object()
_settings = None


class CachifyLockError(Exception):
    """Held, and not free in time."""


class CachifyPoolFullError(Exception):
    """No slot."""


class _Settings:
    def __init__(self, client, prefix, lock_expiration, poll, slot_expiration):
        self.client = client
        self.prefix = prefix
        self.lock_expiration = lock_expiration
        self.poll = poll
        self.slot_expiration = slot_expiration


def init_cachify(
    sync_client,
    prefix="PYC-",
    default_lock_expiration=30,
    lock_poll_interval=0.1,
    default_pool_slot_expiration=600,
):
    global _settings  # pylint: disable=global-statement
    _settings = _Settings(
        sync_client, prefix, default_lock_expiration, lock_poll_interval, default_pool_slot_expiration
    )


def _key_of(key, function, postfix, args, kwargs):
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return f"{key.format(*bound.args, **bound.arguments)}-{postfix}"


class lock:  # pylint: disable=invalid-name
    """`with lock(key='k'):`, or a decorator."""

    def __init__(self, key, nowait=True, timeout=None, exp=UNSET):
        self.key = key
        self.nowait = nowait
        self.timeout = timeout
        self.exp = exp

    @property
    def name(self):
        return _settings.prefix + self.key

    def __enter__(self):
        expiration = _settings.lock_expiration if self.exp is UNSET else self.exp
        end = None if self.timeout is None else time.time() + self.timeout
        while not _settings.client.set(self.name, pickle.dumps(1), ex=expiration, nx=True):
            if self.nowait or (end is not None and time.time() > end):
                raise CachifyLockError(f"{self.key} is already locked!")
            time.sleep(_settings.poll)
        return self

    def __exit__(self, *_):
        self.release()

    def release(self):
        """Whoever holds it."""
        _settings.client.delete(self.name)

    def is_locked(self):
        value = _settings.client.get(self.name)
        return bool(value and pickle.loads(value))

    def __call__(self, function):
        @functools.wraps(function)
        def locked(*args, **kwargs):
            key = _key_of(self.key, function, "lock", args, kwargs)
            with lock(key, self.nowait, self.timeout, self.exp):
                return function(*args, **kwargs)

        return locked


class pool:  # pylint: disable=invalid-name
    """`with pool(key='jobs', max_size=4):`."""

    def __init__(self, key, max_size, slot_exp=UNSET):
        self.key = key
        self.max_size = max_size
        self.slot_exp = slot_exp
        self.slot_id = None

    def _guard(self):
        return lock(f"{self.key}-lock", nowait=False, timeout=min(30, max(5, 0.1 * self.max_size)))

    @property
    def name(self):
        return f"{_settings.prefix}{self.key}-state"

    def _load(self):
        value = _settings.client.get(self.name)
        return pickle.loads(value) if value else PoolState()

    def _save(self, state):
        _settings.client.set(self.name, pickle.dumps(state))

    def __enter__(self):
        try:
            with self._guard():
                state = self._load()
                state.cleanup(time.time())
                if len(state.slots) < self.max_size:
                    expiration = _settings.slot_expiration if self.slot_exp is UNSET else self.slot_exp
                    end = float("inf") if expiration is None else time.time() + expiration
                    self.slot_id = uuid.uuid4().hex
                    state.slots[self.slot_id] = end
                    self._save(state)
        except CachifyLockError:
            pass
        if self.slot_id is None:
            raise CachifyPoolFullError(f"{self.key} is full (max_size={self.max_size})")
        return self

    def __exit__(self, *_):
        slot_id, self.slot_id = self.slot_id, None
        with self._guard():
            state = self._load()
            if state.slots.pop(slot_id, None) is not None:
                self._save(state)

    def size(self):
        with self._guard():
            return self._load().cleanup(time.time())


def pooled(key, max_size, on_full=None, raise_on_full=False, slot_exp=UNSET):
    def decorate(function):
        @functools.wraps(function)
        def with_slot(*args, **kwargs):
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(
                        pool(_key_of(key, function, "pool", args, kwargs), max_size, slot_exp)
                    )
                except CachifyPoolFullError:
                    if raise_on_full:
                        raise
                    return on_full(*args, **kwargs) if on_full else None
                return function(*args, **kwargs)

        return with_slot

    return decorate
