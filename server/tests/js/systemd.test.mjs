//! The unit file that comes along, judged by systemd's own tool.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { programPath, tempFolder } from './lib/server.mjs';

const UNIT = resolve(import.meta.dirname, '../../../config/systemd/carillon.service');
/** The most that the service may be exposed, in tenths of systemd's points, of which 100 are the worst. */
const EXPOSURE = 25;

test('the unit is one that systemd understands, and the service is not exposed', (t) => {
  const installed = join(tempFolder(t), 'carillon.service');
  const text = readFileSync(UNIT, 'utf8');
  // Where the tests run the program is not installed.
  const here = text.replace('ExecStart=/usr/bin/carillon ', `ExecStart=${programPath('carillon')} `);
  assert.notEqual(here, text);
  writeFileSync(installed, here);
  for (const args of [['verify', installed], ['security', '--offline=true', `--threshold=${EXPOSURE}`, '--no-pager', installed]]) {
    const { status, stdout, stderr, error } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
    assert.equal(error, undefined);
    assert.equal(status, 0, `${args[0]}: ${stdout}${stderr}`);
    assert.equal(stderr, '', args[0]);
  }
});
