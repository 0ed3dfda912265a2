//! What keeps the server from starting, said in one clear line with the right exit code; and what it says when it starts.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startRedis } from './lib/redis.mjs';
import { runToEnd, start, tempFolder } from './lib/server.mjs';

/** Asserts that a command ends with `code` and that what it says matches, without a panic or a backtrace. */
async function fails(args, code, pattern, options) {
  const { code: got, out, err } = await runToEnd('carillon', args, options);
  assert.equal(got, code, `carillon ${args.join(' ')} said: ${out}${err}`);
  assert.match(err, pattern);
  assert.doesNotMatch(err, /panicked|RUST_BACKTRACE/);
  return err.trimEnd().split('\n').filter((line) => line !== '');
}

test('port taken: one clear line, exit code 1', async (t) => {
  const holder = createServer();
  await new Promise((done) => holder.listen(0, '127.0.0.1', done));
  t.after(() => holder.close());
  const address = `127.0.0.1:${holder.address().port}`;
  const lines = await fails(['serve', '--listen', address], 1, new RegExp(address.replaceAll('.', '\\.')));
  assert.match(lines.at(-1), new RegExp(`${address.replaceAll('.', '\\.')}.*(in use|taken)`));
});

test('a configuration file that is missing, is a folder, or is not UTF-8: one clear line, exit code 78', async (t) => {
  const folder = tempFolder(t);
  const binary = join(folder, 'binary.toml');
  writeFileSync(binary, Buffer.from([0x5b, 0xff, 0xfe, 0x5d]));
  for (const file of [join(folder, 'absent.toml'), folder, binary]) {
    const lines = await fails(['serve', '--config', file], 78, new RegExp(file.replaceAll('.', '\\.')));
    assert.equal(lines.length, 1, lines.join('\n'));
  }
});

test('a configuration file that is not TOML: the place of the mistake, exit code 78', async (t) => {
  const file = join(tempFolder(t), 'carillon.toml');
  writeFileSync(file, '[server]\nlisten = \n');
  await fails(['serve', '--config', file], 78, /carillon\.toml.*2/s);
});

test('an unknown log format, flag or command: one clear line, exit code 2', async () => {
  await fails(['serve', '--log-format', 'xml'], 2, /xml.*json|json.*xml/s);
  await fails(['serve', '--lisen', '127.0.0.1:0'], 2, /--lisen/);
  await fails(['sereve'], 2, /sereve/);
});

test('a setting that cannot be used, wherever it comes from: exit code 78', async () => {
  await fails(['serve', '--listen', 'nowhere'], 78, /server\.listen.*nowhere.*--listen/);
  await fails(['serve', '--bus', 'carrier-pigeon://loft'], 78, /bus\.url.*carrier-pigeon/);
  await fails(['check'], 78, /log\.format/, { env: { CARILLON_LOG__FORMAT: 'xml' } });
});

test('all mistakes of all sections are reported together, each with its path, a hint and its source', async (t) => {
  const file = join(tempFolder(t), 'carillon.toml');
  writeFileSync(file, [
    '[server]', 'lisen = "127.0.0.1:1"', 'ping_interval_ms = 1', // two mistakes in one section
    '[log]', 'level = 7', // a wrong type
    '[plugins.monitering]', 'interval_ms = 1000', // an unknown plugin
    '[drain]', 'pre_delay_ms = 20000', 'window_ms = 20000', 'deadline_ms = 1000', // an error across fields
  ].join('\n'));
  const lines = await fails(['check', '--config', file], 78, /./, { env: { CARILLON_ROUTER__QUEUE_EVENTS: 'many' } });
  const expected = [
    /^server\.lisen: .*\(did you mean `listen`\?\) \[.*carillon\.toml:2:1\]$/,
    /^server\.ping_interval_ms: .*\(.*\) \[.*carillon\.toml:3:1\]$/,
    /^log\.level: .*\(.*\) \[.*carillon\.toml:5:1\]$/,
    /^plugins\.monitering: .*\(did you mean `monitoring`\?\) \[.*carillon\.toml:6:10\]$/,
    /^drain\.deadline_ms: .*\(.*\) \[.*carillon\.toml:11:1\]$/,
    /^router\.queue_events: .*\(.*\) \[environment variable CARILLON_ROUTER__QUEUE_EVENTS\]$/,
  ];
  for (const pattern of expected) assert.ok(lines.some((line) => pattern.test(line)), `${pattern} is missing:\n${lines.join('\n')}`);
  assert.equal(lines.length, expected.length, lines.join('\n'));
});

