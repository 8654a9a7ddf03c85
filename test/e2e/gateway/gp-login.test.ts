/**
 * Log-ins at a portal with a second factor, by Debian's openconnect 9.01 and by our client, through the whole gateway: once, and nothing at the gateway
 * that is chosen there.
 *
 * Read first: spec "GlobalProtect", sections 5 and 7.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HOTP, Secret } from 'otpauth';
import { ALICE } from '../../support/ocserv.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { ALICES_LINE } from '../login-lab.ts';
import { skip } from '../tunnel-scene.ts';
import { openLogin } from './gateway-scene.ts';

const KEY = Buffer.from('12345678901234567890'); // RFC 4226, appendix D

describe('a log-in at our gateway’s portal', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  for (const who of ['openconnect', 'our client'] as const) {
    it(`${who} --protocol=gp gives a password and a code to the portal, and neither to the gateway`, async () => {
      await using login = await openLogin({
        ...{ login: 'password-and-code', users: [{ ...ALICE, otp: { kind: 'HOTP', secret: KEY } }] },
        settings: { 'vpn-protocols': 'anyconnect gp', portal: true, 'portal-gateway': ['127.0.0.1:9 Nowhere', '198.51.100.2 Berlin'] },
      });
      login.secrets.add(KEY.toString('hex'));
      const code = HOTP.generate({ secret: new Secret({ buffer: Uint8Array.from(KEY).buffer }), counter: 0 });
      const args = ['--protocol=gp', '--cookieonly', '--user', ALICE.name, '--authgroup=Berlin', ...login.pinned];
      // The code is good once: a second question would end in a refusal.
      const input = { input: `${ALICES_LINE}${code}\n` };
      const { code: status, stdout, output } = who === 'openconnect' ? await login.runPeer(args, input) : await login.run(args, input);
      assert.equal(status, 0, output);
      assert.match(stdout, /^authcookie=[0-9a-f]{64}&portal=sallyport&user=alice&/);
      assert.equal((await login.ocserv.control.sessions()).length, 1);
    });
  }
});
