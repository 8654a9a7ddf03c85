/** Bytes of all kinds into Network Connect's parsers and both its ends, for as long as the clock says: only errors of ours, and nothing piles up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../../src/core/errors.ts';
import { parseConfiguration, parseSettings, renderConfiguration, renderMtu } from '../../../../src/core/protocols/nc/configuration.ts';
import { parseKeys, renderEspSwitch, renderKeys } from '../../../../src/core/protocols/nc/esp-terms.ts';
import { readCheckResult } from '../../../../src/core/protocols/nc/host-checker.ts';
import { KMP_HEADER_LENGTH, KMP_TYPES, writeKmpHeader } from '../../../../src/core/protocols/nc/kmp-message.ts';
import { parseLoginPage, renderLoginPage } from '../../../../src/core/protocols/nc/login-page.ts';
import { helloName, renderEnding, renderHello, renderRecord } from '../../../../src/core/protocols/nc/oncp-record.ts';
import { parseSessionCookie } from '../../../../src/core/protocols/nc/session-cookie.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { isIpPacket } from '../../../../src/core/tunnel/inner-packet.ts';
import { fromUtf8, utf8 } from '../../../../src/core/wire/text.ts';
import { heldBytes, runSeeds } from '../../../fuzz/seeded-runs.ts';
import { toleratingOwnErrors } from '../../../support/own-errors.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { sized } from '../../../support/size.ts';
import type { TunnelEnd } from '../../../support/tunnel-end.ts';
import { ipOf } from '../../ppp/linked.ts';
import { Pair, packet, TERMS } from './tunnel-pair.ts';

/** How long each test goes on. */
const TIME = sized(700, 120_000);

const ALGORITHMS = { cipher: 'aes-128-cbc', mac: 'sha1' } as const;
const KEYS = { spi: 0xa1b2c3d4, bytes: new Uint8Array(64).fill(7) };
const ESP = { terms: { algorithms: ALGORITHMS, port: 4500, fallback: 15_000 }, keys: KEYS };
const CONFIG = { ...TERMS.config, mtu: 1400, searchDomains: ['example.com'], exclude: [{ address: ipOf('10.1.0.0'), prefix: 16 }] };
const PAGE = renderLoginPage({
  ...{ kind: 'form', id: 'frmLogin', action: 'login.cgi', message: 'Notice' },
  fields: [
    { kind: 'choice', name: 'realm', choices: [{ value: '1', label: 'Users', isSelected: true }] },
    { kind: 'text', name: 'username', value: '' },
  ],
});
const ROLES = `<form name="frmSelectRoles"><table id="TABLE_SelectRole_1"><tr><td><a href="login.cgi?r=1">A</a></td></tr></table></form>`;
const TEXTS = [PAGE, ROLES, 'DSID=1; DSFirst=2; DSLast=3', '200\n3\nafter\n600\n\n'].map(utf8);
const PAYLOADS = [
  renderConfiguration(CONFIG, ipOf('10.77.0.1'), ESP),
  renderMtu(1400),
  renderEspSwitch(true),
  renderEspSwitch(false),
  renderKeys('client', KEYS),
  renderKeys('gateway', KEYS),
];

class Fuzzer {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  below(limit: number): number {
    return this.#random.uint32() % limit;
  }

  of<T>(all: readonly [T, ...T[]] | readonly T[]): T {
    return all[this.below(all.length)] as T; // there is one
  }

  bytes(most: number): Uint8Array {
    return Uint8Array.from({ length: this.below(most) }, () => this.below(256));
  }

  /** Changed, cut, doubled, or with something put in. */
  mutated(original: Uint8Array): Uint8Array {
    let bytes = original;
    for (let changes = this.below(4); changes > 0; changes--) {
      const at = this.below(bytes.length + 1);
      const kind = this.below(4);
      if (kind === 0) bytes = Uint8Array.of(...bytes.subarray(0, at), this.below(256), ...bytes.subarray(at + 1));
      else if (kind === 1) bytes = bytes.slice(0, at);
      else if (kind === 2) bytes = Uint8Array.of(...bytes.subarray(0, at), ...this.bytes(8), ...bytes.subarray(at));
      else bytes = Uint8Array.of(...bytes, ...bytes.subarray(at));
    }
    return bytes;
  }

