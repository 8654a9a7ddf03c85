/**
 * Every way to carry packets: each DTLS cipher and key exchange, TLS alone; with and without compression; over IPv4 and over IPv6. What is really in
 * use, the gateway says too.
 *
 * Read first: spec "AnyConnect", sections 6 and 7.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { DROP_IN } from '../support/drop-in.ts';
import type { OcservSettings } from '../support/ocserv-config.ts';
import { HANG_LIMIT, sized } from '../support/size.ts';
import { cipherOfDatagrams, INSIDE, type SceneOptions, TunnelScene } from './tunnel-scene.ts';

/** Each way, over each kind of address: long, 200 MB each way through each tunnel. */
const BYTES = sized(4e6, 100e6);
export const DEADLINE = sized(HANG_LIMIT, 900_000);

export interface Way {
  readonly name: string;
  readonly args: readonly string[];
  readonly settings?: OcservSettings;
  /** What our client's log calls the DTLS cipher, and what GnuTLS does (openconnect, occtl); absent: packets go by TLS alone. */
  readonly dtls?: { readonly ours: string; readonly gnutls: string };
  /** How occtl calls the TLS cipher. Default: TLS 1.3. */
  readonly tls?: RegExp;
}

const RESUMPTION: OcservSettings = { 'dtls-psk': false, 'dtls-legacy': true };
const TLS_1_2 = ['--gnutls-priority', 'NORMAL:-VERS-TLS1.3'];

