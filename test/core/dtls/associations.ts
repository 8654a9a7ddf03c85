/** Clients and servers of each kind that fit together, for tests. */
import { DtlsClient, type DtlsClientOptions } from '../../../src/core/dtls/client.ts';
import type { PskOptions, PskServerOptions } from '../../../src/core/dtls/credentials.ts';
import type { DtlsVersion } from '../../../src/core/dtls/dialect.ts';
import { DtlsServer, type DtlsServerOptions } from '../../../src/core/dtls/server.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import { LayerPair } from '../../support/layer-pair.ts';
import type { LinkConditions } from '../../support/link-model.ts';
import { LossyLink } from '../../support/lossy-link.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';

export const SESSION_ID: Uint8Array = new Uint8Array(32).fill(0x5e);
export const PSK: Uint8Array = new Uint8Array(32).fill(0x33);
export const MASTER_SECRET: Uint8Array = new Uint8Array(48).fill(0x44);

export interface Kind {
  readonly name: string;
  readonly version: DtlsVersion;
  /** Undefined: resumed. */
  readonly psk?: { readonly suites: readonly number[] };
  readonly suite: number;
  readonly cookie?: boolean;
}

const psk = (suite: number, version: DtlsVersion = '1.2') => ({ version, suite, psk: { suites: [suite] } });

/** Every handshake that we know. */
export const KINDS: readonly Kind[] = [
  { name: 'PSK, AES-256-GCM', ...psk(0x00a9) },
  { name: 'PSK, ChaCha20-Poly1305', ...psk(0xccab) },
  { name: 'PSK, AES-128-CBC with SHA-256', ...psk(0x00ae) },
  { name: 'PSK with a cookie', ...psk(0x00a8), cookie: true },
  { name: 'PSK, DTLS 1.0', ...psk(0x008d, '1.0') },
  { name: 'resumed, AES-256-GCM', version: '1.2', suite: 0x009d },
  { name: 'resumed, AES-128-CBC', version: '1.2', suite: 0x0033 },
  { name: 'resumed with a cookie', version: '1.2', suite: 0xc02f, cookie: true },
  { name: 'resumed, DTLS 1.0', version: '1.0', suite: 0x0035 },
  { name: 'resumed, DTLS 0.9', version: '0.9', suite: 0x002f },
  { name: 'resumed, DTLS 0.9 with a cookie', version: '0.9', suite: 0x0039, cookie: true },
];

export const pskOptions: PskOptions = { kind: 'psk', identity: utf8('psk'), key: PSK, sessionId: SESSION_ID };
export const pskServerOptions: PskServerOptions = { kind: 'psk', findKey: () => PSK };

export function clientOf(kind: Kind, seed = 1, more: Partial<DtlsClientOptions> = {}): DtlsClient {
  const { version, suite } = kind;
  const credentials =
    kind.psk === undefined
      ? ({ kind: 'resumption', masterSecret: MASTER_SECRET, sessionId: SESSION_ID, suite } as const)
      : { ...pskOptions, suites: kind.psk.suites };
  return new DtlsClient({ crypto: new SeededCrypto(seed), version, credentials, ...more });
}

export function serverOf(kind: Kind, seed = 2, more: Partial<DtlsServerOptions> = {}): DtlsServer {
  const { version, suite } = kind;
  const credentials =
    kind.psk === undefined
      ? ({ kind: 'resumption', masterSecret: MASTER_SECRET, sessionId: SESSION_ID, suite } as const)
      : { ...pskServerOptions, suites: kind.psk.suites };
  const cookie = kind.cookie === true ? { cookie: { secret: new Uint8Array(16).fill(seed), peer: utf8('192.0.2.1:4444') } } : {};
  return new DtlsServer({ crypto: new SeededCrypto(seed), version, credentials, ...cookie, ...more });
}

export type DtlsPair = LayerPair<DtlsClient, DtlsServer>;

/** A client on the left, a server on the right. */
export function pairOf(kind: Kind, conditions: Partial<LinkConditions> = { delay: 5 }, seed = 1): DtlsPair {
  return new LayerPair(clientOf(kind, 2 * seed), serverOf(kind, 2 * seed + 1), new LossyLink(conditions, seed));
}

export const bothUp =
  ({ left, right }: DtlsPair) =>
  (): boolean =>
    left.state.name === 'up' && right.state.name === 'up';

/** A pair whose handshake is over. */
export function pairUp(kind: Kind): DtlsPair {
  const pair = pairOf(kind);
  if (!pair.run(bothUp(pair), 1_000)) throw new Error(`no handshake: ${pair.left.state.name}, ${pair.right.state.name}`);
  return pair;
}

/** The kind of this name. */
export function kindNamed(name: string): Kind {
  const kind = KINDS.find((candidate) => candidate.name === name);
  if (kind === undefined) throw new Error(`no such kind of handshake: ${name}`);
  return kind;
}
