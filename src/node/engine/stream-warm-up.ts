/** Two TLS connections of the engine's own code that talk to each other: for the warm-up, as {@link WarmUp} says. */
import type { StreamTraffic } from '../../core/tunnel/traffic.ts';
import { DATAGRAM_COUNTERS } from '../datagram-path.ts';
import { TlsSession } from '../ffi/openssl-tls.ts';
import type { TlsSettings } from '../ffi/openssl-tls-context.ts';
import type { SocketPair } from '../ffi/sockets.ts';
import type { StreamRoom } from './stream-room.ts';
import type { WorkerContext } from './worker-context.ts';
import { WorkerStream } from './worker-stream.ts';

/** Nobody has a certificate, and nobody else ever sees a byte of it. TLS 1.3 has no such suites; our own code sees no difference. */
const SETTINGS: TlsSettings = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: 'AECDH-AES128-SHA:@SECLEVEL=0' };

/** Frames of the usual kind: a length, and what they are. */
const TRAFFIC: StreamTraffic = {
  record: { kind: 'tls-stream' },
  framing: {
    frame: { bytes: new Uint8Array(8), lengths: [{ offset: 4, width: 2, add: 0 }] },
    sent: { ipv4: new Uint8Array(0), ipv6: new Uint8Array(0) },
    isData: { offset: 6, values: [{ bytes: Uint8Array.of(0) }] },
  },
  maxPayload: 16_384,
  tunnelMtu: 1500,
  received: new Uint8Array(0),
};

/** Turns of a handshake: more than it has flights. */
const MAX_TURNS = 8;

/** Both ends, carrying. @throws what OpenSSL will not; the sockets are the caller's then */
export function warmStreams(context: WorkerContext, room: StreamRoom, flow: SocketPair): readonly WorkerStream[] {
  const sessions: TlsSession[] = [];
  try {
    for (const role of ['client', 'server'] as const) sessions.push(TlsSession.create(room.tls, { ...SETTINGS, role }));
    const ends = sessions.map((session, id) => {
      const counters = new Float64Array(DATAGRAM_COUNTERS.length);
      return new WorkerStream(context, room, id, id === 0 ? flow.ours : flow.theirs, counters, session, () => undefined);
    });
    for (const end of ends) end.shakeHands();
    for (let turn = 0; turn < MAX_TURNS; turn++) for (const end of ends) end.receive(undefined);
    for (const end of ends) {
      end.carry(structuredClone(TRAFFIC)); // as main's descriptions come, whose arrays are others to V8 than this one's
      end.proceed(undefined);
    }
    return ends;
  } catch (error) {
    for (const session of sessions) session.close();
    throw error;
  }
}
