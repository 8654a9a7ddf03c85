// What both sides of the transcript of spec "Pulse" are made of: IF-T packets, EAP in them, AVPs (sections 3 and 5).
import { strict as assert } from 'node:assert';
import { hex, Talk } from './talk.mjs';

export const TCG = '00005597';
export const JUNIPER = '00000a4c';
export const CONVERSATION = 'fe000a4c 00000001';
export const AUTH = '000a4c01';

/** With IF-T packets; what was heard of each TLS record is kept, as a client of openconnect's drops what is no packet by itself. */
export class PacketTalk extends Talk {
  sequence = 0;
  records = [];
  constructor(socket) {
    super(socket);
    socket.on('data', (chunk) => this.records.push(chunk.length));
  }
  packet() {
    return this.need((bytes) => (bytes.length >= 16 && bytes.length >= bytes.readUInt32BE(8) ? bytes.readUInt32BE(8) : 0));
  }
  /** Vendor and type, and what is behind the sequence number. */
  async kind(vendor, type) {
    const packet = await this.packet();
    assert.equal(packet.subarray(0, 8).toString('hex'), `${vendor}${type.padStart(8, '0')}`);
    return packet.subarray(16);
  }
  async expect(vendor, type, payload) {
    assert.equal((await this.kind(vendor, type)).toString('hex'), hex(payload).toString('hex'));
  }
  send(vendor, type, payload) {
    const body = Buffer.isBuffer(payload) ? payload : hex(payload);
    const header = hex(`${vendor} ${type.padStart(8, '0')} 00000000 00000000`);
    header.writeUInt32BE(16 + body.length, 8);
    header.writeUInt32BE(this.sequence++, 12);
    this.socket.write(Buffer.concat([header, body]));
  }
}

/** EAP packets as they stand in IF-T. */
export class Plain {
  constructor(talk) {
    this.talk = talk;
  }
  async say(eap) {
    this.talk.send(TCG, '5', `${AUTH} ${eap}`);
  }
  async hear() {
    const payload = (await this.talk.kind(TCG, '6')).toString('hex');
    assert.ok(payload.startsWith(AUTH));
    return payload.slice(AUTH.length);
  }
}

export function number(value, digits) {
  return value.toString(16).padStart(digits, '0');
}

export function avp(code, text) {
  const data = Buffer.from(text).toString('hex');
  return `0000${code} 80${number(12 + text.length, 6)} 00000583 ${data}${'00'.repeat(-text.length & 3)}`;
}
