/** What our running gateway's scripts are told beside what ocserv's are told in the same scene, variable by variable; and what their verdict does. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ALICE } from '../../support/ocserv.ts';
import type { OcservSettings } from '../../support/ocserv-config.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { type SceneOptions, skip, TunnelScene } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: HANG_LIMIT };

/** Of the contract: everything else is the gateway's own environment. */
const VARIABLES =
  /^(?:REASON|VHOST|USERNAME|GROUPNAME|DEVICE|ID|HOSTNAME|REMOTE_HOSTNAME|USER_AGENT|IP_\w+|IPV6_\w+|DEVICE_\w+|OCSERV_\w+|STATS_\w+)=/;

/** An executable file for one test. */
function script(body: string) {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-'));
  const file = path.join(folder, 'script');
  writeFileSync(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return { file, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

type Open = (options: SceneOptions) => Promise<TunnelScene>;

/** What the scripts of one session were told, by their reason. */
async function told(open: Open, settings: OcservSettings): Promise<Record<string, string[]>> {
  using dump = script('env -0 > "$0-$REASON.new"; mv "$0-$REASON.new" "$0-$REASON"; echo "dumped $REASON"');
  const scripts = { 'connect-script': dump.file, 'disconnect-script': dump.file, 'host-update-script': dump.file };
  await using scene = await open({ command: OPENCONNECT, users: [{ ...ALICE, groups: ['staff'] }], settings: { ...settings, ...scripts } });
  const client = await scene.connect();
  await scene.ocserv.program.waitFor(/dumped host-update/);
  await client.disconnect();
  await scene.ocserv.program.waitFor(/dumped disconnect/);
  const reasons = ['connect', 'host-update', 'disconnect'];
  return Object.fromEntries(reasons.map((reason) => [reason, comparable(readFileSync(`${dump.file}-${reason}`, 'utf8'))]));
}

/** Without values that are different each time. */
function comparable(text: string): string[] {
  const lines = text.split('\0').filter((line) => VARIABLES.test(line));
  return lines.map((line) => line.replace(/^(ID|STATS_\w+)=\d+$/, '$1=a number').replace(/^(IPV6_LOCAL=[^%]*).*$/, '$1')).sort();
}

describe('the scripts of our gateway', OPTIONS, () => {
  const routed: OcservSettings = {
    dns: ['10.77.0.1', 'fd77::1', '9.9.9.9'],
    route: ['10.0.0.0/8', '192.168.1.0/255.255.255.0', 'fd99::/32'],
    'no-route': ['10.1.0.0/16', 'fd99:1::/48'],
  };
  for (const [name, settings] of [
    ['routes, no-routes and name servers', routed],
    ['IPv4 alone and a default route', { route: ['default'], 'ipv6-network': undefined, 'ipv6-subnet-prefix': undefined }],
  ] as const) {
    it(`are told what ocserv’s are: ${name}`, async () => {
      const [theirs, ours] = await Promise.all([told(TunnelScene.open, settings), told(openGateway, settings)]);
      assert.deepEqual(ours, theirs);
    });
  }

  it('turn a client away where the first of them fails, and give its address back', async () => {
    using no = script('echo "asked for $USERNAME"; exit 1');
    await using scene = await openGateway({ settings: { 'connect-script': no.file } });
    const client = await scene.start();
    const { code, output } = await client.program.finish();
    assert.equal(code, 2, output);
    assert.match(output, /401 Cookie is not acceptable/);
    await scene.ocserv.program.waitFor(/asked for alice/);
    assert.deepEqual(
      (await scene.ocserv.control.users()).filter(({ State }) => State === 'connected'),
      [],
    );
    await scene.assertNoTrace();
  });

  it('see a client that comes back leave and come, with the same addresses', async () => {
    using say = script('echo "script says $REASON $USERNAME $IP_REMOTE"');
    const scripts = { 'connect-script': say.file, 'disconnect-script': say.file };
    await using scene = await openGateway({ relay: {}, settings: scripts });
    const client = await scene.connect();
    const { ipv4 } = await client.configured();
    await scene.relay.resetTcp();
    await client.program.waitFor(/script reconnect ended with 0/);
    await client.disconnect();
    await scene.ocserv.stop();
    const said = [...scene.ocserv.log.matchAll(/script says (\S+) (\S+) (\S+)/g)].map(([, ...words]) => words.join(' '));
    assert.deepEqual(
      said,
      ['connect', 'disconnect', 'connect', 'disconnect'].map((reason) => `${reason} alice ${ipv4}`),
    );
  });
});
