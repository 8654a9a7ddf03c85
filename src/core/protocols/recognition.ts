/**
 * What does a gateway speak that nobody has told us of? A few requests, and what their answers prove.
 *
 * Nothing is followed and nothing is sent that belongs to anybody. The first certain answer decides; `doctor` asks on and shows all.
 *
 *   GET / ─► signs of every vendor ─► each vendor's own request, in order ─► the likeliest
 */
import type { LoginIo, LoginRequest, Target } from '../auth/login-io.ts';
import { PROTOCOL_IDS, type ProtocolId } from '../auth/protocol-id.ts';
import { NetworkError, PeerMisbehavedError } from '../errors.ts';
import type { HttpResponse } from '../http/message.ts';
import { formatUrl, hostHeader } from '../http/url.ts';
import type { Certainty, Finding, Recogniser } from './recogniser.ts';
import { loadRecogniser } from './registry.ts';

export interface Evidence extends Finding {
  readonly protocol: ProtocolId;
  /** `GET https://…` */
  readonly request: string;
  /** Of the answer. */
  readonly status: number;
}

export interface Recognition {
  /** The default's where nothing was proved. */
  readonly protocol: ProtocolId;
  readonly certainty: Certainty;
  /** In the order it came. */
  readonly evidence: readonly Evidence[];
}

/** A browser's, and nobody's: what a gateway says to strangers. */
const ENTRY_HEADERS = [
  ['User-Agent', 'Mozilla/5.0 (compatible; Sallyport)'],
  ['Accept', '*/*'],
] as const;

/** @param asks `all`: every request, for who wants to see everything. Rejects as {@link LoginIo.http} does where not even the first one is answered. */
export async function recogniseGateway(io: LoginIo, target: Target, asks: 'enough' | 'all' = 'enough'): Promise<Recognition> {
  const recognisers = await Promise.all(PROTOCOL_IDS.map(loadRecogniser));
  const evidence: Evidence[] = [];
  const isEnough = () => asks === 'enough' && evidence.some(({ certainty }) => certainty === 'certain');
  const entry: LoginRequest = { method: 'GET', target, headers: [['Host', hostHeader(target)], ...ENTRY_HEADERS] };
  const first = await io.http(entry);
  for (const recogniser of recognisers) evidence.push(evidenceOf(recogniser, entry, first, recogniser.judgeEntry(first)));
  for (const recogniser of recognisers) {
    if (isEnough()) break;
    const request = recogniser.request(target);
    const answer = await answerTo(io, request);
    if (answer !== undefined) evidence.push(evidenceOf(recogniser, request, answer, recogniser.judge(answer)));
  }
  const found = evidence.find(({ certainty }) => certainty === 'certain') ?? evidence.find(({ certainty }) => certainty === 'likely');
  const [usual] = PROTOCOL_IDS;
  const recognition = { protocol: found?.protocol ?? usual, certainty: found?.certainty ?? 'no', evidence } as const;
  io.log.log('info', 'gateway recognised', { protocol: recognition.protocol, certainty: recognition.certainty, sign: found?.sign ?? '' });
  return recognition;
}

/** Undefined: another vendor's request was too much for the gateway, or for a firewall in front of it, which says nothing of the next one. */
async function answerTo(io: LoginIo, request: LoginRequest): Promise<HttpResponse | undefined> {
  try {
    return await io.http(request);
  } catch (error) {
    if (!(error instanceof NetworkError || error instanceof PeerMisbehavedError)) throw error;
    io.log.log('info', 'gateway did not answer', { request: nameOf(request), reason: error.message });
    return undefined;
  }
}

function nameOf({ method, target }: LoginRequest): string {
  return `${method} ${formatUrl(target)}`;
}

function evidenceOf({ protocol }: Recogniser, request: LoginRequest, { status }: HttpResponse, finding: Finding): Evidence {
  return { protocol, request: nameOf(request), status, ...finding };
}
