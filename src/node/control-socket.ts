/**
 * A socket by which other processes of the same user ask this one: requests and replies as JSON lines over a Unix socket.
 *
 *   /run/sallyport/PID-START.sock            mode 0600, in the folder of the journals (state-directory.ts)
 *
 *   client ── {"v":1,"id":1,"request":{…}} ──► server
 *          ◄─ {"v":1,"id":1,"reply":{…}} ─────           or "error":{"code":…,"message":…}
 *
 * Who may ask is decided by the folder, which only its owner can enter or change, and by the socket's mode. The owner's identity is in the file's
 * name, as with journals: whether a socket's process is gone can be seen without connecting to it, whatever has its number by now.
 * A gateway's socket has the name that its configuration says ({@link ControlServer.listenAt}).
 */
import { chmodSync, rmSync } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { NetworkError, PeerMisbehavedError, SallyportError } from '../core/errors.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { JsonLineReader, renderJsonLine } from './json-lines.ts';
import { checkStateDirectory, prepareStateDirectory, stateDirectory } from './network/state-directory.ts';
import { isRunning, type ProcessIdentity, thisProcess } from './processes/process-identity.ts';
import { systemErrorCode } from './system-error.ts';

const PROTOCOL_VERSION = 1;

const OWNER_ONLY = 0o600;

/** A request is a verb and an option or two. */
export const MAX_REQUEST_BYTES = 4096;
/** A reply describes one session, unless the client expects more. */
export const MAX_REPLY_BYTES = 65_536;
/** Connections at a time; more are closed at once. */
export const MAX_CONNECTIONS = 16;
/** Requests of one connection that wait for their replies. */
export const MAX_PENDING_REQUESTS = 8;
/** A connection that neither asks nor waits for a reply is closed. */
const IDLE_TIMEOUT: Millis = 30_000;
/** For replies to leave when the server closes. */
const CLOSE_LIMIT: Millis = 1_000;
/** Bytes of a socket's name, with the zero at the end: `sun_path` of unix(7). */
const MAX_SOCKET_NAME = 108;

/** Answers a request with something that JSON can say. Rejects with a {@link SallyportError} whose code and message the client sees. */
export type ControlHandler = (request: unknown) => Promise<object>;

export interface ControlServerOptions {
  /** Default: {@link stateDirectory}. */
  readonly directory?: string;
}

export class ControlServer {
  readonly file: string;
  readonly #handler: ControlHandler;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  readonly #replies = new Set<Promise<void>>();
  #closed: Promise<void> | undefined;

  /** One a process. Rejects with {@link SallyportError} if the folder is not ours alone, or its name is too long for a socket. */
  static async listen(handler: ControlHandler, options: ControlServerOptions = {}): Promise<ControlServer> {
    const directory = options.directory ?? stateDirectory();
    prepareStateDirectory(directory);
    const { pid, startTime } = thisProcess();
    const file = path.join(directory, `${pid}-${startTime}.sock`);
    if (Buffer.byteLength(file) >= MAX_SOCKET_NAME) {
      throw new SallyportError('ERR_CONTROL', `The name of the folder ${directory} is too long for a socket in it.`);
    }
    rmSync(file, { force: true }); // of this very process: a server before this one
    const server = new ControlServer(file, handler);
    await server.#listen(OWNER_ONLY);
    return server;
  }

  /**
   * At a name that others know. A socket that nobody listens at is replaced; rejects with {@link SallyportError} if somebody does, or if the name is
   * another file's. `mode`: of the socket; who may write to it may connect.
   */
  static async listenAt(file: string, mode: number, handler: ControlHandler): Promise<ControlServer> {
    if (Buffer.byteLength(file) >= MAX_SOCKET_NAME) throw new SallyportError('ERR_CONTROL', `${file} is too long for a socket's name.`);
    await removeStaleSocket(file);
    const server = new ControlServer(file, handler);
    await server.#listen(mode);
    return server;
  }

