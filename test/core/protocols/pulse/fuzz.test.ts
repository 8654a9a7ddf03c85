/** Hostile bytes for all that Pulse's ends read, in every state: nothing but errors of ours, bounded memory, whatever comes. The long run lasts minutes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as auth from '../../../../src/core/protocols/pulse/auth-payload.ts';
import { AVP_CODES, type Avp, decodeAvps, eapAvp, encodeAvps, numberAvp, textAvp } from '../../../../src/core/protocols/pulse/avp.ts';
import { ClientExchange } from '../../../../src/core/protocols/pulse/client-exchange.ts';
import { parseConfiguration, renderConfiguration } from '../../../../src/core/protocols/pulse/configuration.ts';
import { configurationKind } from '../../../../src/core/protocols/pulse/container.ts';
import { decodeEap, EAP_CODES, EAP_METHODS, encodeEap } from '../../../../src/core/protocols/pulse/eap.ts';
import { encodeInner, InnerPackets, TtlsMessages } from '../../../../src/core/protocols/pulse/eap-ttls.ts';
import * as esp from '../../../../src/core/protocols/pulse/esp-configuration.ts';
import { decodeFatalError, encodeFatalError } from '../../../../src/core/protocols/pulse/fatal-error.ts';
import { pulseGateway } from '../../../../src/core/protocols/pulse/gateway.ts';
import { IFT_KINDS, type IftKind, IftWriter } from '../../../../src/core/protocols/pulse/ift-packet.ts';
import * as password from '../../../../src/core/protocols/pulse/password-method.ts';
import { questionOf } from '../../../../src/core/protocols/pulse/question.ts';
import { upgradeHeaders } from '../../../../src/core/protocols/pulse/upgrade.ts';
import type { Millis } from '../../../../src/core/tunnel/packet.ts';
import { Dice } from '../../../fuzz/dice.ts';
import { heldBytes, runSeeds } from '../../../fuzz/seeded-runs.ts';
import { Door, FACTS, get } from '../../../support/gateway-door.ts';
import { PLAIN_TERMS, PlayedVisitor } from '../../../support/gateway-visitor.ts';
import { NoTls } from '../../../support/no-tls.ts';
import { toleratingOwnErrors } from '../../../support/own-errors.ts';
import { sized } from '../../../support/size.ts';
import { EspPair, numbered } from './esp-pair.ts';

/** Of each test. */
const DURATION: Millis = sized(200, 120_000);
const MAX_GROWTH_BYTES = 8 * 1024 * 1024;

const { request, response, success, failure } = EAP_CODES;
const { conversation, identity, password: passwordMethod, tokenCard, ttls } = EAP_METHODS;
const NONE = new Uint8Array(0);
const BLOCK = { spi: 0xa1b2c3fe, bytes: new Uint8Array(64) };
const ESP = { algorithms: { cipher: 'aes-256-cbc', mac: 'sha256' }, port: 4433, dpd: 10_000, lifetime: 60_000 } as const;

