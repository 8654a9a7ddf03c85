/** Trying the offloads of a TUN and of a UDP socket, and keeping why one cannot be had. */
import { errnoName } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import { canSendRuns, receiveRuns } from '../ffi/sockets.ts';
import type { OpenedTun, TunOffloads } from '../ffi/tun.ts';
import { FeatureSet, parseFeatures } from './features.ts';

/** What a TUN is asked for whose queues other processes will read: those go by the same variable of the environment. See {@link EngineOptions.without}. */
export function wantedOffloads(): TunOffloads {
  const features = new FeatureSet(parseFeatures(process.env.SALLYPORT_ENGINE_WITHOUT ?? ''));
  return { hasHeader: features.allows('tun-offload'), hasUdp: features.allows('udp-tun-offload') };
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
