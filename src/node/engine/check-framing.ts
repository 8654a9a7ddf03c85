/** Whether a framing is one that the engine can carry: it comes from another thread, and a wrong length would be memory of somebody else. */
import { MisuseError } from '../../core/errors.ts';
import type { DataMatch, FrameHeader, PacketException, PacketFraming, SentMarks, StreamFraming } from '../../core/tunnel/traffic.ts';

/** Limits of what a description may ask for. */
export const MAX_HEADER_LENGTH = 32;
const MAX_LENGTH_FIELDS = 4;
const MAX_MARKS = 16;
const MAX_EXCEPTIONS = 8;
const MAX_EXCEPTION_PARTS = 4;
/** Bytes of a packet that an exception may ask for: its headers. */
const MAX_EXCEPTION_END = 64;

/** @throws MisuseError if it is not one, with the reason */
export function checkFraming({ frame, sent, isData, exceptions = [] }: PacketFraming): void {
  checkHeader(frame);
  checkSent(frame, sent);
  checkMarks(frame, isData);
  must(exceptions.length <= MAX_EXCEPTIONS, `${exceptions.length} exceptions; at most ${MAX_EXCEPTIONS}`);
  for (const exception of exceptions) checkException(exception);
}

/** The same of a stream, with what only streams have. */
export function checkStreamFraming(framing: StreamFraming): void {
  checkFraming(framing);
  const { frame, isData, repeatedFrom } = framing;
  must(frame.bytes.length > 0 || isData.values.every(({ bytes }) => bytes.length === 0), 'a stream of packets with marks');
  if (repeatedFrom === undefined) return;
  must(isNatural(repeatedFrom) && repeatedFrom > 0 && repeatedFrom < frame.bytes.length, `repeated from ${repeatedFrom}`);
  const inside = (offset: number) => offset >= repeatedFrom;
  must(
    frame.lengths.some(({ offset }) => inside(offset)),
    'a part that comes again without a length',
  );
  must(
    frame.lengths.some(({ offset }) => !inside(offset)),
    'parts that come again without a length of all',
  );
  must(
    frame.lengths.every(({ offset, width }) => inside(offset) || offset + width <= repeatedFrom),
    'a length across the start of what is repeated',
  );
  must(inside(isData.offset), 'data marks outside of the part that comes again');
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new MisuseError(`traffic description: ${what}`);
}

function isNatural(value: number): boolean {
  return Number.isInteger(value) && value >= 0;
}

function checkHeader({ bytes, lengths, unread = [] }: FrameHeader): void {
  must(lengths.length <= MAX_LENGTH_FIELDS, `${lengths.length} lengths in a header; at most ${MAX_LENGTH_FIELDS}`);
  must(bytes.length === 0 || lengths.length > 0, 'a frame header without a length');
  for (const { offset, width, add } of lengths) {
    must(width === 2 || width === 4, `length of ${width} bytes`);
    must(isNatural(offset) && offset + width <= bytes.length, `length at ${offset}`);
    must(isNatural(add) && add <= MAX_HEADER_LENGTH, `length that is ${add} more`);
  }
  must(unread.length <= MAX_HEADER_LENGTH, `${unread.length} ranges of a header that are not read`);
  for (const { offset, length } of unread) {
    must(isNatural(offset) && isNatural(length) && offset + length <= bytes.length, `${length} bytes at ${offset} that are not read`);
  }
}

function checkSent({ bytes }: FrameHeader, { ipv4, ipv6, at }: SentMarks): void {
  const families = [ipv4, ipv6].filter((header) => header !== undefined);
  must(families.length > 0, 'no family is sent');
  for (const header of families) {
    must(header.length === families[0]?.length, 'the headers of the families differ in length');
    const length = bytes.length + (at === undefined ? header.length : 0);
    must(length <= MAX_HEADER_LENGTH, `header of ${length} bytes; at most ${MAX_HEADER_LENGTH}`);
    must(at === undefined || (isNatural(at) && at + header.length <= bytes.length), `family at ${at}`);
  }
}

function checkMarks({ bytes: header }: FrameHeader, { offset, values }: DataMatch): void {
  must(values.length > 0 && values.length <= MAX_MARKS, `${values.length} marks of data; 1 to ${MAX_MARKS} are possible`);
  must(isNatural(offset) && offset <= header.length, `data mark at ${offset}`);
  for (const { bytes } of values) {
    must(offset + bytes.length <= MAX_HEADER_LENGTH, `data mark of ${bytes.length} bytes`);
    must(bytes.length > 0 || (header.length === 0 && values.every((other) => other.bytes.length === 0)), 'an empty data mark');
  }
  must(
    offset === header.length ||
      values.every(({ bytes }) => bytes.length === values[0]?.bytes.length && offset + bytes.length <= header.length),
    'data marks across the header',
  );
  must(
    values.every((value, i) =>
      values.every((other, k) => i === k || !beginsWith(other.bytes, value.bytes) || areOfTwoFamilies(value, other)),
    ),
    'a data mark begins with another',
  );
}

function areOfTwoFamilies(...[one, other]: readonly [DataMatch['values'][number], DataMatch['values'][number]]): boolean {
  const areFamilies = one.family !== undefined && other.family !== undefined && one.family !== other.family;
  return areFamilies && one.bytes.length === other.bytes.length;
}

function checkException({ family, bytes }: PacketException): void {
  must(family === 4 || family === 6, `exception of family ${family}`);
  must(bytes.length > 0 && bytes.length <= MAX_EXCEPTION_PARTS, `exception of ${bytes.length} parts; 1 to ${MAX_EXCEPTION_PARTS}`);
  for (const { offset, value } of bytes) {
    must(isNatural(offset) && value.length > 0 && offset + value.length <= MAX_EXCEPTION_END, `exception at ${offset}`);
  }
}

function beginsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && start.every((byte, i) => bytes[i] === byte);
}