test('what only the settings together show is told with all else, each with its place and the fix', async (t) => {
  const file = join(tempFolder(t), 'carillon.toml');
  writeFileSync(file, [
    '[auth]', 'mode = "jwt"', 'key = "short"',
    '[limits]', 'events = [', '  { namespace = "/echo", event = "sya", per_s = 1, burst = 5 },', '  { namespace = "/nope", event = "say", per_s = 1, burst = 5 },', ']',
    '[log]', 'level = 7',
  ].join('\n'));
  const expected = [
    /^auth\.key: a secret for HS256 has at least 32 bytes: .*openssl rand.* \[.*carillon\.toml:3:1\]$/,
    /^limits\.events\[0\]\.event: \/echo has no event "sya" \(did you mean `say`\?\) \[.*carillon\.toml:6:\d+\]$/,
    /^limits\.events\[1\]\.namespace: no plugin serves "\/nope" \(there are: `\/echo`, .*\) \[.*carillon\.toml:7:\d+\]$/,
    /^log\.level: .* \[.*carillon\.toml:10:1\]$/,
  ];
  for (const command of ['check', 'serve']) {
    const lines = await fails([command, '--config', file], 78, /./);
    assert.equal(lines.length, expected.length, lines.join('\n'));
    expected.forEach((pattern, at) => assert.match(lines[at], pattern));
  }
  // Alone they look alike, and an access without a mode is one of them.
  writeFileSync(file, '[plugins.echo]\naccess = "operator"\n');
  const [line, ...more] = await fails(['check', '--config', file], 78, /./);
  assert.match(line, /^plugins\.echo\.access: no client has a role .* \(set auth\.mode .*\) \[.*carillon\.toml:2:1\]$/);
  assert.deepEqual(more, []);
  // What may follow from another mistake alone is not told.
  writeFileSync(file, '[auth]\nmode = "jwtt"\n[plugins.echo]\naccess = "operator"\n[server]\nlisten = "0.0.0.0:1"\n');
  const follows = await fails(['check', '--config', file], 78, /^auth\.mode: .*did you mean `jwt`/);
  assert.equal(follows.length, 1, follows.join('\n'));
});

test('-v tells where every setting comes from', async (t) => {
  const server = await start(t, { args: ['-v'], config: '[bus]\nrequired = true\n', env: { CARILLON_ROUTER__QUEUE_EVENTS: '32' } });
  const text = server.log.join('\n');
  assert.match(text, /server\.listen.*--listen/);
  assert.match(text, /router\.queue_events.*32.*CARILLON_ROUTER__QUEUE_EVENTS/);
  assert.match(text, /bus\.required = true.*carillon\.toml:2/);
  assert.match(text, /router\.queue_bytes.*default/);
});

test('logs are one JSON object a line where that is asked for', async (t) => {
  const server = await start(t, { args: ['--log-format', 'json'] });
  assert.ok(server.log.length > 0);
  for (const line of server.log) assert.doesNotThrow(() => JSON.parse(line), line);
});

test('among JSON logs numbers are numbers, and nothing is said of lines that were not left out', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--log-format', 'json', '--bus', redis.url] });
  await server.logged(/Redis delivers/);
  const line = JSON.parse(server.log.find((line) => line.includes('Redis delivers')));
  assert.equal(typeof line.after_ms, 'number');
  assert.ok(!('left_out' in line), JSON.stringify(line));
});

