//! The types for TypeScript: a client's program that keeps to them compiles, and one that does not is refused.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { runToEnd, start, tempFolder } from './lib/server.mjs';

const root = resolve(import.meta.dirname, '../../..');
// What builds the pages; `make web` has installed it.
const TSC = join(root, 'server/web/node_modules/.bin/tsc');
const modules = join(root, 'server/web/node_modules');

const HEAD = `import { io, type Socket } from "socket.io-client";
import type { Emit, Listen } from "./types";
const echo: Socket<Listen<"/echo">, Emit<"/echo">> = io("http://127.0.0.1/echo");
const monitoring: Socket<Listen<"/monitoring">, Emit<"/monitoring">> = io("http://127.0.0.1/monitoring");
`;

/** What a program may say, each line by itself. */
const RIGHT = [
  'monitoring.on("cluster_metrics", (metrics) => { const cpu: number = metrics.cluster_stats.avg_cpu; });',
  'monitoring.on("cluster_metrics", ({ nodes }) => { const used: number = Array.isArray(nodes) ? nodes[0]!.cpu_usage : nodes["a"]!.cpu_usage; });',
  'monitoring.emit("request_nodes_status", {}, (answer) => { if (answer.ok) { const name: string = answer.data.data[0]!.node; } });',
  'const status = await monitoring.emitWithAck("request_nodes_status", {}); if (!status.ok) { const code: string = status.error.code; }',
  'const late = await echo.emitWithAck("say", { text: "" }); if (!late.ok && late.error.code === "rate_limited") setTimeout(() => {}, late.error.retry_after_ms ?? 0);',
  'const said = await echo.emitWithAck("say", { text: "hello" }); if (said.ok) { const text: string = said.data.text; }',
];

/** What it may not, and the number of TypeScript's complaint. */
const WRONG = [
  ['await echo.emitWithAck("say", { txt: "hello" });', 'TS2561'],
  ['await echo.emitWithAck("say", { text: 1 });', 'TS2322'],
  ['await echo.emitWithAck("sya", { text: "hello" });', 'TS2345'],
  ['const said = await echo.emitWithAck("say", { text: "hello" }); said.data;', 'TS2339'],
  ['monitoring.on("cluster_metrics", (metrics) => metrics.cluster_stats.average);', 'TS2339'],
  ['monitoring.on("cluster_metrics", ({ nodes }) => nodes["a"]);', 'TS7053'],
  ['const said = await echo.emitWithAck("say", { text: "" }); if (!said.ok && said.error.code === "rate_limit") {}', 'TS2367'],
  ['monitoring.on("cluster_metrcs", () => {});', 'TS2345'],
  ['echo.emit("say", { text: "hello" }, "and more");', 'TS2345'],
  ['echo.emit("say", { text: "hello" }, (answer: number) => {});', 'TS2345'],
  ['const other: Listen<"/ehco"> = {};', 'TS2344'],
];

