// An appliance's EAP-TTLS (spec "Pulse", section 7), by node:tls over a stream that is none.
import { strict as assert } from 'node:assert';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { number, Plain } from './pulse-packets.mjs';
import { hex } from './talk.mjs';

/** EAP packets as {@link Plain} has them, inside TLS inside EAP-TTLS, in fragments. */
export class Tunneled {
  id = 0x40;
  records = [];
  heard = Buffer.alloc(0);
  constructor(talk, { context, fragment }) {
    this.plain = new Plain(talk);
    this.fragment = fragment;
    this.carrier = new Duplex({
      read() {},
      write: (chunk, _encoding, done) => {
        this.records.push(chunk);
        done();
      },
    });
    this.tls = new tls.TLSSocket(this.carrier, { isServer: true, secureContext: context, requestCert: true, rejectUnauthorized: false });
    this.tls.on('data', (bytes) => {
      this.heard = Buffer.concat([this.heard, bytes]);
    });
  }
  async open() {
    await this.#feed(await this.#ask('20'));
    while (!this.tls.getPeerCertificate()?.subject) await this.#feed(await this.#send());
    assert.equal(await this.hear(), '0201000e01616e6f6e796d6f7573');
    return this.tls.getPeerCertificate().subject.CN;
  }
  async say(eap) {
    const packet = hex(eap);
    this.tls.write(Buffer.concat([hex(`0000004f 40 ${number(8 + packet.length, 6)}`), packet]));
  }
  /** What the client says inside: in one record, without padding. */
  async hear() {
    while (this.heard.length === 0) await this.#feed(await this.#send());
    const bytes = this.heard;
    this.heard = Buffer.alloc(0);
    assert.equal(bytes.subarray(0, 8).toString('hex'), `0000004f00${number(bytes.length, 6)}`);
    return bytes.subarray(8).toString('hex');
  }
  async #ask(data) {
    this.id = (this.id + 1) % 256;
    await this.plain.say(`01 ${number(this.id, 2)} ${number(5 + data.length / 2, 4)} 15 ${data}`);
    const answer = await this.plain.hear();
    const [, rest] = new RegExp(`^02${number(this.id, 2)}${number(answer.length / 2, 4)}15(.*)$`).exec(answer);
    return rest;
  }
  /** All that TLS has to say, in fragments that are acknowledged; the answer. */
  async #send() {
    await quiet();
    const message = Buffer.concat(this.records.splice(0)).toString('hex');
    const size = 2 * this.fragment;
    if (message.length <= size) return this.#ask(`00${message}`);
    for (let at = 0; ; at += size) {
      const data = message.slice(at, at + size);
      if (at + size >= message.length) return this.#ask(`00${data}`);
      const first = at === 0 ? `c0${number(message.length / 2, 8)}` : '40';
      assert.equal(await this.#ask(first + data), '00', 'an acknowledgement');
    }
  }
  async #feed(data) {
    assert.match(data, /^00/, 'short enough for one packet');
    if (data.length > 2) this.carrier.push(hex(data.slice(2)));
    await quiet();
  }
}

async function quiet() {
  for (let turns = 0; turns < 8; turns++) await new Promise(setImmediate);
}
