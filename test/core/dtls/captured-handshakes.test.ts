import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DtlsClient } from '../../../src/core/dtls/client.ts';
import type { ResumptionOptions } from '../../../src/core/dtls/credentials.ts';
import { DtlsServer } from '../../../src/core/dtls/server.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { DatagramSink } from '../../support/datagram-sink.ts';
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

const gcmResumption: ResumptionOptions = {
  kind: 'resumption',
  masterSecret: RESUMPTION_CAPTURE.master,
  sessionId: sessionIdOf(RESUMPTION_CAPTURE.clientHello),
  suite: 0x009d,
};

const legacyResumption: ResumptionOptions = {
  kind: 'resumption',
  masterSecret: LEGACY_CAPTURE.master,
  sessionId: sessionIdOf(LEGACY_CAPTURE.clientHello),
  suite: 0x002f,
};

/** The captured client of DTLS 1.2, which has said its hello. */
function capturedClient(): { readonly client: DtlsClient; readonly sink: DatagramSink; readonly hello: Uint8Array } {
  const client = new DtlsClient({
    crypto: new ScriptedCrypto([randomOf(RESUMPTION_CAPTURE.clientHello)]),
    version: '1.2',
    credentials: gcmResumption,
    extraExtensions: [SIGNATURE_ALGORITHMS, SESSION_TICKET],
  });
  const sink = new DatagramSink();
  client.handleTimeout(0, sink);
  return { client, sink, hello: sink.takeBytes() };
}

describe('captured handshakes', () => {
  it('is the captured client of DTLS 1.2 resumed, byte for byte', () => {
    const { clientHello, serverFlight, clientFlight } = RESUMPTION_CAPTURE;
    const { client, sink, hello } = capturedClient();
    assert.equal(toHex(hello), toHex(clientHello));
    client.receive(serverFlight.slice(), 1, sink);
    assert.equal(client.state.name, 'up');
    assert.deepEqual(sink.take().map(toHex), [toHex(clientFlight)], 'one datagram, as captured');
  });

  it('is the captured client of the pre-RFC dialect, byte for byte', () => {
    const { clientHello, serverFlight, clientFlight } = LEGACY_CAPTURE;
    const client = new DtlsClient({
      crypto: new ScriptedCrypto([randomOf(clientHello), ivOf(clientFlight)]),
      version: '0.9',
      credentials: legacyResumption,
      extraExtensions: [SESSION_TICKET],
    });
    const sink = new DatagramSink();
    client.handleTimeout(0, sink);
    assert.equal(toHex(sink.takeBytes()), toHex(clientHello));
    client.receive(serverFlight.slice(), 1, sink);
    assert.equal(client.state.name, 'up');
    assert.deepEqual(sink.take().map(toHex), [toHex(clientFlight)]);
  });

  for (const { name, version, capture, credentials, randomness } of [
    {
      name: 'DTLS 1.2 resumed',
      version: '1.2',
      capture: RESUMPTION_CAPTURE,
      credentials: gcmResumption,
      randomness: [randomOf(RESUMPTION_CAPTURE.serverFlight)],
    },
    {
      name: 'the pre-RFC dialect',
      version: '0.9',
      capture: LEGACY_CAPTURE,
      credentials: legacyResumption,
      randomness: [randomOf(LEGACY_CAPTURE.serverFlight), ivOf(LEGACY_CAPTURE.serverFlight)],
    },
  ] as const) {
    it(`is the captured gateway of ${name}, byte for byte`, () => {
      const server = new DtlsServer({ crypto: new ScriptedCrypto(randomness), version, credentials });
      const sink = new DatagramSink();
      server.receive(capture.clientHello.slice(), 0, sink);
      assert.equal(toHex(sink.takeBytes()), toHex(capture.serverFlight));
      server.receive(capture.clientFlight.slice(), 1, sink);
      assert.deepEqual(sink.take(), []);
      assert.equal(server.state.name, 'up');
    });
  }

  it('is the captured gateway of the PSK handshake, byte for byte', () => {
    const { clientHello, serverHello, serverHelloDone, clientFlight, serverChangeCipherSpec, serverFinished, psk } = PSK_CAPTURE;
    const asked: string[] = [];
    const findKey = (id: Uint8Array) => {
      asked.push(toHex(id));
      return psk;
    };
    const server = new DtlsServer({
      crypto: new ScriptedCrypto([randomOf(serverHello), sessionIdOf(serverHello)]),
      version: '1.2',
      credentials: { kind: 'psk', findKey },
    });
    const sink = new DatagramSink();
    server.receive(clientHello.slice(), 0, sink);
    assert.deepEqual(asked, [toHex(sessionIdOf(clientHello))]);
    assert.equal(toHex(sink.takeBytes()), toHex(serverHello) + toHex(serverHelloDone));
    server.receive(clientFlight.slice(), 1, sink);
    assert.equal(toHex(sink.takeBytes()), toHex(serverChangeCipherSpec) + toHex(serverFinished));
    assert.equal(server.state.name === 'up' && server.state.session.suite.id, 0x00a9);
  });

  it('takes the captured records of the gateway in any order', () => {
    const { serverFlight, clientFlight } = RESUMPTION_CAPTURE;
    const [hello, changeCipherSpec, finished] = [serverFlight.slice(0, 103), serverFlight.slice(103, 117), serverFlight.slice(117)];
    for (const order of [
      [hello, changeCipherSpec, finished],
      [hello, finished, changeCipherSpec],
      [changeCipherSpec, hello, finished],
      [changeCipherSpec, finished, hello],
      [finished, hello, changeCipherSpec],
      [finished, changeCipherSpec, hello],
    ]) {
      const { client, sink } = capturedClient();
      for (const record of order) client.receive(record.slice(), 1, sink);
      assert.equal(client.state.name, 'up');
      assert.equal(toHex(sink.takeBytes()), toHex(clientFlight));
    }
  });
});
