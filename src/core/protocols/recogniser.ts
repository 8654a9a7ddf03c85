/** How a vendor's gateways are known: each vendor has one of these. */
import type { LoginRequest, Target } from '../auth/login-io.ts';
import type { ProtocolId } from '../auth/protocol-id.ts';
import type { HttpResponse } from '../http/message.ts';

export type Certainty = 'certain' | 'likely' | 'no';

/** How one vendor's gateways are known. */
export interface Recogniser {
  readonly protocol: ProtocolId;
  /** What the answer to a plain `GET /` says. */
  judgeEntry(answer: HttpResponse): Finding;
  /** A request of this vendor's own clients, which no other gateway answers in this way. */
  request(target: Target): LoginRequest;
  judge(answer: HttpResponse): Finding;
}

export interface Finding {
  readonly certainty: Certainty;
  /** What was seen, in words; empty for `no`. */
  readonly sign: string;
}

export const NOTHING: Finding = { certainty: 'no', sign: '' };
