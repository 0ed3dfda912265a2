//! Seven scenes recorded from the system that Carillon replaces: Carillon plays its part in each.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { STEPS, VALUES } from './lib/differences.mjs';
import { startRedis } from './lib/redis.mjs';
import { Replay } from './lib/replay.mjs';
import { start } from './lib/server.mjs';

const { scenes, nodes } = JSON.parse(readFileSync(new URL('../recordings/scenes.json', import.meta.url), 'utf8'));

/** The recorded system's nodes, and nobody who would measure them: Redis says what there is. */
const config = `[plugins.monitoring]\ncollect = "off"\nnodes = ${JSON.stringify(nodes)}\n`;

for (const scene of scenes) {
  test(`${scene.name}: ${scene.note}`, async (t) => {
    const redis = await startRedis(t);
    for (const [key, value] of Object.entries(scene.redis)) await redis.cli('SET', key, value);
    const server = await start(t, { args: ['--bus', redis.url], config });
    await redis.subscribers(1);
    await new Replay(scene, server, redis).play();
  });
}

test('the list of differences is short, and each is there for a reason', () => {
  assert.equal(scenes.length, 7);
  assert.ok(STEPS.length + VALUES.length <= 20, `${STEPS.length + VALUES.length} differences`);
  const reasons = [...STEPS, ...VALUES].map(({ why }) => why);
  assert.equal(new Set(reasons.filter((why) => why.length > 10)).size, reasons.length);
  for (const { of, why } of STEPS) {
    assert.ok(scenes.some((scene) => scene.steps.some((step) => of(step, { scene }))), `nothing was recorded that differs: ${why}`);
  }
});
