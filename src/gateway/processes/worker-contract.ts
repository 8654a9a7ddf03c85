/**
 * What main and the workers ask of each other. A worker parses what the network sends, so main checks every word of it: see {@link WORKER_GUARDS}.
 *
 *   main ── connection, flow, packets ─► worker          sockets travel with the first two
 *   main ── closeTunnel, reports, reload, drain ─► worker
 *   worker ── begin, answer, knows, session ─► main ─► auth
 *   worker ── lease, opened, closed, forward ─► main
 */
import { z } from 'zod';
import type { AuthStep, LoginHints } from '../../core/auth/dialogue.ts';
import type { FormValues } from '../../core/auth/form.ts';
import type { MovedAssociation } from '../../core/dtls/state.ts';
import { PeerMisbehavedError } from '../../core/errors.ts';
import type { NatOwner } from '../../core/nat/session.ts';
import type { LeaseWishes } from '../../core/protocols/gateway-protocol.ts';
import { Secret } from '../../core/secret.ts';
import type { TunnelStatus } from '../../core/tunnel/machine.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { SessionTerms } from '../../core/tunnel/session-terms.ts';
import type { Endpoint } from '../../core/wire/ip-address.ts';
import type { TunOffloads } from '../../node/ffi/tun.ts';
import type { GatewayConfig } from '../config/gateway-config.ts';
import type { InnerNetwork } from '../nat/inner-network.ts';
import type { NatFigures } from '../nat/nat-figures.ts';
import type { HostMaterial } from '../worker/host-material.ts';
import type { DisconnectReason, SessionUsage } from './auth-service.ts';
import { LINE_LIMITS, type LogNotices } from './remote-logger.ts';

/** What main asks of a worker. */
export interface WorkerService {
  /** The first call; main goes on when it is answered. */
  start(setup: WorkerSetup): Promise<void>;
  /** Ends a tunnel with a word to its client; answered when its connection is closed or nearly so. */
  closeTunnel(tunnel: number, reason: DisconnectReason, manner: ClosingManner): Promise<void>;
  /** Ends a connection that has no tunnel. */
  drop(connection: number): Promise<void>;
  reports(): Promise<readonly TunnelReport[]>;
  /** Without an interface: of the flows that it ends. To be looked at before it is believed. */
  natFigures(): Promise<NatFigures | undefined>;
  /** New connections see the new configuration; tunnels keep theirs. */
  reload(setup: WorkerSetup): Promise<void>;
}

/**
 * `goodbye`: the client is told that the session is over. `silence`: for it the connection breaks, and it tries to come back. `replaced`: its session has
 * another tunnel, which it has most likely opened itself: told or not, as the protocol has it.
 */
export type ClosingManner = 'goodbye' | 'silence' | 'replaced';

/** Notices of main. */
export interface WorkerNotices {
  /** With a TCP or unix socket. */
  connection(arrival: Arrival): void;
  /** With a connected UDP socket: a new flow of that tunnel, and what it said first. */
  flow(tunnel: number, local: Endpoint, remote: Endpoint, first: Uint8Array): void;
  /** With a UDP socket: a client that the worker has told `expects` of; `first` is what it says. */
  expected(arrival: Arrival, datagramId: Uint8Array, first: Uint8Array): void;
  /** With a connected UDP socket: a new flow of that tunnel, whose client has shaken hands with a worker and named the tunnel. */
  greeted(tunnel: number, remote: Endpoint, dtls: MovedAssociation): void;
  /** With a UDP socket: a client whose DTLS hello has brought back its cookie; `first` is that hello. */
  stranger(arrival: Arrival, first: Uint8Array): void;
  /** Packets for clients of this worker that another worker has read from a queue of the device. */
  packets(packets: readonly Uint8Array[]): void;
  /** Without an interface: the network inside is another. */
  network(network: InnerNetwork): void;
  /** Without an interface: this session is over, or has its tunnel in another worker, and so no flows here. */
  forget(session: string): void;
}