export const WAYS: readonly Way[] = [
  {
    name: 'DTLS-PSK with AES-256-GCM',
    args: [],
    dtls: { ours: 'DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384', gnutls: '(DTLS1.2)-(PSK)-(AES-256-GCM)' },
  },
  {
    name: 'DTLS-PSK with AES-128-GCM',
    args: ['--gnutls-priority', 'NORMAL:-CIPHER-ALL:+AES-128-GCM'],
    dtls: { ours: 'DTLSv1.2-PSK_WITH_AES_128_GCM_SHA256', gnutls: '(DTLS1.2)-(PSK)-(AES-128-GCM)' },
    tls: /^\(TLS1\.3\).*-\(AES-128-GC/,
  },
  {
    name: 'DTLS-PSK with ChaCha20',
    args: ['--gnutls-priority', 'NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305'],
    dtls: { ours: 'DTLSv1.2-PSK_WITH_CHACHA20_POLY1305_SHA256', gnutls: '(DTLS1.2)-(PSK)-(CHACHA20-POLY1305)' },
    tls: /^\(TLS1\.3\).*-\(CHACHA20/,
  },
  {
    name: 'DTLS-PSK with a key from TLS 1.2',
    args: TLS_1_2,
    dtls: { ours: 'DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384', gnutls: '(DTLS1.2)-(PSK)-(AES-256-GCM)' },
    tls: /^\(TLS1\.2\)/,
  },
  {
    name: 'DTLS 1.2 by resumption with AES-256-GCM',
    args: ['--dtls12-ciphers', 'AES256-GCM-SHA384'],
    settings: RESUMPTION,
    dtls: { ours: 'DTLSv1.2-RSA_WITH_AES_256_GCM_SHA384', gnutls: '(DTLS1.2)-(RSA)-(AES-256-GCM)' },
  },
  {
    name: 'DTLS 1.2 by resumption with AES-128-GCM',
    args: ['--dtls-ciphers', 'OC-DTLS1_2-AES128-GCM'],
    settings: RESUMPTION,
    dtls: { ours: 'DTLSv1.2-RSA_WITH_AES_128_GCM_SHA256', gnutls: '(DTLS1.2)-(RSA)-(AES-128-GCM)' },
  },
  {
    name: 'Cisco’s DTLS 0.9 with AES-256-CBC',
    args: ['--dtls-ciphers', 'AES256-SHA'],
    settings: RESUMPTION,
    dtls: { ours: 'DTLSv0.9-RSA_WITH_AES_256_CBC_SHA', gnutls: '(DTLS0.9)-(RSA)-(AES-256-CBC)-(SHA1)' },
  },
  {
    name: 'Cisco’s DTLS 0.9 with AES-128-CBC',
    args: ['--dtls-ciphers', 'AES128-SHA'],
    settings: RESUMPTION,
    dtls: { ours: 'DTLSv0.9-RSA_WITH_AES_128_CBC_SHA', gnutls: '(DTLS0.9)-(RSA)-(AES-128-CBC)-(SHA1)' },
  },
  { name: 'TLS 1.3 alone', args: ['--no-dtls'] },
  { name: 'TLS 1.2 alone', args: ['--no-dtls', ...TLS_1_2], tls: /^\(TLS1\.2\)/ },
];

export interface Variant {
  readonly compression: 'oc-lz4' | 'lzs' | undefined;
  /** Of the connection outside. */
  readonly family: 4 | 6;
}

export const VARIANTS: readonly Variant[] = [
  { compression: undefined, family: 4 },
  { compression: undefined, family: 6 },
  { compression: 'oc-lz4', family: 6 },
  { compression: 'lzs', family: 4 },
];

const COMPRESSING: Readonly<Record<'oc-lz4' | 'lzs', OcservSettings>> = {
  'oc-lz4': { compression: true },
  lzs: { compression: true, 'compression-algo-priority': 'lzs:100 oc-lz4:10' },
};

/** In openconnect's words. */
const COMPRESSION_NAMES = { 'oc-lz4': 'LZ4', lzs: 'LZS' } as const;

/** `open`: with which gateway and client. */
export async function carries(
  { args, settings, dtls, tls = /^\(TLS1\.3\)/ }: Way,
  { compression, family }: Variant,
  open: (options: SceneOptions) => Promise<TunnelScene> = TunnelScene.open,
  bytes: number = BYTES,
): Promise<void> {
  await using scene = await open({ family, settings: { ...settings, ...(compression !== undefined && COMPRESSING[compression]) } });
  const client = await scene.connect({ args });
  const [, onStream] = /^Configured as .* with SSL(?: \+ (\S+))? connected /m.exec(client.program.output) ?? [];
  assert.equal(onStream, compression && COMPRESSION_NAMES[compression]);
  if (dtls === undefined) assert.equal((await client.configured()).dtls, 'disabled');
  else assert.equal(await cipherOfDatagrams(client), scene.command === DROP_IN ? dtls.ours : dtls.gnutls);

  for (const [address, headers] of [
    [INSIDE.ipv4, 28],
    [INSIDE.ipv6, 48],
  ] as const) {
    // The largest that the device takes, and it is not cut on its way.
    await scene.assertAnswers(address, { size: mtuOf(scene) - headers, isWhole: true });
  }
  const before = scene.deviceBytes('eth0');
  for (const address of Object.values(INSIDE)) {
    await scene.transfer(address, { up: bytes, down: bytes, ...(compression !== undefined && { repeats: 8 }) });
  }
  const share = (scene.deviceBytes('eth0') - before) / (4 * bytes);
  if (compression === undefined) assert.ok(share > 1, `${share} bytes on the wire for each`);
  else assert.ok(share < 0.75, `${share} bytes on the wire for each`);

  const [user] = await scene.ocserv.control.users();
  assert.ok(user);
  assert.equal(user['DTLS cipher'], dtls?.gnutls);
  assert.match(user['TLS ciphersuite'], tls);
  // Observed: without DTLS occtl 1.1.6 says nothing of either.
  if (dtls !== undefined) assert.deepEqual([user['CSTP compression'], user['DTLS compression']], [compression, compression]);
  assert.doesNotMatch(client.program.output, /datagram down|DTLS Dead Peer|DTLS got/, 'packets took no other way');
  await scene.disconnect(client);
}

function mtuOf({ client }: TunnelScene): number {
  return Number(readFileSync(client.file('/sys/class/net/tun0/mtu'), 'latin1'));
}
