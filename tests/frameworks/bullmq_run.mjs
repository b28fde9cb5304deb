// BullMQ: jobs in bulk, delays, priorities, retries, rate limits, flows of parents and children, schedulers, events.
import { createRequire } from 'node:module';
import assert from 'node:assert';

const require = createRequire(process.env.FRAMEWORKS_NODE + '/package.json');
const { Queue, Worker, QueueEvents, FlowProducer } = require('bullmq');
const version = require('bullmq/package.json').version;
const url = new URL(process.env.REDIS_URL);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const limit = setTimeout(() => { console.error('bullmq: no end in sight'); process.exit(1); }, 120000);
const open = [];
const keep = (thing) => { thing.on('error', (error) => { console.error(error); process.exit(1); }); open.push(thing); return thing; };

const queue = keep(new Queue('work', { connection }));
const events = keep(new QueueEvents('work', { connection }));
await events.waitUntilReady();
const order = [];
const worker = keep(new Worker('work', async (job) => {
  if (job.name === 'stumbles' && job.attemptsMade < 2) throw new Error('as asked');
  if (job.name === 'fails') throw new Error('as asked');
  await job.updateProgress(50);
  await job.log('half way');
  order.push(job.name);
  return job.data.n * 2;
}, { connection, concurrency: 5, autorun: false }));

const jobs = await queue.addBulk(Array.from({ length: 300 }, (_, n) => ({ name: 'double', data: { n } })));
worker.run();
const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 60000)));
assert.deepEqual(results, jobs.map((job) => job.data.n * 2));
const stumbles = await queue.add('stumbles', { n: 4 }, { attempts: 3, backoff: { type: 'exponential', delay: 50 } });
assert.equal(await stumbles.waitUntilFinished(events, 60000), 8);
const fails = await queue.add('fails', { n: 1 });
await assert.rejects(fails.waitUntilFinished(events, 60000));
assert.equal(await fails.getState(), 'failed');
const late = await queue.add('late', { n: 5 }, { delay: 300 });
assert.equal(await late.getState(), 'delayed');
assert.equal(await late.waitUntilFinished(events, 60000), 10);
await queue.pause();
const ranked = [];
for (const priority of [9, 1, 5]) ranked.push(await queue.add(`p${priority}`, { n: priority }, { priority }));
order.length = 0;
await queue.resume();
await Promise.all(ranked.map((job) => job.waitUntilFinished(events, 60000)));
assert.equal(order[0], 'p1');
await queue.upsertJobScheduler('tick', { every: 100 }, { name: 'tick', data: { n: 1 } });
await new Promise((done) => { const seen = []; events.on('completed', ({ jobId }) => { if (jobId.includes('tick') && seen.push(jobId) === 3) done(); }); });
await queue.removeJobScheduler('tick');
const flow = new FlowProducer({ connection });
open.push(flow);
const tree = await flow.add({
  name: 'parent', queueName: 'work', data: { n: 21 },
  children: [1, 2, 3].map((n) => ({ name: 'child', queueName: 'work', data: { n } })),
});
assert.equal(await tree.job.waitUntilFinished(events, 60000), 42);
assert.deepEqual(Object.values(await tree.job.getChildrenValues()).sort((a, b) => a - b), [2, 4, 6]);
const slow = keep(new Queue('slow', { connection }));
const slowEvents = keep(new QueueEvents('slow', { connection }));
await slowEvents.waitUntilReady();
keep(new Worker('slow', async () => 'ok', { connection, limiter: { max: 5, duration: 200 } }));
const limited = await slow.addBulk(Array.from({ length: 20 }, () => ({ name: 'x', data: {} })));
await Promise.all(limited.map((job) => job.waitUntilFinished(slowEvents, 60000)));
const counts = await queue.getJobCounts();
assert.equal(counts.failed, 1);
assert.ok(counts.completed > 300 && counts.active === 0);
await queue.obliterate({ force: true });
for (const thing of open.reverse()) await thing.close();
clearTimeout(limit);
console.log(`bullmq ${version}: good`);