/** What there is of a device. */
export type WorkerDevice =
  | {
      readonly kind: 'interface';
      readonly name: string;
      /** How many this worker has inherited. */
      readonly descriptors: number;
      readonly hasWriter: boolean;
      readonly offloads: TunOffloads;
    }
  | { readonly kind: 'userspace'; readonly mtu: number; readonly network: InnerNetwork };

/** An accepted connection. */
export interface Arrival {
  readonly connection: number;
  /** As the kernel says; undefined on a unix socket: the PROXY header has it. */
  readonly remote?: Endpoint;
  readonly local?: Endpoint;
  readonly hasProxyHeader: boolean;
}

export interface WorkerSetup {
  readonly config: GatewayConfig;
  readonly material: WorkerMaterial;
  /** The product as clients are told: `ocserv 1.1.6` for the drop-in. */
  readonly serverName: string;
  /** The interface some of whose queues this worker inherited, or what it has in its place. */
  readonly device: WorkerDevice;
  /** Makes the cookies of DTLS hellos (RFC 6347 §4.2.1): main's and every worker's, of this run of the gateway. */
  readonly helloSecret: Uint8Array;
}

/** What is in the files that only root can read. */
export interface WorkerMaterial {
  readonly hosts: readonly HostMaterial[];
  readonly profiles: readonly { readonly path: string; readonly bytes: Uint8Array }[];
}

/** What a worker asks of main. */
export interface DeskService {
  /** May this address be served? For connections whose real address main did not know. Banned addresses are not. */
  admits(connection: number, remote: Endpoint, local: Endpoint): Promise<boolean>;
  begin(connection: number, hints: LoginHints): Promise<{ readonly dialogue: string; readonly step: AuthStep }>;
  answer(connection: number, dialogue: string, values: FormValues): Promise<AuthStep | undefined>;
  knows(connection: number, dialogue: string): Promise<boolean>;
  session(connection: number, cookie: Secret): Promise<WorkerSession | undefined>;
  /** What {@link lease} would give; no tunnel begins. Rejects as it does. */
  preview(connection: number, session: string, wishes: LeaseWishes): Promise<SessionTerms>;
  /** Rejects with PeerRefusedError if there is none for it: `message` is for the client. */
  lease(connection: number, session: string, wishes: LeaseWishes): Promise<Lease>;
  /**
   * The session's next tunnel may begin with a datagram of this id, which is to come to this worker; one that has begun so ends. False: there is no UDP,
   * the id is another's, or the session is over.
   */
  expects(connection: number, session: string, datagramId: Uint8Array): Promise<boolean>;
  /** The session is bound to another key of its client's. */
  rebound(connection: number, session: string, key: Uint8Array): Promise<void>;
  /** Ends a session, its cookie included. */
  endSession(connection: number, session: string): Promise<void>;
  /** The tunnel is about to be answered: from now on datagrams with this id are its own, and associations in which this is said first. */
  opened(tunnel: number, datagramId: Uint8Array | undefined, greetingId: Uint8Array | undefined): Promise<void>;
  /** A client that came by UDP has named a tunnel. The worker has let go of its flow. False: it is nobody's. */
  greeted(connection: number, greetingId: Uint8Array, dtls: MovedAssociation): Promise<boolean>;
  /** For interim accounting. */
  reported(tunnel: number, usage: SessionUsage): Promise<void>;
}

/** Notices of a worker. */
export interface DeskNotices {
  closed(tunnel: number, end: TunnelEnd): void;
  disconnected(connection: number): void;
  /** Packets from the device for clients of other workers. */
  forward(packets: readonly Uint8Array[]): void;
  /** A datagram that came to a flow's socket from somebody else, before it was connected. */
  strayed(datagram: Uint8Array, from: Endpoint): void;
}

export interface WorkerSession {
  readonly id: string;
  readonly user: string;
  readonly group?: string;
  readonly boundKey?: Uint8Array;
}

