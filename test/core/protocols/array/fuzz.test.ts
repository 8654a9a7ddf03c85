/** Hostile bytes for all that Array's ends read: nothing but errors of ours, bounded memory, whatever comes. The long run lasts minutes for each. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Credential } from '../../../../src/core/auth/login-io.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { ArrayClient } from '../../../../src/core/protocols/array/client.ts';
import { parseOptions, parseSettings, renderOptions, renderSettings } from '../../../../src/core/protocols/array/configuration.ts';
import { CONTROL_TYPES, renderControl } from '../../../../src/core/protocols/array/control-packet.ts';
import { DatagramChannel } from '../../../../src/core/protocols/array/datagram-channel.ts';
import {
  AnswerReader,
  MESSAGE_TYPES,
  OPTIONS_REQUEST,
  RequestReader,
  renderAnswer,
  SETTINGS_REQUEST,
} from '../../../../src/core/protocols/array/exchange-message.ts';
import { ArrayGatewayTunnel } from '../../../../src/core/protocols/array/gateway-tunnel.ts';
import { parseLoginScript } from '../../../../src/core/protocols/array/login.ts';
import { PacketStream } from '../../../../src/core/protocols/array/packet-stream.ts';
import { parseSessionCookie } from '../../../../src/core/protocols/array/session-cookie.ts';
import * as speedTunnel from '../../../../src/core/protocols/array/speed-tunnel.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { PathFacts, TunnelMachine } from '../../../../src/core/tunnel/machine.ts';
import { packetOf } from '../../../../src/core/tunnel/packet.ts';
import { parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromUtf8, utf8 } from '../../../../src/core/wire/text.ts';
import { Dice } from '../../../fuzz/dice.ts';
import { heldBytes, runSeeds } from '../../../fuzz/seeded-runs.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { toleratingOwnErrors } from '../../../support/own-errors.ts';
import { PlayedIo } from '../../../support/played-io.ts';
import { PAIR_TERMS } from '../../../support/ppp-tunnel-pair.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { sized } from '../../../support/size.ts';
import { TestPath, TunnelEnd } from '../../../support/tunnel-end.ts';
import { kindNamed, pairUp } from '../../dtls/associations.ts';

/** Milliseconds for each test. */
const DURATION = sized(200, 180_000);
const MAX_GROWTH = 8 * 1024 * 1024;

const CLIENT_ID = '37CF8025-705B-8086-1254-3BEC83E94038';
const CREDENTIAL: Credential = { gateway: { host: 'vpn.example', port: 443, path: '/' }, pin: '', cookie: new Secret('ANsession1=abc') };
const END = { address: parseIp('192.0.2.1') ?? assert.fail(), port: 443 };
const FACTS: PathFacts = { local: END, remote: END, engine: false, tls: { cipherSuite: 'TLS' } };

