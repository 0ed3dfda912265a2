//! The service that comes along: its unit, judged by systemd's own tool, and the settings of its package.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { programPath, runToEnd, tempFolder } from './lib/server.mjs';

const config = resolve(import.meta.dirname, '../../../config');
const UNIT = join(config, 'systemd/carillon.service');
/** The most that the service may be exposed, in tenths of systemd's points, of which 100 are the worst. */
const EXPOSURE = 20;

test('the unit is one that systemd understands, and the service is not exposed', (t) => {
  const installed = join(tempFolder(t), 'carillon.service');
  const text = readFileSync(UNIT, 'utf8');
  // Where the tests run the program is not installed.
  const here = text.replaceAll(/(?<=^Exec\w+=)\/usr\/bin\/carillon /gm, `${programPath('carillon')} `);
  assert.notEqual(here, text);
  writeFileSync(installed, here);
  for (const args of [['verify', installed], ['security', '--offline=true', `--threshold=${EXPOSURE}`, '--no-pager', installed]]) {
    const { status, stdout, stderr, error } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
    assert.equal(error, undefined);
    assert.equal(status, 0, `${args[0]}: ${stdout}${stderr}`);
    assert.equal(stderr, '', args[0]);
  }
});

test('the settings of the package are valid, as they are and with every example in force', async (t) => {
  const text = readFileSync(join(config, 'debian/carillon.toml'), 'utf8');
  const inForce = text.replace(/^# (?=\[|\w+ = )/gm, '');
  for (const [settings, changed] of [[text, 0], [inForce, 7]]) {
    const file = join(tempFolder(t), 'carillon.toml');
    writeFileSync(file, settings);
    const { code, out, err } = await runToEnd('carillon', ['check', '-v', '--config', file]);
    assert.equal(code, 0, err);
    assert.equal(out.split('\n').filter((line) => line.includes(file)).length, changed, out);
  }
});