export interface Lease {
  /** Names the tunnel in everything that follows: the number of its connection. */
  readonly tunnel: number;
  /** Times in it count from this answer on: a worker's clock is not main's. */
  readonly terms: SessionTerms;
  readonly limits: SessionLimits;
  /** Whose flows they are that the worker ends, and what they may reach. */
  readonly owner: NatOwner;
}

/** When a worker ends a tunnel by itself, and what waits for the next one. */
export interface SessionLimits {
  readonly idleTimeout?: Millis;
  /** From now. */
  readonly timeLeft?: Millis;
  /** Between reports for interim accounting. */
  readonly reportInterval?: Millis;
  /** How long a client may be without a tunnel: flows that end here wait for it. */
  readonly resumeTime: Millis;
}

export interface TunnelEnd extends SessionUsage {
  readonly reason: DisconnectReason;
  /** The client may come back with the same cookie. */
  readonly keepsCookie: boolean;
}

/** A running tunnel, for people and statistics. */
export interface TunnelReport extends SessionUsage {
  readonly tunnel: number;
  readonly status: TunnelStatus;
  readonly mtu: number;
}

/** Texts that a client chose, as long as main lets them be. */
const MAX_TEXT = 1024;
const MAX_CERTIFICATES = 10;
const MAX_CERTIFICATE_BYTES = 16_384;
/** More than the words of one request come to, in number and in characters. */
const MAX_VALUES = 48;
const MAX_ANSWER = 8192;
const MAX_TOKEN = 16_384;
const MAX_COOKIE = 4096;
const MAX_FORWARDED = 256;
const MAX_PACKET = 65_535;
/** What the SPIs of a tunnel have in common, the shortest. An id of nothing would be that of every hello without a session. */
const MIN_DATAGRAM_ID = 3;
const MAX_DATAGRAM_ID = 32;
const MAX_KEY = 512;
const MAX_TRAFFIC_KEY = 64;

const text = z.string().max(MAX_TEXT);
const number = z.number().int().nonnegative();
const bytes = (most: number) => z.instanceof(Uint8Array).refine((value) => value.length <= most, `at most ${most} bytes`);
const datagramId = bytes(MAX_DATAGRAM_ID).refine(({ length }) => length >= MIN_DATAGRAM_ID, `at least ${MIN_DATAGRAM_ID} bytes`);
const address = z
  .object({ family: z.union([z.literal(4), z.literal(6)]), bytes: bytes(16) })
  .refine(({ family, bytes: own }) => own.length === (family === 4 ? 4 : 16), 'an address has 4 or 16 bytes');
const endpoint = z.object({ address, port: z.number().int().min(0).max(65_535) });
const secret = (most: number) => z.instanceof(Secret).refine((value) => value.reveal().length <= most, `at most ${most} characters`);
const hints = z.object({
  remote: endpoint,
  local: endpoint,
  host: text.optional(),
  userAgent: text,
  group: text.optional(),
  certificateChain: z.array(bytes(MAX_CERTIFICATE_BYTES)).max(MAX_CERTIFICATES).optional(),
  bearer: secret(MAX_TOKEN).optional(),
  boundKey: bytes(MAX_KEY).optional(),
  wantsPass: z.boolean().optional(),
  pass: z.object({ pass: secret(MAX_TOKEN), username: z.string().max(MAX_ANSWER) }).optional(),
});
const wishes = z.object({
  wantsIpv4: z.boolean(),
  wantsIpv6: z.boolean(),
  hostname: text.optional(),
  isMobile: z.boolean(),
  userAgent: text,
  deviceType: text.optional(),
  devicePlatform: text.optional(),
});
const values = z
  .record(text, z.union([z.string().max(MAX_ANSWER), secret(MAX_ANSWER)]))
  .refine((all) => Object.keys(all).length <= MAX_VALUES, `at most ${MAX_VALUES} values`);
const usage = { received: z.number().nonnegative(), sent: z.number().nonnegative(), duration: z.number().nonnegative() };
const end = z.object({
  ...usage,
  reason: z.enum([
    'unspecified',
    'user disconnected',
    'server disconnected',
    'idle timeout',
    'DPD timeout',
    'unspecified error',
    'session timeout',
    'anyconnect client disconnected',
    'TCP health probe',
  ]),
  keepsCookie: z.boolean(),
});

