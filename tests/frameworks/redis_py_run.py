"""redis-py: locks, pipelines, WATCH, pub/sub, scripts, streams, cursors, RESP3 with a client-side cache, asyncio."""
import asyncio
import os
import threading
import time

import redis
import redis.asyncio

URL = os.environ["REDIS_URL"]


def locks(client):
    held, seen = [0], []

    def work():
        for _ in range(20):
            with client.lock("lock", timeout=10, blocking_timeout=30, sleep=0.001):
                held[0] += 1
                seen.append(held[0])
                held[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert seen == [1] * 100, "never two at a time"
    lock = client.lock("lock", timeout=5)
    assert lock.acquire() and lock.owned() and lock.locked()
    assert lock.extend(20) and lock.reacquire()
    assert not client.lock("lock").acquire(blocking=False)
    lock.release()
    try:
        lock.release()
        raise AssertionError("it is not ours any more")
    except redis.exceptions.LockError:
        pass


def pipelines(client):
    with client.pipeline() as pipe:
        for i in range(1000):
            pipe.set(f"p:{i}", i).incr(f"p:{i}")
        assert pipe.execute()[1::2] == list(range(1, 1001))

    def add(pipe):
        value = int(pipe.get("counter") or 0)
        pipe.multi()
        pipe.set("counter", value + 1)

    threads = [threading.Thread(target=lambda: [client.transaction(add, "counter") for _ in range(25)]) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert int(client.get("counter")) == 100
    with client.pipeline(transaction=False) as pipe:
        pipe.lpush("counter", 1).get("counter")
        wrong, right = pipe.execute(raise_on_error=False)
        assert isinstance(wrong, redis.ResponseError) and int(right) == 100


def the_rest(client):
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("news")
    listener.psubscribe("new*")
    listener.get_message(timeout=1), listener.get_message(timeout=1)
    assert client.publish("news", "x") == 2
    kinds = sorted(listener.get_message(timeout=5)["type"] for _ in range(2))
    assert kinds == ["message", "pmessage"], kinds
    listener.close()
    script = client.register_script("return {KEYS[1], ARGV[1], redis.call('incr', KEYS[1])}")
    assert script(keys=["s"], args=["a"])[2] == 1
    client.script_flush()
    assert script(keys=["s"], args=["a"])[2] == 2, "loaded again after NOSCRIPT"
    client.xgroup_create("stream", "g", mkstream=True)
    ids = [client.xadd("stream", {"n": n}) for n in range(10)]
    read = client.xreadgroup("g", "me", {"stream": ">"}, count=5)
    taken = list(read.values())[0][0] if isinstance(read, dict) else read[0][1]
    assert len(taken) == 5 and client.xack("stream", "g", *ids[:5]) == 5
    assert client.xpending("stream", "g")["pending"] == 0
    client.mset({f"scan:{i}": i for i in range(500)})
    assert len(set(client.scan_iter("scan:*", count=50))) == 500
    client.hset("h", mapping={"a": 1, "b": 2})
    assert client.hexpire("h", 100, "a") == [1]
    client.zadd("z", {"a": 1, "b": 2.5})
    assert [list(pair) for pair in client.zrange("z", 0, -1, withscores=True)] == [[b"a", 1.0], [b"b", 2.5]]
    assert client.blpop("nothing", timeout=0.05) is None
    assert client.geoadd("geo", (13.361389, 38.115556, "Palermo")) == 1


def cached():
    from redis.cache import CacheConfig

    client = redis.from_url(URL, protocol=3, cache_config=CacheConfig())
    other = redis.from_url(URL)
    try:
        client.set("cached", "1")
    except redis.ConnectionError as error:
        # Decided by the version that INFO tells, not by what the server can do.
        assert "caching is supported by" in str(error), error
        print("LEFT OUT: redis-py's cache: it wants a server that calls itself 7.4 or later")
        return
    assert client.get("cached") == b"1" and client.get("cached") == b"1"
    other.set("cached", "2")
    until = time.monotonic() + 10
    while client.get("cached") != b"2":
        assert time.monotonic() < until, "the cache was not told"


async def waiting():
    client = redis.asyncio.from_url(URL)
    taker = asyncio.create_task(client.blpop("queue", timeout=10))
    await asyncio.sleep(0)
    await client.rpush("queue", "x")
    assert (await taker)[1] == b"x"
    results = await asyncio.gather(*(client.incr("async") for _ in range(60)))
    assert sorted(results) == list(range(1, 61))
    async with client.lock("async-lock", timeout=5):
        assert await client.exists("async-lock")
    await client.aclose()


def main():
    for protocol in (2, 3):
        client = redis.from_url(URL, protocol=protocol)
        client.flushall()
        locks(client)
        pipelines(client)
        the_rest(client)
    cached()
    asyncio.run(waiting())
    print(f"redis-py {redis.__version__}: good")


main()
