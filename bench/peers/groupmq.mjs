// groupmq: a job queue on Redis with an order for each group.
import { Redis } from "ioredis";
import { Queue, Worker } from "groupmq";
import { main, sendByKey } from "./harness.mjs";

const SETTINGS = "a promise chain for each key awaits add; concurrency 50, jobTimeoutMs 2000, stalledInterval 2000 ms";

function queueOf(url) {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  return new Queue({ redis, namespace: "s", jobTimeoutMs: 2000 });
}

async function send(url, count) {
  const queue = queueOf(url);
  let order = 0;
  await sendByKey(count, (groupId, data) => queue.add({ groupId, data: { data }, orderMs: order++ }));
  await queue.close();
}

async function consume(url, seen) {
  const handler = async (job) => seen(job.data.data);
  const options = { concurrency: 50, stalledInterval: 2000, maxStalledCount: 5 };
  new Worker({ queue: queueOf(url), handler, ...options }).run();
}

await main(["groupmq", "ioredis"], SETTINGS, send, consume);