test('among JSON logs mistakes are JSON lines too, whatever the log level', async () => {
  const env = { CARILLON_LOG__FORMAT: 'json', CARILLON_LOG__LEVEL: 'off', CARILLON_SERVER__WORKERS: 'many', CARILLON_NONSENSE: '1' };
  for (const command of ['check', 'serve']) {
    const { code, out, err } = await runToEnd('carillon', [command], { env });
    assert.equal(code, 78);
    assert.equal(out, '');
    const lines = err.trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(lines.map(({ level, key }) => [level, key]), [['ERROR', 'nonsense'], ['ERROR', 'server.workers']]);
    assert.equal(lines[1].source, 'environment variable CARILLON_SERVER__WORKERS');
    assert.match(lines[1].hint, /the default is/);
  }
  // What only the plugins together know.
  const { code, err } = await runToEnd('carillon', ['check'], { env: { CARILLON_LOG__FORMAT: 'json', CARILLON_BUS__URL: 'redis:///' } });
  assert.equal(code, 78);
  const { key, message, source } = JSON.parse(err);
  assert.deepEqual([key, source], ['bus.url', 'environment variable CARILLON_BUS__URL']);
  assert.match(message, /^names no host/);
});

test('check -v prints the effective configuration with its sources, and starts nothing', async (t) => {
  const folder = tempFolder(t);
  const [file, secret] = [join(folder, 'carillon.toml'), join(folder, 'password')];
  writeFileSync(secret, 'hush\n');
  writeFileSync(file, `[server]\nlisten = "localhost:9"\n[bus]\nurl = "redis://cache.example"\npassword_file = "${secret}"\n`);
  const { code, out, err } = await runToEnd('carillon', ['check', '-v', '--config', file], { env: { CARILLON_SERVER__WORKERS: '3' } });
  assert.equal(code, 0, err);
  const lines = out.trimEnd().split('\n');
  assert.equal(lines.at(-1), 'the configuration is valid');
  for (const line of [
    `server.listen = "localhost:9" [${file}:2:1]`, 'server.workers = 3 [environment variable CARILLON_SERVER__WORKERS]',
    `bus.password = "***" [${file}:5:1]`, 'router.queue_events = 64 [default]', 'plugins.echo.enabled = true [default]',
  ]) assert.ok(lines.includes(line), `${line} is missing:\n${out}`);
  assert.ok(!out.includes('hush'));
});

test('it listens under a host name, and a refusal says what is allowed', async (t) => {
  const server = await start(t, { listen: 'localhost:0' });
  assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  await fails(['serve', '--listen', 'localhost'], 78, /server\.listen: a port is missing: .*127\.0\.0\.1:8085.*localhost:8085.*--listen/);
  await fails(['serve', '--listen', 'no-such-host.invalid:0'], 1, /cannot listen on no-such-host\.invalid:0: the name .* has no address/);
});

test('the start line tells program, version, revision, bus and address', async (t) => {
  const server = await start(t, { args: ['--log-format', 'json'] });
  const line = JSON.parse(server.log.find((line) => line.includes('listening on')));
  assert.equal(line.message, `listening on ${server.url}`);
  assert.match(line.version, /^\d+\.\d+\.\d+/);
  assert.match(line.revision, /^[0-9a-f]{12}$/, 'a build from git knows its revision');
  assert.deepEqual([line.program, line.bus], ['carillon', 'memory']);
});

test('--version and --help answer and exit 0', async () => {
  const version = await runToEnd('carillon', ['--version']);
  assert.equal(version.code, 0);
  assert.match(version.out, /^carillon \d+\.\d+\.\d+/);
  const help = await runToEnd('carillon', ['--help']);
  assert.equal(help.code, 0);
  for (const command of ['serve', 'check', 'plugins', 'config']) assert.match(help.out, new RegExp(`\\b${command}\\b`));
});
