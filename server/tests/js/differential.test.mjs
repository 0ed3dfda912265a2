//! Random scripts of clients, right and wrong, against both engines: what clients get and what a plugin sees is the same.
//!
//! `CARILLON_SCRIPTS=n` plays so many, `CARILLON_SCRIPT_SEED=n` that one, or begins with it; a failure names the seed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { play } from './lib/players.mjs';
import { differenceOf, endOf, seenDifferently } from './lib/script-differences.mjs';
import { script } from './lib/scripts.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';
import { until } from './lib/wait.mjs';

const FIRST = Number(process.env.CARILLON_SCRIPT_SEED ?? 0);
const SCRIPTS = Number(process.env.CARILLON_SCRIPTS ?? (process.env.CARILLON_SCRIPT_SEED === undefined ? short(300, 10_000) : 1));
/** Broken promises after which no more scripts are begun. */
const FAILURES = Number(process.env.CARILLON_SCRIPT_FAILURES ?? 1);
/** Scripts under way at once. */
const AT_ONCE = 12;
const ENGINES = ['carillon', 'socketioxide'];

/** What the plugin saw of a client, once it has seen it go. */
async function seen(observer, token) {
  const ask = async () => (await observer.call('told', { token }))[0].data;
  const gone = (log) => log.filter((line) => line === 'comes in').length === log.filter((line) => line.startsWith('is gone')).length;
  let log;
  await until(async () => gone(log = await ask()), () => `the plugin sees the client go (CARILLON_SCRIPT_SEED=${token.slice(7)}); it saw ${JSON.stringify(log).slice(0, 500)}`);
  return log;
}

/** One script on both engines: why they may differ, if they do; fails when they may not. */
async function compare(sides, seed) {
  const { transport, steps } = script(seed);
  const token = `script-${seed}`;
  const [own, other] = await Promise.all(sides.map(async ({ server, observer }) => {
    const outcomes = await play(server.port, token, { transport, steps });
    return { outcomes, log: await seen(observer, token) };
  }));
  const told = `script ${seed} over ${transport} (CARILLON_SCRIPT_SEED=${seed}), steps ${JSON.stringify(steps.map(({ name }) => name))}`;
  for (const [at, { name }] of steps.entries()) {
    const [one, two] = [own.outcomes[at], other.outcomes[at]];
    if (one === undefined && two === undefined) break;
    if (JSON.stringify(one) === JSON.stringify(two)) continue;
    const difference = differenceOf(steps.slice(0, at + 1).map((step) => step.name)) ?? endOf(name, two);
    assert.ok(difference, `${told}, step ${at + 1}, ${name}: ${JSON.stringify(steps[at].sends).slice(0, 200)}\n  carillon:     ${JSON.stringify(one)?.slice(0, 600)}\n  socketioxide: ${JSON.stringify(two)?.slice(0, 600)}`);
    return difference;
  }
  if (JSON.stringify(own.log) === JSON.stringify(other.log)) return undefined;
  const last = steps[own.outcomes.length - 1].name;
  const played = steps.slice(0, own.outcomes.length).map((step) => step.name);
  const difference = seenDifferently(last, own.log, other.log) ?? differenceOf(played);
  assert.ok(difference, `${told}: the plugin saw, with the last step ${last}\n  carillon:     ${JSON.stringify(own.log)}\n  socketioxide: ${JSON.stringify(other.log)}`);
  return difference;
}

test(`${SCRIPTS} random scripts from ${FIRST} on come out the same on both engines, or as differently as is known`, { timeout: 3_600_000 }, async (t) => {
  const sides = await Promise.all(ENGINES.map(async (engine) => {
    const server = await start(t, { program: 'fixture', env: { CARILLON_SERVER__ENGINE: engine } });
    return { server, observer: await server.connect('/seen') };
  }));
  const counts = new Map();
  const failures = [];
  let next = FIRST;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < FIRST + SCRIPTS && failures.length < FAILURES) {
      const seed = next;
      next += 1;
      const difference = await compare(sides, seed).catch((failure) => { failures.push(failure); });
      if (difference) counts.set(difference.reason, (counts.get(difference.reason) ?? 0) + 1);
    }
  }));
  for (const [reason, count] of counts) t.diagnostic(`${count} differ: ${reason}`);
  if (failures.length > 1) t.diagnostic(failures.map(({ message }) => message).join('\n'));
  if (failures.length > 0) throw failures[0];
});