  private constructor(file: string, handler: ControlHandler) {
    this.file = file;
    this.#handler = handler;
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Stops listening, lets the replies to what was asked leave, and removes the socket. Safe to call twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #listen(mode: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', (cause) => reject(new SallyportError('ERR_CONTROL', `${this.file}: ${cause.message}`, { cause })));
    const mask = process.umask(0o177);
    try {
      this.#server.listen(this.file, resolve);
    } finally {
      process.umask(mask);
    }
    await promise;
    chmodSync(this.file, mode); // whatever the system made of the mask
    this.#server.on('error', () => undefined); // a connection that could not be accepted: its client sees it
  }

  #serve(socket: Socket): void {
    this.#connections.add(socket);
    const reader = new JsonLineReader(MAX_REQUEST_BYTES);
    let pending = 0;
    socket.setTimeout(IDLE_TIMEOUT, () => {
      if (pending === 0) socket.destroy();
    });
    socket.on('error', () => undefined); // the client has gone
    socket.on('close', () => this.#connections.delete(socket));
    const receive = (bytes: Uint8Array) => {
      try {
        for (const message of reader.push(bytes)) {
          const { id, request } = parseRequest(message);
          if (++pending > MAX_PENDING_REQUESTS) throw new PeerMisbehavedError(`more than ${MAX_PENDING_REQUESTS} requests at a time`);
          this.#track(this.#answer(socket, id, request).finally(() => pending--));
        }
      } catch (error) {
        socket.off('data', receive).resume(); // what else it sends is not read
        socket.end(renderJsonLine({ v: PROTOCOL_VERSION, id: null, error: errorOf(error) }));
      }
    };
    socket.on('data', receive);
  }

