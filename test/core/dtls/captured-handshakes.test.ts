import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DtlsClient } from '../../../src/core/dtls/client.ts';
import { DtlsServer } from '../../../src/core/dtls/server.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { CollectingSink } from '../../support/collecting-sink.ts';
import { ScriptedCrypto } from '../../support/scripted-crypto.ts';
import { LEGACY_CAPTURE, PSK_CAPTURE, RESUMPTION_CAPTURE } from './captures.ts';

/** Where a captured hello has its random and its session id: behind record header 13, handshake header 12, version 2. */
const randomOf = (hello: Uint8Array) => hello.slice(27, 59);
const sessionIdOf = (hello: Uint8Array) => hello.slice(60, 92);

/** The IV of a captured Finished of the pre-RFC dialect: the last record of its flight has a payload of 64 bytes. */
const ivOf = (flight: Uint8Array) => flight.slice(flight.length - 64, flight.length - 48);

/** What the captured client offers in front of what we do. */
const SIGNATURE_ALGORITHMS = {
  type: 0x000d,
  data: fromHex('0020 0401 0809 0804 0403 0807 0501 080a 0805 0503 0808 0601 080b 0806 0603 0201 0203'),
};
const SESSION_TICKET = { type: 0x0023, data: new Uint8Array(0) };

describe('captured handshakes', () => {
  it('is the captured client of DTLS 1.2 resumed, byte for byte', () => {
    const { clientHello, serverFlight, clientFlight, master } = RESUMPTION_CAPTURE;
    const client = new DtlsClient({
      crypto: new ScriptedCrypto([randomOf(clientHello)]),
      version: '1.2',
      credentials: { kind: 'resumption', masterSecret: master, sessionId: sessionIdOf(clientHello), suite: 0x009d },
      extraExtensions: [SIGNATURE_ALGORITHMS, SESSION_TICKET],
    });
    const sink = new CollectingSink();
    client.handleTimeout(0, sink);
    assert.equal(toHex(sink.takeBytes()), toHex(clientHello));
    client.receive(serverFlight.slice(), 1, sink);
    assert.equal(client.state.name, 'up');
    assert.deepEqual(sink.take().map(toHex), [toHex(clientFlight)], 'one datagram, as captured');
  });

  it('is the captured client of the pre-RFC dialect, byte for byte', () => {
    const { clientHello, serverFlight, clientFlight, master } = LEGACY_CAPTURE;
    const client = new DtlsClient({
      crypto: new ScriptedCrypto([randomOf(clientHello), ivOf(clientFlight)]),
      version: '0.9',
      credentials: { kind: 'resumption', masterSecret: master, sessionId: sessionIdOf(clientHello), suite: 0x002f },
      extraExtensions: [SESSION_TICKET],
    });
    const sink = new CollectingSink();
    client.handleTimeout(0, sink);
    assert.equal(toHex(sink.takeBytes()), toHex(clientHello));
    client.receive(serverFlight.slice(), 1, sink);
    assert.equal(client.state.name, 'up');
    assert.deepEqual(sink.take().map(toHex), [toHex(clientFlight)]);
  });

  it('is the captured gateway of DTLS 1.2 resumed, byte for byte', () => {
    const { clientHello, serverFlight, clientFlight, master } = RESUMPTION_CAPTURE;
    const server = new DtlsServer({
      crypto: new ScriptedCrypto([randomOf(serverFlight)]),
      version: '1.2',
      credentials: { kind: 'resumption', masterSecret: master, sessionId: sessionIdOf(clientHello), suite: 0x009d },
    });
    const sink = new CollectingSink();
    server.receive(clientHello.slice(), 0, sink);
    assert.equal(toHex(sink.takeBytes()), toHex(serverFlight));
    server.receive(clientFlight.slice(), 1, sink);
    assert.deepEqual(sink.take(), []);
    assert.equal(server.state.name, 'up');
  });

  it('is the captured gateway of the pre-RFC dialect, byte for byte', () => {
    const { clientHello, serverFlight, clientFlight, master } = LEGACY_CAPTURE;
    const server = new DtlsServer({
      crypto: new ScriptedCrypto([randomOf(serverFlight), ivOf(serverFlight)]),
      version: '0.9',
      credentials: { kind: 'resumption', masterSecret: master, sessionId: sessionIdOf(clientHello), suite: 0x002f },
    });
    const sink = new CollectingSink();
    server.receive(clientHello.slice(), 0, sink);
    assert.equal(toHex(sink.takeBytes()), toHex(serverFlight));
    server.receive(clientFlight.slice(), 1, sink);
    assert.equal(server.state.name, 'up');
  });

  it('is the captured gateway of the PSK handshake, byte for byte', () => {
    const { clientHello, serverHello, serverHelloDone, clientFlight, serverChangeCipherSpec, serverFinished, psk } = PSK_CAPTURE;
    const asked: string[] = [];
    const server = new DtlsServer({
      crypto: new ScriptedCrypto([randomOf(serverHello), sessionIdOf(serverHello)]),
      version: '1.2',
      credentials: {
        kind: 'psk',
        findKey: (id) => {
          asked.push(toHex(id));
          return psk;
        },
      },
    });
    const sink = new CollectingSink();
    server.receive(clientHello.slice(), 0, sink);
    assert.deepEqual(asked, [toHex(sessionIdOf(clientHello))]);
    assert.equal(toHex(sink.takeBytes()), toHex(serverHello) + toHex(serverHelloDone));
    server.receive(clientFlight.slice(), 1, sink);
    assert.equal(toHex(sink.takeBytes()), toHex(serverChangeCipherSpec) + toHex(serverFinished));
    assert.equal(server.state.name === 'up' && server.state.session.suite.id, 0x00a9);
  });

  it('takes the captured datagrams of the gateway in any order of records and datagrams', () => {
    const { clientHello, serverFlight, clientFlight, master } = RESUMPTION_CAPTURE;
    const records = [serverFlight.slice(0, 103), serverFlight.slice(103, 117), serverFlight.slice(117)];
    const orders = [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ];
    for (const order of orders) {
      const client = new DtlsClient({
        crypto: new ScriptedCrypto([randomOf(clientHello)]),
        version: '1.2',
        credentials: { kind: 'resumption', masterSecret: master, sessionId: sessionIdOf(clientHello), suite: 0x009d },
        extraExtensions: [SIGNATURE_ALGORITHMS, SESSION_TICKET],
      });
      const sink = new CollectingSink();
      client.handleTimeout(0, sink);
      sink.take();
      for (const i of order) client.receive(records[i]?.slice() ?? new Uint8Array(0), 1, sink);
      assert.equal(client.state.name, 'up', `order ${order}`);
      assert.equal(toHex(sink.takeBytes()), toHex(clientFlight));
    }
  });
});
