"""RQ: queues, dependencies, retries, failures, results, registries, jobs for later."""
import datetime
import logging
import os

import redis
import rq
from rq import Queue, Retry, SimpleWorker
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry
from rq_jobs import double, fail


def main():
    # What fails as asked is not to be told.
    logging.disable(logging.CRITICAL)
    connection = redis.from_url(os.environ["REDIS_URL"])
    high, low = Queue("high", connection=connection), Queue("low", connection=connection)
    jobs = [(low if i % 2 else high).enqueue(double, i) for i in range(100)]
    after = high.enqueue(double, 7, depends_on=jobs[:3])
    bad = low.enqueue(fail, retry=Retry(max=2))
    later = low.enqueue_in(datetime.timedelta(hours=1), double, 1)
    worker = SimpleWorker([high, low], connection=connection)
    assert worker.work(burst=True, logging_level="CRITICAL")
    assert [job.return_value() for job in jobs] == [2 * i for i in range(100)]
    assert after.return_value() == 14
    assert bad.get_status(refresh=True).value == "failed"
    assert bad.id in FailedJobRegistry(queue=low)
    assert len(FinishedJobRegistry(queue=high)) == 51
    assert later.id in ScheduledJobRegistry(queue=low)
    later.cancel()
    assert Job.fetch(jobs[0].id, connection=connection).return_value() == 0
    with high.connection.pipeline() as pipe:
        Queue.enqueue_many(high, [Queue.prepare_data(double, (n,)) for n in range(5)], pipeline=pipe)
        pipe.execute()
    assert worker.work(burst=True, logging_level="CRITICAL") and high.count == 0
    print(f"rq {rq.VERSION}: good")


main()
