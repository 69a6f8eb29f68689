// What each adapter in Node is run by; see harness.py, which says what is asked and told.
import { openSync, writeSync, readFileSync } from "node:fs";

const KEYS = 97;
const SIZE = 100; // bytes of a message
const TOLD_EVERY_MS = 5;

// Keys in turn, and data that says which message of its key it is.
export function* messages(count) {
  for (let index = 0; index < count; index++) {
    const key = `key-${index % KEYS}`;
    yield { key, data: `${key} ${Math.floor(index / KEYS)} `.padEnd(SIZE, "x") };
  }
}

export async function sendByKey(count, send) {
  const byKey = new Map();
  for (const { key, data } of messages(count)) byKey.set(key, [...(byKey.get(key) ?? []), data]);
  await Promise.all(
    [...byKey].map(async ([key, datas]) => {
      for (const data of datas) await send(key, data);
    }),
  );
}

function seenBy() {
  const file = process.env.SEEN ? openSync(process.env.SEEN, "a") : null;
  let count = 0;
  let told = 0;
  console.log("ready");
  setInterval(() => {
    if (count !== told) console.log((told = count));
  }, TOLD_EVERY_MS);
  return (data) => {
    count++;
    if (file !== null) writeSync(file, data.replace(/ x*$/, "") + "\n");
  };
}

function versionOf(name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;
}

export async function main(packages, settings, send, consume) {
  const [asked, url, count] = process.argv.slice(2);
  if (asked === "about") {
    const versions = Object.fromEntries(packages.map((name) => [name, versionOf(name)]));
    console.log(JSON.stringify({ versions: { ...versions, node: process.version }, settings }));
  } else if (asked === "send") {
    await send(url, 0);
    const began = performance.now();
    await send(url, Number(count));
    console.log((performance.now() - began) / 1000);
    process.exit(0);
  } else {
    await consume(url, seenBy());
  }
}