  async #answer(socket: Socket, id: number, request: unknown): Promise<void> {
    let line: string;
    try {
      line = renderJsonLine({ v: PROTOCOL_VERSION, id, reply: await this.#handler(request) });
    } catch (error) {
      line = renderJsonLine({ v: PROTOCOL_VERSION, id, error: errorOf(error) });
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    if (socket.writable) socket.write(line, () => resolve());
    else resolve();
    await promise;
  }

  #track(answering: Promise<void>): void {
    const settled = answering.finally(() => this.#replies.delete(settled));
    this.#replies.add(settled);
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve())); // removes the file
    const limit = setTimeout(() => {
      for (const socket of this.#connections) socket.destroy();
    }, CLOSE_LIMIT);
    await Promise.race([Promise.all(this.#replies), closed]);
    for (const socket of this.#connections) socket.end();
    await closed;
    clearTimeout(limit);
    rmSync(this.file, { force: true });
  }
}

async function removeStaleSocket(file: string): Promise<void> {
  try {
    if (!(await lstat(file)).isSocket()) throw new SallyportError('ERR_CONTROL', `${file} is there, and is no socket.`);
    using _answering = await ControlClient.connect(file);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    if (!(error instanceof NetworkError)) throw error;
    await rm(file, { force: true }); // nobody answers
    return;
  }
  throw new SallyportError('ERR_CONTROL', `Another process listens at ${file}.`);
}

/** A control socket that was found. */
export interface FoundControl {
  readonly file: string;
  readonly owner: ProcessIdentity;
}

const FILE_NAME = /^(\d{1,10})-(\d{1,20})\.sock$/;

/**
 * The sockets of this user's running processes, the oldest process first. What the dead left behind is removed.
 * Rejects with {@link SallyportError} if others can write to the folder.
 */
export async function findControls(directory: string = stateDirectory()): Promise<readonly FoundControl[]> {
  if (!checkStateDirectory(directory)) return [];
  const found: FoundControl[] = [];
  for (const entry of await readdir(directory)) {
    const [, pid, startTime] = FILE_NAME.exec(entry) ?? [];
    if (pid === undefined || startTime === undefined) continue;
    const control = { file: path.join(directory, entry), owner: { pid: Number(pid), startTime } };
    if (isRunning(control.owner)) found.push(control);
    else await rm(control.file, { force: true });
  }
  return found.sort((a, b) => Number(a.owner.startTime) - Number(b.owner.startTime));
}

export interface ControlClientOptions {
  /** Bytes of the longest reply. Default: {@link MAX_REPLY_BYTES}. */
  readonly maxReplyBytes?: number;
}

/** The asking end: one connection, one request after the other or several at once. */
export class ControlClient {
  /** Resolves when the connection is over, by either end. Never rejects. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #nextId = 1;
  #over: SallyportError | undefined;

  /** Rejects with {@link NetworkError} if nobody answers there. */
  static async connect(file: string, options: ControlClientOptions = {}): Promise<ControlClient> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect(file, resolve);
    const failed = (cause: Error) =>
      reject(new NetworkError(`Nobody answers at ${file}: ${cause.message}`, { code: 'ERR_CONTROL', cause }));
    socket.once('error', failed);
    await promise;
    socket.off('error', failed);
    return new ControlClient(socket, options.maxReplyBytes ?? MAX_REPLY_BYTES);
  }

  private constructor(socket: Socket, maxReplyBytes: number) {
    this.#socket = socket;
    const reader = new JsonLineReader(maxReplyBytes);
    socket.on('error', () => undefined); // followed by `close`
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('close', () => this.#end(new NetworkError('The process ended before it answered.', { code: 'ERR_CONTROL_CLOSED' })));
    socket.on('data', (bytes) => {
      try {
        for (const message of reader.push(bytes)) this.#received(message);
      } catch (error) {
        this.#end(error instanceof SallyportError ? error : new PeerMisbehavedError(String(error)));
      }
    });
  }

  /**
   * Asks, and waits for the reply at most so long. Rejects with what the server says went wrong, with {@link NetworkError} if it goes away or is
   * silent, and with {@link PeerMisbehavedError} if what it says makes no sense.
   */
  async request(request: object, timeout: Millis): Promise<unknown> {
    if (this.#over !== undefined) throw this.#over;
    const id = this.#nextId++;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    const timer = setTimeout(
      () => waiting.reject(new NetworkError('The process does not answer.', { code: 'ERR_CONTROL_SILENT' })),
      timeout,
    );
    try {
      this.#socket.write(renderJsonLine({ v: PROTOCOL_VERSION, id, request }));
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #received(message: unknown): void {
    const { id, reply, error } = parseReply(message);
    if (id === undefined) throw error ?? new PeerMisbehavedError('a reply that belongs to no request');
    const waiting = this.#waiting.get(id);
    if (error === undefined) waiting?.resolve(reply);
    else waiting?.reject(error);
  }

  #end(why: SallyportError): void {
    this.#over ??= why;
    this.#socket.destroy();
    for (const waiting of this.#waiting.values()) waiting.reject(this.#over);
  }
}

function parseRequest(message: unknown): { readonly id: number; readonly request: unknown } {
  const { v, id, request } = fieldsOf(message);
  if (v !== PROTOCOL_VERSION) throw new PeerMisbehavedError(`a request of version ${PROTOCOL_VERSION} was expected`);
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || request === undefined)
    throw new PeerMisbehavedError('a request without a number');
  return { id, request };
}

interface Reply {
  /** undefined: what was sent could not be read at all. */
  readonly id: number | undefined;
  readonly reply: unknown;
  readonly error: SallyportError | undefined;
}

function parseReply(message: unknown): Reply {
  const { v, id, reply, error } = fieldsOf(message);
  if (v !== PROTOCOL_VERSION) throw new PeerMisbehavedError(`a reply of version ${PROTOCOL_VERSION} was expected`);
  if ((typeof id !== 'number' && id !== null) || (reply === undefined) === (error === undefined))
    throw new PeerMisbehavedError('a reply that is none');
  return { id: id ?? undefined, reply, error: error === undefined ? undefined : parseError(error) };
}

function parseError(error: unknown): SallyportError {
  const { code, message } = fieldsOf(error);
  if (typeof code !== 'string' || typeof message !== 'string') throw new PeerMisbehavedError('an error without code and message');
  return new SallyportError(code, message);
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new PeerMisbehavedError('a message that is no object');
  return value as Readonly<Record<string, unknown>>;
}

function errorOf(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof SallyportError) return { code: error.code, message: error.message };
  return { code: 'ERR_INTERNAL', message: error instanceof Error ? error.message : String(error) };
}
