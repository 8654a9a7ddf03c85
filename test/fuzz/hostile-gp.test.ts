/**
 * GlobalProtect's parsers and machines against bytes that mean harm, at either end: what is right, with some of it changed, cut where it may hurt, on a clock
 * of its own. For a fixed time.
 *
 * `SALLYPORT_FUZZ_SEED=123` plays the one run of that seed again; `SALLYPORT_FUZZ_MINUTES=60` goes on for longer.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, it } from 'node:test';
import { SallyportError } from '../../src/core/errors.ts';
import { EspSender } from '../../src/core/esp/packet.ts';
import { silentLogger } from '../../src/core/log.ts';
import { parseXml } from '../../src/core/markup/xml.ts';
import { readBrowserAnswer, renderCallback, tagsOf } from '../../src/core/protocols/gp/browser-login.ts';
import { GpClientTunnel } from '../../src/core/protocols/gp/client-tunnel.ts';
import { parseConfiguration, renderConfiguration } from '../../src/core/protocols/gp/configuration.ts';
import { writeFrame, writeKeepalive } from '../../src/core/protocols/gp/frame.ts';
import { GpEspTunnel } from '../../src/core/protocols/gp/gateway-esp-tunnel.ts';
import { GpGatewayTunnel } from '../../src/core/protocols/gp/gateway-tunnel.ts';
import { type EspOffer, newOffer } from '../../src/core/protocols/gp/ipsec.ts';
import { parseLoginAnswer, renderAdmission, renderChallenge } from '../../src/core/protocols/gp/login-answer.ts';
import { clientProbe, gatewayProbe } from '../../src/core/protocols/gp/magic-ping.ts';
import { readPolicy } from '../../src/core/protocols/gp/portal-policy.ts';
import { parsePrelogin, renderPrelogin } from '../../src/core/protocols/gp/prelogin.ts';
import { parseSessionCookie } from '../../src/core/protocols/gp/session-cookie.ts';
import { Secret } from '../../src/core/secret.ts';
import type { TunnelMachine } from '../../src/core/tunnel/machine.ts';
import { parseIp } from '../../src/core/wire/ip-address.ts';
import { fromUtf8, utf8 } from '../../src/core/wire/text.ts';
import { CollectingSink } from '../support/collecting-sink.ts';
import { numberedPacket } from '../support/esp-ends.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { PAIR_TERMS } from '../support/ppp-tunnel-pair.ts';
import { SeededCrypto } from '../support/scripted-crypto.ts';
import { sized } from '../support/size.ts';
import { TestPath, TunnelEnd } from '../support/tunnel-end.ts';
import { Dice } from './dice.ts';
import { mutated, mutatedText } from './hostile-bytes.ts';
import { heldBytes } from './seeded-runs.ts';

const MINUTES = Number(process.env.SALLYPORT_FUZZ_MINUTES ?? sized(0.02, 4));
const MAX_LEFT_BYTES = 24 * 1024 * 1024;
/** Code is compiled in the first runs. */
const WARM_UP_RUNS = 200;
const MAX_INPUTS = 20;

const ASKED = PAIR_TERMS.gatewayIpv4 ?? assert.fail();
const OWN = PAIR_TERMS.config.ipv4?.address ?? assert.fail();
const OFFER = newOffer(new SeededCrypto(4), 4501, { cipher: 'aes-128-cbc', mac: 'sha1' });
const END = { address: parseIp('192.0.2.7') ?? assert.fail(), port: 443 };
const FACTS = { local: END, remote: END, engine: false };
const PING = { client: OWN, gateway: ASKED };

const CONFIGURATION = renderConfiguration(
  { config: PAIR_TERMS.config, mtu: 1380, timeout: 600_000, user: 'alice', saysIpv6Routes: true, asked: ASKED, esp: OFFER },
  0,
);
const POLICY = `<policy><gateways><external><list><entry name="a.example:443"><priority>1</priority><priority-rule><entry name="Any"><priority>1
  </priority></entry></priority-rule><description>Main</description></entry></list></external></gateways><portal-userauthcookie>T</portal-userauthcookie></policy>`;

/** What is read as text, and a right one. */
const DOCUMENTS: readonly (readonly [parse: (text: string) => unknown, right: string])[] = [
  [parsePrelogin, renderPrelogin({ type: 'ready', usernameLabel: 'U', passwordLabel: 'P', browser: { url: 'https://idp.example/' } })],
  [parseLoginAnswer, renderAdmission({ authcookie: new Secret('ab'), user: 'alice' })],
  [parseLoginAnswer, renderChallenge({ prompt: 'Code?', state: 'S' }, 'alice')],
  [parseLoginAnswer, 'var respStatus = "Challenge";\nvar respMsg = "Code?";\nthisForm.inputStr.value = "S";\n'],
  [parseConfiguration, CONFIGURATION],
  [(text) => readPolicy(parseXml(text), 'XX'), POLICY],
  [readBrowserAnswer, renderCallback('alice', new Secret('PRELOGIN')).reveal()],
  [readBrowserAnswer, `<html><!-- ${tagsOf('alice', new Secret('PRELOGIN'))} --></html>`],
  [readBrowserAnswer, 'globalprotectcallback:cas-as%3D1%26un%3Dalice%26token%3Dabcdef'],
  [(text) => parseSessionCookie(new Secret(text)), 'authcookie=ab&portal=p&user=alice&domain=%28empty_domain%29&computer=vm'],
];

