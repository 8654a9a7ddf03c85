/** Trying the offloads of a TUN and of a UDP socket, and keeping why one cannot be had. */
import { errnoName } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import { canSendRuns, receiveRuns } from '../ffi/sockets.ts';
import type { OpenedTun } from '../ffi/tun.ts';
import type { FeatureSet } from './features.ts';

/** What became of the offloads that a TUN was asked for. */
export function noteOffloads(features: FeatureSet, { name, offloads, refusal }: OpenedTun): void {
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
