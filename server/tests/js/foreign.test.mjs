//! A crate outside the workspace: its plugins are linked, served, listed and counted like Carillon's own.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { refused } from './lib/client.mjs';
import { runToEnd, start } from './lib/server.mjs';

const OWN = ['echo', 'health', 'monitoring', 'relay', 'router'];
const FOREIGN = ['order', 'proto', 'rough', 'second', 'seen', 'tiny'];

async function plugins(program) {
  const { code, out, err } = await runToEnd(program, ['plugins', '--json']);
  assert.equal(code, 0, err);
  return JSON.parse(out);
}

test('linking loses no plugin, Carillon\'s or foreign (with LTO in `make soak`)', async () => {
  assert.deepEqual((await plugins('fixture')).map(({ name }) => name).sort(), [...OWN, ...FOREIGN].sort());
  assert.deepEqual((await plugins('carillon')).map(({ name }) => name).sort(), OWN);
});

test('`plugins` tells what a foreign namespace does and where it is defined', async () => {
  const tiny = (await plugins('fixture')).find(({ name }) => name === 'tiny');
  assert.equal(tiny.namespace, '/tiny');
  const text = JSON.stringify(tiny);
  for (const part of ['hello', 'Greets by name.', 'tiny.rs']) assert.ok(text.includes(part), `${part} is missing in ${text}`);
  const second = JSON.stringify((await plugins('fixture')).find(({ name }) => name === 'second'));
  for (const part of ['/api/second/words/{word}', 'told', '/proto']) assert.ok(second.includes(part), `${part} is missing in ${second}`);
  const rough = JSON.stringify((await plugins('fixture')).find(({ name }) => name === 'rough'));
  assert.ok(rough.includes('stop'), `the configuration keys are missing in ${rough}`);
  const { code, out } = await runToEnd('fixture', ['plugins']);
  assert.equal(code, 0);
  for (const name of [...OWN, ...FOREIGN]) assert.match(out, new RegExp(`\\b${name}\\b`));
});

test('an outside binary tells its own name and version: --version, build_info, the start line', async (t) => {
  const manifest = readFileSync(new URL('../fixture/Cargo.toml', import.meta.url), 'utf8');
  const [, name] = /^name = "(.*)"$/m.exec(manifest);
  const [, version] = /^version = "(.*)"$/m.exec(manifest);
  const { code, out } = await runToEnd('fixture', ['--version']);
  assert.deepEqual({ code, out: out.trim() }, { code: 0, out: `${name} ${version}` });
  const server = await start(t, { program: 'fixture' });
  const { labels } = (await server.metrics()).match('carillon_build_info')[0];
  assert.deepEqual([labels.program, labels.version], [name, version]);
  assert.notEqual(labels.carillon, version, 'Carillon\'s own version is another one');
  await server.logged(new RegExp(`listening on http://.*program="?${name}"? version="?${version}"?`));
});

test('a namespace of 25 lines answers a client and is counted', async (t) => {
  const source = readFileSync(new URL('../fixture/src/tiny.rs', import.meta.url), 'utf8');
  assert.ok(source.trimEnd().split('\n').length <= 25);
  const server = await start(t, { program: 'fixture' });
  const socket = await server.connect('/tiny');
  assert.deepEqual(await socket.call('hello', { name: 'you' }), [{ ok: true, data: 'hello, you' }]);
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_handler_outcomes_total', { namespace: '/tiny', event: 'hello', outcome: 'ok' }), 1);
});

test('Carillon\'s own namespaces work in a foreign binary', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const [monitoring, root] = await Promise.all(['/monitoring', '/'].map((namespace) => server.connect(namespace)));
  assert.equal((await monitoring.next('cluster_metrics'))[0].cluster_stats.total_nodes, 1);
  await root.next('redis_cluster_metrics');
});

test('a foreign plugin has its own configuration section and can be switched off', async (t) => {
  const server = await start(t, { program: 'fixture', config: '[plugins.tiny]\nenabled = false\n[plugins.rough]\nrun = "well"\n' });
  assert.equal((await refused(server.client('/tiny'))).message, 'Invalid namespace');
  await server.connect('/rough');
  const { code, out, err } = await runToEnd('fixture', ['check'], { env: { CARILLON_PLUGINS__ROUGH__RUN: 'badly' } });
  assert.equal(code, 78);
  assert.match(out + err, /plugins\.rough\.run/);
});
