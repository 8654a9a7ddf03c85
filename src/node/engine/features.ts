/**
 * What the engine does beyond one packet a system call, each thing by itself: wanted or not, possible here or not, and why.
 *
 * Each is tried when it is first needed (at the start, with the first TUN, with the first UDP flow) and may fail later, at run time. Whatever does, the
 * packets go the plain way from then on, and the reason is kept for `sallyport doctor engine`.
 */
import { MisuseError } from '../../core/errors.ts';

export const ENGINE_FEATURES = [
  /** Several datagrams a call: recvmmsg, sendmmsg. */
  'bursts',
  /** One call sends a run of equal datagrams that the kernel cuts (UDP_SEGMENT); one receives a run that it, or the network card, put together (UDP_GRO). */
  'udp-segment',
  'udp-gro',
  /** The TUN gives TCP, and datagrams of UDP_SEGMENT, in super-packets that we cut; checksums are ours to complete. */
  'tun-offload',
  'udp-tun-offload',
  /** The interface has several queues, which are read in turn: a flow that sends much fills its own, and the others' packets do not wait behind it. */
  'flow-queues',
  /** Segments, and datagrams, of one flow reach the host as one. */
  'tcp-join',
  'udp-join',
  /** A bare acknowledgement that a newer one of the same pass makes needless is left out. */
  'ack-thinning',
  /** After a pass with many packets: a moment's sleep, so that the next pass has many too. */
  'moderation',
  /** Eight packets with CBC are encrypted, and hashed, at once. */
  'multi-block',
  /** TLS by OpenSSL's own functions: connections of the engine's, and a gateway's that may become so. */
  'tls',
] as const;

export type EngineFeature = (typeof ENGINE_FEATURES)[number];

/** `isOn` undefined: nothing has needed it yet. */
export interface FeatureState {
  readonly name: EngineFeature;
  readonly isOn: boolean | undefined;
  /** Why it does not run, or where it does not. */
  readonly why?: string;
}

/** What a feature cannot do without. */
const NEEDS: Readonly<Partial<Record<EngineFeature, EngineFeature>>> = {
  'udp-segment': 'bursts',
  'udp-gro': 'bursts',
  'udp-tun-offload': 'tun-offload',
  'tcp-join': 'tun-offload',
  'udp-join': 'tun-offload',
};

export class FeatureSet {
  readonly #off = new Map<EngineFeature, string>();
  readonly #on = new Set<EngineFeature>();
  readonly #notes = new Map<EngineFeature, string>();

  /** @param without features that shall not run */
  constructor(without: readonly EngineFeature[]) {
    for (const name of without) this.turnOff(name, 'switched off');
  }

  /** Whether it may be tried, or runs. Not for each packet. */
  allows(name: EngineFeature): boolean {
    return !this.#off.has(name);
  }

  /** It was tried, and runs. */
  turnOn(name: EngineFeature): void {
    if (this.allows(name)) this.#on.add(name);
  }

  /** It does not run, and neither does what needs it. The first reason counts. */
  turnOff(name: EngineFeature, why: string): void {
    if (!this.#off.has(name)) this.#off.set(name, why);
    for (const other of ENGINE_FEATURES) if (NEEDS[other] === name && !this.#off.has(other)) this.turnOff(other, `needs ${name}`);
  }

  /** It goes on elsewhere, but not here. */
  note(name: EngineFeature, what: string): void {
    this.#notes.set(name, what);
  }

  get states(): FeatureState[] {
    return ENGINE_FEATURES.map((name) => {
      const off = this.#off.get(name);
      const why = off ?? this.#notes.get(name);
      const isOn = off === undefined ? this.#on.has(name) || undefined : false;
      return { name, isOn, ...(why !== undefined && { why }) };
    });
  }
}

/** Names of features with commas between, as the environment variable has them. */
export function parseFeatures(text: string): EngineFeature[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .map((name) => {
      const feature = ENGINE_FEATURES.find((each) => each === name);
      if (feature === undefined) throw new MisuseError(`"${name}" is no part of the packet engine: ${ENGINE_FEATURES.join(', ')}`);
      return feature;
    });
}