  /** What may come by a stream: mostly right, so that it is not over at once. */
  record(): Uint8Array {
    const kind = this.below(60);
    if (kind === 0) return renderEnding(this.below(10));
    if (kind === 1) return this.bytes(300);
    if (kind < 12) return renderRecord(this.of(PAYLOADS));
    if (kind < 16) return renderRecord(this.mutated(this.of(PAYLOADS)));
    const inner = this.below(3) === 0 ? this.mutated(packet(this.below(100))) : packet(this.below(100), { length: 24 + this.below(1400) });
    const message = new Uint8Array(KMP_HEADER_LENGTH + inner.length);
    writeKmpHeader(
      message,
      0,
      this.of(['client', 'gateway'] as const),
      this.below(20) === 0 ? this.below(400) : KMP_TYPES.data,
      inner.length,
    );
    message.set(inner, KMP_HEADER_LENGTH);
    if (this.below(6) > 0) return renderRecord(message);
    const cut = 1 + this.below(message.length - 1);
    return Uint8Array.of(...renderRecord(message.subarray(0, cut)), ...renderRecord(message.subarray(cut)));
  }
}

const untilTimeIsOver = (run: (fuzzer: Fuzzer, seed: number) => void | Promise<void>) =>
  runSeeds(TIME, (seed) => run(new Fuzzer(seed), seed));

/** Everything that came to the end's device was a packet. */
function checkDelivered(end: TunnelEnd | undefined): void {
  for (const each of end?.delivered ?? []) assert.ok(isIpPacket(each, 0, each.length));
}

describe('Network Connect, fed anything', () => {
  it('has parsers that throw nothing but their own errors', async () => {
    await untilTimeIsOver(async (fuzzer) => {
      for (let i = 0; i < 100; i++) {
        const payload = fuzzer.mutated(fuzzer.of(PAYLOADS)).subarray(KMP_HEADER_LENGTH);
        toleratingOwnErrors(() => parseConfiguration(payload, undefined));
        toleratingOwnErrors(() => parseSettings(payload));
        toleratingOwnErrors(() => parseKeys(payload, ALGORITHMS));
        toleratingOwnErrors(() => helloName(fuzzer.mutated(renderHello('laptop')).subarray(2)));
      }
      const text = fromUtf8(fuzzer.mutated(fuzzer.of(TEXTS)));
      toleratingOwnErrors(() => parseLoginPage(text));
      toleratingOwnErrors(() => parseSessionCookie(new Secret(text)));
      const words = [utf8(text)];
      const read = async () => words.shift() ?? Promise.reject(new NetworkError('It has ended.'));
      await readCheckResult({ read }).catch((error: unknown) =>
        toleratingOwnErrors(() => {
          throw error;
        }),
      );
    });
  });

  it('has tunnels that go on, or end for a reason, and leave nothing behind', async () => {
    const terms = { ...TERMS, datagram: { port: 4500, allowsPsk: true, allowsLegacy: true, matchesTlsCipher: false } };
    const run = async (fuzzer: Fuzzer, seed: number) => {
      const pair = (await Pair.open({ seed, terms, engines: [fuzzer.below(2) === 0, fuzzer.below(2) === 0] })).up();
      pair.clock.advance(100);
      for (let i = 0; i < 40; i++) {
        const end = fuzzer.below(2) === 0 ? pair.client : pair.gateway;
        const path = end?.paths[fuzzer.below(end.paths.length)];
        if (end === undefined || end.closed !== undefined || path === undefined) continue;
        const record = fuzzer.record();
        const cut = path.kind === 'stream' ? fuzzer.below(record.length + 1) : record.length;
        for (const piece of [record.subarray(0, cut), record.subarray(cut)]) if (piece.length > 0) end.receive(path, piece);
        pair.clock.advance(fuzzer.below(200));
      }
      for (const end of [pair.client, pair.gateway]) {
        checkDelivered(end);
        assert.ok((end?.paths.length ?? 0) <= 4);
        const kind = end?.closed?.kind;
        assert.ok(kind === undefined || ['misbehaved', 'ended-by-peer', 'path-lost'].includes(kind), kind);
      }
    };
    for (let seed = 0; seed < 20; seed++) await run(new Fuzzer(seed), seed);
    const before = await heldBytes();
    const runs = await untilTimeIsOver(run);
    const grown = (await heldBytes()) - before;
    assert.ok(grown < 4e6, `${grown} bytes more after ${runs} runs`);
  });
});
