/**
 * Asks RADIUS servers: one after the other, each as often as its file says, until one answers.
 *
 * Read first: RFC 5080 §2.1 and §2.2 (tries, identifiers, the same bytes again), RFC 2865 §2.5.
 *
 * Each request has a socket of its own: a port that nobody can guess, and identifiers that never run out. What is no genuine answer is passed over,
 * as anybody can send it.
 */
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { NetworkError, SallyportError } from '../../../core/errors.ts';
import { parseIp } from '../../../core/wire/ip-address.ts';
import { utf8 } from '../../../core/wire/text.ts';
import type { RadcliConfig, RadiusServer } from './radcli-file.ts';
import {
  AUTHENTICATOR_LENGTH,
  decodeRadius,
  RADIUS_CODES,
  type RadiusAttribute,
  type RadiusPacket,
  sealAccessRequest,
  sealAccountingRequest,
  verifyResponse,
} from './radius-packet.ts';

/** What goes out; attributes may depend on the server's secret and the request's authenticator. */
export type RadiusQuestion =
  | { readonly kind: 'access'; readonly attributes: (authenticator: Uint8Array, secret: Uint8Array) => readonly RadiusAttribute[] }
  | { readonly kind: 'accounting'; readonly attributes: () => readonly RadiusAttribute[] };

export interface AskOptions {
  readonly random: (length: number) => Uint8Array;
  readonly signal?: AbortSignal;
  /** Asked before all others: the one that the question is about. */
  readonly first?: RadiusServer;
}

export interface RadiusAnswer {
  readonly packet: RadiusPacket;
  readonly server: RadiusServer;
}

/** The answer of the first server that gives one. Rejects with {@link NetworkError} if none does, or when the signal fires. */
export async function askRadius(config: RadcliConfig, question: RadiusQuestion, options: AskOptions): Promise<RadiusAnswer> {
  const known = question.kind === 'access' ? config.authentication : config.accounting;
  const { first } = options;
  const servers = first === undefined ? known : [first, ...known.filter(({ host, port }) => host !== first.host || port !== first.port)];
  const reasons: string[] = [];
  for (const server of servers) {
    try {
      return { packet: await askServer(config, server, question, options), server };
    } catch (error) {
      if (!(error instanceof NetworkError) || options.signal?.aborted === true) throw error;
      reasons.push(error.message);
    }
  }
  throw new NetworkError(reasons.length === 0 ? 'no RADIUS server is configured' : reasons.join('; '));
}

async function askServer(config: RadcliConfig, server: RadiusServer, question: RadiusQuestion, options: AskOptions): Promise<RadiusPacket> {
  const where = `RADIUS server ${server.host} port ${server.port}`;
  const secret = utf8(server.secret.reveal());
  const address = await addressOf(server.host, where);
  const socket = createSocket(parseIp(address)?.family === 6 ? 'udp6' : 'udp4');
  try {
    await connected(socket, server.port, address, config.bindAddress, where);
    const request = {
      ...sealed(question, options.random, secret),
      acceptsUnsigned: question.kind === 'accounting' || !config.needsMessageAuthenticator,
    };
    for (let attempt = 0; attempt <= config.retries; attempt++) {
      // RFC 5080 §2.2.1: the same bytes, so that the server can see that it is the same request.
      const answer = await tried(socket, request, { secret, timeout: config.timeout, signal: options.signal, where });
      if (answer === 'unsigned') {
        throw new NetworkError(
          `${where} answers without Message-Authenticator, and such answers can be forged (CVE-2024-3596). Let the server add it, or set ` +
            '"require-message-authenticator no" in the configuration of RADIUS if nobody else can see its traffic.',
        );
      }
      if (answer !== undefined) return answer;
    }
    throw new NetworkError(`${where} did not answer ${config.retries + 1} times within ${config.timeout} ms`);
  } finally {
    socket.close();
  }
}

interface SealedRequest extends SealedQuestion {
  /** Servers sign their answers to reports with MD5 alone. */
  readonly acceptsUnsigned: boolean;
}

