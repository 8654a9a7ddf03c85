import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { NetworkError, PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../src/core/errors.ts';
import {
  ControlClient,
  type ControlHandler,
  ControlServer,
  findControls,
  MAX_CONNECTIONS,
  MAX_PENDING_REQUESTS,
  MAX_REPLY_BYTES,
  MAX_REQUEST_BYTES,
} from '../../src/node/control-socket.ts';
import { thisProcess } from '../../src/node/processes/process-identity.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-control-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const TIMEOUT = 5_000;

const directory = path.join(folder, 'state');
const open: { close(): unknown }[] = [];

/** For one test. */
function opened<T extends { close(): unknown }>(resource: T): T {
  open.push(resource);
  return resource;
}

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

const echo: ControlHandler = (request) => Promise.resolve({ heard: request });

async function listening(handler: ControlHandler = echo): Promise<ControlServer> {
  return opened(await ControlServer.listen(handler, { directory }));
}

async function client(server: { readonly file: string }): Promise<ControlClient> {
  return opened(await ControlClient.connect(server.file));
}

/** A connection that says what it likes. */
async function rawConnection(file: string): Promise<{ socket: Socket; ended: Promise<string> }> {
  const socket = connect(file);
  await once(socket, 'connect');
  let text = '';
  socket.on('error', () => undefined); // closed while it was still sending
  socket.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  return { socket, ended: once(socket, 'close').then(() => text) };
}

describe('a control socket', () => {
  it('answers requests, several at once and in any order', async () => {
    const waiting: (() => void)[] = [];
    const server = await listening(async (request) => {
      if (request === 'slow') await new Promise<void>((resolve) => waiting.push(resolve));
      return { heard: request };
    });
    const asking = await client(server);
    const slow = asking.request('slow' as unknown as object, TIMEOUT);
    assert.deepEqual(await asking.request({ do: 'status' }, TIMEOUT), { heard: { do: 'status' } });
    for (const go of waiting) go();
    assert.deepEqual(await slow, { heard: 'slow' });
  });

  it('is for its user alone: mode 0600 in a folder with mode 0700', async () => {
    const { file } = await listening();
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
  });

  it('is not made, nor looked for, in a folder that others can write to', async () => {
    const shared = path.join(folder, 'shared');
    mkdirSync(shared);
    chmodSync(shared, 0o777);
    await assert.rejects(ControlServer.listen(echo, { directory: shared }), { code: 'ERR_STATE_DIRECTORY' });
    await assert.rejects(findControls(shared), { code: 'ERR_STATE_DIRECTORY' });
  });

  it('needs a folder whose name is not too long', async () => {
    await assert.rejects(ControlServer.listen(echo, { directory: path.join(folder, 'x'.repeat(100)) }), { code: 'ERR_CONTROL' });
  });

  it('passes errors on with code and message, and says of others what they are', async () => {
    const server = await listening((request) => {
      if (request === 'bug') throw new TypeError('oops');
      throw new PeerRefusedError('not now', { code: 'ERR_LATER' });
    });
    const asking = await client(server);
    await assert.rejects(asking.request({}, TIMEOUT), (error) => error instanceof SallyportError && error.code === 'ERR_LATER');
    await assert.rejects(asking.request('bug' as unknown as object, TIMEOUT), { code: 'ERR_INTERNAL', message: 'oops' });
    await assert.rejects(asking.request({}, TIMEOUT), { message: 'not now' }, 'the connection goes on');
  });

  it('answers what it cannot read with an error, and hangs up', async () => {
    const server = await listening();
    const good = JSON.stringify({ v: 1, id: 1, request: {} });
    for (const [bytes, expected] of [
      ['hello\n', /not JSON/],
      ['[]\n', /no object/],
      [`${JSON.stringify({ v: 2, id: 1, request: {} })}\n`, /version 1/],
      [`${JSON.stringify({ v: 1, id: 'x', request: {} })}\n`, /without a number/],
      [`${JSON.stringify({ v: 1, id: 1 })}\n`, /without a number/],
      [`${good.padEnd(MAX_REQUEST_BYTES + 1)}\n`, /longer than/],
      ['x'.repeat(MAX_REQUEST_BYTES + 1), /longer than/],
    ] as const) {
      const { socket, ended } = await rawConnection(server.file);
      socket.write(bytes);
      assert.match(await ended, expected);
    }
    assert.deepEqual(await (await client(server)).request({}, TIMEOUT), { heard: {} });
  });

  it('takes no more requests at a time than it says', async () => {
    const server = await listening(() => new Promise(() => undefined));
    const { socket, ended } = await rawConnection(server.file);
    for (let id = 0; id <= MAX_PENDING_REQUESTS; id++) socket.write(`${JSON.stringify({ v: 1, id, request: {} })}\n`);
    assert.match(await ended, /requests at a time/);
  });

  it('takes no more connections at a time than it says', async () => {
    const server = await listening();
    const clients = await Promise.all(Array.from({ length: MAX_CONNECTIONS }, () => client(server)));
    const late = await client(server);
    await assert.rejects(late.request({}, TIMEOUT), NetworkError);
    for (const each of clients) assert.deepEqual(await each.request({}, TIMEOUT), { heard: {} });
  });

  it('survives whatever is sent to it', async () => {
    const server = await listening();
    const lines = fc.oneof(
      fc.json(),
      fc.string(),
      fc.record({ v: fc.constantFrom(1, 2, '1'), id: fc.jsonValue(), request: fc.jsonValue() }).map((o) => JSON.stringify(o)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(lines, { maxLength: 4 }), fc.uint8Array({ maxLength: 200 }), async (texts, bytes) => {
        const { socket, ended } = await rawConnection(server.file);
        socket.end(Buffer.concat([...texts.map((text) => Buffer.from(`${text}\n`)), bytes]));
        for (const line of (await ended).split('\n').filter(Boolean)) assert.equal(JSON.parse(line).v, 1);
      }),
      { numRuns: 50 },
    );
    assert.deepEqual(await (await client(server)).request({}, TIMEOUT), { heard: {} });
  });

  it('lets a reply leave that is due when it closes, and is gone then', async () => {
    const asked = Promise.withResolvers<void>();
    const due = Promise.withResolvers<object>();
    const server = await listening(() => {
      asked.resolve();
      return due.promise;
    });
    const asking = await client(server);
    const reply = asking.request({ do: 'disconnect' }, TIMEOUT);
    await asked.promise;
    const closed = server.close();
    due.resolve({ kind: 'logged-off' });
    await closed;
    assert.deepEqual(await reply, { kind: 'logged-off' });
    assert.equal(existsSync(server.file), false);
    await assert.rejects(asking.request({}, TIMEOUT), { code: 'ERR_CONTROL_CLOSED' });
    await assert.rejects(ControlClient.connect(server.file), { code: 'ERR_CONTROL' });
  });

  it('does not wait for a reply that does not come when it closes', async () => {
    const asked = Promise.withResolvers<void>();
    const server = await listening(() => {
      asked.resolve();
      return new Promise(() => undefined);
    });
    const unanswered = assert.rejects((await client(server)).request({}, TIMEOUT), NetworkError);
    await asked.promise;
    await server.close();
    await unanswered;
  });
});

describe('control sockets of others', () => {
  it('are those of running processes; what the dead left is removed, and other files stay', async () => {
    const server = await listening();
    const ended = spawn(process.execPath, ['-e', '0']);
    await once(ended, 'exit');
    const dead = path.join(directory, `${ended.pid}-12345.sock`);
    const recycled = path.join(directory, `${process.pid}-1.sock`);
    const journal = path.join(directory, '1-1-0.1-1.jsonl');
    for (const file of [dead, recycled, journal]) writeFileSync(file, '');
    assert.deepEqual(await findControls(directory), [{ file: server.file, owner: thisProcess() }]);
    assert.deepEqual(readdirSync(directory).sort(), [path.basename(journal), path.basename(server.file)].sort());
    rmSync(journal);
  });

  it('are none where there is no folder', async () => {
    assert.deepEqual(await findControls(path.join(folder, 'nowhere')), []);
  });
});

describe('whoever asks at a control socket', () => {
  /** Something that answers each request with these bytes. */
  async function answering(bytes: string | undefined): Promise<{ file: string; server: Server }> {
    const file = path.join(folder, `fake-${open.length}.sock`);
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => (bytes === undefined ? undefined : socket.write(bytes)));
    });
    await new Promise<void>((resolve) => server.listen(file, resolve));
    opened({ close: () => new Promise((resolve) => server.close(resolve)) });
    return { file, server };
  }

  it('is told when nobody answers', async () => {
    const { file } = await answering(undefined);
    await assert.rejects((await client({ file })).request({}, 20), { code: 'ERR_CONTROL_SILENT' });
  });

  it('takes no nonsense', async () => {
    for (const bytes of [
      'hello\n',
      '{"v":2,"id":1,"reply":{}}\n',
      '{"v":1,"id":1}\n',
      '{"v":1,"id":1,"error":{"code":7}}\n',
      '{"v":1,"id":null,"reply":{}}\n',
      'x'.repeat(MAX_REPLY_BYTES + 1),
    ]) {
      const { file } = await answering(bytes);
      const asking = await client({ file });
      await assert.rejects(asking.request({}, TIMEOUT), PeerMisbehavedError, bytes.slice(0, 40));
    }
  });

  it('hears an error that belongs to no request', async () => {
    const { file } = await answering('{"v":1,"id":null,"error":{"code":"ERR_X","message":"too much"}}\n');
    await assert.rejects((await client({ file })).request({}, TIMEOUT), { code: 'ERR_X', message: 'too much' });
  });
});