const PACKET = Uint8Array.of(0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 50, 10, 77, 0, 1);
type Honest = readonly [Uint8Array, ...Uint8Array[]];
const ANSWERS: Honest = [
  renderAnswer(MESSAGE_TYPES.optionsAnswer, renderOptions({ hasDatagrams: true, keepalive: 10_000 })) ?? assert.fail(),
  renderAnswer(MESSAGE_TYPES.settingsAnswer, renderSettings(PAIR_TERMS.config)) ?? assert.fail(),
];
const CONTROLS: readonly Uint8Array[] = [
  ...Object.values(CONTROL_TYPES).map((type) => renderControl(type)),
  speedTunnel.renderAnswer(443),
  speedTunnel.renderRequest(CLIENT_ID),
];
/** What an honest gateway says, and what an honest client says behind its request. */
const BEHIND_GRANT: Honest = [...ANSWERS, ...CONTROLS, PACKET];
const FROM_GATEWAY: Honest = [utf8('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), ...BEHIND_GRANT];
const FROM_CLIENT: Honest = [OPTIONS_REQUEST, SETTINGS_REQUEST, ...CONTROLS, PACKET];
const RECORDS: Honest = [PACKET, ...CONTROLS, speedTunnel.renderHello(CLIENT_ID), speedTunnel.renderAccept()];

class HostileDice extends Dice {
  /** Mostly as it was. */
  perhapsAltered(bytes: Uint8Array): Uint8Array {
    const altered = new Uint8Array(bytes);
    switch (this.below(8)) {
      case 0:
        for (let i = this.below(4); i >= 0; i--) altered[this.below(altered.length)] = this.below(256);
        return altered;
      case 1:
        return altered.slice(0, this.below(altered.length + 1));
      case 2:
        return this.bytes(this.below(100));
      case 3:
        return new Uint8Array(Buffer.concat([altered, altered]));
      default:
        return altered;
    }
  }

  /** Something of each of these in their order, and more of them behind, in whatever pieces. */
  stream(honest: Honest): Uint8Array[] {
    const parts = [...honest, ...this.times(this.below(10), () => this.pick(honest))].map((part) => this.perhapsAltered(part));
    const bytes = new Uint8Array(Buffer.concat(parts));
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 1 + this.below(this.below(3) === 0 ? 5 : 1500);
      pieces.push(bytes.slice(at, end));
      at = end;
    }
    return pieces;
  }
}

async function withSeeds(run: (dice: HostileDice) => void | Promise<void>): Promise<void> {
  await runSeeds(DURATION, (seed) => run(new HostileDice(seed)));
}

const tried = (decode: () => unknown) => toleratingOwnErrors(decode);

describe("hostile bytes for Array's ends", () => {
  it('are an answer, or an error of ours', () =>
    withSeeds((dice) => {
      const [answers, requests] = [new AnswerReader(), new RequestReader()];
      const stream = new PacketStream({ control: () => undefined });
      const sink = new CollectingSink();
      for (const piece of dice.stream(BEHIND_GRANT)) {
        tried(() => {
          const answer = answers.push(piece);
          if (answer === undefined) return;
          parseOptions(answer.value);
          parseSettings(answer.value);
        });
      }
      for (const piece of dice.stream(FROM_CLIENT)) {
        tried(() => requests.push(dice.pick([MESSAGE_TYPES.options, MESSAGE_TYPES.settings]), piece));
        tried(() => stream.receive(piece, sink));
      }
      const record = dice.perhapsAltered(dice.pick(RECORDS));
      speedTunnel.parseAnswer(record);
      speedTunnel.parseHello(record);
      speedTunnel.isAccept(record);
      const text = fromUtf8(dice.perhapsAltered(utf8('ANsession1=abc; other="x"; var _AN_str_errormsg_login = "No\\x41 \\u0042";')));
      tried(() => parseSessionCookie(new Secret(text)));
      tried(() => parseLoginScript(text));
    }));

  it('are values of all kinds where JSON says them, and configure nothing that is none', () =>
    withSeeds((dice) => {
      const value = (depth: number): unknown => {
        const kind = dice.below(depth > 3 ? 6 : 9);
        if (kind < 2) return dice.below(2 ** 32) - dice.below(2) * 2 ** 31;
        if (kind === 2) return (dice.below(2 ** 32) / 2 ** 32) * 10 ** dice.below(30);
        if (kind === 3) return dice.pick(['', 'a.example', '-x', '10.0.0.1', 'x'.repeat(300), '\0', '<b>']);
        if (kind < 6) return dice.pick([null, true, false]);
        if (kind < 8) return Array.from({ length: dice.below(5) }, () => value(depth + 1));
        return object(depth + 1);
      };
      const object = (depth: number): Record<string, unknown> =>
        Object.fromEntries(Array.from({ length: dice.below(6) }, () => [dice.pick(KEYS), value(depth)]));
      const answer = { client_ipv4: 838_880_522, ...object(0) };
      tried(() => parseOptions(answer));
      tried(() => {
        const { config } = parseSettings(answer);
        assert.ok((config.ipv4?.prefix ?? 32) <= 32 && config.dns.length <= 8 && config.include.length <= 1000);
        for (const domain of config.searchDomains) assert.match(domain, /^[\w.-]+$/);
      });
    }));

  it('leave an end of the tunnel running, or close it with a reason; and never does it hold what it was sent', async () => {
    const before = await heldBytes();
    await withSeeds(async (dice) => {
      const client = new ArrayClient({
        ...{ crypto: new SeededCrypto(1), log: silentLogger, client: CLIENT, usesXml: true, httpAuth: [], compression: 'none' },
        ...{ wantsIpv6: true, usesDatagrams: true, datagramCiphers: { allowsLegacy: true }, datagramCertificateFault: () => undefined },
      });
      const isGateway = dice.below(2) === 0;
      const machine: TunnelMachine = isGateway
        ? new ArrayGatewayTunnel({ log: silentLogger, terms: PAIR_TERMS, datagramPort: 443 })
        : await client.open(new PlayedIo([]), CREDENTIAL, undefined);
      const clock = new FakeClock();
      const end = new TunnelEnd(machine, clock, () => undefined);
      if (!isGateway) end.handleTimeout(0);
      const path = new TestPath('stream', end, () => undefined);
      end.add(path);
      end.turn((running, sink) => running.opened(path, FACTS, 0, sink));
      for (const piece of dice.stream(isGateway ? FROM_CLIENT : FROM_GATEWAY)) {
        if (end.closed !== undefined) break;
        end.receive(path, piece);
        if (dice.below(4) === 0) clock.advance(dice.below(5000));
      }
      if (end.closed === undefined) clock.advance(200_000);
      assert.ok(end.closed !== undefined, 'nobody answers any more');
    });
    const after = await heldBytes();
    assert.ok(after - before < MAX_GROWTH, `grew from ${before} to ${after} bytes`);
  });

  it('are packets, words or nothing in an association', () =>
    withSeeds((dice) => {
      const dtls = pairUp(kindNamed('PSK, DTLS 1.0'));
      const client = new DatagramChannel({
        dtls: dtls.left,
        hello: speedTunnel.renderHello(CLIENT_ID),
        dpd: 10_000,
        facts: { remote: END },
      });
      const gateway = new DatagramChannel({ dtls: dtls.right, dpd: 0, facts: { remote: END } });
      const { left, right } = dtls.sinks;
      for (let i = 0; i < 30; i++) {
        dtls.left.send(packetOf(dice.perhapsAltered(dice.pick(RECORDS))), 0, left);
        dtls.right.send(packetOf(dice.perhapsAltered(dice.pick(RECORDS))), 0, right);
        const [up, down] = [left.take(), right.take()];
        for (const bytes of up) gateway.receive(bytes, 0, right);
        for (const bytes of down) client.receive(bytes, 0, left);
        assert.ok(left.records.length + right.records.length <= 2 * (up.length + down.length), 'more is said than was asked');
      }
      assert.deepEqual([client.phase, gateway.phase], ['up', 'up']);
      for (const packet of [...left.packets, ...right.packets]) assert.ok(packet[9] !== 255 || (packet[0] ?? 0) >>> 4 === 6);
    }));
});

const KEYS: readonly [string, ...string[]] = [
  'ipv4',
  ...[
    'allow_speed_tunnel',
    'keepalive_interval',
    'client_ipv4',
    'client_ipv4_mask',
    'include_network_resource',
    'exclude_network_resource',
  ],
  ...['dns_servers', 'search_domains', 'ipv6', 'ip', 'mask', '__proto__', 'toString'],
];