const trafficKey = z.object({
  ...{ id: number, key: bytes(MAX_TRAFFIC_KEY), iv: bytes(MAX_TRAFFIC_KEY), mac: bytes(MAX_TRAFFIC_KEY).optional(), nextSequence: number },
});
const association = z.object({
  session: z.object({
    ...{ version: z.enum(['1.2', '1.0']), suite: number, isResumed: z.boolean(), hasExtendedMasterSecret: z.boolean() },
    maxPlaintext: number,
  }),
  ...{ seal: trafficKey, open: trafficKey },
});

/** Fields of {@link LoginHints} and {@link LeaseWishes}. */
const OWN_FIELDS: ReadonlySet<string> = new Set([...Object.keys(hints.shape), ...Object.keys(wishes.shape)]);

/** Faults that one message is told of. */
const MAX_FAULTS = 3;

const line = z.tuple([
  z.enum(['error', 'warn', 'info', 'debug', 'trace']),
  z.string().max(LINE_LIMITS.event),
  z
    .record(z.string().max(LINE_LIMITS.name), z.union([z.string().max(LINE_LIMITS.value), z.number(), z.boolean()]))
    .refine((fields) => Object.keys(fields).length <= LINE_LIMITS.fields, `at most ${LINE_LIMITS.fields} fields`),
]);

const SCHEMAS = {
  admits: z.tuple([number, endpoint, endpoint]),
  begin: z.tuple([number, hints]),
  answer: z.tuple([number, text, values]),
  knows: z.tuple([number, text]),
  session: z.tuple([number, secret(MAX_COOKIE)]),
  preview: z.tuple([number, text, wishes]),
  lease: z.tuple([number, text, wishes]),
  expects: z.tuple([number, text, datagramId]),
  opened: z.tuple([number, datagramId.optional(), datagramId.optional()]),
  greeted: z.tuple([number, datagramId, association]),
  rebound: z.tuple([number, text, bytes(MAX_KEY)]),
  endSession: z.tuple([number, text]),
  reported: z.tuple([number, z.object(usage)]),
  closed: z.tuple([number, end]),
  disconnected: z.tuple([number]),
  forward: z.tuple([z.array(bytes(MAX_PACKET)).max(MAX_FORWARDED)]),
  strayed: z.tuple([bytes(MAX_PACKET), endpoint]),
  log: line,
} satisfies Record<keyof DeskService | keyof DeskNotices | keyof LogNotices, z.ZodType>;

type Guard = (args: unknown) => readonly unknown[];

/** For main's end of the channel to a worker. What they say of arguments that cannot be has none of them in it: it goes into the log. */
export const WORKER_GUARDS: Readonly<Record<string, Guard>> = {
  ...Object.fromEntries(Object.entries(SCHEMAS).map(([name, schema]) => [name, guardOf(schema)])),
  log: guardedLine,
};

function guardOf(schema: z.ZodType): Guard {
  return (args) => {
    const { success, data, error } = schema.safeParse(args);
    if (success) return data as readonly unknown[];
    throw new PeerMisbehavedError(`its arguments cannot be: ${error.issues.slice(0, MAX_FAULTS).map(faultOf).join(', ')}`);
  };
}

/** Where a value is wrong and how: the names on the way are the client's words where they are not those of our own fields. */
function faultOf({ path, code }: z.core.$ZodIssue): string {
  const names = path.map((step) => (typeof step === 'string' && !OWN_FIELDS.has(step) ? '…' : String(step)));
  return `[${names.join('.')}] ${code}`;
}

/** A line too long is not worth a worker with everybody's sessions on it: that there was one is told in its place. */
function guardedLine(args: unknown): readonly unknown[] {
  const { success, data } = line.safeParse(args);
  return success ? data : ['warn', 'a line of the log was dropped: no worker writes such', {}];
}
