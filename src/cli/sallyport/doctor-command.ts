/** `sallyport doctor engine`: which parts of the packet engine run on this machine, and why not the others. */
import { SallyportError } from '../../core/errors.ts';
import type { TrafficDescription } from '../../core/tunnel/traffic.ts';
import { TunDevice } from '../../node/devices/tun-device.ts';
import type { EngineFeature, FeatureState } from '../../node/engine/features.ts';
import { PacketEngine } from '../../node/engine/packet-engine.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { EVENTS_VERSION } from './json-events.ts';

export interface DoctorArguments {
  readonly json?: true;
}

/** What each part is for. */
const MEANINGS: Readonly<Record<EngineFeature, string>> = {
  bursts: 'several datagrams in one system call',
  'udp-segment': 'runs of datagrams that the kernel cuts',
  'udp-gro': 'runs of datagrams that the kernel puts together',
  'tun-offload': 'large TCP packets from the host, checksums made here',
  'udp-tun-offload': 'runs of UDP datagrams from the host',
  'flow-queues': 'queues of the interface for flows that send little beside one that sends much',
  'tcp-join': 'TCP packets joined for the host',
  'udp-join': 'UDP datagrams joined for the host',
  'ack-thinning': 'needless acknowledgements left out',
  moderation: 'a short sleep after a busy moment',
  'multi-block': 'eight packets of ESP encrypted and hashed at once',
  tls: "TLS by OpenSSL's functions inside Node",
};

/** A flow that nobody answers: only its socket is of interest. */
const NOWHERE = { address: { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) }, port: 9 } as const;

/** What a flow of ESP carries: for that, CBC is tried. */
const ESP_KEY = { id: 256, key: new Uint8Array(16), iv: new Uint8Array(0), mac: new Uint8Array(20), nextSequence: 0 };
const ESP: TrafficDescription = {
  record: { kind: 'esp', cipher: 'aes-128-cbc', mac: 'sha1' },
  ...{ seal: ESP_KEY, open: [ESP_KEY], replayWindow: 64, tunnelMtu: 1400 },
  framing: {
    frame: { bytes: new Uint8Array(0), lengths: [] },
    sent: { ipv4: Uint8Array.of(4) },
    isData: { offset: 0, values: [{ bytes: Uint8Array.of(4) }] },
  },
};

interface EngineReport {
  /** Why there is no engine; absent: there is one. */
  readonly why?: string;
  readonly crypto?: string;
  /** Why there is no TUN, or no UDP. */
  readonly problems: readonly string[];
  readonly features: readonly FeatureState[];
}

export async function runDoctor({ json }: DoctorArguments): Promise<ExitCode> {
  const report = await examine();
  const text = json ? `${JSON.stringify({ v: EVENTS_VERSION, engine: report })}\n` : `${reportLines(report).join('\n')}\n`;
  process.stdout.write(text);
  return EXIT.ok;
}

/** Tries everything once: an engine, a TUN, a UDP socket. Nothing of it stays. */
async function examine(): Promise<EngineReport> {
  try {
    await using engine = await PacketEngine.start();
    const attempts = await Promise.allSettled([TunDevice.open(engine), tryEsp(engine)]);
    const problems = attempts.flatMap((attempt) => (attempt.status === 'rejected' ? [messageOf(attempt.reason)] : []));
    return { crypto: engine.crypto, problems, features: await engine.features() };
  } catch (error) {
    return { why: messageOf(error), problems: [], features: [] };
  }
}

async function tryEsp(engine: PacketEngine): Promise<void> {
  const path = await engine.openUdp({ remote: NOWHERE });
  await path.carry(ESP);
}

function messageOf(error: unknown): string {
  if (error instanceof SallyportError) return error.message;
  throw error;
}

/** For people. */
export function reportLines({ why, crypto, problems, features }: EngineReport): string[] {
  if (why !== undefined) return [`The packet engine does not run. ${why}`];
  const cipher =
    crypto === 'openssl' ? "OpenSSL's functions inside Node" : 'node:crypto, ten times slower: this Node does not export OpenSSL';
  const lines = features.map(({ name, isOn, why: reason }) => {
    const state = isOn === true ? 'yes' : isOn === false ? 'no' : '-';
    const because = reason ?? (isOn === undefined ? 'not tried' : undefined);
    return `  ${name.padEnd(16)} ${state.padEnd(4)} ${MEANINGS[name]}${because === undefined ? '' : ` (${because})`}`;
  });
  return ['The packet engine runs.', `  ciphers          ${cipher}`, ...lines, ...problems];
}
