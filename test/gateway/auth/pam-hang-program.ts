/** A log-in by PAM whose module never answers, for a test in a namespace: given up when the module has made this file. Prints the verdict. */
import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { silentLogger } from '../../../src/core/log.ts';
import { PamBackEnd } from '../../../src/gateway/auth/pam-back-end.ts';
import { ip } from './auth-scene.ts';

const DEADLINE = 15_000;

const [, , mark = ''] = process.argv;
const login = new PamBackEnd({ log: silentLogger }).login({
  user: 'alice',
  remote: ip('192.0.2.7'),
  local: ip('192.0.2.1'),
  userAgent: '',
});
const verdict = login.begin();
const deadline = Date.now() + DEADLINE;
while (!existsSync(mark) && Date.now() < deadline) await setImmediate();
login.close();
console.log((await verdict).type);
