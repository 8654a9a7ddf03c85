import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readFirstHello } from '../../../../src/core/dtls/first-hello.ts';
import { NetworkError } from '../../../../src/core/errors.ts';
import { GatewayTunnel } from '../../../../src/core/protocols/anyconnect/gateway-tunnel.ts';
import { parseCidr } from '../../../../src/core/wire/ip-address.ts';
import { fromHex, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { numberedPacket } from './numbered-packets.ts';
import { CLIENT_ADDRESS, GATEWAY_ADDRESS, seconds, TunnelPair } from './tunnel-pair.ts';
import { established, talk, timeUntil } from './tunnel-talk.ts';

/** What the gateway writes on its stream from now on, a record each. */
function gatewayRecords(pair: TunnelPair): string[] {
  const records: string[] = [];
  pair.onGatewayRecord = (bytes) => records.push(toHex(bytes));
  return records;
}

describe('The gateway’s stream channel', () => {
  // Spec "AnyConnect", sections 5.2 and 13.1.
  it('echoes DPD requests byte for byte, and is silent about keepalives, answers and what it does not know', () => {
    const { pair } = established();
    const records = gatewayRecords(pair);
    pair.tellGateway(fromHex('535446010005030068656c6c6f 5354460100000300'));
    assert.deepEqual(records, ['535446010005040068656c6c6f', '5354460100000400']);
    pair.tellGateway(fromHex('5354460100000700 5354460100000400 5354460100004200 5354460100000900'));
    assert.equal(records.length, 2);
    assert.equal(pair.gateway?.closed, undefined);
  });

  // Spec "AnyConnect", section 5.4.
  it('takes BYE for the end of the session, an empty disconnect for a break, and any other for a mistake', () => {
    for (const [frame, kind, answer] of [
      ['5354460100040500b0627965', 'log-off', []],
      ['5354460100000500', 'detach', []],
      ['53544601000205000142', 'misbehaved', ['5354460100000500']],
    ] as const) {
      const { pair } = established();
      const records = gatewayRecords(pair);
      pair.tellGateway(fromHex(frame));
      assert.equal(pair.gateway?.closed?.kind, kind);
      assert.deepEqual(records, answer);
    }
  });

  it('ends with bytes that are no frame', () => {
    const { pair } = established();
    const records = gatewayRecords(pair);
    pair.tellGateway(utf8('GET / HTTP/1.1\r\n\r\n'));
    assert.equal(pair.gateway?.closed?.kind, 'misbehaved');
    assert.deepEqual(records, ['5354460100000500']);
  });

  it('tells the client that the session is over, or that it was thrown out', () => {
    for (const how of ['close', 'terminate'] as const) {
      const { pair } = established();
      const records = gatewayRecords(pair);
      const reason = { kind: 'expired', message: 'Time is up.' } as const;
      pair.gateway?.turn((_machine, sink) => pair.gatewayMachine[how](reason, pair.clock.now, sink));
      assert.deepEqual(records, [how === 'close' ? '5354460100000500' : '5354460100000900']);
      assert.deepEqual(pair.gateway?.closed, reason);
      pair.clock.advance(seconds(1));
      assert.equal(pair.client.closed?.kind, 'ended-by-peer');
    }
  });

  it('asks a client that has gone silent, and gives it up after three times the DPD time', () => {
    const { pair } = established({ client: { dpd: seconds(1000) } });
    pair.clock.advance(seconds(10));
    pair.isStreamSilent = true;
    const time = timeUntil(pair, () => pair.gateway?.closed !== undefined, seconds(200));
    assert.ok(time > seconds(60) && time <= seconds(91), `${time} ms`);
    assert.equal(pair.gateway?.closed?.kind, 'path-lost');
  });

  it('is lost with its connection', () => {
    const { pair } = established();
    pair.breakStream();
    assert.equal(pair.gateway?.closed?.kind, 'path-lost');
    assert.equal(pair.gatewayMachine.nextTimeout(), undefined);
  });

  it('answers 503 where there is no address for the client', () => {
    const { terms } = {
      terms: { config: { dns: [], nbns: [], searchDomains: [], splitDns: [], include: [], exclude: [], vendorOptions: [] } },
    };
    const pair = new TunnelPair({ terms });
    pair.clock.advance(seconds(1));
    assert.equal(pair.gateway?.closed?.kind, 'unusable');
    assert.equal(pair.client.closed?.kind, 'path-lost');
    assert.match(pair.client.closed?.message ?? '', /503 Service Unavailable \(No address for this client\.\)/);
  });
});

for (const gatewayEngine of [false, true]) {
  const name = gatewayEngine ? 'its packets carried by an engine' : 'packet by packet';

  describe(`The gateway’s screen, ${name}`, () => {
    it('lets a client send from its own address and the networks behind it, on both channels', () => {
      for (const udp of [true, false]) {
        const { pair } = established({ gatewayEngine, gateway: { networks: [parseCidr('192.168.64.0/20') ?? assert.fail()] } });
        if (pair.gateway !== undefined) pair.gateway.onDelivered = () => undefined; // these are not counted
        if (!udp) pair.breakDatagrams();
        const sources = [CLIENT_ADDRESS, '192.168.70.1', GATEWAY_ADDRESS, '10.9.0.3', '127.0.0.1', '192.168.80.1'];
        for (const source of sources) pair.client.send(numberedPacket(1, 100, source, GATEWAY_ADDRESS));
        pair.clock.advance(100);
        assert.equal(pair.gateway?.delivered.length, 2, udp ? 'by UDP' : 'by the stream');
        if (!udp || !gatewayEngine) assert.equal(pair.gatewayMachine.spoofed, 4); // else the engine has counted them
      }
    });
  });

  describe(`The gateway’s way out, ${name}`, () => {
    // Spec "AnyConnect", section 7.10.
    it('is the stream until something comes by UDP, and again when a packet comes by the stream', () => {
      for (const encodings of [[], ['lzs']] as const) {
        const { pair, up, down } = established({ gatewayEngine, client: { encodings }, terms: { encodings } });
        assert.deepEqual(pair.gateway?.ups, ['stream', 'datagram']);
        up.send(1400); // larger than a datagram may be
        pair.clock.advance(100);
        assert.equal(pair.gateway?.up?.kind, 'stream');
        down.send(100);
        pair.clock.advance(100);
        assert.deepEqual(down.missing, []);
        up.send(100);
        pair.clock.advance(100);
        down.send(100); // an engine is asked what it has heard when there is something to send
        assert.equal(pair.gateway?.up?.kind, 'datagram');
        pair.clock.advance(100);
        assert.deepEqual([up.missing, down.missing], [[], []]);
      }
    });

    it('is the stream after the time for which UDP may be silent, where one is set', () => {
      const { pair, up, down } = established({
        gatewayEngine,
        gateway: { switchToStreamAfter: seconds(25) },
        datagram: { times: { dpd: seconds(1000) } },
      });
      const time = timeUntil(pair, () => pair.gateway?.up?.kind === 'stream', seconds(60));
      assert.ok(time > seconds(24) && time <= seconds(25), `${time} ms`);
      up.send(100);
      pair.clock.advance(100);
      down.send(100);
      assert.equal(pair.gateway?.up?.kind, 'datagram');
    });

    it('is the stream while the client does not answer by UDP', () => {
      const said = established({ gatewayEngine });
      const { pair, down } = said;
      talk(said, seconds(5));
      pair.udp = 'silent-to-client';
      const before = down.sent;
      down.send(100);
      timeUntil(pair, () => pair.gateway?.up?.kind === 'stream', seconds(10));
      assert.ok(down.missing.every((number) => number >= before));
    });
  });

  describe(`The gateway’s datagram channel, ${name}`, () => {
    it('answers no hello but its client’s', () => {
      const pair = new TunnelPair({ gatewayEngine });
      pair.start();
      const other = new TunnelPair({ seed: 77 });
      other.start();
      // The other client's first hello, as it arrived there.
      const [hello] = other.datagramsToGateway.filter((bytes) => readFirstHello(bytes) !== undefined);
      const sent = pair.datagramsSent;
      const path = pair.newGatewayPath();
      pair.gateway?.receive(path, hello ?? assert.fail());
      pair.clock.advance(1);
      assert.equal(path.isOpen, false, 'dropped');
      const nonsense = pair.newGatewayPath();
      pair.gateway?.receive(nonsense, utf8('anything at all'));
      pair.clock.advance(1);
      assert.equal(nonsense.isOpen, false);
      assert.equal(pair.datagramsSent, sent, 'not a word');
    });

    // Spec "AnyConnect", section 7.8, point 4.
    it('begins no second handshake within three seconds of another, and drops an older one for a newer', () => {
      const { pair } = established({ gatewayEngine });
      const [hello] = pair.datagramsToGateway;
      assert.ok(hello !== undefined && readFirstHello(hello) !== undefined);
      const helloAgain = () => {
        const path = pair.newGatewayPath();
        pair.gateway?.receive(path, hello);
        return path;
      };
      const first = helloAgain();
      pair.clock.advance(seconds(2));
      const second = helloAgain();
      assert.deepEqual([first.isOpen, second.isOpen], [true, false]);
      pair.clock.advance(seconds(2));
      const third = helloAgain();
      assert.deepEqual([first.isOpen, third.isOpen], [false, true]);
      pair.clock.advance(seconds(61));
      assert.equal(third.isOpen, false, 'a handshake that nobody finishes ends after a minute');
      assert.equal(pair.gateway?.up?.kind, 'datagram', 'and the association in use knew nothing of it');
    });

    it('sends no datagram larger than the link, whatever suite the client chose', () => {
      // The MTU was reckoned for AES-GCM; a record of CBC with SHA-256 is up to 40 bytes longer.
      const { pair, down } = established({ gatewayEngine, pskSuite: 0x00ae, client: { baseMtu: 1406 } });
      let longest = 0;
      pair.loses = (bytes) => {
        longest = Math.max(longest, bytes.length);
        return false;
      };
      for (let size = 1200; size <= 1340; size++) down.send(size);
      pair.clock.advance(seconds(1));
      assert.deepEqual(down.missing, []);
      assert.ok(longest > 1300 && longest <= 1406 - 28, `${longest} bytes`);
    });

    // Spec "AnyConnect", section 8.4, "Gateway duties".
    it('sends smaller datagrams when its system refuses one, and larger ones again when a probe comes', () => {
      const { pair, up, down } = established({ gatewayEngine });
      const isByUdp = (size: number) => {
        const before = pair.datagramsSent;
        down.send(size);
        return pair.datagramsSent > before;
      };
      assert.ok(isByUdp(1340));
      pair.tellsTooBig = true;
      pair.maxDatagram = 1000;
      assert.ok(isByUdp(1340), 'it does not know better yet');
      pair.clock.advance(10);
      assert.ok(!isByUdp(1340));
      pair.maxDatagram = Number.POSITIVE_INFINITY;
      // The client looks again how large packets may be.
      const [path] = pair.clientFlows;
      pair.client.turn((machine, sink) =>
        machine.notice(path ?? assert.fail(), { type: 'too-big', length: undefined }, pair.clock.now, sink),
      );
      pair.clock.advance(seconds(1));
      up.send(100);
      pair.clock.advance(100);
      assert.ok(isByUdp(1340));
    });

    it('cannot be taken over by a copy of what the client sent', () => {
      const said = established({ gatewayEngine });
      const { pair } = said;
      talk(said, seconds(1));
      for (const bytes of pair.datagramsToGateway.slice(-5)) {
        const path = pair.newGatewayPath();
        pair.gateway?.receive(path, bytes);
        pair.clock.advance(1);
        assert.equal(path.isOpen, false);
      }
      talk(said, seconds(1));
      assert.deepEqual([said.up.missing, said.down.missing], [[], []]);
    });

    it('keeps one new flow that has not said anything, not many', () => {
      const { pair } = established({ gatewayEngine });
      const paths = Array.from({ length: 10 }, () => pair.newGatewayPath());
      assert.equal(paths.filter(({ isOpen }) => isOpen).length, 1);
    });

    it('is given up when the client ends it, and packets go by the stream', () => {
      const said = established({ gatewayEngine });
      const { pair } = said;
      pair.clock.advance(seconds(20));
      pair.opensDatagram = false;
      const [path] = pair.clientFlows;
      pair.client.turn((machine, sink) => machine.lost(path ?? assert.fail(), new NetworkError('gone'), pair.clock.now, sink));
      pair.client.remove(path ?? assert.fail());
      talk(said, seconds(5));
      const late = said.down.sent;
      talk(said, seconds(5));
      assert.ok(said.down.missing.every((number) => number < late));
      assert.equal(pair.gateway?.up?.kind, 'stream');
    });
  });
}

describe('A new gateway machine', () => {
  it('waits for its client’s connection: it is due for nothing, and takes nothing else', () => {
    const { pair } = established();
    const events: unknown[] = [];
    const sink = { on: () => assert.fail(), event: (event: unknown) => events.push(event) };
    const machine = new GatewayTunnel(pair.gatewayOptions());
    machine.handleTimeout(0, sink);
    machine.receive({ kind: 'stream' }, utf8('x'), 0, sink);
    assert.equal(machine.nextTimeout(), undefined);
    assert.deepEqual(machine.status(0), { stream: { state: 'connecting' }, datagram: { state: 'down' } });
    const path = { kind: 'datagram' } as const;
    const end = { address: { family: 4, bytes: Uint8Array.of(192, 0, 2, 1) }, port: 1 } as const;
    machine.opened(path, { local: end, remote: end, engine: false }, 0, sink);
    assert.deepEqual(events, [{ type: 'drop', path }]);
  });
});
