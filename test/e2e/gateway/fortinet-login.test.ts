/**
 * Log-ins of Fortinet's kind with a second factor, by Debian's openconnect 9.01 and by our client, through the whole gateway.
 *
 * Read first: spec "Fortinet", section 2.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HOTP, Secret } from 'otpauth';
import { ALICE } from '../../support/ocserv.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { ALICES_LINE, type LoginLab } from '../login-lab.ts';
import { skip } from '../tunnel-scene.ts';
import { openLogin } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: HANG_LIMIT };

const PROTOCOLS = { 'vpn-protocols': 'fortinet anyconnect' };
const COOKIE = /^SVPNCOOKIE=\S{40,}\n$/;
const KEY = Buffer.from('12345678901234567890'); // RFC 4226, appendix D

const asAlice = (login: LoginLab): string[] => ['--protocol=fortinet', '--cookieonly', '--user', ALICE.name, ...login.pinned];

for (const who of ['openconnect', 'our client'] as const) {
  describe(`log-in to our gateway by ${who} --protocol=fortinet`, OPTIONS, () => {
    const run = (login: LoginLab, input: string) =>
      who === 'openconnect' ? login.runPeer(asAlice(login), { input }) : login.run(asAlice(login), { input });

    it('asks for a code after the password', async () => {
      await using login = await openLogin({
        ...{ login: 'password-and-code', users: [{ ...ALICE, otp: { kind: 'HOTP', secret: KEY } }], settings: PROTOCOLS },
      });
      login.secrets.add(KEY.toString('hex'));
      const code = HOTP.generate({ secret: new Secret({ buffer: Uint8Array.from(KEY).buffer }), counter: 0 });
      const good = await run(login, `${ALICES_LINE}${code}\n`);
      assert.equal(good.code, 0, good.output);
      assert.match(good.stdout, COOKIE);
      assert.equal((await login.ocserv.control.sessions()).length, 1);
      assert.notEqual((await run(login, `${ALICES_LINE}000000\n`)).code, 0);
    });
  });
}
