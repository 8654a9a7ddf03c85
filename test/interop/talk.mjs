// What the scripts that play a transcript share: bytes of a connection as they are waited for. Nothing of the project.
export const hex = (text) => Buffer.from(text.replace(/\s/g, ''), 'hex');

/** Bytes of one connection, by what is waited for. */
export class Talk {
  constructor(socket) {
    this.socket = socket;
    this.bytes = Buffer.alloc(0);
    this.wake = () => {};
    socket.on('data', (chunk) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      this.wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      this.wake();
    });
  }
  async need(enough) {
    for (;;) {
      const length = enough(this.bytes);
      if (length > 0) {
        const taken = this.bytes.subarray(0, length);
        this.bytes = this.bytes.subarray(length);
        return taken;
      }
      if (this.isClosed) throw new Error(`closed with ${this.bytes.toString('latin1')}`);
      await new Promise((resolve) => {
        this.wake = resolve;
      });
    }
  }
  async head() {
    const end = (bytes) => bytes.indexOf('\r\n\r\n') + 4;
    return (await this.need((bytes) => (end(bytes) > 3 ? end(bytes) : 0))).toString();
  }
  /** A message of HTTP, with the length that it says. */
  async message() {
    const head = await this.head();
    const length = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1] ?? 0);
    return head + (length > 0 ? (await this.need((bytes) => (bytes.length >= length ? length : 0))).toString() : '');
  }
}
