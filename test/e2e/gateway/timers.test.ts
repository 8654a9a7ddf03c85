/**
 * What happens to a tunnel at our gateway as time passes: new keys, signs of life, limits. With openconnect.
 *
 * Read first: spec "AnyConnect", sections 9.1 (keepalive and DPD), 9.2 (the gateway's checks), 9.4 (rekey); spec "Gateway contract", section 2.3.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Capture, type CapturedPacket } from '../../support/capture.ts';
import type { OcservSettings } from '../../support/ocserv-config.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { cipherOfDatagrams, INSIDE, skip, type TunnelScene } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: sized(HANG_LIMIT, 900_000) };

/** Times up to 30 seconds are announced as they are, longer ones with a random offset. */
const REKEY_SECONDS = 3;

/** Sends datagrams both ways at once, a little more than one a millisecond. Throws if one came twice. */
async function lossBothWays(scene: TunnelScene, own: string, count: number): Promise<number[]> {
  const { near, far } = await scene.peers();
  const [there, here] = [await scene.target(INSIDE.ipv4), await near.listen(own)];
  const flow = { count, size: 1_000, burst: 1 };
  const reports = await Promise.all([near.sendDatagrams(there, flow), far.sendDatagrams(here, flow)]);
  for (const { doubled } of reports) assert.equal(doubled, 0);
  return reports.map(({ received }) => count - received);
}

describe('new keys at our gateway', OPTIONS, () => {
  const COUNT = sized(6_000, 60_000);
  const NEW_TUNNEL = { settings: { 'rekey-method': 'new-tunnel' } as const, said: /CSTP rekey due/g, isNewConnection: true };
  const TLS_1_2 = ['--gnutls-priority', 'NORMAL:-VERS-TLS1.3'];

  const ways: readonly {
    readonly name: string;
    readonly settings: OcservSettings;
    readonly args: readonly string[];
    readonly said: RegExp;
    readonly count?: number;
    /** What comes meanwhile is dropped: some tenths of a second, on a busy machine some more. */
    readonly isNewConnection?: boolean;
  }[] = [
    { name: 'by "new-tunnel", over DTLS', ...NEW_TUNNEL, args: [] },
    { name: 'by "new-tunnel", over TLS', ...NEW_TUNNEL, args: ['--no-dtls'] },
    { name: 'by "ssl", over TLS 1.3', settings: { 'rekey-method': 'ssl' }, args: ['--no-dtls'], said: /CSTP rekey due/g },
    {
      name: 'by "ssl", over TLS 1.2, which openconnect makes a new connection of',
      settings: { 'rekey-method': 'ssl' },
      args: ['--no-dtls', ...TLS_1_2],
      said: /CSTP rekey due/g,
      isNewConnection: true,
    },
    {
      name: 'by "ssl", of DTLS',
      // openconnect takes the last value; DTLS's own is ten seconds more than the stream's.
      settings: { 'rekey-method': 'ssl', 'custom-header': ['X-CSTP-Rekey-Time: 3000'] },
      args: [],
      said: /DTLS rekey due/g,
      count: 3 * COUNT,
    },
  ];
  for (const { name, settings, args, said, count = COUNT, isNewConnection = false } of ways) {
    it(`${name}, damage and double nothing and lose little`, async () => {
      await using scene = await openGateway({ settings: { 'rekey-time': REKEY_SECONDS, ...settings } });
      const client = await scene.connect({ args });
      const { ipv4 = '' } = await client.configured();
      const lost = await lossBothWays(scene, ipv4, count);
      const rekeys = client.program.output.match(said)?.length ?? 0;
      assert.ok(rekeys >= 1, client.program.describe());
      const limit = isNewConnection ? count / 2 : rekeys * 400;
      for (const own of lost) assert.ok(own < limit, `${own} of ${count} lost in ${rekeys} rekeys`);
      await scene.transfer(INSIDE.ipv6, { up: 2e6, down: 2e6 });
      await scene.disconnect(client);
    });
  }
});

