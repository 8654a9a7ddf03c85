// What the scripts that play a transcript share: bytes of a connection as they are waited for, and pings. Nothing of the project.
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

/** An echo of IPv4, type 8 a request and 0 an answer, with "abcd" in it. */
export function echo(from, to, type) {
  const packet = hex('45 00 00 20 00 00 00 00 40 01 00 00 00 00 00 00 00 00 00 00  08 00 00 00 12 34 00 01 61 62 63 64');
  from.copy(packet, 12);
  to.copy(packet, 16);
  packet[20] = type;
  return summed(packet);
}

/** What an echo is answered; undefined: it is none. */
export function pong(packet) {
  if (packet[9] !== 1 || packet[20] !== 8) return undefined;
  const answer = Buffer.from(packet);
  packet.copy(answer, 12, 16, 20);
  packet.copy(answer, 16, 12, 16);
  answer[20] = 0;
  return summed(answer);
}

function summed(packet) {
  packet.writeUInt16BE(0, 10);
  packet.writeUInt16BE(checksum(packet.subarray(0, 20)), 10);
  packet.writeUInt16BE(0, 22);
  packet.writeUInt16BE(checksum(packet.subarray(20)), 22);
  return packet;
}

function checksum(bytes) {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