const inner = (code: number, method: number, data: Uint8Array) => eapAvp({ code, id: 1, method, data });
const AVP_LISTS: readonly (readonly Avp[])[] = [
  [numberAvp(AVP_CODES.featureLevel, 4), textAvp(AVP_CODES.serverId, 'x')],
  [textAvp(AVP_CODES.realmOffered, 'a'), textAvp(AVP_CODES.realmOffered, 'b')],
  [textAvp(AVP_CODES.notice, 'Welcome')],
  [inner(request, passwordMethod, password.encodePasswordRequest({ type: 'ask' }))],
  [numberAvp(AVP_CODES.secondaryMode, 3), inner(request, passwordMethod, password.encodePasswordRequest({ type: 'again' }))],
  [inner(request, tokenCard, NONE)],
  [{ code: AVP_CODES.existingSession, data: encodeAvps([textAvp(AVP_CODES.existingSessionId, 's')]) }],
  [textAvp(AVP_CODES.cookie, 'x'.repeat(43))],
  [numberAvp(AVP_CODES.failure, 0x0d)],
  [textAvp(AVP_CODES.username, 'alice'), inner(response, passwordMethod, password.encodePasswordResponse({ password: 'x' }))],
  [textAvp(AVP_CODES.userAgent, 'x'), textAvp(AVP_CODES.cookie, 'DSID=abc')],
];
const EAP_PACKETS = [
  ...AVP_LISTS.flatMap((avps) => [request, response].map((code) => ({ code, id: 2, method: conversation, data: encodeAvps(avps) }))),
  { code: response, id: 1, method: identity, data: auth.IDENTITY },
  ...['20', '00160301', 'c000000004aa'].flatMap((data) =>
    [request, response].map((code) => ({ code, id: 2, method: ttls, data: Buffer.from(data, 'hex') })),
  ),
  { code: success, id: 3, data: NONE },
  { code: failure, id: 3, data: NONE },
];
const CONFIGURATIONS = [
  renderConfiguration({ config: { ...PLAIN_TERMS.config, mtu: 1400 }, esp: ESP }),
  esp.encodeEspOffer(BLOCK),
  esp.encodeEspReply({ own: BLOCK, echo: BLOCK }),
];
const PAYLOADS: readonly (readonly [IftKind, Uint8Array])[] = [
  ['versionRequest', auth.VERSION_REQUEST],
  ['versionResponse', auth.versionResponse(2)],
  ['clientInformation', auth.renderClientInformation({ hostname: 'box' })],
  ['authChallenge', auth.encodeAuth()],
  ...EAP_PACKETS.flatMap((packet) => {
    const kind = packet.code === response ? 'authResponse' : packet.code === success ? 'authSuccess' : 'authChallenge';
    return [[kind, auth.encodeAuth(packet)] as const];
  }),
  ...CONFIGURATIONS.map((payload) => ['configuration', payload] as const),
  ['endOfConfiguration', new Uint8Array(4)],
  ['data', numbered(0, 'gateway')],
  ['data', numbered(1, 'client')],
  ['fatalError', encodeFatalError({ type: 8, text: 'Idle.' })],
  ['textControl', Buffer.from('ncmo=1\n\0')],
  ['licence', NONE],
];

/** How a client begins, up to the end of its handshake where there is EAP-TTLS. */
const HONEST = [
  ['versionRequest', auth.VERSION_REQUEST] as const,
  ['clientInformation', auth.renderClientInformation({ hostname: 'box' })] as const,
  ['authResponse', auth.encodeAuth({ code: response, id: 1, method: identity, data: auth.IDENTITY })] as const,
  [
    'authResponse',
    auth.encodeAuth({
      ...{ code: response, id: 2, method: ttls },
      data: Buffer.concat([Uint8Array.of(0), encodeInner({ code: response, id: 1, method: identity, data: auth.IDENTITY })]),
    }),
  ] as const,
].map(([kind, payload]) => new IftWriter().packet(IFT_KINDS[kind], payload));

/** Mostly as it was. */
function altered(dice: Dice, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  if (copy.length === 0 || !dice.oneIn(3)) return copy;
  if (dice.oneIn(3)) return copy.slice(0, dice.below(copy.length));
  if (dice.oneIn(3)) return Uint8Array.from([...copy, ...dice.bytes(dice.size(2000))]);
  for (let times = dice.between(1, 4); times > 0; times--)
    copy[dice.below(copy.length)] = dice.pick([0, 1, 0x7f, 0x80, 0xff, dice.below(256)]);
  return copy;
}

/** A few packets, broken within or in whole. */
function stream(dice: Dice): Uint8Array {
  const writer = new IftWriter();
  const packets = dice.times(dice.between(1, 6), () => {
    const [kind, payload] = dice.pickOf(PAYLOADS) ?? assert.fail();
    const packet = writer.packet(IFT_KINDS[kind], altered(dice, payload));
    return dice.oneIn(6) ? altered(dice, packet) : packet;
  });
  return Buffer.concat(packets);
}