describe('the bytes of a session at our gateway', OPTIONS, () => {
  for (const args of [[], ['--no-dtls']]) {
    it(`are what it moved, ${args.length === 0 ? 'by UDP too, where no packet passes the main thread' : 'over TLS'}`, async () => {
      await using scene = await openGateway();
      const client = await scene.connect({ args });
      if (args.length === 0) await cipherOfDatagrams(client);
      const amounts = { up: 3e6, down: 2e6 };
      await scene.transfer(INSIDE.ipv4, amounts);
      const [user] = await scene.ocserv.control.users();
      // Headers, acknowledgements and what was sent twice come on top.
      const [received, sent] = [Number(user?.RX), Number(user?.TX)];
      assert.ok(received > amounts.up && received < 1.5 * amounts.up, `${received} bytes received`);
      assert.ok(sent > amounts.down && sent < 1.5 * amounts.down, `${sent} bytes sent`);
      await scene.disconnect(client);
      const [, rx, tx] = await scene.ocserv.program.waitFor(/user disconnected .*received=(\d+) sent=(\d+)/);
      assert.ok(Number(rx) >= received && Number(tx) >= sent, `${rx}, ${tx} at the end`);
    });
  }
});

describe('a limit of our gateway', OPTIONS, () => {
  it('on idleness (idle-timeout) ends the tunnel', async () => {
    await using scene = await openGateway({ settings: { 'idle-timeout': 3 } });
    await quiet(scene);
    const client = await scene.connect();
    const { code, output } = await client.program.finish({ within: 60_000 });
    assert.equal(code, 1, output);
    await scene.ocserv.program.waitFor(/reason="idle timeout"/);
    await scene.assertNoTrace();
  });

  it('on idleness does not end one that is used', async () => {
    await using scene = await openGateway({ settings: { 'idle-timeout': 3 } });
    const client = await scene.connect();
    await cipherOfDatagrams(client);
    await scene.assertAnswers(INSIDE.ipv4, { count: 30, interval: 200, deadline: 20_000 });
    await scene.disconnect(client);
  });

  it('on a session (session-timeout) holds over reconnects', async () => {
    await using scene = await openGateway({ relay: {}, settings: { 'session-timeout': 8 } });
    const start = performance.now();
    const client = await scene.connect();
    await scene.relay.resetTcp();
    await client.program.waitFor(/script reconnect ended with 0/);
    const { code, output } = await client.program.finish({ within: 60_000 });
    const lasted = (performance.now() - start) / 1000;
    assert.equal(code, 1, output);
    assert.ok(lasted > 7 && lasted < 13, `${lasted} s`);
    await scene.ocserv.program.waitFor(/reason="session timeout"/);
    await scene.assertNoTrace();
  });

  it('is another one for mobile clients', async () => {
    await using scene = await openGateway({
      settings: { dpd: 77, 'mobile-dpd': 1_234, 'idle-timeout': 600, 'mobile-idle-timeout': 1_200 },
    });
    for (const [os, dpd, idle] of [
      ['linux-64', 77, 600],
      ['android', 1_234, 1_200],
    ] as const) {
      const client = await scene.connect({ args: ['--os', os] });
      assert.match(client.program.output, new RegExp(`^X-CSTP-DPD: ${dpd}$`, 'm'));
      assert.match(client.program.output, new RegExp(`^X-CSTP-Idle-Timeout: ${idle}$`, 'm'));
      await client.disconnect();
    }
  });
});

/** So that the kernel itself sends nothing through the tunnel. */
async function quiet(scene: TunnelScene): Promise<void> {
  for (const machine of [scene.client, scene.lab.server]) await machine.run('sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
}

describe('signs of life at our gateway', OPTIONS, () => {
  /** A record with the type byte alone, in AES-GCM: 13 + 8 + 1 + 16 bytes of UDP payload. */
  const CONTROL_DATAGRAM = 38;

  it('are answered on DTLS', async () => {
    await using scene = await openGateway({
      settings: { dpd: 2, keepalive: 2, 'ipv6-network': undefined, 'ipv6-subnet-prefix': undefined },
    });
    await quiet(scene);
    const client = await scene.connect({ args: ['-v'] });
    await cipherOfDatagrams(client);
    const outside = await Capture.start(scene.client, scene.lab.folder, 'eth0', 'udp port 443');
    for (let asked = 0; asked < 3; asked++) {
      const mark = client.program.output.length;
      await client.program.waitFor(/Send DTLS DPD/, { after: mark });
      await client.program.waitFor(/Got DTLS DPD response/, { after: mark });
    }
    const packets = await outside.stop();
    const [own, gateways] = [control(packets, false), control(packets, true)];
    assert.ok(own >= 3 && gateways >= 3, `${own} of the client, ${gateways} of the gateway`);
    await scene.disconnect(client);
  });

  /** Control datagrams that one end sent. */
  function control(packets: readonly CapturedPacket[], fromGateway: boolean): number {
    return packets.filter(({ bytes }) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return (view.getUint16(20) === 443) === fromGateway && view.getUint16(2) - 28 === CONTROL_DATAGRAM;
    }).length;
  }
});
