/** What a super-packet becomes, made from its fields: one packet after another, each written anew. */
import { FLAGS, type PacketFields, packetFrom, TCP } from '../support/inner-packets.ts';

export function splitReference(fields: PacketFields, size: number): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < fields.payload.length; at += size) {
    const isLast = at + size >= fields.payload.length;
    let { flags } = fields;
    if (at > 0) flags &= ~FLAGS.cwr;
    if (!isLast) flags &= ~(FLAGS.fin | FLAGS.psh);
    packets.push(
      packetFrom({
        ...fields,
        identification: fields.identification + packets.length,
        sequence: fields.sequence + (fields.protocol === TCP ? at : 0),
        flags,
        payload: fields.payload.subarray(at, at + size),
      }),
    );
  }
  return packets;
}
