/** What a gateway without an interface tells of its flows: plain data, from the workers to main and to those who ask for metrics. */

/** Why something of a client's went no further: what rules, the outside, limits, and the routing between clients say. */
export const NAT_CAUSES: readonly string[] = [
  ...['closed', 'restricted', 'special-address', 'own-host'],
  ...['refused', 'host-unreachable', 'network-unreachable', 'prohibited', 'timed-out'],
  ...['limit', 'no-room', 'stranger', 'malformed', 'hop-limit'],
];

export interface NatFigures {
  /** Now. */
  readonly flows: number;
  /** TCP connections that came about, and UDP flows, since the beginning. */
  readonly tcp: number;
  readonly udp: number;
  /** By {@link NAT_CAUSES}, since the beginning. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** Of several workers. What cannot be of such an answer counts as nothing: a worker may be an attacker's. Undefined: none of them has flows. */
export function sumOfFigures(answers: readonly unknown[]): NatFigures | undefined {
  const objects = answers.filter(isObject);
  if (objects.length === 0) return undefined;
  const sumOf = (all: readonly Readonly<Record<string, unknown>>[], name: string) =>
    all.reduce((sum, one) => sum + naturalOf(one[name]), 0);
  const dropped = objects.map((one) => one.dropped).filter(isObject);
  return {
    ...{ flows: sumOf(objects, 'flows'), tcp: sumOf(objects, 'tcp'), udp: sumOf(objects, 'udp') },
    dropped: Object.fromEntries(NAT_CAUSES.map((cause) => [cause, sumOf(dropped, cause)])),
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function naturalOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
