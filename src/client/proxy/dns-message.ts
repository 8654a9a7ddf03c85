/**
 * As much of DNS messages as whoever passes them on has to know: the id, whether it is a question, what is asked.
 *
 * Read first: RFC 1035 §4.1; §4.1.4 for compressed names, which a first question cannot have.
 *
 *   0   2      4      6 … 12      12
 *   +---+------+------+-----------+----------------------------+------
 *   |id | flags| count| counts    | labels … 0, type 2, class 2| rest
 *   +---+------+------+-----------+----------------------------+------
 */
export const DNS_HEADER = 12;

const MAX_LABEL = 63;
/** RFC 1035 §2.3.4: with lengths and the root. */
const MAX_NAME = 255;
/** QR, in the third byte. */
const RESPONSE = 0x80;
/** RFC 1035 §4.1.1. */
const SERVER_FAILURE = 2;

export interface DnsQuestion {
  /** As text, without the root's dot; bytes that are no part of host names are replaced, as it is only compared with rules. */
  readonly name: string;
  /** Where it ends in the message. */
  readonly end: number;
}

/** The one question of a query or a response. Undefined: there is none that can be read, or more than one, which nobody asks. */
export function dnsQuestion(message: Uint8Array): DnsQuestion | undefined {
  if (message.length < DNS_HEADER || message[4] !== 0 || message[5] !== 1) return undefined;
  const labels: string[] = [];
  let at = DNS_HEADER;
  for (let length = message[at]; length !== 0; length = message[at]) {
    if (length === undefined || length > MAX_LABEL || at + 1 + length >= message.length) return undefined;
    labels.push(String.fromCharCode(...message.subarray(at + 1, at + 1 + length)).replace(/[^a-z0-9_-]/gi, '?'));
    at += 1 + length;
    if (at + 1 - DNS_HEADER > MAX_NAME) return undefined;
  }
  const end = at + 1 + 4;
  return end > message.length ? undefined : { name: labels.join('.'), end };
}

export function isDnsQuery(message: Uint8Array): boolean {
  return message.length >= DNS_HEADER && ((message[2] ?? 0) & RESPONSE) === 0;
}

/** Whether `message` answers `query`: the same id and, byte for byte, the same question. */
export function isAnswerTo(query: Uint8Array, end: number, message: Uint8Array): boolean {
  if (message.length < end || ((message[2] ?? 0) & RESPONSE) === 0 || message[0] !== query[0] || message[1] !== query[1]) return false;
  if (message[4] !== 0 || message[5] !== 1) return false;
  for (let i = DNS_HEADER; i < end; i++) if (message[i] !== query[i]) return false;
  return true;
}

/** The same message under another id. */
export function withDnsId(message: Uint8Array, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** The answer of a server that could not find out. */
export function serverFailure(query: Uint8Array, end: number): Buffer {
  const answer = Buffer.from(query.subarray(0, end));
  answer[2] = RESPONSE | ((query[2] ?? 0) & 0x79); // with the operation and the wish for recursion
  answer[3] = 0x80 | SERVER_FAILURE; // recursion is to be had
  answer.fill(0, 6, DNS_HEADER); // one question, nothing else
  return answer;
}
