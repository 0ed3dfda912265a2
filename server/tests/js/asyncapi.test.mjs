//! The AsyncAPI document, judged by AsyncAPI's own parser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { Parser } from '@asyncapi/parser';
import { runToEnd } from './lib/server.mjs';

const REFERENCE = resolve(import.meta.dirname, '../../../docs/reference/asyncapi.json');
/** From here on it is a remark: that there is a newer version of AsyncAPI, say. */
const REMARK = 2;

/** What the parser makes of a document, and the errors and warnings it has, as `path: message`. */
async function judge(text) {
  const { document, diagnostics } = await new Parser().parse(text);
  const found = diagnostics.filter(({ severity }) => severity < REMARK).map(({ path, message }) => `${path.join('.')}: ${message}`);
  return { document, found };
}

test("the document of Carillon's own plugins has no error and no warning, and each namespace is a channel", async () => {
  const { document, found } = await judge(readFileSync(REFERENCE, 'utf8'));
  assert.deepEqual(found, []);
  assert.equal(document.version(), '3.0.0');
  const addresses = document.channels().all().map((channel) => channel.address());
  assert.deepEqual(addresses.filter((address) => ['/', '/echo', '/health', '/monitoring'].includes(address)).sort(), ['/', '/echo', '/health', '/monitoring']);
});

test('neither has that of a program with plugins of its own, with attachments, catch-alls and events without schemas', async () => {
  const { code, out } = await runToEnd('fixture', ['asyncapi']);
  assert.equal(code, 0);
  const { document, found } = await judge(out);
  assert.deepEqual(found, []);
  assert.ok(document.channels().all().some((channel) => channel.address() === '/proto'));
});

test('a document that is none is found out', async () => {
  const broken = JSON.parse(readFileSync(REFERENCE, 'utf8'));
  const [operation] = Object.values(broken.operations);
  operation.action = 'shout';
  assert.notDeepEqual((await judge(JSON.stringify(broken))).found, []);
});
