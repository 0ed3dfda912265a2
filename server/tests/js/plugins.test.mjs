//! The page at `/plugins`, in a real browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBrowser, openTab, picture } from './lib/browser.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

/** The page of a server, with its event table shown. */
async function plugins(t, server, options) {
  const tab = await openTab(t, await openBrowser(t), server.url, options);
  await tab.goto(`${server.url}/plugins`);
  await tab.locator('#namespaces section').first().waitFor();
  return tab;
}

/** The entry of an event, below a heading: what clients send, or what they are sent. */
function entry(tab, namespace, event) {
  return tab.locator(`details[data-name="${namespace} ${event}"]`);
}

/** Resolves once what an element says holds a pattern. */
function says(part, pattern) {
  let text;
  return until(async () => pattern.test(text = await part.innerText()), () => `it says ${pattern}; it says ${text}`);
}

test('every namespace is there with its events, their sentences and schemas', async (t) => {
  const server = await start(t);
  const table = await (await server.fetch('/asyncapi.json')).json();
  const tab = await plugins(t, server, { locale: 'en-US' });
  const told = Object.values(table.operations).map(({ channel, messages, action }) => {
    const [, , key] = channel.$ref.split('/');
    const name = table.channels[key].messages[messages[0].$ref.split('/').at(-1)].name;
    return `${table.channels[key].address} ${action} ${name}`;
  });
  const shown = await tab.locator('#namespaces details').count();
  assert.equal(shown, new Set(told).size, 'as many events as the table has, each once');
  const nodes = entry(tab, '/monitoring', 'request_nodes_status');
  await says(nodes, /request_nodes_status Answers with every node\./);
  await nodes.locator('summary').click();
  await says(nodes, /cpu_usage number CPU time in use, in percent/);
  await picture(tab, 'plugins');

  await tab.getByRole('searchbox').fill('history');
  const visible = await tab.locator('#namespaces details:visible').evaluateAll((all) => all.map(({ dataset }) => dataset.name));
  assert.deepEqual(visible, ['/router request_history', '/router request_node_history']);
});

test('a call is tried with an example of its schema, and a mistake is told', async (t) => {
  const server = await start(t);
  const tab = await plugins(t, server, { locale: 'fr-FR' });
  const say = entry(tab, '/echo', 'say');
  // By the keyboard alone.
  await say.locator('summary').focus();
  await tab.keyboard.press('Enter');
  assert.deepEqual(JSON.parse(await say.getByRole('textbox').inputValue()), { text: 'text' });
  await say.getByRole('button', { name: 'Appeler' }).click();
  await says(say.getByRole('status'), /^Réponse après [\d.]+ ms\s+\{\s+"ok": true,\s+"data": \{\s+"text": "text"\s+\}\s+\}$/);
  await say.getByRole('textbox').fill('{"text": 1}');
  await say.getByRole('button', { name: 'Appeler' }).click();
  await says(say.getByRole('status'), /"ok": false,[^]*"code": "bad_payload"/);
  await say.getByRole('textbox').fill('{');
  await say.getByRole('button', { name: 'Appeler' }).click();
  await says(say.getByRole('status'), /^Ce n'est pas du JSON/);
  // What was called is counted: twice, and once it failed.
  await says(say.locator('.counts'), /^2 fois, [\d,]+\/s, 1 échec$/);
  await says(tab.locator('section', { has: say }).locator('h2'), /^\/echo 1 client$/);
});

test('the example of every event that looks at its payload is taken by its namespace', async (t) => {
  const server = await start(t);
  const tab = await plugins(t, server, { locale: 'en-US' });
  const entries = await tab.locator('details').evaluateAll((all) => all.map(({ dataset }) => dataset.name));
  const tried = new Set();
  for (const name of entries) {
    const box = tab.locator(`details[data-name="${name}"]`).first();
    await box.locator('summary').click();
    await box.locator('h4').first().waitFor();
    const button = box.getByRole('button', { name: 'Call' });
    if (await button.count() === 0 || tried.has(name)) continue;
    tried.add(name);
    await button.click();
    await says(box.getByRole('status'), /Answered|No answer|refuses/);
    const answer = await box.getByRole('status').innerText();
    assert.ok(!answer.includes('bad_payload'), `${name}: ${answer}`);
  }
  assert.ok(tried.size >= 8, `${tried.size} were tried`);
});

test('counters go on after the server has been started again, with no reload', async (t) => {
  let server = await start(t);
  const tab = await plugins(t, server, { locale: 'en-US' });
  const state = entry(tab, '/router', 'router_state').locator('.counts');
  await says(state, /^(once|\d+ times), [\d.]+\/s$/);
  await server.stop();
  await says(tab.locator('#status'), /^Connection lost at/);
  server = await start(t, { listen: `127.0.0.1:${server.port}` });
  await says(tab.locator('#status'), /^Connected$/);
  await says(state, /^(once|[1-9] times), 1\/s$/);
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_messages_received_total', { namespace: '/router', event: 'watch_events' }), 1);
});

test('what a namespace asks for goes along with the first CONNECT, and so does what is written there instead', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const tab = await plugins(t, server, { locale: 'en-US' });
  await says(tab.locator('#status'), /^Connected$/);
  const count = entry(tab, '/second', 'count');
  await count.locator('summary').click();
  const call = async (auth, answer) => {
    if (auth) await count.getByLabel('auth (JSON)').fill(auth);
    await count.getByRole('button', { name: 'Call' }).click();
    await says(count.getByRole('status'), answer);
  };
  await call('{"token": "right"}', /"calls": 1\b/);
  await call('{"token": "wrong"}', /\/second refuses the connection: the token is wrong/);
  await call('{"token": "right"}', /"calls": 1\b/);
  await call(undefined, /"calls": 2\b/);
  const metrics = await server.metrics();
  const connects = (name) => metrics.sum(`carillon_${name}`, { namespace: '/second' });
  assert.deepEqual([connects('connections_total'), connects('connects_refused_total')], [2, 1], 'nobody connects without auth first');
});

test('the limit of an event is shown, as the settings have it', async (t) => {
  const server = await start(t, { config: '[limits]\nevents = [{ namespace = "/echo", event = "say", per_s = 5, burst = 9 }]\n' });
  const tab = await plugins(t, server, { locale: 'en-US' });
  const say = entry(tab, '/echo', 'say');
  await say.locator('summary').click();
  await says(say, /Limit: 5 a second, 9 at once\./);
});
