"""Celery: groups, chains, chords, retries, delays, priorities, results that expire, revoked tasks."""
import pathlib
import subprocess
import sys

import celery
from celery import chain, chord, group
from celery_tasks import add, app, fails, stumbles, total

WAIT = 60


def main():
    here = pathlib.Path(__file__).parent
    command = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "--pool", "threads", "-c", "4", "-l", "CRITICAL"]
    worker = subprocess.Popen(command, cwd=here, stdout=subprocess.DEVNULL)
    try:
        many = group(add.s(i, i) for i in range(200)).apply_async()
        assert many.get(timeout=WAIT) == [2 * i for i in range(200)]
        assert chain(add.s(1, 2), add.s(10), add.s(100)).apply_async().get(timeout=WAIT) == 113
        assert chord((add.s(i, 1) for i in range(50)), total.s()).apply_async().get(timeout=WAIT) == sum(range(50)) + 50
        assert stumbles.delay(2).get(timeout=WAIT) == 2
        assert add.apply_async((3, 4), countdown=1).get(timeout=WAIT) == 7
        assert [add.apply_async((p, 0), priority=p).get(timeout=WAIT) for p in (0, 3, 9)] == [0, 3, 9]
        failed = fails.delay()
        try:
            failed.get(timeout=WAIT)
            raise AssertionError("it should have failed")
        except ValueError:
            assert failed.state == "FAILURE"
        late = add.apply_async((1, 1), countdown=3600)
        late.revoke()
        assert app.control.ping(timeout=5), "the worker answers over pub/sub"
        assert app.control.inspect(timeout=5).stats()
        one = add.delay(5, 6)
        assert one.get(timeout=WAIT) == 11
        one.forget()
        assert app.control.purge() >= 0
    finally:
        worker.terminate()
        worker.wait(timeout=30)
    print(f"celery {celery.__version__}: good")


main()
