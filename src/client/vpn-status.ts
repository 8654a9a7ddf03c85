/** What a person or a program may ask about a connection, as plain data: the library hands it out, other processes get it as JSON. */
import { PeerMisbehavedError } from '../core/errors.ts';
import type { SessionState } from '../core/session/session-machine.ts';
import type { Path } from '../core/tunnel/machine.ts';

/** How far a connection is. */
export type VpnState = SessionState['name'];

export const VPN_STATES: readonly VpnState[] = [
  'idle',
  'authenticating',
  'opening',
  'bringing-up',
  'up',
  'reconnecting',
  'closing',
  'closed',
];

const TRANSPORTS = ['dtls', 'esp', 'tls'] as const;

/** What carries the packets. */
export type Transport = (typeof TRANSPORTS)[number];

/** Of a path, whose cipher tells what goes by UDP. */
export function transportOf(path: Path['kind'], cipherSuite: string | undefined): Transport {
  if (path === 'stream') return 'tls';
  return cipherSuite?.startsWith('ESP-') === true ? 'esp' : 'dtls';
}

export interface VpnStatus {
  readonly state: VpnState;
  /** `address`: where the connection really goes; of a proxy, the proxy's. */
  readonly gateway: { readonly host: string; readonly port: number; readonly address?: string };
  /** Who logged in, as far as that is known. */
  readonly user?: string;
  /** The network interface. */
  readonly device?: string;
  /** Of this machine in the tunnel. */
  readonly addresses: readonly string[];
  /** Bytes. */
  readonly mtu?: number;
  readonly transport?: Transport;
  /** Of the transport: `DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384`. */
  readonly cipherSuite?: string;
  /** When it came up first: RFC 3339. */
  readonly upSince?: string;
  /** When the gateway ends it: RFC 3339. */
  readonly expiresAt?: string;
  /** While it is lost: since when, and when the next try is due (RFC 3339). */
  readonly reconnecting?: { readonly since: string; readonly nextTryAt?: string };
  readonly traffic: { readonly received: TrafficStatus; readonly sent: TrafficStatus };
}

/** Of IP packets. */
export interface TrafficStatus {
  readonly packets: number;
  readonly bytes: number;
  readonly bytesPerSecond: number;
}

/** As people write it: with the port only if that is not the usual one. */
export function gatewayName({ host, port }: VpnStatus['gateway']): string {
  return port === HTTPS_PORT ? host : `${host}:${port}`;
}

const HTTPS_PORT = 443;

/** Longest text in a status that comes from elsewhere. */
const MAX_TEXT = 1024;
const MAX_ADDRESSES = 16;

/** Reads a status that another process sent. Throws {@link PeerMisbehavedError}. */
export function parseVpnStatus(value: unknown): VpnStatus {
  const fields = new Fields(value, 'status');
  const gateway = fields.object('gateway');
  const traffic = fields.object('traffic');
  const reconnecting = fields.optionalObject('reconnecting');
  return {
    state: fields.oneOf('state', VPN_STATES),
    gateway: { host: gateway.text('host'), port: gateway.number('port'), ...gateway.optionalTexts('address') },
    addresses: fields.texts('addresses'),
    ...fields.optionalTexts('user', 'device', 'cipherSuite', 'upSince', 'expiresAt'),
    ...(fields.has('mtu') && { mtu: fields.number('mtu') }),
    ...(fields.has('transport') && { transport: fields.oneOf('transport', TRANSPORTS) }),
    ...(reconnecting !== undefined && {
      reconnecting: { since: reconnecting.text('since'), ...reconnecting.optionalTexts('nextTryAt') },
    }),
    traffic: { received: parseTraffic(traffic.object('received')), sent: parseTraffic(traffic.object('sent')) },
  };
}

function parseTraffic(fields: Fields): TrafficStatus {
  return { packets: fields.number('packets'), bytes: fields.number('bytes'), bytesPerSecond: fields.number('bytesPerSecond') };
}

/** The fields of a JSON object, each read as what it must be. */
class Fields {
  readonly #name: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(value: unknown, name: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new PeerMisbehavedError(`${name}: expected an object`);
    this.#name = name;
    this.#fields = value as Readonly<Record<string, unknown>>;
  }

  has(name: string): boolean {
    return this.#value(name) !== undefined;
  }

  text(name: string): string {
    const value = this.#value(name);
    if (typeof value === 'string' && value.length <= MAX_TEXT) return value;
    throw this.#unexpected(name, `text of at most ${MAX_TEXT} characters`);
  }

  /** Those that are there, under their names. */
  optionalTexts<Name extends string>(...names: readonly Name[]): { [Key in Name]?: string } {
    const there = names.filter((name) => this.has(name));
    return Object.fromEntries(there.map((name) => [name, this.text(name)])) as { [Key in Name]?: string };
  }

  texts(name: string): readonly string[] {
    const value = this.#value(name);
    const isList = Array.isArray(value) && value.length <= MAX_ADDRESSES;
    if (isList && value.every((text) => typeof text === 'string' && text.length <= MAX_TEXT)) return value;
    throw this.#unexpected(name, `a list of at most ${MAX_ADDRESSES} texts`);
  }

  number(name: string): number {
    const value = this.#value(name);
    if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
    throw this.#unexpected(name, 'a number');
  }

  oneOf<Value extends string>(name: string, values: readonly Value[]): Value {
    const value = values.find((each) => each === this.#value(name));
    if (value === undefined) throw this.#unexpected(name, `one of ${values.join(', ')}`);
    return value;
  }

  object(name: string): Fields {
    return new Fields(this.#value(name), `${this.#name}.${name}`);
  }

  optionalObject(name: string): Fields | undefined {
    return this.has(name) ? this.object(name) : undefined;
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }

  #unexpected(name: string, expected: string): PeerMisbehavedError {
    return new PeerMisbehavedError(`${this.#name}.${name}: expected ${expected}`);
  }
}
