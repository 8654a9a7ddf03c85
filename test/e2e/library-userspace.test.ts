/** The library without root: sockets inside the VPN for one process, against the real ocserv, as an ordinary user with no capabilities. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Lab } from '../support/lab.ts';
import { ALICE } from '../support/ocserv.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { assertUnchanged, takeSnapshot } from '../support/snapshot.ts';
import { makeAuthority, makeServerCertificate } from '../support/throwaway-certificates.ts';
import { skip, TunnelScene } from './tunnel-scene.ts';

const PROGRAM = path.join(import.meta.dirname, 'userspace-program.ts');
const ROOT = path.resolve(import.meta.dirname, '../..');
const EXAMPLE = path.join(ROOT, 'examples/userspace/fetch-inside.mjs');
const HIDE_KOFFI = path.join(ROOT, 'test/node/ffi/hide-koffi.ts');
const INSIDE_PROGRAM = path.join(import.meta.dirname, 'inside-program.ts');
const NOBODY = 65534;
const WEB = [{ address: '10.77.0.1', family: 4 }];

describe('connect() with device "userspace"', { skip: skip || missing('setpriv'), concurrency: 2, timeout: HANG_LIMIT }, () => {
  for (const transport of ['tls', 'dtls']) {
    it(`has sockets, names, fetch and a server inside the VPN, by ${transport}, and changes nothing on the machine`, async () => {
      await using scene = await TunnelScene.open({ settings: { dns: ['10.77.0.1'], 'default-domain': 'corp.test' } });
      const { client, gateway, ocserv, lab } = scene;
      const authority = await startInside(lab);
      const ids = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--no-new-privs'];
      const words = [process.execPath, PROGRAM, gateway, ocserv.pin, ALICE.password, authority, transport];
      const program = await client.start('setpriv', [...ids, ...words]);
      const { code, stdout, output } = await program.finish({ within: 60_000 });
      assert.equal(code, 0, output);
      const said = Object.assign(
        {},
        ...stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
      );
      assert.deepEqual(said, {
        user: NOBODY,
        capabilities: '0000000000000000',
        transport,
        device: null,
        ping: 56,
        lookup: WEB,
        searched: WEB,
        truncated: WEB,
        unknown: 'ENOTFOUND',
        echo: true,
        refused: 'ECONNREFUSED',
        tls: true,
        fetch: 'over the tunnel',
        host: 'web.corp.test:8080',
        https: 'with TLS',
        untrusted: said.untrusted,
        called: 'hello from inside',
        outlived: 'before and after',
        aborted: 'ERR_CANCELLED',
        over: true,
      });
      assert.match(said.untrusted, /CERT|SIGNATURE|ALTNAME/);
      assertUnchanged(scene.before, await takeSnapshot(client));
      await ocserv.control.assertNoSessions();
    });
  }

  it('runs as examples/userspace has it, with the packet engine and, without koffi, by the main thread alone', async () => {
    await using scene = await TunnelScene.open({ settings: { dns: ['10.77.0.1'], 'default-domain': 'corp.test' } });
    const { client, gateway, ocserv, lab } = scene;
    await startInside(lab);
    const file = path.join(lab.folder, 'fetch-inside.mjs');
    copyFileSync(EXAMPLE, file);
    mkdirSync(path.join(lab.folder, 'node_modules'));
    symlinkSync(ROOT, path.join(lab.folder, 'node_modules/sallyport'));
    const words = [file, `https://${gateway}`, ALICE.name, 'http://web.corp.test:8080/', ocserv.pin];
    for (const flags of [[], ['--import', HIDE_KOFFI]]) {
      const { code, stdout, output } = await client.finish(process.execPath, [...flags, ...words], { input: `${ALICE.password}\n` });
      assert.equal(code, 0, output);
      assert.equal(stdout, '200 \n');
    }
    assertUnchanged(scene.before, await takeSnapshot(client));
  });
});

/** What is behind the gateway. Its authority's certificate. */
async function startInside(lab: Lab): Promise<string> {
  const authority = await makeAuthority(lab.folder, 'inside-ca');
  const { certificate, key } = await makeServerCertificate(lab.folder, authority, ['inside.test'], 'inside');
  const inside = await lab.server.start(process.execPath, [INSIDE_PROGRAM, certificate, key, '10.77.0.1']);
  await inside.waitFor(/^inside$/m);
  chmodSync(lab.folder, 0o755);
  return authority.certificate;
}
