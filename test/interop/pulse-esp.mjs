// An appliance's ESP beside its TLS (spec "Pulse", sections 8.4, 8.5 and 10).
import { strict as assert } from 'node:assert';
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { JUNIPER } from './pulse-packets.mjs';
import { hex, pong } from './talk.mjs';

/** A gateway's ESP: AES-256-CBC and HMAC-SHA-256 (spec "ESP", section 2). */
export class EspEnd {
  /** Spec 8.4: what the client sends with, whatever its SPI. */
  block = Buffer.from(Array.from({ length: 64 }, (_, i) => i));
  said = new Set();
  static async open(talk) {
    const end = new EspEnd();
    end.talk = talk;
    end.socket = createSocket('udp4');
    end.socket.bind(0, '127.0.0.1');
    await once(end.socket, 'listening');
    end.port = end.socket.address().port;
    end.socket.on('message', (datagram, from) => end.heard(datagram, from));
    return end;
  }
  offer(spi) {
    this.spi = spi;
    const swapped = Buffer.from(spi, 'hex').reverse().toString('hex');
    const head = `00000000000000000000000000000000 21202400 00000000 00000070 00000054 01000000 ${swapped} 0040`;
    this.talk.send(JUNIPER, '1', `${head} ${this.block.toString('hex')} 000000000000`);
  }
  told(kind, payload) {
    if (kind.endsWith('05')) {
      assert.equal(payload.toString(), 'ncmo=1\n\0');
      this.said.add('ncmo');
      return;
    }
    const head = '00000000000000000000000000000000 21202400 00000000 000000b0 00000094 01000000';
    assert.equal(payload.length, 176);
    assert.equal(payload.subarray(0, 36).toString('hex'), hex(head).toString('hex'));
    assert.equal(payload.subarray(40, 42).toString('hex'), '0040');
    const echo = `${Buffer.from(this.spi, 'hex').reverse().toString('hex')}0040${this.block.toString('hex')}`;
    assert.equal(payload.subarray(106).toString('hex'), echo);
    this.theirs = { spi: Buffer.from(payload.subarray(36, 40)).reverse(), block: payload.subarray(42, 106), next: 0 };
    this.held?.();
    this.held = undefined;
  }
  heard(datagram, { port, address }) {
    if (datagram.subarray(0, 4).toString('hex') !== this.spi || this.theirs === undefined) return;
    const end = datagram.length - 16;
    const mac = createHmac('sha256', this.block.subarray(32)).update(datagram.subarray(0, end)).digest();
    assert.deepEqual(datagram.subarray(end), mac.subarray(0, 16));
    const decipher = createDecipheriv('aes-256-cbc', this.block.subarray(0, 32), datagram.subarray(8, 24)).setAutoPadding(false);
    const plain = decipher.update(datagram.subarray(24, end));
    const [padding, next] = plain.subarray(-2);
    assert.equal(next, 4);
    const payload = plain.subarray(0, plain.length - 2 - padding);
    const answer = payload.length === 1 ? payload : pong(payload);
    if (answer === undefined) return;
    const reply = () => this.socket.send(this.seal(answer), port, address);
    if (payload.length > 1) assert.ok(this.said.has('ncmo'));
    if (payload.length === 1 || this.spi !== 'a1b2c3d4') reply();
    else {
      // It is answered under the next keys.
      this.theirs = undefined;
      this.held = reply;
      this.offer('a1b2c3d5');
      console.log('a ping by ESP');
      return;
    }
    if (payload.length > 1) console.log('a ping under other keys');
  }
  seal(payload) {
    const { spi, block } = this.theirs;
    const padding = 15 - ((payload.length + 1) % 16);
    const plain = Buffer.concat([payload, Buffer.from(Array.from({ length: padding }, (_, i) => i + 1)), Buffer.of(padding, 4)]);
    const header = Buffer.concat([spi, Buffer.alloc(4), randomBytes(16)]);
    header.writeUInt32BE(this.theirs.next++, 4);
    const cipher = createCipheriv('aes-256-cbc', block.subarray(0, 32), header.subarray(8)).setAutoPadding(false);
    const sealed = Buffer.concat([header, cipher.update(plain)]);
    return Buffer.concat([sealed, createHmac('sha256', block.subarray(32)).update(sealed).digest().subarray(0, 16)]);
  }
}
