/**
 * Log-ins of F5's kind: names, passwords, domains and one-time codes, by Debian's openconnect 9.01 and by our client.
 *
 * Read first: spec "F5", section 2.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HOTP, Secret } from 'otpauth';
import { ALICE, type OcservUser } from '../../support/ocserv.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { ALICES_LINE, type LoginLab } from '../login-lab.ts';
import { skip } from '../tunnel-scene.ts';
import { openLogin } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: HANG_LIMIT };

const PROTOCOLS = { 'vpn-protocols': 'f5 anyconnect' };
const COOKIE = /^MRHSession=[0-9a-f]{64}; F5_ST=1z1z1z\d{10}z\d+\n$/;

const asUser = (login: LoginLab, user: string): string[] => ['--protocol=f5', '--cookieonly', '--user', user, ...login.pinned];

for (const who of ['openconnect', 'our client'] as const) {
  describe(`log-in to our gateway by ${who} --protocol=f5`, OPTIONS, () => {
    const run = (login: LoginLab, args: readonly string[], input: string) =>
      who === 'openconnect' ? login.runPeer([...args], { input }) : login.run([...args], { input });

    it('lets in with the right password after a wrong one', async () => {
      await using login = await openLogin({ settings: PROTOCOLS });
      login.secrets.add('a guess');
      const { code, stdout, output } = await run(login, asUser(login, ALICE.name), `a guess\n${ALICES_LINE}`);
      assert.equal(code, 0, output);
      assert.match(output, /Login failed\./);
      assert.match(stdout, COOKIE);
      assert.equal((await login.ocserv.control.sessions()).length, 1);
    });

    it('has groups as domains', async () => {
      const bob: OcservUser = { name: 'bob', password: 'bobs secret', groups: ['staff', 'admins'] };
      const settings = { ...PROTOCOLS, 'select-group': ['staff[Staff people]', 'admins[Admin people]'] };
      await using login = await openLogin({ users: [bob], settings });
      login.secrets.add(bob.password);
      for (const [label, group] of [
        ['Staff people', 'staff'],
        ['Admin people', 'admins'],
      ] as const) {
        const { code, output } = await run(login, ['--authgroup', label, ...asUser(login, 'bob')], `${bob.password}\n`);
        assert.equal(code, 0, output);
        assert.equal((await login.ocserv.control.sessions()).at(-1)?.Groupname, group);
      }
    });

    it('asks for a code on a page of its own', async () => {
      const key = Buffer.from('12345678901234567890'); // RFC 4226, appendix D
      await using login = await openLogin({
        ...{ login: 'password-and-code', users: [{ ...ALICE, otp: { kind: 'HOTP', secret: key } }], settings: PROTOCOLS },
      });
      login.secrets.add(key.toString('hex'));
      const code = HOTP.generate({ secret: new Secret({ buffer: Uint8Array.from(key).buffer }), counter: 0 });
      const good = await run(login, asUser(login, ALICE.name), `${ALICES_LINE}${code}\n`);
      assert.equal(good.code, 0, good.output);
      assert.match(good.stdout, COOKIE);
      assert.notEqual((await run(login, asUser(login, ALICE.name), `${ALICES_LINE}000000\n`)).code, 0);
    });
  });
}
