// BullMQ: a job queue on Redis.
import { Queue, Worker } from "bullmq";
import { main, messages } from "./harness.mjs";

const BATCH = 500;
const SETTINGS = "addBulk of 500; concurrency 50, lockDuration and stalledInterval 2000 ms, jobs removed on completion";

function connectionTo(url) {
  const { hostname: host, port } = new URL(url);
  return { host, port: Number(port), maxRetriesPerRequest: null };
}

async function send(url, count) {
  const queue = new Queue("s", { connection: connectionTo(url), defaultJobOptions: { removeOnComplete: true } });
  const jobs = [...messages(count)].map(({ key, data }) => ({ name: key, data }));
  for (let first = 0; first < count; first += BATCH) await queue.addBulk(jobs.slice(first, first + BATCH));
  await queue.close();
}

async function consume(url, seen) {
  const options = { connection: connectionTo(url), concurrency: 50, lockDuration: 2000, stalledInterval: 2000 };
  new Worker("s", async (job) => seen(job.data), { ...options, maxStalledCount: 5 });
}

await main(["bullmq", "ioredis"], SETTINGS, send, consume);