interface SealedQuestion {
  readonly bytes: Uint8Array;
  readonly id: number;
  readonly authenticator: Uint8Array;
  readonly kind: RadiusQuestion['kind'];
}

function sealed(question: RadiusQuestion, random: (length: number) => Uint8Array, secret: Uint8Array): SealedQuestion {
  const [id = 0] = random(1);
  if (question.kind === 'access') {
    const authenticator = random(AUTHENTICATOR_LENGTH);
    const attributes = question.attributes(authenticator, secret);
    return { bytes: sealAccessRequest(id, authenticator, attributes, secret), id, authenticator, kind: 'access' };
  }
  const bytes = sealAccountingRequest(id, question.attributes(), secret);
  return { bytes, id, authenticator: bytes.subarray(4, 4 + AUTHENTICATOR_LENGTH), kind: 'accounting' };
}

interface TryOptions {
  readonly secret: Uint8Array;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  readonly where: string;
}

/** Sends once and waits; undefined: no genuine answer in time; `unsigned`: only one that anybody on the way can have made. */
function tried(
  socket: Socket,
  request: SealedRequest,
  { secret, timeout, signal, where }: TryOptions,
): Promise<RadiusPacket | 'unsigned' | undefined> {
  return new Promise((resolve, reject) => {
    let isUnsigned = false;
    const stop = () => {
      clearTimeout(timer);
      socket.off('message', take).off('error', fail);
      signal?.removeEventListener('abort', abort);
    };
    const take = (datagram: Uint8Array) => {
      const packet = answerTo(request, datagram, secret);
      isUnsigned ||= packet === 'unsigned';
      if (packet === undefined || packet === 'unsigned') return; // anybody's: the real one may still come
      stop();
      resolve(packet);
    };
    const fail = (cause: Error) => {
      stop();
      reject(new NetworkError(`${where}: ${cause.message}`, { cause }));
    };
    const abort = () => fail(new Error('the log-in was given up'));
    const timer = setTimeout(() => {
      stop();
      resolve(isUnsigned ? 'unsigned' : undefined);
    }, timeout);
    if (signal?.aborted === true) return abort();
    signal?.addEventListener('abort', abort);
    socket.on('message', take).on('error', fail);
    socket.send(request.bytes, (error) => {
      if (error !== null) fail(error);
    });
  });
}

/** Undefined: not an answer to this request from who knows the secret. */
export function answerTo(
  request: Omit<SealedRequest, 'bytes'>,
  datagram: Uint8Array,
  secret: Uint8Array,
): RadiusPacket | 'unsigned' | undefined {
  const codes: readonly number[] =
    request.kind === 'access'
      ? [RADIUS_CODES.accessAccept, RADIUS_CODES.accessReject, RADIUS_CODES.accessChallenge]
      : [RADIUS_CODES.accountingResponse];
  try {
    const packet = decodeRadius(datagram);
    if (packet.id !== request.id || !codes.includes(packet.code)) return undefined;
    const proof = verifyResponse(datagram, packet, { authenticator: request.authenticator, secret });
    if (proof === 'false') return undefined;
    return proof === 'signed' || request.acceptsUnsigned ? packet : 'unsigned';
  } catch (error) {
    if (error instanceof SallyportError) return undefined; // not RADIUS
    throw error;
  }
}

async function addressOf(host: string, where: string): Promise<string> {
  if (parseIp(host) !== undefined) return host;
  try {
    return (await lookup(host)).address;
  } catch (cause) {
    throw new NetworkError(`${where}: its name has no address`, { cause });
  }
}

async function connected(socket: Socket, port: number, address: string, bindAddress: string | undefined, where: string): Promise<void> {
  try {
    if (bindAddress !== undefined) {
      socket.bind({ address: bindAddress, port: 0 });
      await once(socket, 'listening');
    }
    // Connected: the kernel drops what others send, and tells us when nobody listens there.
    socket.connect(port, address);
    await once(socket, 'connect');
  } catch (cause) {
    throw new NetworkError(`${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
