/** One log-in by PAM, for a test in a namespace: reads `{ user, answers, minGid }` as JSON, prints each verdict as a line of JSON. */
import { json } from 'node:stream/consumers';
import { silentLogger } from '../../../src/core/log.ts';
import { Secret } from '../../../src/core/secret.ts';
import { PamBackEnd } from '../../../src/gateway/auth/pam-back-end.ts';
import { ip } from './auth-scene.ts';

const { user, answers, minGid } = (await json(process.stdin)) as { user: string; answers: string[]; minGid: number };
const attempt = { user, remote: ip('192.0.2.7'), local: ip('192.0.2.1'), userAgent: 'test/1' };
const login = new PamBackEnd({ log: silentLogger, minGid }).login(attempt);
let verdict = await login.begin();
console.log(JSON.stringify(verdict));
for (const answer of answers) {
  if (verdict.type !== 'ask') break;
  verdict = await login.answer(new Secret(answer));
  console.log(JSON.stringify(verdict));
}
login.close();
