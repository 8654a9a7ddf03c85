import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PathProof, type PathProofOptions } from '../../../../src/core/protocols/anyconnect/path-proof.ts';
import { toHex } from '../../../../src/core/wire/text.ts';

const OPTIONS: PathProofOptions = { agreed: 1400, hasIpv6: false, id: 0x01020304 };

/** What a path makes of a request: the answers' payloads, and after how long each comes. */
type Path = (request: Uint8Array) => readonly { readonly after: number; readonly answer: Uint8Array }[];

const echo =
  (after: number, largest = Number.POSITIVE_INFINITY): Path =>
  (request) =>
    request.length > largest ? [] : [{ after, answer: request }];
const silence: Path = () => [];
/** As peers answer that do not echo. */
const oneByte: Path = () => [{ after: 10, answer: new Uint8Array(0) }];

/** Runs a proof over a path; from `changesAt` on over another one. */
function run(path: Path, options = OPTIONS, limit = 20_000, later: { readonly at: number; readonly path: Path } = { at: limit, path }) {
  const proof = new PathProof(options, 0);
  const flying: { readonly at: number; readonly answer: Uint8Array }[] = [];
  const requests: Uint8Array[] = [];
  let now = 0;
  for (;;) {
    const due = Math.min(proof.nextTimeout() ?? limit, ...flying.map(({ at }) => at));
    if (due >= limit) return { proof, requests, now };
    now = Math.max(now, due);
    for (const arrived of flying.splice(0)) {
      if (arrived.at <= now) proof.answered(arrived.answer, now);
      else flying.push(arrived);
    }
    const request = proof.handleTimeout(now);
    if (request === undefined) continue;
    requests.push(request);
    assert.ok(requests.length < 2000, 'without end');
    for (const { after, answer } of (now < later.at ? path : later.path)(request)) flying.push({ at: now + after, answer: answer.slice() });
  }
}

describe('The proof of a path', () => {
  // Spec "AnyConnect", section 8.4.
  it('asks with a tag, its random part and the size, and zeros', () => {
    const { requests } = run(echo(10));
    assert.equal(requests.length, 1);
    assert.equal(toHex(requests[0]?.subarray(0, 8) ?? assert.fail()), '0102087c00000000');
    assert.equal(requests[0]?.length, 1400);
  });

  it('takes one round trip where everything passes', () => {
    const { proof, now } = run(echo(30));
    assert.deepEqual([proof.state, proof.mtu, now], ['proven', 1400, 30]);
  });

  it('finds the largest size that passes', () => {
    for (const largest of [1399, 1280, 1000, 577, 576]) {
      const { proof } = run(echo(10, largest));
      assert.deepEqual([proof.state, proof.mtu], ['proven', largest]);
    }
  });

  it('keeps the MTU with peers that answer, but do not echo', () => {
    const { proof } = run(oneByte);
    assert.deepEqual([proof.state, proof.mtu], ['proven', 1400]);
  });

  it('takes an echo that comes after the search: the largest that passed', () => {
    for (const largest of [1400, 1000]) {
      const { proof } = run(echo(1500, largest));
      assert.equal(proof.state, 'proven');
      assert.ok(proof.mtu <= largest && proof.mtu >= 576, `${proof.mtu} of ${largest}`);
    }
  });

  it('finds a path too narrow that carries questions, but no probe', () => {
    for (const delay of [1, 100, 900]) assert.equal(run(echo(delay, 575)).proof.state, 'narrow');
    assert.equal(run(echo(10, 1279), { ...OPTIONS, hasIpv6: true }).proof.state, 'narrow');
    assert.equal(run(echo(10, 1280), { ...OPTIONS, hasIpv6: true }).proof.mtu, 1280);
  });

  it('searches again where the first search was lost as a whole', () => {
    const { proof } = run(silence, OPTIONS, 20_000, { at: 3_000, path: echo(10) });
    assert.deepEqual([proof.state, proof.mtu], ['proven', 1400]);
  });

  it('asks a silent path every second, and never ends', () => {
    const { proof, requests } = run(silence, OPTIONS, 30_000);
    assert.equal(proof.state, 'asking');
    assert.ok(requests.length < 60);
  });

  it('asks one question where the MTU is the smallest: nothing is to be found, but the path is to be proven', () => {
    const { proof, requests } = run(echo(10), { ...OPTIONS, agreed: 576 });
    assert.deepEqual([proof.state, proof.mtu, requests.length], ['proven', 576, 1]);
    assert.equal(run(silence, { ...OPTIONS, agreed: 500 }).proof.state, 'asking');
  });

  it('is not led astray by answers to questions that it did not ask', () => {
    const forged: Path = (request) => [{ after: 5, answer: Uint8Array.from(request, (byte, i) => (i < 4 ? byte ^ 1 : byte)) }];
    // A wrong tag is no echo. It is an answer all the same, sealed by the gateway: the path lives, and its MTU stays.
    const { proof } = run(forged);
    assert.deepEqual([proof.state, proof.mtu], ['proven', 1400]);
  });

  it('never exceeds the MTU so far, whatever is answered and refused', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('answered' as const), bytes: fc.uint8Array({ maxLength: 2000 }) }),
      fc.record({ kind: fc.constant('echo' as const), size: fc.integer({ min: 5, max: 2000 }) }),
      fc.record({ kind: fc.constant('refused' as const), size: fc.integer({ min: 0, max: 2000 }) }),
      fc.record({ kind: fc.constant('wait' as const), time: fc.nat(5000) }),
    );
    fc.assert(
      fc.property(fc.array(step), fc.boolean(), (steps, hasIpv6) => {
        const proof = new PathProof({ ...OPTIONS, hasIpv6 }, 0);
        let now = 0;
        for (const each of steps) {
          if (each.kind === 'wait') {
            now += each.time;
            proof.handleTimeout(now);
          } else if (each.kind === 'refused') {
            proof.refused(each.size, now);
          } else {
            const bytes = each.kind === 'echo' ? echoOf(each.size) : each.bytes;
            proof.answered(bytes, now);
          }
          assert.ok(proof.mtu <= OPTIONS.agreed);
          const isOver = proof.state === 'proven' || proof.state === 'narrow';
          assert.equal(proof.nextTimeout() === undefined, isOver);
        }
      }),
    );
  });
});

function echoOf(size: number): Uint8Array {
  const payload = new Uint8Array(size);
  new DataView(payload.buffer).setUint32(0, OPTIONS.id + size);
  return payload;
}
