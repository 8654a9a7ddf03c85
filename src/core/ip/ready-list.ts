/** Sockets that their users are to look at: collected while the stack works, told when it does not. */

export interface Readiable {
  isReadyQueued: boolean;
  onReady: (() => void) | undefined;
}

export class ReadyList {
  #waiting: Readiable[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(socket: Readiable): void {
    if (socket.isReadyQueued) return;
    socket.isReadyQueued = true;
    this.#waiting.push(socket);
  }

  /** Tells all of them, once; what becomes ready meanwhile is for the next time. */
  tell(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    let told = 0;
    try {
      for (const socket of waiting) {
        told++;
        socket.isReadyQueued = false;
        socket.onReady?.();
      }
    } finally {
      // One that throws must not keep the others from being told.
      if (told < waiting.length) this.#waiting = [...waiting.slice(told), ...this.#waiting];
    }
  }
}
