//! The pages of a server that asks who connects: they say so, take a token, and show it for all of their sockets.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBrowser, openTab, picture } from './lib/browser.mjs';
import { reads } from './lib/dashboard.mjs';
import { start } from './lib/server.mjs';
import { ahead, keysSetting, sha256, token } from './lib/tokens.mjs';

const JWT = { CARILLON_AUTH__MODE: 'jwt', CARILLON_AUTH__KEYS: keysSetting(), CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '1000' };
const good = (claims = {}) => token({ sub: 'ann', exp: ahead(600), ...claims });
const ASKED = /^This server asks for a token or an API key\.$/;
const REFUSED = /^The token or key is not accepted\.$/;

/** A tab of a server that asks, with a page opened. */
async function opened(t, path, { env = JWT } = {}) {
  const server = await start(t, { env });
  const tab = await openTab(t, await openBrowser(t), server.url, { locale: 'en-US' });
  await tab.goto(server.url + path);
  return { server, tab };
}

/** Writes a token into the header's field. */
async function shows(tab, text) {
  await tab.getByLabel('Token or API key').fill(text);
  await tab.getByRole('button', { name: 'Show it' }).click();
}

test('the dashboard of a server that asks for a token says so, takes one, and the next page of the tab knows it', async (t) => {
  const { server, tab } = await opened(t, '/');
  await reads(tab, '#status', ASKED);
  assert.ok(await tab.locator('#noRouter').isHidden(), 'the namespace is there, for who shows a token');
  await picture(tab, 'token');
  await shows(tab, token({ sub: 'ann', exp: ahead(-600) }));
  await reads(tab, '#status', REFUSED);
  await shows(tab, good());
  await reads(tab, '#status', /^Connected$/);
  await reads(tab, '#router', /^ready$/);
  await tab.locator('#nodes tbody tr').waitFor();
  assert.ok(await tab.getByLabel('Token or API key').isHidden());

  await tab.goto(`${server.url}/plugins`);
  await reads(tab, '#status', /^Connected$/);
  // Another tab knows nothing of it.
  const other = await tab.context().newPage();
  await other.goto(server.url);
  await reads(other, '#status', ASKED);
});

test('the dashboard says so when its token does not open a namespace', async (t) => {
  const { tab } = await opened(t, '/');
  await shows(tab, good({ namespaces: ['/', '/health', '/monitoring'] }));
  await reads(tab, '#noRouter', /^This token does not open the namespace \/router\.$/);
  await tab.locator('#nodes tbody tr').waitFor();
});

test('a page whose token has ended asks for another one', async (t) => {
  const { tab } = await opened(t, '/', { env: { ...JWT, CARILLON_AUTH__EXPIRY_GRACE_MS: '0' } });
  await shows(tab, good({ exp: ahead(2) }));
  await reads(tab, '#status', /^Connected$/);
  await reads(tab, '#status', REFUSED);
  await shows(tab, good());
  await reads(tab, '#status', /^Connected$/);
});

test('a namespace that asks for nothing of its own has a field for a token, and takes that of the page where it is empty', async (t) => {
  const { tab } = await opened(t, '/plugins');
  await tab.locator('#namespaces section').first().waitFor();
  await reads(tab, '#status', ASKED);
  const say = tab.locator('details[data-name="/echo say"]');
  await say.locator('summary').click();
  const auth = say.getByLabel('auth (JSON)');
  assert.deepEqual(JSON.parse(await auth.inputValue()), { token: null });
  const call = async (answer) => {
    await say.getByRole('button', { name: 'Call' }).click();
    await reads(tab, 'pre', answer);
  };
  await call(/\/echo refuses the connection: a valid token or key is needed/);
  await auth.fill(JSON.stringify({ token: good() }));
  await call(/"ok": true/);
  await shows(tab, good());
  await reads(tab, '#status', /^Connected$/);
  await auth.fill('{"token": "wrong"}');
  await call(/refuses the connection/);
  await auth.fill('{}');
  await call(/"ok": true/);
});

test('the test page asks for a key, and shows it for all of its namespaces and for any event', async (t) => {
  const keys = `[{ name = "ann", sha256 = "${sha256('a key of ann')}" }]`;
  const { tab } = await opened(t, '/websocket-test', { env: { CARILLON_AUTH__MODE: 'api_key', CARILLON_AUTH__API_KEYS: keys } });
  await tab.getByRole('button', { name: 'Connect', exact: true }).click();
  await reads(tab, '#status', ASKED);
  await shows(tab, 'a key of ann');
  await reads(tab, '#status', /^Connected - Socket ID: /);
  for (const namespace of ['/health', '/monitoring']) await reads(tab, '#output', new RegExp(`Connected to namespace ${namespace}`));
  await tab.getByText('Send any event').click();
  await tab.getByLabel('Namespace').fill('/echo');
  await tab.getByLabel('Event', { exact: true }).fill('say');
  await tab.getByRole('button', { name: 'Send', exact: true }).click();
  await reads(tab, '#output', /Answer of \/echo to say/);
});
