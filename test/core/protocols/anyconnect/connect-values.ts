/** Values of AnyConnect's CONNECT for property tests of its codecs. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { resumptionSuite, suiteNames } from '../../../../src/core/protocols/anyconnect/dtls-suites.ts';
import type { IpAddress } from '../../../../src/core/wire/ip-address.ts';

/** Plain objects, as parsers make them. */
export function record<T>(model: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

export const host4: fc.Arbitrary<IpAddress> = fc
  .tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255))
  .filter(([first]) => first !== 127)
  .map((bytes): IpAddress => ({ family: 4, bytes: Uint8Array.from(bytes) }));
export const host6: fc.Arbitrary<IpAddress> = fc
  .uint8Array({ minLength: 14, maxLength: 14 })
  .map((bytes): IpAddress => ({ family: 6, bytes: Uint8Array.from([0x20, 0x01, ...bytes]) }));

export function optional<T>(name: string, value: T | undefined): object {
  return value === undefined ? {} : { [name]: value };
}

export const suites = (['X-DTLS-CipherSuite', 'X-DTLS12-CipherSuite'] as const).flatMap((header) =>
  suiteNames(header).map((name) => resumptionSuite(header, name) ?? assert.fail()),
);
