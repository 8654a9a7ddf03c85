/**
 * Control packets: the common form of LCP, IPCP and IP6CP, and the options inside.
 *
 * Read first: RFC 1661 §5 and §6; spec "PPP", sections 5.1 and 5.2.
 *
 *   0      1    2        4              0      1        2
 *   +------+----+--------+------…       +------+--------+------…
 *   | code | id | length | data         | type | length | value
 *   +------+----+--------+------…       +------+--------+------…
 */
import { ByteWriter } from '../wire/byte-writer.ts';

export const CODES = {
  configureRequest: 1,
  configureAck: 2,
  configureNak: 3,
  configureReject: 4,
  terminateRequest: 5,
  terminateAck: 6,
  codeReject: 7,
  protocolReject: 8,
  echoRequest: 9,
  echoReply: 10,
  discardRequest: 11,
  identification: 12,
  timeRemaining: 13,
} as const;

/** Codes above this are unknown in a network control protocol. */
export const LAST_NCP_CODE: number = CODES.codeReject;

export const CONTROL_HEADER_LENGTH = 4;

export interface ControlPacket {
  readonly code: number;
  readonly id: number;
  /** A view. */
  readonly data: Uint8Array;
}

/** Undefined: cut short, or a length below its own header. What is beyond the length is padding. */
export function decodeControlPacket(bytes: Uint8Array): ControlPacket | undefined {
  const length = ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
  if (bytes.length < CONTROL_HEADER_LENGTH || length < CONTROL_HEADER_LENGTH || length > bytes.length) return undefined;
  return { code: bytes[0] ?? 0, id: bytes[1] ?? 0, data: bytes.subarray(CONTROL_HEADER_LENGTH, length) };
}

export function encodeControlPacket({ code, id, data }: ControlPacket): Uint8Array {
  return new ByteWriter()
    .u8(code)
    .u8(id)
    .u16(CONTROL_HEADER_LENGTH + data.length)
    .bytes(data)
    .finish();
}

export interface PppOption {
  readonly type: number;
  readonly value: Uint8Array;
}

const OPTION_HEADER_LENGTH = 2;

/** In the order they came. Undefined: one has no room for its own header, or reaches past the end. */
export function decodeOptions(data: Uint8Array): readonly PppOption[] | undefined {
  const options: PppOption[] = [];
  for (let at = 0; at < data.length; ) {
    const length = data[at + 1] ?? 0;
    if (length < OPTION_HEADER_LENGTH || at + length > data.length) return undefined;
    options.push({ type: data[at] ?? 0, value: data.subarray(at + OPTION_HEADER_LENGTH, at + length) });
    at += length;
  }
  return options;
}

export function encodeOptions(options: readonly PppOption[]): Uint8Array {
  const writer = new ByteWriter();
  for (const { type, value } of options) {
    writer.u8(type);
    writer.u8(OPTION_HEADER_LENGTH + value.length);
    writer.bytes(value);
  }
  return writer.finish();
}

/** Whether a packet with this code may make us send something. */
export function isAnswered(code: number): boolean {
  switch (code) {
    case CODES.configureAck:
    case CODES.terminateAck:
    case CODES.codeReject:
    case CODES.protocolReject:
    case CODES.echoReply:
    case CODES.discardRequest:
    case CODES.identification:
    case CODES.timeRemaining:
      return false;
    default:
      return true;
  }
}
