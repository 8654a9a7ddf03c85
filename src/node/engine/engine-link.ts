/**
 * Main's end of the engine: the worker's life, commands and answers, and both rings. Devices and paths talk to the worker through it.
 *
 * Read first: shared-memory.ts (waking), messages.ts (order).
 */
import { closeSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { SallyportError } from '../../core/errors.ts';
import { revivedError } from '../plain-error.ts';
import {
  type Command,
  type CommandName,
  type EngineCommands,
  type EngineCrypto,
  entryTag,
  type WorkerMessage,
  type WorkerOptions,
} from './messages.ts';
import { MAX_PACKET_LENGTH, SharedMemory, WORD } from './shared-memory.ts';

/** How long the worker has to leave before it is ended by force: some poll time-outs. */
const CLOSE_DEADLINE = 3000;

/** One to the eventfd's counter, in the machine's byte order (little endian wherever koffi runs). */
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

/** The worker's file beside this one: TypeScript in the source tree, JavaScript in the package. */
const WORKER_FILE = new URL(`./engine-worker${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url);

export interface LinkListener {
  /** An entry of the toMain ring: bytes in `data` from `start` to `end`, until the call returns. */
  entry(tag: number, data: Buffer, start: number, end: number): void;
  /** After a run of entries. */
  entriesEnd(): void;
  message(message: WorkerReport): void;
  /** The worker ended by itself. */
  failed(error: SallyportError): void;
}

export type WorkerReport = Extract<WorkerMessage, { readonly type: 'device-failed' | 'path-problem' | 'stream-report' }>;

export type LinkOptions = Pick<WorkerOptions, 'portableCrypto' | 'without'>;

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class EngineLink {
  readonly memory: SharedMemory = new SharedMemory();
  readonly #worker: Worker;
  readonly #calls = new Map<number, Call>();
  /** Entries are copied here out of the ring: not every interface of Node takes shared memory. */
  readonly #lent: Buffer = Buffer.alloc(MAX_PACKET_LENGTH + 1);
  readonly #onProcessExit = () => this.#abandon();
  /** The worker is ready, or why it is not. */
  readonly #started = Promise.withResolvers<SallyportError | undefined>();
  readonly #ended = Promise.withResolvers<undefined>();
  #listener: LinkListener | undefined;
  #crypto: EngineCrypto = 'node';
  #lastCall = 0;
  #isFlushAsked = false;
  #state: 'running' | 'closing' | 'ended' = 'running';
  #failure: SallyportError | undefined;
  #closed: Promise<void> | undefined;

  /** Starts the worker; rejects with what its start threw: {@link UnsupportedError} without koffi or Linux. */
  static async start(options: LinkOptions): Promise<EngineLink> {
    const link = new EngineLink(options);
    const failure = await link.#started.promise;
    if (failure !== undefined) throw failure;
    return link;
  }

  private constructor(options: LinkOptions) {
    const workerData: WorkerOptions = { ...options, memory: this.memory.buffer };
    // Node would open our own output, and load its network modules for that, before it starts the thread: here it waits for the first word.
    this.#worker = new Worker(WORKER_FILE, { workerData, name: 'sallyport-engine', stdout: true, stderr: true });
    for (const name of ['stdout', 'stderr'] as const) this.#worker[name].on('data', (text: Uint8Array) => process[name].write(text));
    this.#worker.on('message', (message: WorkerMessage) => this.#onMessage(message));
    this.#worker.on('error', (error) => {
      this.#failure = new SallyportError('ERR_ENGINE', `The packet engine failed: ${error.message}`, { cause: error });
    });
    this.#worker.once('exit', () => this.#onWorkerExit());
    process.once('exit', this.#onProcessExit);
  }

  /** Who seals and opens. */
  get crypto(): EngineCrypto {
    return this.#crypto;
  }

  /** Hands on what the worker delivers. Called once, before the first command. */
  listen(listener: LinkListener): void {
    this.#listener = listener;
  }

  /** Asks the worker for something. What was put into the ring before is done before; what is put there later comes after. */
  call<Name extends CommandName>(name: Name, takes: EngineCommands[Name]['takes']): Promise<EngineCommands[Name]['answers']> {
    if (this.#state !== 'running' && !(name === 'stop' && this.#state === 'closing')) return Promise.reject(this.#gone());
    this.#lastCall++;
    const command = { name, call: this.#lastCall, after: this.memory.toWorker.position, takes } as Command;
    const answer = new Promise<EngineCommands[Name]['answers']>((resolve, reject) => {
      // The worker answers each command with the type that the table gives it.
      this.#calls.set(command.call, { resolve: resolve as Call['resolve'], reject });
    });
    this.memory.toWorker.publish();
    this.#worker.postMessage(command);
    Atomics.add(this.memory.words, WORD.commands, 1);
    this.wake();
    return answer;
  }

  /** Puts an entry into the ring to the worker; {@link flush} shows it. False if the ring is full or the engine gone: the caller counts. */
  push(kind: Parameters<typeof entryTag>[0], path: number, bytes: Uint8Array, start: number, end: number, keepFree = 0): boolean {
    return this.#state === 'running' && this.memory.toWorker.push(entryTag(kind, path), bytes, start, end, keepFree);
  }

  /** An entry's bytes in memory of this thread's, until the next one is lent. */
  lend(data: Buffer, start: number, end: number): Buffer {
    data.copy(this.#lent, 0, start, end);
    return this.#lent.subarray(0, end - start);
  }

  /** Shows the worker what was pushed. Once a burst. */
  flush(): void {
    this.memory.toWorker.publish();
    this.wake();
  }

  /** The same when the caller's turn is over: what is pushed one by one until then is shown as one burst, and leaves as one. */
  flushSoon(): void {
    if (this.#isFlushAsked) return;
    this.#isFlushAsked = true;
    queueMicrotask(() => {
      this.#isFlushAsked = false;
      this.flush();
    });
  }

  /** Ends the worker's sleep, if it sleeps. */
  wake(): void {
    const { words } = this.memory;
    const eventfd = Atomics.load(words, WORD.eventfd) - 1;
    if (eventfd < 0 || Atomics.load(words, WORD.workerSleeps) === 0) return;
    if (Atomics.exchange(words, WORD.workerSleeps, 0) === 1) writeSync(eventfd, ONE);
  }

  /** What is in the ring leaves, then the worker ends and with it its device and paths. Safe to call twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'closing';
    // If it cannot answer because it ends, that is what we wanted.
    this.call('stop', {}).catch(() => undefined);
    const deadline = setTimeout(() => this.terminate(), CLOSE_DEADLINE);
    await this.#ended.promise;
    clearTimeout(deadline);
  }

  /** Ends the thread without asking it. What it held is closed here. */
  terminate(): void {
    this.wake(); // it cannot be ended inside a system call
    this.#worker.terminate().catch(() => undefined); // it is over one way or the other: 'exit' says so
  }

  #onMessage(message: WorkerMessage): void {
    // First the flag, then the ring: what comes after this look notifies again.
    Atomics.store(this.memory.words, WORD.mainNotified, 0);
    try {
      this.#takeEntries();
    } finally {
      // A listener that throws must not leave somebody waiting for an answer.
      if (message !== null) this.#handle(message);
    }
  }

  #handle(message: NonNullable<WorkerMessage>): void {
    switch (message.type) {
      case 'answer':
        this.#settle(message.call)?.resolve(message.value);
        return;
      case 'refusal':
        this.#settle(message.call)?.reject(revivedError(message.error));
        return;
      case 'device-failed':
      case 'path-problem':
      case 'stream-report':
        this.#listener?.message(message);
        return;
      case 'ready':
        this.#crypto = message.crypto;
        this.#started.resolve(undefined);
        return;
      case 'start-failed':
        this.#failure = revivedError(message.error);
        return; // and 'exit' follows
    }
    message satisfies never;
  }

  #settle(call: number): Call | undefined {
    const found = this.#calls.get(call);
    this.#calls.delete(call);
    return found;
  }

  #takeEntries(): void {
    const { toMain, words } = this.memory;
    // No more than was there at the start: the rest comes with a message of its own, and others have their turn.
    const end = toMain.published;
    try {
      while (!toMain.hasReached(end) && toMain.next()) this.#listener?.entry(toMain.tag, toMain.data, toMain.start, toMain.end);
      this.#listener?.entriesEnd();
    } finally {
      // What was made of them is shown before they count as taken: the worker may hold packets until both are so.
      if (this.#isFlushAsked) this.flush();
      toMain.release();
    }
    if (Atomics.load(words, WORD.roomWanted) === 1 && Atomics.exchange(words, WORD.roomWanted, 0) === 1) this.wake();
  }

  #onWorkerExit(): void {
    const wasRunning = this.#state === 'running';
    this.#state = 'ended';
    process.removeListener('exit', this.#onProcessExit);
    this.#closeDescriptors();
    for (const call of this.#calls.values()) call.reject(this.#gone());
    this.#calls.clear();
    if (wasRunning) this.#listener?.failed(this.#gone());
    this.#started.resolve(this.#gone()); // unless it was ready
    this.#ended.resolve(undefined);
  }

  /** The eventfd, and whatever the worker still held: nothing, unless it was ended by force. */
  #closeDescriptors(): void {
    const eventfd = Atomics.exchange(this.memory.words, WORD.eventfd, 0) - 1;
    if (eventfd >= 0) closeSync(eventfd);
    for (const [slot, held] of this.memory.descriptors.entries()) {
      if (held > 0) closeSync(held - 1);
      this.memory.descriptors[slot] = 0;
    }
  }

  /**
   * The process ends, on whatever path. Node would end the thread wherever it is: in poll it would wait for the time-out, and while koffi registers
   * itself the whole process would abort. So the thread is told to leave, and waited for.
   */
  #abandon(): void {
    const { words } = this.memory;
    Atomics.store(words, WORD.abandoned, 1);
    this.wake();
    Atomics.wait(words, WORD.workerLeft, 0, CLOSE_DEADLINE);
  }

  #gone(): SallyportError {
    return this.#failure ?? new SallyportError('ERR_ENGINE', 'The packet engine has ended.');
  }
}
