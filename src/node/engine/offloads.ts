/** Trying what a TUN and a UDP socket do beyond one packet a call, and keeping why one thing cannot be had. */
import { errnoName } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import { canSendRuns, receiveRuns } from '../ffi/sockets.ts';
import type { OpenedTun, TunOffloads } from '../ffi/tun.ts';
import { FeatureSet, parseFeatures } from './features.ts';
import { MAX_DEVICE_QUEUES } from './shared-memory.ts';

/** What a TUN is asked for whose queues other processes will read: those go by the same variable of the environment. See {@link EngineOptions.without}. */
export function wantedOffloads(): TunOffloads {
  const features = featuresOfEnvironment();
  return { hasHeader: features.allows('tun-offload'), hasUdp: features.allows('udp-tun-offload') };
}

/** How many queues a TUN is asked for that one engine reads. */
export function wantedQueues(features: FeatureSet = featuresOfEnvironment()): number {
  return features.allows('flow-queues') ? MAX_DEVICE_QUEUES : 1;
}

/** What became of that wish. */
export function noteQueues(features: FeatureSet, { name, queues }: Pick<OpenedTun, 'name' | 'queues'>): void {
  if (queues.length === 1) features.turnOff('flow-queues', `${name} has one queue`);
  features.turnOn('flow-queues');
}

/** What became of the offloads that a TUN was asked for. */
export function noteOffloads(features: FeatureSet, { name, offloads, refusal }: Pick<OpenedTun, 'name' | 'offloads' | 'refusal'>): void {
  if (refusal !== 0) {
    features.turnOff(offloads.hasHeader ? 'udp-tun-offload' : 'tun-offload', `${name} refused it (${errnoName(refusal)})`);
  }
  for (const feature of ['tun-offload', 'udp-tun-offload', 'tcp-join', 'udp-join'] as const) features.turnOn(feature);
}

/** Sets a UDP socket up for runs of datagrams, both ways. */
export function offloadUdp(libc: Libc, fd: number, features: FeatureSet): void {
  for (const [feature, request] of [
    ['udp-segment', canSendRuns],
    ['udp-gro', receiveRuns],
  ] as const) {
    if (!features.allows(feature)) continue;
    const errno = request(libc, fd);
    if (errno !== 0) features.turnOff(feature, `the kernel has no such option (${errnoName(errno)})`);
    features.turnOn(feature);
  }
}

function featuresOfEnvironment(): FeatureSet {
  return new FeatureSet(parseFeatures(process.env.SALLYPORT_ENGINE_WITHOUT ?? ''));
}
