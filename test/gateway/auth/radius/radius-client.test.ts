/** Our client against servers that misbehave: a socket on loopback that answers as a test says. */
import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../../src/core/errors.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { toHex, utf8 } from '../../../../src/core/wire/text.ts';
import type { RadcliConfig, RadiusServer } from '../../../../src/gateway/auth/radius/radcli-file.ts';
import { askRadius, type RadiusQuestion } from '../../../../src/gateway/auth/radius/radius-client.ts';
import { decodeRadius, RADIUS_CODES, sealResponse } from '../../../../src/gateway/auth/radius/radius-packet.ts';

const SECRET = 'sesame';
const QUESTION: RadiusQuestion = { kind: 'access', attributes: () => [{ type: 1, value: utf8('alice') }] };
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

type Answer = (request: Uint8Array, times: number, reply: (bytes: Uint8Array) => void) => void;

class FakeServer implements AsyncDisposable {
  readonly seen: string[] = [];
  readonly server: RadiusServer;
  readonly #socket: ReturnType<typeof createSocket>;

  private constructor(socket: ReturnType<typeof createSocket>, answer: Answer) {
    this.#socket = socket;
    this.server = { host: '127.0.0.1', port: socket.address().port, secret: new Secret(SECRET) };
    socket.on('message', (request: Uint8Array, { port, address }: RemoteInfo) => {
      this.seen.push(toHex(request));
      answer(request, this.seen.length, (bytes) => socket.send(bytes, port, address));
    });
  }

  static async open(answer: Answer): Promise<FakeServer> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new FakeServer(socket, answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }
}

function accept(request: Uint8Array, secret = SECRET): Uint8Array {
  const { id, authenticator } = decodeRadius(request);
  return sealResponse({ code: RADIUS_CODES.accessAccept, id, attributes: [] }, authenticator, utf8(secret));
}

function config(timeout: number, ...servers: readonly FakeServer[]): RadcliConfig {
  return { authentication: servers.map(({ server }) => server), accounting: [], timeout, retries: 2, needsMessageAuthenticator: true };
}

describe('RADIUS client', () => {
  it('passes over what is no genuine answer and waits for the one that is', async () => {
    await using server = await FakeServer.open((request, _times, reply) => {
      reply(utf8('nonsense'));
      reply(accept(request, 'another secret'));
      reply(accept(request).with(1, ((request[1] ?? 0) + 1) & 0xff));
      reply(accept(request));
    });
    const { packet } = await askRadius(config(5_000, server), QUESTION, { random });
    assert.equal(packet.code, RADIUS_CODES.accessAccept);
    assert.equal(server.seen.length, 1);
  });

  it('sends the same bytes again to one that does not answer', async () => {
    await using server = await FakeServer.open((request, times, reply) => {
      if (times === 3) reply(accept(request));
    });
    await askRadius(config(30, server), QUESTION, { random });
    assert.equal(server.seen.length, 3);
    assert.equal(new Set(server.seen).size, 1);
  });

  it('asks the next one after the last try, with a request of its own', async () => {
    await using silent = await FakeServer.open(() => undefined);
    await using server = await FakeServer.open((request, _times, reply) => reply(accept(request)));
    const answer = await askRadius(config(20, silent, server), QUESTION, { random });
    assert.equal(answer.server, server.server);
    assert.equal(silent.seen.length, 3);
    assert.notEqual(server.seen[0], silent.seen[0]);
  });

  it('gives up with the reasons of all, and no secret among them', async () => {
    await using one = await FakeServer.open(() => undefined);
    await using two = await FakeServer.open(() => undefined);
    await assert.rejects(askRadius(config(10, one, two), QUESTION, { random }), (error) => {
      assert.ok(error instanceof NetworkError);
      assert.match(error.message, new RegExp(`port ${one.server.port} did not answer 3 times.*port ${two.server.port} did not answer`));
      assert.ok(!error.message.includes(SECRET));
      return true;
    });
  });

  it('stops when nobody waits for the answer any more', async () => {
    const given = new AbortController();
    await using server = await FakeServer.open(() => given.abort());
    await assert.rejects(askRadius(config(60_000, server), QUESTION, { random, signal: given.signal }), NetworkError);
    assert.equal(server.seen.length, 1);
  });
});