/** Compiles files, as strictly as it goes, and returns what is said about them. */
function compile(t, files) {
  const folder = tempFolder(t);
  symlinkSync(modules, join(folder, 'node_modules'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const options = ['--noEmit', '--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes', '--target', 'es2022',
    '--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2022,dom', '--pretty', 'false'];
  const { status, stdout, stderr, error } = spawnSync(TSC, [...options, ...Object.keys(files)], { cwd: folder, encoding: 'utf8' });
  assert.equal(error, undefined, 'run `make web` first');
  return { status, said: stdout + stderr };
}

test('a program of stock socket.io-client that keeps to the types compiles, and expects that mistakes do not', (t) => {
  const types = readFileSync(join(root, 'docs/reference/types.d.ts'), 'utf8');
  const { status, said } = compile(t, {
    // As a source file it is checked itself, which declarations of libraries are not.
    'types.ts': types,
    'right.ts': HEAD + RIGHT.map((line) => `{ ${line} }`).join('\n'),
    'expected.ts': HEAD + WRONG.map(([line]) => `// @ts-expect-error\n{ ${line} }`).join('\n'),
  });
  assert.equal(said, '');
  assert.equal(status, 0);
});

test('each mistake is refused for its own reason', (t) => {
  const types = readFileSync(join(root, 'docs/reference/types.d.ts'), 'utf8');
  const first = HEAD.split('\n').length;
  const { status, said } = compile(t, { 'types.ts': types, 'wrong.ts': HEAD + WRONG.map(([line]) => `{ ${line} }`).join('\n') });
  assert.notEqual(status, 0);
  const found = [...said.matchAll(/^wrong\.ts\((\d+),\d+\): error (TS\d+)/gm)].map(([, line, code]) => [WRONG[line - first]?.[0], code]);
  assert.deepEqual(found, WRONG);
});

test('a server hands out the types and the document as the command line prints them', async (t) => {
  const server = await start(t, {});
  for (const [path, kind, args] of [
    ['/types.d.ts', 'application/typescript; charset=utf-8', ['types', 'ts']],
    ['/asyncapi.json', 'application/json', ['asyncapi']],
  ]) {
    const response = await server.fetch(path);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), kind);
    const text = await response.text();
    assert.equal(text, (await runToEnd('carillon', args)).out);
  }
});

test('whoever has the types and the document already is not sent them again, also by a server started anew', async (t) => {
  const [first, second] = [await start(t, {}), await start(t, {})];
  const other = await start(t, { env: { CARILLON_PLUGINS__ECHO__ENABLED: 'false' } });
  for (const path of ['/types.d.ts', '/asyncapi.json']) {
    const tag = (await first.fetch(path)).headers.get('etag');
    assert.match(tag, /^"[0-9a-f]+"$/);
    const headers = { 'if-none-match': tag };
    const again = await second.fetch(path, { headers });
    assert.deepEqual([again.status, again.headers.get('etag'), await again.text()], [304, tag, '']);
    const changed = await other.fetch(path, { headers });
    assert.equal(changed.status, 200);
    assert.notEqual(changed.headers.get('etag'), tag);
    await changed.text();
  }
});

test('the types are those of the plugins that are enabled', async () => {
  const { code, out } = await runToEnd('carillon', ['types', 'ts'], { env: { CARILLON_PLUGINS__ECHO__ENABLED: 'false' } });
  assert.equal(code, 0);
  assert.ok(out.includes('"/health"') && !out.includes('"/echo"'), out);
});

test('where clients show tokens and come back, the types know the token, the event for a newer one, and offsets', async (t) => {
  const env = {
    CARILLON_AUTH__MODE: 'jwt', CARILLON_AUTH__KEY: 'k'.repeat(32),
    CARILLON_JOURNAL__NAMESPACES: '["/monitoring"]', CARILLON_JOURNAL__RECOVERY: '["/monitoring"]',
  };
  const { code, out } = await runToEnd('carillon', ['types', 'ts'], { env });
  assert.equal(code, 0);
  const lines = [
    'const { auth } = {} as { auth: Namespaces["/echo"]["auth"] }; const token: string | null | undefined = auth.token;',
    'const newer = await echo.emitWithAck("refresh_token", { token: "t" }); if (newer.ok) { const end: number | null | undefined = newer.data.exp; }',
    'monitoring.on("cluster_metrics", (metrics, offset) => { const at: string | null | undefined = offset; const cpu: number = metrics.cluster_stats.avg_cpu; });',
    '// @ts-expect-error\n await echo.emitWithAck("refresh_token", {});',
    '// @ts-expect-error\n echo.on("error", (failed, offset) => {});',
  ];
  const head = HEAD.replace('{ Emit, Listen }', '{ Emit, Listen, Namespaces }');
  assert.deepEqual(compile(t, { 'types.ts': out, 'tokens.ts': head + lines.map((line) => `{ ${line} }`).join('\n') }), { status: 0, said: '' });
});
