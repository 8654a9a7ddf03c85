/** Kinds of values in `gateway.toml`, each with what people are told when it is another. */
import { z } from 'zod';
import type { Millis } from '../../core/tunnel/packet.ts';
import { type Cidr, type IpAddress, networkOf, parseCidr, parseIp } from '../../core/wire/ip-address.ts';
import { nearestName } from './nearest-name.ts';

/** A table: keys that are not in it are errors, with the key that was probably meant. */
export function table<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return undefined;
      const keys = (issue as { readonly keys?: readonly string[] }).keys ?? [];
      const meant = keys.length === 1 && keys[0] !== undefined ? nearestName(keys[0], Object.keys(shape)) : undefined;
      return `there is no such key${meant === undefined ? '' : `; did you mean '${meant}'?`}`;
    },
  });
}

function textTo<Value>(expected: string, parse: (text: string) => Value | undefined): z.ZodType<Value> {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue(`${expected} was expected, not '${text}'`);
    return z.NEVER;
  });
}

const UNITS: Readonly<Record<string, Millis>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Timers count in 32 bits: some 24 days. */
const MAX_DURATION: Millis = 0x7fff_ffff;

export const duration: z.ZodType<Millis> = textTo('a time like "90s", "5m", "12h" or "7d" (24 days at most)', (text) => {
  const [, amount = '', unit = ''] = /^(\d{1,10})(ms|s|m|h|d)$/.exec(text) ?? [];
  const time = Number(amount) * (UNITS[unit] ?? Number.NaN);
  return time <= MAX_DURATION ? time : undefined;
});

export const ipAddress: z.ZodType<IpAddress> = textTo('an IP address', parseIp);

export const network: z.ZodType<Cidr> = textTo('a network like "10.0.0.0/8" or "fd00::/32"', (text) => {
  const cidr = text.includes('/') ? parseCidr(text) : undefined;
  return cidr && networkOf(cidr);
});

export function networkOfFamily(family: 4 | 6): z.ZodType<Cidr> {
  return network.refine(({ address }) => address.family === family, `an IPv${family} network was expected`);
}

export const count: z.ZodType<number> = z.int().min(0).max(0x7fff_ffff);

export const port: z.ZodType<number> = z.int().min(1).max(65_535);

/** No empty text: what is not wanted is left out. */
export const text: z.ZodType<string> = z.string().min(1).max(4096);

export const path: z.ZodType<string> = text;

/** Fits in one header line. */
export const headerTable: z.ZodType<readonly (readonly [name: string, value: string])[]> = z
  .record(
    z.string().regex(/^[!#$%&'*+.^_`|~\w-]+$/, 'this is no name of a header'),
    z.string().regex(/^[^\r\n\0]*$/, 'a header is one line'),
  )
  .transform((headers) => Object.entries(headers));