async function withSeeds(run: (dice: Dice) => void | Promise<void>): Promise<void> {
  const before = await heldBytes();
  const runs = await runSeeds(DURATION, (seed) => run(new Dice(seed)));
  const grown = (await heldBytes()) - before;
  assert.ok(grown < MAX_GROWTH_BYTES, `${runs} runs have left ${grown} bytes`);
}

describe("hostile bytes for Pulse's ends", () => {
  it('are what they were to be, or an error of ours', () =>
    withSeeds((dice) => {
      const bytes = [
        ...EAP_PACKETS.map(encodeEap),
        ...AVP_LISTS.map(encodeAvps),
        ...CONFIGURATIONS,
        ...PAYLOADS.map(([, payload]) => payload),
      ];
      const input = altered(dice, dice.pickOf(bytes) ?? NONE);
      for (const parse of [
        ...[decodeEap, auth.decodeAuth, auth.agreedVersion, auth.checkVersionResponse, auth.parseClientInformation],
        ...[configurationKind, parseConfiguration, esp.decodeEspOffer, esp.decodeEspReply, decodeFatalError],
        ...[password.decodePasswordRequest, password.decodePasswordResponse],
        (all: Uint8Array) => questionOf(decodeAvps(all)),
        (all: Uint8Array) => new TtlsMessages().receive(all),
      ])
        toleratingOwnErrors(() => parse(input));
      const inside = new InnerPackets();
      const [packet] = [dice.pickOf(EAP_PACKETS) ?? assert.fail()];
      toleratingOwnErrors(() => {
        inside.push(altered(dice, encodeInner(packet)));
        while (inside.next() !== undefined);
      });
    }));

  it('lead a log-in to its end, or nowhere', () =>
    withSeeds((dice) => {
      const exchange = new ClientExchange({ userAgent: 'x', information: {}, hasInnerTls: dice.oneIn(2) });
      toleratingOwnErrors(() => {
        for (let i = 0; i < 8; i++) {
          exchange.push(stream(dice));
          for (let step = exchange.next(); step.type !== 'waiting' && step.type !== 'configured'; step = exchange.next()) {
            if (step.type === 'question') exchange.answer([]);
            if (step.type === 'tls') exchange.tlsAnswer(dice.bytes(dice.size(20_000)));
            if (step.type === 'tls' && dice.oneIn(2)) exchange.openInside();
          }
        }
      });
    }));

  it('are answered by a gateway until it has heard enough', () =>
    withSeeds(async (dice) => {
      const door = new Door(new PlayedVisitor({ page: { needsCertificate: dice.oneIn(2) } }), FACTS, pulseGateway);
      door.innerTls = () => new NoTls();
      const said = [...HONEST.slice(0, dice.between(2, 4)), ...dice.times(dice.between(1, 8), () => stream(dice))];
      door.upgraded = { read: async () => said.shift(), unread: () => undefined, write: () => undefined };
      await door.exchange(get('/', upgradeHeaders('vpn.example', 'x')));
      await door.end;
    }));

  it('leave a tunnel running or end it with a reason, at both ends, by TLS and by UDP', () =>
    withSeeds((dice) => {
      const pair = new EspPair({ seed: dice.below(100), family: dice.oneIn(2) ? 4 : 6, engine: dice.oneIn(3) });
      if (dice.oneIn(4)) pair.clock.advance(dice.below(60));
      else pair.start();
      for (let i = 0; i < 6; i++) {
        const end = dice.oneIn(2) ? pair.client : pair.gateway;
        const path = dice.pickOf(end.paths);
        if (end.closed !== undefined || path === undefined) break;
        end.receive(
          path,
          path.kind === 'stream' ? stream(dice) : dice.bytes(path.engine === undefined ? dice.size(200) : dice.between(4, 200)),
        );
        if (dice.oneIn(3)) pair.clock.advance(dice.below(5000));
      }
      pair.clock.advance(1000);
      for (const { closed } of [pair.client, pair.gateway]) {
        if (closed === undefined) continue;
        assert.ok(['misbehaved', 'ended-by-peer', 'refused', 'unusable', 'log-off', 'path-lost'].includes(closed.kind), closed.kind);
      }
    }));
});
