/**
 * How large the packets are: what is asked for, what the gateway grants, and what the way carries.
 *
 * Read first: spec "AnyConnect", section 8.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { ping } from '../support/traffic.ts';
import { cipherOfDatagrams, INSIDE, skip, TunnelScene } from './tunnel-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: HANG_LIMIT };

const MTU_DEADLINE: Millis = 20_000;

/** AES-GCM: 20 + 8 of headers, 37 of the record, 1 of the type. */
const DTLS_OVERHEAD_IPV4 = 66;
const DTLS_OVERHEAD_IPV6 = 86;

function mtuOf({ client }: TunnelScene): number {
  return Number(readFileSync(client.file('/sys/class/net/tun0/mtu'), 'latin1'));
}

/** The path between router and server carries no larger packets. Who sends one is told, unless the router's word is lost. */
async function narrow({ lab }: TunnelScene, mtu: number, tells: boolean): Promise<void> {
  await lab.router.ip(`link set eth1 mtu ${mtu}`);
  await lab.server.ip(`link set eth0 mtu ${mtu}`);
  if (tells) return;
  const chain = 'add chain inet mute output { type filter hook output priority 0; }';
  const rules = ['icmp type destination-unreachable drop', 'icmpv6 type packet-too-big drop'].map(
    (rule) => `add rule inet mute output ${rule}`,
  );
  await lab.router.run('nft', ['-f', '-'], { input: `${['add table inet mute', chain, ...rules].join('\n')}\n` });
}

/**
 * The same, and neither end knows: TCP has room by the router's doing. Observed: sooner or later ocserv gives its device no more than its own link carries,
 * and where that is less than 1280 bytes the kernel takes IPv6 from it for good.
 */
async function narrowUnknown({ lab }: TunnelScene, mtu: number): Promise<void> {
  await lab.router.ip(`link set eth1 mtu ${mtu}`);
  const rules = [
    'add table inet mute',
    'add chain inet mute output { type filter hook output priority 0; }',
    'add chain inet mute forward { type filter hook forward priority 0; }',
    'add rule inet mute output icmp type destination-unreachable drop',
    'add rule inet mute output icmpv6 type packet-too-big drop',
    `add rule inet mute forward tcp flags syn tcp option maxseg size set ${mtu - 60}`,
  ];
  await lab.router.run('nft', ['-f', '-'], { input: `${rules.join('\n')}\n` });
}

/** What the tests of this file need of a network script. */
const SCRIPT_OF_ADDRESSES = [
  'if [ "$reason" = connect ]; then ip link set "$TUNDEV" up mtu "$INTERNAL_IP4_MTU"',
  'ip addr add "$INTERNAL_IP4_ADDRESS/24" dev "$TUNDEV"',
  'ip -6 addr add "$INTERNAL_IP6_ADDRESS/64" dev "$TUNDEV" nodad; fi',
].join('; ');

/** Packets of the device's MTU pass whole, both ways, over both families. */
async function assertCarries(scene: TunnelScene): Promise<void> {
  const mtu = mtuOf(scene);
  await scene.assertAnswers(INSIDE.ipv4, { size: mtu - 28, isWhole: true });
  await scene.assertAnswers(INSIDE.ipv6, { size: mtu - 48, isWhole: true });
}

describe('the MTU of a tunnel', OPTIONS, () => {
  for (const [family, overhead] of [
    [4, DTLS_OVERHEAD_IPV4],
    [6, DTLS_OVERHEAD_IPV6],
  ] as const) {
    it(`over IPv${family} fills the link`, async () => {
      await using scene = await TunnelScene.open({ family });
      const client = await scene.connect();
      await cipherOfDatagrams(client);
      assert.equal(mtuOf(scene), 1500 - overhead);
      await assertCarries(scene);
      await scene.disconnect(client);
    });

    for (const tells of [true, false]) {
      it(`over IPv${family} is what a narrow way carries, ${tells ? 'where a router tells' : 'where nobody tells'}`, async () => {
        await using scene = await TunnelScene.open({ family });
        await narrow(scene, 1400, tells);
        // Observed: "ip -6 route flush cache" of Debian's script never ends where the kernel has learnt a path's MTU, whoever runs it.
        const client = await scene.connect(family === 6 && tells ? { script: SCRIPT_OF_ADDRESSES } : {});
        await cipherOfDatagrams(client);
        // Where DTLS is there only after the tunnel, as on a busy machine, the device hears of it later.
        for (const deadline = performance.now() + MTU_DEADLINE; mtuOf(scene) !== 1400 - overhead; await setTimeout(5)) {
          assert.ok(performance.now() < deadline, `${mtuOf(scene)} bytes`);
        }
        await assertCarries(scene);
        await scene.transfer(INSIDE.ipv4, { up: 4e6, down: 4e6 });
        await scene.disconnect(client);
      });
    }
  }

  it('is what --mtu asks for', async () => {
    await using scene = await TunnelScene.open();
    const client = await scene.connect({ args: ['--mtu', '1300'] });
    await cipherOfDatagrams(client);
    assert.equal(mtuOf(scene), 1300);
    await assertCarries(scene);
    await scene.disconnect(client);
  });

  it('follows from --base-mtu', async () => {
    await using scene = await TunnelScene.open();
    const client = await scene.connect({ args: ['--base-mtu', '1380'] });
    await cipherOfDatagrams(client);
    assert.equal(mtuOf(scene), 1380 - DTLS_OVERHEAD_IPV4);
    await assertCarries(scene);
    await scene.disconnect(client);
  });

  it('is the gateway’s, where that is smaller', async () => {
    await using scene = await TunnelScene.open({ settings: { mtu: 1400 } });
    const client = await scene.connect();
    await cipherOfDatagrams(client);
    assert.equal(mtuOf(scene), 1400 - DTLS_OVERHEAD_IPV4);
    await assertCarries(scene);
    await scene.disconnect(client);
  });

  it('below 1280 leaves IPv6 out', async () => {
    await using scene = await TunnelScene.open();
    const client = await scene.connect({ args: ['--base-mtu', '1280'] });
    const { ipv4, ipv6 } = await client.configured();
    assert.ok(ipv4);
    assert.equal(ipv6, undefined, 'the gateway gives none');
    await cipherOfDatagrams(client);
    assert.equal(mtuOf(scene), 1280 - DTLS_OVERHEAD_IPV4);
    await scene.assertAnswers();
    await scene.disconnect(client);
  });

  it('stays at 1280 with IPv6, and packets go by TLS where the way carries less', async () => {
    await using scene = await TunnelScene.open();
    await narrowUnknown(scene, 1300);
    const client = await scene.connect();
    await scene.assertAnswers(INSIDE.ipv6, { size: 1280 - 48, isWhole: true });
    await scene.transfer(INSIDE.ipv6, { up: 2e6, down: 2e6 });
    assert.ok(mtuOf(scene) >= 1280);
    await scene.disconnect(client);
  });

  it('is smaller in the middle of a session when the way has become narrow, and packets pass again', async () => {
    await using scene = await TunnelScene.open();
    const client = await scene.connect({ args: ['--force-dpd', '2'] });
    await cipherOfDatagrams(client);
    await narrow(scene, 1400, true);
    await ping(scene.client, INSIDE.ipv4, { size: 1400, isWhole: true }); // too large for the way now: who sends it is told
    await scene.transfer(INSIDE.ipv4, { up: 1e6, down: 1e6 });
    await scene.disconnect(client);
  });
});