function documents(dice: Dice): void {
  const [parse, right] = dice.pickOf(DOCUMENTS) ?? assert.fail();
  const text = dice.oneIn(2) ? mutatedText(dice, right) : fromUtf8(mutated(dice, utf8(right)));
  try {
    parse(text);
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
  }
}

/** A machine at one end of one path, and what is told to it, until it has had enough. */
function machine(dice: Dice, machineUnder: TunnelMachine, kind: 'stream' | 'datagram', inputs: readonly Uint8Array[]): void {
  const clock = new FakeClock();
  const end = new TunnelEnd(machineUnder, clock, () => undefined);
  clock.advance(1);
  const path = new TestPath(kind, end, () => undefined);
  end.add(path);
  end.turn((running, sink) => running.opened(path, FACTS, clock.now, sink));
  for (const bytes of inputs) {
    if (end.closed !== undefined) return;
    end.receive(path, bytes);
    if (dice.oneIn(3) && end.closed === undefined) end.send(numberedPacket(1, dice.pick([60, 1380, 1381])));
    clock.advance(dice.pick([1, 100, 4000, 11_000]));
  }
}

/** Frames, some of them wrong, cut anywhere. */
function stream(dice: Dice, prefix: string): Uint8Array[] {
  const sink = new CollectingSink();
  for (let i = dice.below(MAX_INPUTS); i > 0; i--) {
    if (dice.oneIn(3)) writeKeepalive(sink);
    else writeFrame(perhapsWrong(dice, numberedPacket(i, dice.between(24, 200))), sink);
  }
  const right = Buffer.concat([utf8(prefix), ...sink.records]);
  const bytes = dice.oneIn(2) ? mutated(dice, right) : right;
  const at = dice.below(bytes.length + 1);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

/** Under the right keys with anything in it, or with anything of it changed. */
function datagrams(dice: Dice, keys: EspOffer['toGateway'], ping: Uint8Array): Uint8Array[] {
  const sender = new EspSender(new SeededCrypto(dice.below(1e9)), keys);
  return dice.times(dice.between(1, MAX_INPUTS), () => {
    const payload = perhapsWrong(dice, dice.oneIn(2) ? ping : numberedPacket(1, dice.between(24, 200)));
    if (payload.length === 0) return dice.bytes(dice.size(100));
    const room = new Uint8Array(sender.lengthFor(payload.length));
    sender.seal(payload, dice.pick([4, 4, 4, 41, 5, 59, dice.below(256)]), room);
    return dice.oneIn(3) ? mutated(dice, room) : room;
  });
}

function perhapsWrong(dice: Dice, packet: Uint8Array): Uint8Array {
  return dice.oneIn(2) ? mutated(dice, packet) : packet;
}

const RUNS: readonly [(dice: Dice) => void, ...((dice: Dice) => void)[]] = [
  documents,
  documents,
  (dice) =>
    machine(dice, clientTunnel(), 'stream', stream(dice, dice.oneIn(4) ? 'HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n' : 'START_TUNNEL')),
  (dice) => machine(dice, new GpGatewayTunnel(silentLogger, PAIR_TERMS), 'stream', stream(dice, '')),
  (dice) => {
    const ping = gatewayProbe([ASKED]).read(clientProbe(PING).request(1));
    assert.ok(typeof ping === 'object');
    machine(dice, clientTunnel(OFFER), 'datagram', datagrams(dice, OFFER.toClient, ping.answer.bytes));
  },
  (dice) => {
    const parts = { crypto: new SeededCrypto(2), log: silentLogger, terms: PAIR_TERMS, offer: OFFER, asked: ASKED, keysLife: 600_000 };
    machine(dice, new GpEspTunnel(parts), 'datagram', datagrams(dice, OFFER.toGateway, clientProbe(PING).request(1).bytes));
  },
];

function clientTunnel(esp?: EspOffer): GpClientTunnel {
  return new GpClientTunnel({
    ...{
      crypto: new SeededCrypto(1),
      log: silentLogger,
      request: new Uint8Array(1),
      config: PAIR_TERMS.config,
      mtuOf: () => 1380,
      dpd: 10_000,
    },
    ...(esp && { esp: { ...esp, ping: PING, address: END.address } }),
  });
}

describe('GlobalProtect, with hostile bytes', () => {
  it('throws nothing but its own errors, keeps its machines to their law, and leaves nothing on the heap', async (context) => {
    const given = process.env.SALLYPORT_FUZZ_SEED;
    const first = given === undefined ? sized(1, randomInt(2 ** 31)) : Number(given);
    const until = performance.now() + MINUTES * 60_000;
    let heap = 0;
    let runs = 0;
    for (; given === undefined ? performance.now() < until || runs <= WARM_UP_RUNS : runs === 0; runs++) {
      if (runs === WARM_UP_RUNS) heap = await heldBytes();
      const dice = new Dice(first + runs);
      try {
        dice.pick(RUNS)(dice);
      } catch (error) {
        throw new Error(`SALLYPORT_FUZZ_SEED=${first + runs}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
    }
    context.diagnostic(`${runs} runs from seed ${first}`);
    const left = runs > WARM_UP_RUNS ? (await heldBytes()) - heap : 0;
    assert.ok(left < MAX_LEFT_BYTES, `${runs} runs from seed ${first} left ${Math.round(left / 2 ** 20)} MiB on the heap`);
  });
});
