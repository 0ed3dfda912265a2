//! The free form and the console of the test page, in a real browser.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openBrowser, TestPage } from './lib/browser.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

/** The page of a server with the free form opened, and its fields by their labels. */
async function freeForm(t, server) {
  const page = await TestPage.open(t, await openBrowser(t), server, { locale: 'en-US' });
  await page.tab.getByText('Send any event').click();
  await until(async () => await page.tab.locator('#namespaces option').count() > 0, 'the event table is there');
  const field = (label) => page.tab.getByLabel(label, { exact: true });
  const fill = async (values) => { for (const [label, value] of Object.entries(values)) await field(label).fill(value); };
  const names = (list) => page.tab.locator(`#${list} option`).evaluateAll((options) => options.map(({ value }) => value));
  return { page, field, fill, names };
}

test('any event is sent to any namespace, completed from the event table, and its answer shown', async (t) => {
  const server = await start(t);
  const { page, field, fill, names } = await freeForm(t, server);
  assert.deepEqual(await names('namespaces'), ['/', '/echo', '/health', '/monitoring', '/router']);
  await fill({ Namespace: '/echo' });
  assert.deepEqual(await names('events'), ['say']);
  await fill({ Event: 'say' });
  assert.equal(await page.tab.locator('#sentence').innerText(), 'Answers with the same text.');
  const payload = field('Payload (JSON), empty for none');
  assert.deepEqual(JSON.parse(await payload.inputValue()), { text: 'text' });
  await page.click('Send');
  await page.line('Connected to namespace /echo');
  assert.deepEqual((await page.line('Answer of /echo to say: ')).data, { ok: true, data: { text: 'text' } });

  // What somebody wrote stays; an answer that says no is red; what is not JSON is not sent.
  await payload.fill('{"text": 1}');
  await fill({ Event: 'say!' });
  await fill({ Event: 'say' });
  assert.equal(await payload.inputValue(), '{"text": 1}');
  await page.click('Clear');
  await page.click('Send');
  const refused = await page.line('Answer of /echo to say: ');
  assert.deepEqual([refused.kind, refused.data.error.code], ['error', 'bad_payload']);
  await payload.fill('{text}');
  await page.click('Send');
  assert.equal((await page.line('That is not JSON: ')).kind, 'error');

  // Without an ack, and without a payload: what the namespace says comes as well.
  await payload.fill('');
  await fill({ Namespace: '/monitoring', Event: 'request_nodes_status' });
  await payload.fill('');
  await field('ask for an ack').uncheck();
  await page.click('Send');
  assert.ok(Array.isArray((await page.line('/monitoring -> nodes_status_response: ')).data.data));
  assert.equal((await page.having('Answer of /monitoring')).length, 0);
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_messages_received_total', { namespace: '/echo', event: 'say' }), 2);
  await fill({ Namespace: '/nowhere' });
  await page.click('Send');
  assert.equal((await page.line('Connection error at /nowhere: ')).kind, 'error');
});

test('an auth token goes along with the CONNECT, and another token connects again', async (t) => {
  const server = await start(t);
  const { page, fill } = await freeForm(t, server);
  const connects = [];
  page.tab.on('websocket', (socket) => socket.on('framesent', ({ payload }) => { if (`${payload}`.startsWith('40')) connects.push(`${payload}`); }));
  await fill({ Namespace: '/echo', Event: 'say' });
  for (const [token, packet] of [['', '40/echo,'], ['first', '40/echo,{"token":"first"}'], ['second', '40/echo,{"token":"second"}']]) {
    await fill({ 'Auth token': token });
    await page.click('Send');
    await until(() => connects.at(-1)?.startsWith(packet), () => `${packet} is sent; sent were ${connects}`);
  }
  await page.click('Send');
  await until(async () => (await page.having('Answer of /echo to say: '))[0]?.times === 4, 'four answers');
  assert.equal(connects.length, 3, 'a token that stays connects once');
});

test('a namespace that asks for more than a token is sent it, with an example to begin with', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const { page, field, fill } = await freeForm(t, server);
  await fill({ Namespace: '/second', Event: 'count' });
  const auth = field('auth (JSON), empty for none');
  assert.deepEqual(JSON.parse(await auth.inputValue()), { token: 'text' });
  await page.click('Send');
  await page.line('Connection error at /second: the token is wrong');
  await auth.fill('{"token": "right"}');
  await page.click('Send');
  assert.deepEqual((await page.line('Answer of /second to count: ')).data, { ok: true, data: { calls: 1 } });
  // The field for a token goes before it.
  await fill({ 'Auth token': 'other' });
  await page.click('Clear');
  await page.click('Send');
  await page.line('Connection error at /second: the token is wrong');
  await auth.fill('right');
  await page.click('Clear');
  await page.click('Send');
  assert.equal((await page.line('That is not JSON: ')).kind, 'error');
});

test('the lines that are shown are copied', async (t) => {
  const server = await start(t);
  const page = await TestPage.open(t, await openBrowser(t), server, { locale: 'en-US', permissions: ['clipboard-read', 'clipboard-write'] });
  await page.click('Connect');
  await page.line('Connected to namespace /health');
  await page.line('Connected to namespace /monitoring');
  await page.tab.getByRole('searchbox').fill('Connected to namespace');
  await page.click('Copy');
  await page.tab.getByRole('button', { name: '2 lines copied' }).waitFor();
  const copied = await page.tab.evaluate(() => navigator.clipboard.readText());
  assert.deepEqual(copied.split('\n').map((line) => line.slice(11)).sort(), ['Connected to namespace /health', 'Connected to namespace /monitoring']);
  // A page that came over plain HTTP from another machine has no such clipboard.
  await page.tab.evaluate(() => {
    Object.defineProperty(Navigator.prototype, 'clipboard', { get: () => undefined });
    document.addEventListener('copy', () => { window.copied = document.activeElement.value; });
  });
  await page.tab.getByRole('searchbox').fill('namespace /health');
  await page.tab.getByRole('button', { name: /Copy|copied/ }).click();
  await until(async () => /^\[[\d:]+\] Connected to namespace \/health$/.test(await page.tab.evaluate(() => window.copied ?? '')), 'one line is copied');
});

test('2,000 events a second are all counted, and the page does as it is told meanwhile', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url], config: '[plugins.monitoring]\ncollect = "off"\n' });
  const page = await TestPage.open(t, await openBrowser(t), server);
  await page.click('Se connecter');
  await page.line('Connecté au namespace /monitoring');
  await redis.subscribers(1);
  const program = new URL('./lib/flood.mjs', import.meta.url).pathname;
  const flood = promisify(execFile)(process.execPath, [program, String(redis.port), 'celery:metrics', '8000', '2000']);
  const count = async () => Number((await page.tab.locator('#counts li', { hasText: 'celery:metrics' }).locator('.number').textContent()).replace(/\D/g, ''));
  await until(async () => await count() > 100, 'events come');
  await page.click('Pause');
  await page.tab.getByRole('button', { name: /^Reprendre \(\d+ en attente\)$/ }).click();
  await page.tab.getByRole('searchbox').fill('"n": 7999');
  await flood;
  await until(async () => await count() === 8000, 'all are counted');
  await until(async () => (await page.lines()).filter(({ hidden }) => !hidden).length === 1, 'the last one is found');
  assert.equal((await page.lines()).length, 500);
});
