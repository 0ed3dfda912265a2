//! A clock on the wall that jumps, for one process; what measures time goes on evenly, as it does when a real one is set.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolder } from './server.mjs';

/** One that is right at first: `env` is what a process needs to see it, `jump(seconds)` sets it so far from the true time. */
export function openClock(t) {
  const file = join(tempFolder(t), 'clock');
  const jump = (seconds) => writeFileSync(file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`);
  jump(0);
  const library = execFileSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD'], { encoding: 'utf8' }).trim();
  const env = { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1', NO_FAKE_STAT: '1' };
  return { env, jump };
}
