/** HMAC in place, against node:crypto. */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { Arena, KeptAddresses } from '../../../src/node/ffi/arena.ts';
import { nativeLibrary } from '../../../src/node/ffi/koffi.ts';
import { HASH_LENGTHS, HmacCalls, OpenSslHmac } from '../../../src/node/ffi/openssl-hmac.ts';

const PAGE = 65_536;
const MOST_MESSAGE = 1500;

const arena = new Arena(PAGE);
const calls = new HmacCalls(arena, nativeLibrary('A test'));
const addresses = new KeptAddresses(arena);
const out = arena.allocate(32);
const start = arena.allocate(MOST_MESSAGE + 32) + 3; // as no record is: at an odd address

for (const hash of ['md5', 'sha1', 'sha256'] as const) {
  const length = HASH_LENGTHS[hash];
  describe(`HMAC by ${hash}`, () => {
    for (const keyLength of [0, length, 64]) {
      const key = randomBytes(keyLength);
      const hmac = new OpenSslHmac(calls, hash, key, addresses);
      const expected = (message: Uint8Array) => createHmac(hash, key).update(message).digest();

      it(`is right for every length of a message, and disturbs nothing behind it: a key of ${keyLength} bytes`, () => {
        for (let size = 0; size <= MOST_MESSAGE; size += size < 300 ? 1 : 37) {
          arena.bytes.set(randomBytes(MOST_MESSAGE + 29), start);
          const before = Buffer.from(arena.bytes);
          hmac.mac(start, size, out, length);
          const mac = Buffer.from(arena.bytes.subarray(out, out + length));
          assert.deepEqual(mac, expected(before.subarray(start, start + size)), `${size} bytes`);
          assert.ok(arena.bytes.subarray(out + length).equals(before.subarray(out + length)), `behind ${size} bytes`);
        }
      });

      it(`goes where the message ends, as short as asked for: a key of ${keyLength} bytes`, () => {
        arena.bytes.set(randomBytes(MOST_MESSAGE), start);
        const before = Buffer.from(arena.bytes);
        hmac.mac(start, 100, start + 100, 12);
        const mac = expected(before.subarray(start, start + 100)).subarray(0, 12);
        assert.deepEqual(Buffer.from(arena.bytes.subarray(start + 100, start + 112)), mac);
        assert.ok(arena.bytes.subarray(start + 112).equals(before.subarray(start + 112)));
      });
    }
  });
}

it('has room behind the last message of an arena', () => {
  const full = new Arena(PAGE);
  const fullCalls = new HmacCalls(full, nativeLibrary('A test'));
  const hmac = new OpenSslHmac(fullCalls, 'sha256', Buffer.alloc(32), new KeptAddresses(full));
  let message = full.allocate(64);
  try {
    for (;;) message = full.allocate(64);
  } catch {
    // It is full.
  }
  hmac.mac(message, 64, out, 32);
  assert.deepEqual(
    Buffer.from(full.bytes.subarray(out, out + 32)),
    createHmac('sha256', Buffer.alloc(32)).update(Buffer.alloc(64)).digest(),
  );
});

it('takes no key that RFC 2104 would hash first', () => {
  assert.throws(() => new OpenSslHmac(calls, 'sha1', Buffer.alloc(65), addresses), RangeError);
});
