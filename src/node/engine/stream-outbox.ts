/** What main writes to a TLS connection of the engine: handed to the worker in order, no more at a time than {@link COMMIT_WINDOW}. */
import { MAX_RECORD } from '../ffi/openssl-tls-calls.ts';
import type { EngineLink } from './engine-link.ts';
import { ENTRY } from './messages.ts';
import { COMMIT_WINDOW } from './stream-messages.ts';

/** When other traffic of the engine has filled the ring: how soon to look again. */
const RETRY_MS = 1;

export class StreamOutbox {
  readonly #link: EngineLink;
  readonly #id: number;
  readonly #onCommitted: () => void;
  /** What is not on its way to the worker yet. */
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** What the worker has, and the peer's socket not yet. */
  #committed = 0;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** @param id of the path; `onCommitted` is told when something was handed on and nothing waits behind it */
  constructor(link: EngineLink, id: number, onCommitted: () => void) {
    this.#link = link;
    this.#id = id;
    this.#onCommitted = onCommitted;
  }

  /** All that has not left yet. */
  get bytes(): number {
    return this.#committed + this.#waitingBytes;
  }

  /** The worker has everything. */
  get isCommitted(): boolean {
    return this.#waitingBytes === 0;
  }

  add(bytes: Uint8Array): void {
    // A record each, as node:tls would make them: the worker has room for a record, not for anything.
    for (let at = 0; at < bytes.length; at += MAX_RECORD) this.#waiting.push(bytes.subarray(at, at + MAX_RECORD));
    this.#waitingBytes += bytes.length;
    this.#commit();
  }

  /** So many bytes have gone to the peer's socket. */
  left(bytes: number): void {
    this.#committed -= bytes;
    this.#commit();
  }

  /** Nothing more is handed on. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
  }

  #commit(): void {
    clearTimeout(this.#retry);
    if (this.#isClosed) return; // the path's number may be another's by now
    let pushed = false;
    for (let next = this.#waiting[0]; next !== undefined && this.#committed < COMMIT_WINDOW; next = this.#waiting[0]) {
      if (!this.#link.push(ENTRY.datagram, this.#id, next, 0, next.length)) {
        this.#retry = setTimeout(() => this.#commit(), RETRY_MS);
        break;
      }
      this.#waiting.shift();
      this.#waitingBytes -= next.length;
      this.#committed += next.length;
      pushed = true;
    }
    if (!pushed) return;
    this.#link.flushSoon();
    if (this.isCommitted) this.#onCommitted();
  }
}
